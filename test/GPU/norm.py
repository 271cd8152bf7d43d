#===- norm.py - Normalizations on GPUs against float64 NumPy ----------------------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
#===-----------------------------------------------------------------------------------------------===#
# RUN: %python %s
"""kernel.norm and kernel.norm_backward: every combination of optional operands, widths for warps and for blocks."""

import numpy as np

from device import ARCHITECTURES, Program, bf16, check_assembly, check_close, from_bf16, kernel, output

EPSILON = 1e-5
random = np.random.default_rng(1)


def normal(*shape):
    return random.standard_normal(shape).astype(np.float32)


def normalized(x, kind):
    mean = x.mean(-1, keepdims=True) if kind == "layer" else 0.0
    scale = 1 / np.sqrt(((x - mean) ** 2).mean(-1, keepdims=True) + EPSILON)
    return (x - mean) * scale, scale


def forward(name, kind, columns, extras, element="f32"):
    matrix, vector = "memref<?x?x%sx%s>" % (columns, element), "memref<%sx%s>" % (columns, element)
    operands = {extra: matrix if extra == "residual" else vector for extra in extras}
    outputs = {"y": matrix, **({"sum": matrix} if "residual" in extras else {})}
    inputs = "".join(" %s %%%s" % (extra, extra) for extra in extras)
    return kernel(name, "kernel.norm %s %%x%s into %s {epsilon = %e}" % (
        kind, inputs, ", ".join("%" + o for o in outputs), EPSILON), {"x": matrix, **operands, **outputs})


def backward(name, kind, columns, extras, outputs):
    matrix, vector = "memref<?x%sxf32>" % columns, "memref<%sxf32>" % columns
    operands = {extra: matrix if extra == "addend" else vector for extra in extras}
    results = {"out%d" % i: vector if i else matrix for i in range(outputs)}
    inputs = "".join(" %s %%%s" % (extra, extra) for extra in extras)
    return kernel(name, "kernel.norm_backward %s %%x, %%dy%s into %s {epsilon = %e}" % (
        kind, inputs, ", ".join("%" + o for o in results), EPSILON), {"x": matrix, "dy": matrix, **operands, **results})


def check_forward(program, name, kind, extras, shape):
    # A large mean: a variance from sums of squares would lose its digits.
    x, residual, weight, bias = normal(*shape) + 100, normal(*shape), normal(shape[-1]), normal(shape[-1])
    y, s = output(shape), output(shape)
    operands = {"residual": residual, "weight": weight, "bias": bias}
    program.same_bits(name, x, *[operands[e] for e in extras], y, *([s] if "residual" in extras else []))
    total = x.astype(np.float64)
    if "residual" in extras:
        check_close("sum", s, x + residual, 0)
        total = s.astype(np.float64)
    wanted, scale = normalized(total, kind)
    # Rounding of the mean, relative to the deviation, is the largest term.
    tolerance = 4e-7 * (np.abs(wanted) + (100 * scale if kind == "layer" else 0)) + 1e-30
    if "weight" in extras:
        wanted, tolerance = wanted * weight, tolerance * np.abs(weight)
    if "bias" in extras:
        wanted = wanted + bias
    check_close("norm %s %s %s" % (kind, shape, extras), y, wanted, tolerance + 3e-7 * np.abs(wanted))


def check_backward(program, name, kind, extras, outputs, rows, width):
    x, gradient, addend, weight = normal(rows, width), normal(rows, width), normal(rows, width), normal(width)
    results = [output((rows, width))] + [output(width) for _ in range(outputs - 1)]
    operands = {"weight": weight, "addend": addend}
    program.same_bits(name, x, gradient, *[operands[e] for e in extras], *results)
    xhat, scale = normalized(x.astype(np.float64), kind)
    g = gradient * (weight.astype(np.float64) if "weight" in extras else 1.0)
    wanted = g - xhat * (g * xhat).mean(-1, keepdims=True)
    if kind == "layer":
        wanted -= g.mean(-1, keepdims=True)
    wanted *= scale
    if "addend" in extras:
        wanted += addend
    what = "%s backward %s of %s" % (kind, extras, (rows, width))
    check_close(what, results[0], wanted, 3e-6 * (1 + scale * (1 + np.abs(g).max(initial=0))))
    sums = [gradient * xhat, gradient.astype(np.float64)]
    if outputs == 2:
        sums = sums[:1] if "weight" in extras else sums[1:]
    for result, terms in zip(results[1:], sums):
        check_close(what + ", a sum", result, terms.sum(0), 1e-6 * (1 + np.abs(terms).sum(0)))


# Widths: one access short of a warp, a part of one, whole ones, too long for a warp, too long for registers.
FORWARD = [("layer", 3, ()), ("rms", 64, ("weight",)), ("layer", 768, ("weight", "bias")),
           ("layer", 1600, ("residual", "weight", "bias")), ("rms", 769, ("residual", "weight")), ("layer", "?", ("bias",)),
           ("rms", 8196, ("weight",)), ("layer", 12, ("residual", "weight", "bias"))]
BACKWARD = [("layer", 768, ("weight", "addend"), 3), ("layer", 17, ("weight",), 2), ("layer", 3, (), 1), ("layer", 36, (), 2),
            ("rms", 1028, ("weight", "addend"), 2), ("rms", 64, ("weight",), 2), ("rms", 5, ("addend",), 1),
            ("layer", "?", ("weight", "addend"), 1), ("layer", 1, ("weight",), 3), ("layer", 8200, ("weight",), 3)]
for architecture in ARCHITECTURES:
    program = Program("".join(forward("f%d" % i, *case) for i, case in enumerate(FORWARD)) +
                      "".join(backward("b%d" % i, *case) for i, case in enumerate(BACKWARD)), architecture)
    check_assembly(program)
    for i, (kind, columns, extras) in enumerate(FORWARD):
        shapes = [(1, 1, 1), (2, 2, 17), (1, 3, 260), (0, 1, 8)] if columns == "?" else [(1, 1, columns), (3, 3, columns)]
        for shape in shapes:
            check_forward(program, "f%d" % i, kind, extras, shape)
    for i, (kind, columns, extras, outputs) in enumerate(BACKWARD):
        for rows in (1, 11, 0):
            check_backward(program, "b%d" % i, kind, extras, outputs, rows, 50 if columns == "?" else columns)

# Results in bf16 are those in f32, rounded; the norm is that of the rounded sum.
program = Program(forward("f", "layer", 40, ("residual", "weight", "bias"), "bf16"))
check_assembly(program)
x, residual, weight, bias = (bf16(normal(*shape)) for shape in ((2, 3, 40), (2, 3, 40), (40,), (40,)))
y, s = output((2, 3, 40), np.uint16), output((2, 3, 40), np.uint16)
program.same_bits("f", x, residual, weight, bias, y, s)
assert (s == bf16(from_bf16(x) + from_bf16(residual))).all()
wanted = normalized(from_bf16(s).astype(np.float64), "layer")[0] * from_bf16(weight) + from_bf16(bias)
check_close("norm in bf16", from_bf16(y), wanted, 0.004 * np.abs(wanted) + 1e-6)
