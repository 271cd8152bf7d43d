#===- norm.py - Normalizations against float64 NumPy ---------------------------------------------------===//
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
#===---------------------------------------------------------------------------------------------===//
# RUN: %python %s
"""kernel.norm and kernel.norm_backward, every combination of optional operands, odd sizes, padded rows."""

import numpy as np

from kernel_harness import Program, bf16, check_close, check_guards, from_bf16, guarded, runnable_cpus

EPSILON = 1e-5
random = np.random.default_rng(1)


def function(name, kind, columns, extras, pitch=None, element="f32"):
    """One norm; `extras` names its optional operands, among residual, weight, bias. Matrices hold `element`."""
    layout = "" if pitch is None else ", strided<[%d, 1]>" % pitch
    matrix, vector = "memref<?x%sx%s%s>" % (columns, element, layout), "memref<%sxf32>" % columns
    arguments, inputs, types = ["%x: " + matrix], "%x", [matrix]
    for extra in extras:
        kind_of = matrix if extra == "residual" else vector
        arguments.append("%%%s: %s" % (extra, kind_of))
        inputs += " %s %%%s" % (extra, extra)
        types.append(kind_of)
    outputs = ["%y"] + (["%s"] if "residual" in extras else [])
    arguments += [o + ": " + matrix for o in outputs]
    types += [matrix] * len(outputs)
    return """func.func @%s(%s) {
      kernel.norm %s %s into %s {epsilon = %e} : (%s) -> ()
      return
    }\n""" % (name, ", ".join(arguments), kind, inputs, ", ".join(outputs), EPSILON, ", ".join(types))


def backward(name, kind, columns, extras, outputs, element="f32"):
    matrix, vector = "memref<?x%sx%s>" % (columns, element), "memref<%sxf32>" % columns
    arguments, inputs, types = ["%x: " + matrix, "%g: " + matrix], "%x, %g", [matrix, matrix]
    for extra in extras:
        kind_of = matrix if extra == "addend" else vector
        arguments.append("%%%s: %s" % (extra, kind_of))
        inputs += " %s %%%s" % (extra, extra)
        types.append(kind_of)
    for i in range(outputs):
        kind_of = matrix if i == 0 else vector
        arguments.append("%%out%d: %s" % (i, kind_of))
        types.append(kind_of)
    return """func.func @%s(%s) {
      kernel.norm_backward %s %s into %s {epsilon = %e} : (%s) -> ()
      return
    }\n""" % (name, ", ".join(arguments), kind, inputs, ", ".join("%%out%d" % i for i in range(outputs)), EPSILON,
              ", ".join(types))


def normalized(x, kind):
    mean = x.mean(-1, keepdims=True) if kind == "layer" else 0.0
    scale = 1 / np.sqrt(((x - mean) ** 2).mean(-1, keepdims=True) + EPSILON)
    return (x - mean) * scale, scale


def normal(*shape):
    return random.standard_normal(shape).astype(np.float32)


def test_forward(cpu):
    extras = [(), ("weight",), ("weight", "bias"), ("residual", "weight"), ("residual", "weight", "bias"), ("bias",)]
    cases = [(kind, columns, extra) for kind in ("layer", "rms") for columns in ("?", 3, 768) for extra in extras
             if kind == "layer" or "bias" not in extra]
    if cpu != "native":
        cases = [case for case in cases if len(case[2]) >= 2 and case[1] != 768]
    program = Program("".join(function("f%d" % i, *case) for i, case in enumerate(cases)), cpu=cpu)
    for i, (kind, columns, extra) in enumerate(cases):
        for rows, width in ([(1, columns), (23, columns)] if columns != "?" else [(1, 1), (5, 17), (70, 769), (0, 8)]):
            # A large mean: a variance from sums of squares would lose its digits.
            x, residual = guarded((rows, width), fill=normal(rows, width) + 100), normal(rows, width)
            weight, bias = guarded(width, fill=normal(width)), guarded(width, fill=normal(width))
            y, s = guarded((rows, width)), guarded((rows, width))
            operands = {"residual": residual, "weight": weight, "bias": bias}
            arguments = [x] + [operands[e] for e in extra] + [y] + ([s] if "residual" in extra else [])
            program.same_bits("f%d" % i, *arguments)
            check_guards(x, y, s, weight, bias)
            total = x.astype(np.float64)
            if "residual" in extra:
                check_close("sum", s, x + residual, 0)
                total = s.astype(np.float64)
            wanted, scale = normalized(total, kind)
            # Rounding of the mean, relative to the deviation, is the largest term.
            tolerance = 4e-7 * (np.abs(wanted) + (100 * scale if kind == "layer" else 0)) + 1e-30
            if "weight" in extra:
                wanted, tolerance = wanted * weight, tolerance * np.abs(weight)
            if "bias" in extra:
                wanted = wanted + bias
            check_close("norm %s %s %s" % (kind, (rows, width), extra), y, wanted, tolerance + 3e-7 * np.abs(wanted))


def test_padded_rows():
    program = Program(function("f", "layer", 769, ("residual", "weight"), pitch=800))
    x, residual, y, s = (guarded((9, 769), pitch=800, fill=normal(9, 769)) for _ in range(4))
    weight = normal(769)
    program.same_bits("f", x, residual, weight, y, s)
    check_guards(x, residual, y, s)
    check_close("sum", s, x + residual, 0)
    check_close("norm", y, normalized(s.astype(np.float64), "layer")[0] * weight, 3e-6)


def test_backward(cpu):
    cases = [("layer", 768, ("weight", "addend"), 3), ("layer", 17, ("weight",), 2), ("layer", 3, (), 1),
             ("layer", 33, (), 2), ("rms", 769, ("weight", "addend"), 2), ("rms", 64, ("weight",), 2),
             ("rms", 5, ("addend",), 1), ("layer", "?", ("weight", "addend"), 1), ("layer", 1, ("weight",), 3)]
    program = Program("".join(backward("f%d" % i, *case) for i, case in enumerate(cases)), cpu=cpu)
    for i, (kind, columns, extra, outputs) in enumerate(cases):
        for rows in (1, 3, 67):
            width = 50 if columns == "?" else columns
            x, gradient, addend, weight = normal(rows, width), normal(rows, width), normal(rows, width), normal(width)
            results = [guarded((rows, width))] + [guarded(width) for _ in range(outputs - 1)]
            operands = {"weight": weight, "addend": addend}
            program.same_bits("f%d" % i, x, gradient, *[operands[e] for e in extra], *results)
            check_guards(*results)
            xhat, scale = normalized(x.astype(np.float64), kind)
            g = gradient * (weight.astype(np.float64) if "weight" in extra else 1.0)
            wanted = g - xhat * (g * xhat).mean(-1, keepdims=True)
            if kind == "layer":
                wanted -= g.mean(-1, keepdims=True)
            wanted *= scale
            if "addend" in extra:
                wanted += addend
            what = "%s backward %s of %s" % (kind, extra, (rows, width))
            check_close(what, results[0], wanted, 3e-6 * (1 + scale * (1 + np.abs(g).max())))
            sums = [gradient * xhat, gradient.astype(np.float64)]
            if outputs == 2:
                sums = sums[:1] if "weight" in extra else sums[1:]
            for result, terms in zip(results[1:], sums):
                check_close(what + ", a sum", result, terms.sum(0), 1e-6 * (1 + np.abs(terms).sum(0)))


def test_narrow(cpu):
    """Matrices of bf16, weights and their gradients of f32: results are rounded once, the norm is that of the rounded
    sum, and sums over rows keep their digits."""
    columns, extras = 41, ("residual", "weight", "bias")
    program = Program(function("f", "layer", columns, extras, element="bf16")
                      + backward("g", "layer", columns, ("weight", "addend"), 3, element="bf16"), cpu=cpu)
    weight, bias = normal(columns), normal(columns)
    for rows in (1, 2, 67):
        x, other, gradient = (bf16(normal(rows, columns)) for _ in range(3))
        x64, gradient64, addend64 = (from_bf16(a).astype(np.float64) for a in (x, gradient, other))
        y, s, dx = (guarded((rows, columns), np.uint16) for _ in range(3))
        program.same_bits("f", x, other, weight, bias, y, s)
        check_guards(y, s)
        assert (s == bf16(from_bf16(x) + from_bf16(other))).all()
        wanted = normalized(from_bf16(s).astype(np.float64), "layer")[0] * weight + bias
        check_close("norm in bf16", from_bf16(y), wanted, 2.0**-8 * np.abs(wanted) + 3e-6)
        dw, db = guarded(columns), guarded(columns)
        program.same_bits("g", x, gradient, weight, other, dx, dw, db)
        check_guards(dx, dw, db)
        xhat, scale = normalized(x64, "layer")
        g = gradient64 * weight
        wanted = scale * (g - xhat * (g * xhat).mean(-1, keepdims=True) - g.mean(-1, keepdims=True)) + addend64
        check_close("norm_backward in bf16", from_bf16(dx), wanted, 2.0**-8 * np.abs(wanted) + 1e-5)
        for result, terms in ((dw, gradient64 * xhat), (db, gradient64)):
            check_close("a sum of bf16", result, terms.sum(0), 1e-6 * (1 + np.abs(terms).sum(0)))


def test_streaming():
    """Results that go past the caches are the same bits; rows in groups and rows that are left over."""
    for columns, element in ((64, "f32"), (768, "f32"), (96, "bf16")):
        text = (function("forward", "layer", columns, ("residual", "weight", "bias"), element=element)
                + backward("backward", "rms", columns, ("weight", "addend"), 2, element)
                + backward("alone", "layer", columns, (), 1, element))
        program, usual = Program(text, machine="l3=0"), Program(text)
        weight, bias = normal(columns), normal(columns)
        for rows in (1, 3, 45):
            x, other, addend = (bf16(normal(rows, columns)) if element == "bf16" else normal(rows, columns) for _ in range(3))
            for name, inputs, outputs in (("forward", (x, other, weight, bias), (x, x)),
                                          ("backward", (x, other, weight, addend), (x, weight)),
                                          ("alone", (x, other), (x,))):
                results = [guarded(like.shape, like.dtype, line_aligned=True) for like in outputs]
                wanted = [guarded(like.shape, like.dtype) for like in outputs]
                program.same_bits(name, *inputs, *results)
                usual(name, *inputs, *wanted)
                check_guards(*results)
                for result, want in zip(results, wanted):
                    assert result.tobytes() == want.tobytes(), "%s of %s" % (name, (rows, columns))


for cpu in runnable_cpus():
    test_forward(cpu)
    test_backward(cpu)
    test_narrow(cpu)
test_padded_rows()
test_streaming()
