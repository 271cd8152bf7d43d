#===- optimizer.py - AdamW against PyTorch's formula in float64 -----------------------------------------===//
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
#===---------------------------------------------------------------------------------------------===//
# RUN: %python %s
"""kernel.adamw over several steps, dense and strided parameters, each with the bits of 1 to 4 threads."""

import numpy as np

from kernel_harness import Program, check_close, check_guards, guarded, runnable_cpus

random = np.random.default_rng(3)


def function(name, matrix, gradient=None):
    options = ["scale", "rate", "beta1", "beta2", "epsilon", "step", "decay"]
    types = ["memref<f32>"] + ["memref<f64>"] * 6
    buffers = [gradient or matrix] + types + [matrix] * 3
    names = ["g"] + options + ["p", "m", "v"]
    return """func.func @%s(%s) {
      kernel.adamw %%g scale %%scale options %%rate, %%beta1, %%beta2, %%epsilon, %%step decay %%decay into %%p, %%m, %%v
        : (%s) -> ()
      return
    }\n""" % (name, ", ".join("%%%s: %s" % pair for pair in zip(names, buffers)), ", ".join(buffers))


MANY = {"a": ("769", 0.1), "b": ("3x5x17", 0.0), "c": ("1", 0.3), "d": ("37x69", 0.1)}


def many():
    """One op for parameters of several shapes, each with a weight decay of its own."""
    scalars = ["scale", "rate", "beta1", "beta2", "epsilon", "step"]
    arguments = {"g" + p: "memref<%sxf32>" % shape for p, (shape, _) in MANY.items()}
    arguments.update({s: "memref<f32>" if s == "scale" else "memref<f64>" for s in scalars})
    arguments.update({"decay" + p: "memref<f64>" for p in MANY})
    arguments.update({b + p: "memref<%sxf32>" % shape for p, (shape, _) in MANY.items() for b in "pmv"})
    operands = lambda names: ", ".join("%" + name for name in names)
    return """func.func @many(%s) {
      kernel.adamw %s scale %%scale options %s decay %s into %s : (%s) -> ()
      return
    }\n""" % (", ".join("%%%s: %s" % pair for pair in arguments.items()), operands("g" + p for p in MANY),
              operands(scalars[1:]), operands("decay" + p for p in MANY),
              operands(b + p for p in MANY for b in "pmv"), ", ".join(arguments.values()))


def check_many(program):
    """Bit by bit what an op for each parameter gives; those are checked against float64."""
    scalars = [np.array(0.37, np.float32)] + [np.array(x) for x in (3e-3, 0.9, 0.999, 1e-8, 7.0)]
    shapes = {p: tuple(map(int, shape.split("x"))) for p, (shape, _) in MANY.items()}
    draw = lambda shape: random.standard_normal(shape).astype(np.float32)
    gradients = [draw(shape) for shape in shapes.values()]
    decays = [np.array(decay) for _, decay in MANY.values()]
    states = [[draw(shape), draw(shape), draw(shape) ** 2] for shape in shapes.values()]
    alone = [[array.copy() for array in state] for state in states]
    program.same_bits("many", *gradients, *scalars, *decays, *(array for state in states for array in state))
    for p, g, decay, state, expected in zip(MANY, gradients, decays, states, alone):
        program("alone_" + p, g, *scalars, decay, *expected)
        for name, got, wanted in zip("pmv", state, expected):
            assert got.tobytes() == wanted.tobytes(), "%s of parameter %s" % (name, p)


def check(program, name, shape, pitch=None, steps=5):
    rate, beta1, beta2, epsilon, decay, scale = 3e-3, 0.9, 0.999, 1e-8, 0.1, 0.37
    p, m, v = (guarded(shape, pitch=pitch, fill=0.0) for _ in range(3))
    p[...] = random.standard_normal(shape)
    p64, m64, v64 = p.astype(np.float64), np.zeros(shape), np.zeros(shape)
    for step in range(1, steps + 1):
        g = (random.standard_normal(shape) * 10.0 ** random.integers(-6, 3, shape)).astype(np.float32)
        g.flat[0] = 0.0
        scalars = [np.array(scale, np.float32)] + [np.array(x) for x in (rate, beta1, beta2, epsilon, float(step), decay)]
        program.same_bits(name, g, *scalars, p, m, v)
        check_guards(p, m, v)
        g64 = g.astype(np.float64) * np.float32(scale)
        m64 = beta1 * m64 + (1 - beta1) * g64
        v64 = beta2 * v64 + (1 - beta2) * g64 * g64
        update = rate * (m64 / (1 - beta1**step)) / (np.sqrt(v64 / (1 - beta2**step)) + epsilon)
        p64 = p64 * (1 - rate * decay) - update
    check_close(name + ", first moment", m, m64, 3e-7 * steps * np.abs(m64).max())
    check_close(name + ", second moment", v, v64, 3e-7 * steps * v64)
    # Each step rounds p once or twice, and the update relative to its size.
    check_close(name + ", parameter", p, p64, steps * (1.2e-7 * np.abs(p64) + 1e-6 * rate))


TEXT = (function("flat", "memref<?x?xf32>") + function("vector", "memref<769xf32>") + function("one", "memref<1xf32>") +
        many() + "".join(function("alone_" + p, "memref<%sxf32>" % shape) for p, (shape, _) in MANY.items()) +
        function("cube", "memref<3x5x17xf32>") + function("strided", "memref<6x17xf32, strided<[40, 1]>>", "memref<6x17xf32>"))

for cpu in runnable_cpus():
    program = Program(TEXT, cpu=cpu)
    check(program, "flat", (1, 1))
    check(program, "flat", (37, 769))
    check(program, "vector", (769,))
    check(program, "one", (1,))
    check(program, "cube", (3, 5, 17))
    check(program, "strided", (6, 17), pitch=40)
    check_many(program)
check(Program(TEXT), "flat", (50257, 16), steps=2)
