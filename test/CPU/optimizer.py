#===- optimizer.py - AdamW against PyTorch's formula in float64 -----------------------------------------===//
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
#===---------------------------------------------------------------------------------------------===//
# RUN: %python %s
"""kernel.adamw over several steps, dense and strided parameters, each with the bits of 1 to 4 threads; kernel.gemm_adamw, bit by bit what
a product and an update are."""

import numpy as np

from kernel_harness import Program, bf16, check_close, check_guards, guarded, runnable_cpus

random = np.random.default_rng(3)


def function(name, matrix, gradient=None, scaled=True):
    options = ["scale", "rate", "beta1", "beta2", "epsilon", "step", "decay"]
    types = ["memref<f32>"] + ["memref<f64>"] * 6
    buffers = [gradient or matrix] + types + [matrix] * 3
    names = ["g"] + options + ["p", "m", "v"]
    if not scaled:
        del buffers[1], names[1]
    return """func.func @%s(%s) {
      kernel.adamw %%g %s options %%rate, %%beta1, %%beta2, %%epsilon, %%step decay %%decay into %%p, %%m, %%v
        : (%s) -> ()
      return
    }\n""" % (name, ", ".join("%%%s: %s" % pair for pair in zip(names, buffers)), "scale %scale" if scaled else "", ", ".join(buffers))


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


class Fused:
    """A product A^T B that updates [m, n], and a product and an update. A and B are of type `element`; with `layers`, the parameter and its
    moments are the second layer of so many. Sizes that `dynamic` names are not known."""

    def __init__(self, m, n, k, element="f32", layers=0, dynamic="", parameter="f32"):
        self.__dict__.update(locals())
        self.name = "%dx%dx%d%s%d%s%s" % (m, n, k, element, layers, dynamic, parameter)
        size = lambda name: "?" if name in dynamic else str(getattr(self, name))
        a, b = ("memref<%sx%sx%s>" % (size("k"), size(name), element) for name in "mn")
        matrix = "memref<%sx%sx%s>" % (size("m"), size("n"), parameter)
        stack = "memref<%dx%dx%dx%s>" % (layers, m, n, parameter) if layers else matrix
        layer = "memref<%dx%dx%s, strided<[%d, 1], offset: %d>>" % (m, n, parameter, n, m * n) if layers else matrix
        f64 = ["memref<f64>"] * 6
        views = "".join("%%%s = memref.subview %%%ss[1, 0, 0] [1, %d, %d] [1, 1, 1] : %s to %s\n" % (x, x, m, n, stack, layer) for x in "pmv")
        names = ["rate", "beta1", "beta2", "epsilon", "step", "decay"] + [x + "s" * bool(layers) for x in "pmv"]
        arguments = ", ".join("%%%s: %s" % pair for pair in zip(names, f64 + [stack] * 3))
        options = "options %rate, %beta1, %beta2, %epsilon, %step decay %decay into %p, %m, %v"
        self.text = """func.func @fused_%s(%%a: %s, %%b: %s, %s) {
          %s kernel.gemm_adamw %%a, %%b %s : (%s) -> ()
          return
        }
        func.func @apart_%s(%%a: %s, %%b: %s, %%g: %s, %s) {
          %s kernel.gemm %%a, %%b into %%g {transpose_a} : (%s, %s, %s) -> ()
          kernel.adamw %%g %s : (%s) -> ()
          return
        }\n""" % (self.name, a, b, arguments, views * bool(layers), options, ", ".join([a, b, *f64, layer, layer, layer]), self.name, a, b, matrix,
                   arguments, views * bool(layers), a, b, matrix, options, ", ".join([matrix, *f64, layer, layer, layer]))

    def check(self, program):
        kind = np.float64 if self.parameter == "f64" else np.float32
        draw = lambda *shape: random.standard_normal(shape).astype(kind)
        factor = lambda size: bf16(draw(self.k, size)) if self.element == "bf16" else draw(self.k, size)
        shape = ((self.layers,) if self.layers else ()) + (self.m, self.n)
        state = [guarded(shape, kind, fill=x) for x in (draw(*shape), draw(*shape), draw(*shape) ** 2)]
        expected = [array.copy() for array in state]
        for step in (1.0, 2.0):
            a, b = factor(self.m), factor(self.n)
            scalars = [np.array(x) for x in (3e-3, 0.9, 0.999, 1e-8, step, 0.1)]
            gradient = np.full((self.m, self.n), np.nan, kind)
            program("apart_" + self.name, a, b, gradient, *scalars, *expected)
            program.same_bits("fused_" + self.name, a, b, *scalars, *state)
            check_guards(*state)
            for name, got, wanted in zip("pmv", state, expected):
                assert got.tobytes() == wanted.tobytes(), "%s of %s after step %d" % (name, self.name, step)


# Blocks of K hold 768 numbers or fewer; sums over several of them have memory of their own, in strips of columns.
FUSED = [Fused(1, 1, 1), Fused(37, 69, 5), Fused(16, 48, 256, "bf16"), Fused(40, 50, 64, layers=3), Fused(37, 69, 1700), Fused(9, 1100, 900, "bf16", 2),
         Fused(37, 69, 800, dynamic="k"), Fused(37, 69, 801, dynamic="mnk"), Fused(13, 29, 900, "f64", parameter="f64"), Fused(5, 3, 0, dynamic="k")]


def check_unscaled(program):
    scalars = [np.array(x) for x in (3e-3, 0.9, 0.999, 1e-8, 3.0, 0.1)]
    draw = lambda: random.standard_normal((37, 69)).astype(np.float32)
    g, state = draw(), [draw(), draw(), draw() ** 2]
    expected = [array.copy() for array in state]
    program("flat", g, np.array(1, np.float32), *scalars, *expected)
    program.same_bits("unscaled", g, *scalars, *state)
    for got, wanted in zip(state, expected):
        assert got.tobytes() == wanted.tobytes(), "without a scale"


TEXT = (function("unscaled", "memref<?x?xf32>", scaled=False) + "".join(fused.text for fused in FUSED) + function("flat", "memref<?x?xf32>") + function("vector", "memref<769xf32>") + function("one", "memref<1xf32>") +
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
    check_unscaled(program)
    for fused in FUSED:
        fused.check(program)
check(Program(TEXT), "flat", (50257, 16), steps=2)
