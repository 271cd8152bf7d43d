#===- sample.py - Drawing tokens on GPUs against float64 NumPy ------------------------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
#===-----------------------------------------------------------------------------------------------===#
# RUN: %python %s
"""kernel.sample, and that the processor draws the same tokens."""

import numpy as np

from device import ARCHITECTURES, PACK, PACKED, Program, bf16, check_assembly, from_bf16, kernel, output
from sampling import check

OPERANDS = {"t": "memref<f64>", "k": "memref<i64>", "p": "memref<f64>", "s": "memref<i64>", "i": "memref<i64>",
            "token": "memref<?xi32>", "next": "memref<?xi32>"}


def functions(columns, element="f32"):
    op = "kernel.sample %l temperature %t top_k %k top_p %p seed %s index %i into %token, %next"
    return kernel("draw", op, {"l": "memref<?x%dx%s>" % (columns, element), **OPERANDS})


def runner(program, same_bits=False, store=lambda x: x):
    def run(logits, temperature, top_k, top_p, seed, index):
        options = [np.array(temperature, np.float64), np.array(top_k, np.int64), np.array(top_p, np.float64),
                   np.array(seed, np.uint64), np.array(index, np.int64)]
        token, following = output(len(logits), np.int32), output(len(logits), np.int32)
        (program.same_bits if same_bits else program)("draw", store(logits), *options, token, following)
        return (None, None) if PACK else (np.array(token), np.array(following))
    return run


random = np.random.default_rng(2)


def normal(rows, columns):
    return (random.standard_normal((rows, columns)) * 3).astype(np.float32)


# The algorithm is the processor's, which test/CPU tries on more cases; here it is what threads do together.
for architecture in ARCHITECTURES:
    program = Program(functions(7), architecture)
    check_assembly(program)
    draw = runner(program, same_bits=True)
    logits = normal(2, 7)
    check(draw, "7", logits, 0.8, 0, 1, draws=1)
    check(draw, "7, cut", logits, 1.3, 3, 0.7, draws=1)
    logits[0, 3] = np.nan
    check(draw, "a NaN", logits, 1, draws=1)
    ties = np.array([[-np.inf, 2, -0.0, 2, 0.0, -np.inf, 1]], np.float32)
    assert PACK or check(draw, "greedy", ties, 0.0, draws=1)[0, 0] == 1
    check(draw, "ties", ties, 1e30, 5, 0.5, draws=2, rounding=0)
program = Program(functions(2051))
check_assembly(program)
draw = runner(program, same_bits=True)
logits = normal(1, 2051)
check(draw, "2051, cut", logits, 1, 40, 0.9, draws=1)
check(draw, "2051, hot", logits, 1e30, 0, 1, draws=1, rounding=0)
check(draw, "2051, equal", np.zeros((1, 2051), np.float32), 1, 2000, 0.9, draws=1, rounding=0)
program = Program(functions(50257))
check_assembly(program)
check(runner(program), "50257", normal(1, 50257), 0.8, 0, 0.95, draws=1)
check(runner(Program(functions(1))), "1", normal(1, 1), draws=1)

logits = normal(1, 33)
half = bf16(logits)
check(runner(Program(functions(33, "bf16")), store=lambda x: half), "bf16", from_bf16(half), 0.9, 7, 0.9, draws=2)

if not PACK and not PACKED:
    import kernel_harness

    columns, types = 777, ["memref<?x777xf32>", *OPERANDS.values()]
    host = kernel_harness.Program("""func.func @draw(%s) {
  kernel.sample %%0 temperature %%1 top_k %%2 top_p %%3 seed %%4 index %%5 into %%6, %%7 : (%s) -> ()
  return
}
""".replace("%%", "%%a") % (", ".join("%%a%d: %s" % pair for pair in enumerate(types)), ", ".join(types)))
    program = Program(functions(columns))
    logits = normal(8, columns)
    for temperature, top_k, top_p in [(1, 0, 1), (0.7, 100, 0.9)]:
        drawn, _ = runner(program)(logits, temperature, top_k, top_p, 5, 0)
        token, following = np.zeros(8, np.int32), np.zeros(8, np.int32)
        host("draw", logits, np.array(float(temperature)), np.array(top_k, np.int64), np.array(float(top_p)),
             np.array(5, np.int64), np.array(0, np.int64), token, following)
        assert (drawn == token).all(), (drawn, token)
