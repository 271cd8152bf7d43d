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
    options = ["scale", "rate", "beta1", "beta2", "epsilon", "decay", "step"]
    types = ["memref<f32>"] + ["memref<f64>"] * 6
    buffers = [gradient or matrix] + types + [matrix] * 3
    names = ["g"] + options + ["p", "m", "v"]
    return """func.func @%s(%s) {
      kernel.adamw %%g scale %%scale options %%rate, %%beta1, %%beta2, %%epsilon, %%decay, %%step into %%p, %%m, %%v
        : (%s) -> ()
      return
    }\n""" % (name, ", ".join("%%%s: %s" % pair for pair in zip(names, buffers)), ", ".join(buffers))


TEXT = (function("flat", "memref<?x?xf32>") + function("vector", "memref<769xf32>") + function("one", "memref<1xf32>") +
        function("cube", "memref<3x5x17xf32>") + function("strided", "memref<6x17xf32, strided<[40, 1]>>", "memref<6x17xf32>"))


def check(program, name, shape, pitch=None, steps=5):
    rate, beta1, beta2, epsilon, decay, scale = 3e-3, 0.9, 0.999, 1e-8, 0.1, 0.37
    p, m, v = (guarded(shape, pitch=pitch, fill=0.0) for _ in range(3))
    p[...] = random.standard_normal(shape)
    p64, m64, v64 = p.astype(np.float64), np.zeros(shape), np.zeros(shape)
    for step in range(1, steps + 1):
        g = (random.standard_normal(shape) * 10.0 ** random.integers(-6, 3, shape)).astype(np.float32)
        g.flat[0] = 0.0
        scalars = [np.array(scale, np.float32)] + [np.array(x) for x in (rate, beta1, beta2, epsilon, decay, float(step))]
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


for cpu in runnable_cpus():
    program = Program(TEXT, cpu=cpu)
    check(program, "flat", (1, 1))
    check(program, "flat", (37, 769))
    check(program, "vector", (769,))
    check(program, "one", (1,))
    check(program, "cube", (3, 5, 17))
    check(program, "strided", (6, 17), pitch=40)
check(Program(TEXT), "flat", (50257, 16), steps=2)
