#===- optimizer.py - AdamW on GPUs against PyTorch's formula in float64 -----------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
#===-----------------------------------------------------------------------------------------------===#
# RUN: %python %s
"""kernel.adamw over several steps, dense and strided parameters, and many of them in as few launches as parameters of a
kernel allow."""

import numpy as np

from device import ARCHITECTURES, Program, check_assembly, check_close, function

random = np.random.default_rng(3)
OPTIONS = ["scale", "rate", "beta1", "beta2", "epsilon", "step", "decay"]
OPTION_TYPES = ["memref<f32>"] + ["memref<f64>"] * 6


def adamw(name, matrix, view=None):
    """With a view (offsets, sizes, type), parameter and moments are one of what the arguments are."""
    buffers, lines = {"p": matrix, "m": matrix, "v": matrix}, ""
    names = {b: "%" + b for b in buffers}
    types, gradient = [matrix] * 3, matrix
    if view:
        offsets, sizes, strided = view
        gradient = "memref<%sxf32>" % "x".join(map(str, sizes))
        types = [strided] * 3
        for b in buffers:
            names[b] = "%view_" + b
            lines += "%%view_%s = memref.subview %%%s%s %s %s : %s to %s\n  " % (
                b, b, offsets, sizes, [1] * len(sizes), matrix, strided)
    lines += "kernel.adamw %%g scale %%scale options %s decay %%decay into %s : (%s) -> ()" % (
        ", ".join("%" + o for o in OPTIONS[1:-1]), ", ".join(names.values()), ", ".join([gradient] + OPTION_TYPES + types))
    return function(name, {"g": gradient, **dict(zip(OPTIONS, OPTION_TYPES)), **buffers}, lines)


# Sizes around those of chunks (4096 elements) and of accesses (4), with a weight decay each.
MANY = [((4096,), 0.1), ((3, 5, 17), 0.0), ((1,), 0.3), ((4099,), 0.1), ((2, 4096), 0.2)]
# 40 bytes of parameters of the kernel each: too many for one.
CROWD = [((5 + i % 3,), 0.01 * i) for i in range(120)]


def together(name, parameters, dynamic=()):
    """One op for all parameters; those whose numbers are in `dynamic` have types that do not tell their sizes."""
    size = lambda i, shape: "x".join("?" if i in dynamic else str(n) for n in shape)
    types = ["memref<%sxf32>" % size(i, shape) for i, (shape, _) in enumerate(parameters)]
    arguments = {"g%d" % i: type for i, type in enumerate(types)}
    arguments.update(zip(OPTIONS[:-1], OPTION_TYPES))
    arguments.update({"decay%d" % i: "memref<f64>" for i in range(len(types))})
    arguments.update({"%s%d" % (b, i): type for i, type in enumerate(types) for b in "pmv"})
    names = list(arguments)
    operands = lambda start: ", ".join("%" + name for name in names if name.startswith(start) and name[-1].isdigit())
    outputs = ", ".join("%" + name for name in names[-3 * len(types):])
    return function(name, arguments, "kernel.adamw %s scale %%scale options %s decay %s into %s : (%s) -> ()" % (
        operands("g"), ", ".join("%" + o for o in OPTIONS[1:-1]), operands("decay"), outputs, ", ".join(arguments.values())))


TEXT = "".join([
    together("many", MANY), together("open", MANY, dynamic=(1, 3)), together("crowd", CROWD),
    adamw("flat", "memref<?x?xf32>"), adamw("vector", "memref<769xf32>"), adamw("one", "memref<1xf32>"),
    adamw("cube", "memref<3x5x16xf32>"), adamw("wide", "memref<70x64xf32>"),
    adamw("strided", "memref<6x40xf32>", ([0, 4], [6, 17], "memref<6x17xf32, strided<[40, 1], offset: 4>>"))])


def step64(p, m, v, g, rate, beta1, beta2, epsilon, step, decay):
    """Float64 values of p, m and v after a step."""
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    update = rate * (m / (1 - beta1**step)) / (np.sqrt(v / (1 - beta2**step)) + epsilon)
    return p * (1 - rate * decay) - update, m, v


def check_together(program, name, parameters, launches):
    options, scale, decays = (3e-3, 0.9, 0.999, 1e-8, 9.0), 0.37, [decay for _, decay in parameters]
    draw = lambda: [random.standard_normal(shape).astype(np.float32) for shape, _ in parameters]
    g, p, m, v = draw(), draw(), draw(), [x * x for x in draw()]
    states = [array.copy() for state in zip(p, m, v) for array in state]
    program.same_bits(name, *g, np.array(scale, np.float32), *map(np.array, options), *map(np.array, decays), *states)
    assert not program.launched() or len(program.launched()) == launches, program.launched()
    for i, decay in enumerate(decays):
        old = [x[i].astype(np.float64) for x in (p, m, v)]
        wanted = step64(*old, g[i].astype(np.float64) * np.float32(scale), *options, decay)
        for what, got, exact in zip("pmv", states[3 * i:], wanted):
            # Three roundings of terms no larger than these.
            bound = 3e-7 * np.maximum(np.abs(exact), np.abs(old["pmv".index(what)])) + 1e-6 * options[0]
            check_close("%s: %s of parameter %d" % (name, what, i), got, exact, bound)


def check(program, name, shape, view=None, first=1, steps=3):
    rate, beta1, beta2, epsilon, decay, scale = 3e-3, 0.9, 0.999, 1e-8, 0.1, 0.37
    p, m, v = random.standard_normal(shape).astype(np.float32), np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    inside = view or tuple(slice(None) for _ in shape)
    old = p.copy()
    p64, m64, v64 = p[inside].astype(np.float64), m[inside].astype(np.float64), v[inside].astype(np.float64)
    for step in range(first, first + steps):
        g = (random.standard_normal(p64.shape) * 10.0 ** random.integers(-6, 3, p64.shape)).astype(np.float32)
        g.flat[0] = 0.0
        scalars = [np.array(scale, np.float32)] + [np.array(x) for x in (rate, beta1, beta2, epsilon, float(step), decay)]
        program.same_bits(name, g, *scalars, p, m, v)
        g64 = g.astype(np.float64) * np.float32(scale)
        p64, m64, v64 = step64(p64, m64, v64, g64, rate, beta1, beta2, epsilon, step, decay)
    check_close(name + ", first moment", m[inside], m64, 3e-7 * steps * np.abs(m64).max())
    check_close(name + ", second moment", v[inside], v64, 3e-7 * steps * v64)
    # Each step rounds p once or twice, and the update relative to its size.
    check_close(name + ", parameter", p[inside], p64, steps * (1.2e-7 * np.abs(p64) + 1e-6 * rate))
    if view:
        p[inside], m[inside], v[inside] = old[inside], 0, 0
        assert (p == old).all() and not m.any() and not v.any(), "something beside the view was written"


for architecture in ARCHITECTURES:
    program = Program(TEXT, architecture)
    check_assembly(program)
    check(program, "flat", (1, 1))
    check(program, "flat", (7, 69))
    check(program, "vector", (769,))
    check(program, "one", (1,))
    check(program, "one", (1,), first=100000)
    check(program, "cube", (3, 5, 16), first=1000)
    check(program, "wide", (70, 64))
    check(program, "strided", (6, 40), view=(slice(None), slice(4, 21)))
    check_together(program, "many", MANY, launches=1)
    check_together(program, "open", MANY, launches=1)
    check_together(program, "crowd", CROWD, launches=2)
