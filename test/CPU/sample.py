#===- sample.py - Drawing tokens against float64 NumPy --------------------------------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
#===-----------------------------------------------------------------------------------------------===#
# RUN: %python %s
"""kernel.sample."""

import numpy as np

from kernel_harness import Program, check_guards, guarded, runnable_cpus
from sampling import check, check_cases, check_distribution


OPERANDS = ["memref<f64>", "memref<i64>", "memref<f64>", "memref<i64>", "memref<i64>", "memref<?xi32>", "memref<?xi32>"]


def functions(columns, element="f32", layout=""):
    types = ["memref<?x%dx%s%s>" % (columns, element, layout)] + OPERANDS
    arguments = ", ".join("%%a%d: %s" % pair for pair in enumerate(types))
    return """func.func @draw(%s) {
  kernel.sample %%a0 temperature %%a1 top_k %%a2 top_p %%a3 seed %%a4 index %%a5 into %%a6, %%a7 : (%s) -> ()
  return
}
""" % (arguments, ", ".join(types))


def runner(program, same_bits=False, store=lambda x: guarded(x.shape, fill=x)):
    def run(logits, temperature, top_k, top_p, seed, index):
        rows = store(logits)
        options = [np.array(temperature, np.float64), np.array(top_k, np.int64), np.array(top_p, np.float64),
                   np.array(seed, np.uint64), np.array(index, np.int64)]
        token, following = (guarded(len(logits), np.int32) for _ in range(2))
        (program.same_bits if same_bits else program)("draw", rows, *options, token, following)
        check_guards(token, following)
        return np.array(token), np.array(following)
    return run


for cpu in runnable_cpus():
    for columns in [1, 2, 7, 300, 1025]:
        check_cases(runner(Program(functions(columns), cpu=cpu), same_bits=columns == 300), columns)
    check_distribution(runner(Program(functions(6), cpu=cpu)), 6400)
check_cases(runner(Program(functions(50257)), same_bits=True), 50257, draws=2)

# Rows apart from each other, and logits in 16 bits.
random = np.random.default_rng(5)
logits = (random.standard_normal((3, 33)) * 3).astype(np.float32)
check(runner(Program(functions(33, layout=", strided<[?, 1]>")), store=lambda x: guarded(x.shape, fill=x, pitch=40)),
      "strided", logits, 0.9, 7, 0.9)
half = logits.astype(np.float16)
check(runner(Program(functions(33, "f16")), store=lambda x: half), "f16", half.astype(np.float32), 0.9, 7, 0.9)
bits = (logits.view(np.uint32) >> 16).astype(np.uint16)
check(runner(Program(functions(33, "bf16")), store=lambda x: bits), "bf16", (bits.astype(np.uint32) << 16).view(np.float32), 0.9, 7, 0.9)
