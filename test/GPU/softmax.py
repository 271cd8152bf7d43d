#===- softmax.py - Softmax and cross-entropy on GPUs against float64 NumPy --------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
#===-----------------------------------------------------------------------------------------------===#
# RUN: %python %s
"""kernel.softmax, softmax_backward, count_targets, cross_entropy and cross_entropy_gradient."""

import numpy as np

from device import (ARCHITECTURES, Program, bf16, check_assembly, check_close, from_bf16, function, kernel,
                    output)

random = np.random.default_rng(3)
IGNORE = -1
TARGETS, ONE = "memref<?x?xi32>", "memref<f32>"


def functions(columns, element="f32"):
    data = "memref<?x?x%sx%s>" % (columns, element)
    ignore = "{ignore_index = %d}" % IGNORE
    return "".join([
        kernel("softmax", "kernel.softmax %x into %y", {"x": data, "y": data}),
        kernel("backward", "kernel.softmax_backward %y, %g into %dx", {"y": data, "g": data, "dx": data}),
        kernel("count", "kernel.count_targets %t into %n " + ignore, {"t": TARGETS, "n": ONE}),
        kernel("loss", "kernel.cross_entropy %x, %t, %n into %l " + ignore, {"x": data, "t": TARGETS, "n": ONE, "l": ONE}),
        kernel("gradient", "kernel.cross_entropy_gradient %t, %n, %s into %l, %x " + ignore,
               {"t": TARGETS, "n": ONE, "s": ONE, "l": ONE, "x": data})])


def scalar(value):
    return np.array(value, np.float32)


def reference(x):
    x = x.astype(np.float64)
    largest = x.max(-1, keepdims=True)
    largest = np.where(np.isneginf(largest), 0, largest)
    e = np.exp(x - largest)
    total = e.sum(-1, keepdims=True)
    with np.errstate(all="ignore"):
        return np.where(total == 0, 0, e / total), (np.log(total) + largest)[..., 0]


def check(program, shape):
    what = "%s %s" % (program.architecture, shape)
    # Values far from 0: exp must not overflow, and the differences keep their digits.
    digits = 4e-6 + shape[-1] * 1e-10  # a sum of many terms
    x = (random.standard_normal(shape) * 3 + 90).astype(np.float32)
    if shape[-1] > 2:
        x[..., 1] = -np.inf
    y, dx = output(shape), output(shape)
    program.same_bits("softmax", x, y)
    p, lse = reference(x)
    check_close("softmax " + what, y, p, digits * p + 1e-37)
    g = random.standard_normal(shape).astype(np.float32)
    y = np.array(y)
    program.same_bits("backward", y, g, dx)
    wanted = y.astype(np.float64) * (g - (y.astype(np.float64) * g).sum(-1, keepdims=True))
    check_close("softmax_backward " + what, dx, wanted, digits * y.astype(np.float64) * (1 + np.abs(g)) + 1e-37)

    targets = random.integers(0, shape[-1], shape[:-1]).astype(np.int32)
    if shape[-1] > 2:
        targets[targets == 1] = 2
    if targets.size > 2:
        targets.reshape(-1)[1] = targets.reshape(-1)[-1] = 0
        targets[0, 0] = IGNORE
    count, loss, again = output(()), output(()), output(())
    program.same_bits("count", targets, count)
    counted = int((targets != IGNORE).sum())
    check_close("count " + what, count, counted, 0)
    count = scalar(counted)
    program.same_bits("loss", x, targets, count, loss)
    chosen = np.take_along_axis(x.astype(np.float64), np.maximum(targets, 0)[..., None].astype(np.int64), -1)[..., 0]
    nll = np.where(targets != IGNORE, lse - chosen, 0)
    check_close("loss " + what, loss, nll.sum() / counted, 1e-6 * np.abs(nll).sum() / counted + 1e-9)
    program.same_bits("gradient", targets, count, scalar(0.75), again, x)
    assert again.tobytes() == loss.tobytes(), "the two losses differ"
    onehot = np.arange(shape[-1]) == targets[..., None]
    wanted = np.where(targets[..., None] != IGNORE, p - onehot, 0) * 0.75 / counted
    check_close("gradient " + what, x, wanted, digits * (p + onehot) * 0.75 / counted + 1e-37)


def check_special(program):
    """Rows of -infinity give 0, a NaN and +infinity show, a target out of range is a NaN, 0 / 0 too."""
    x, y = np.full((1, 5, 19), 0.5, np.float32), output((1, 5, 19))
    x[0, 0], x[0, 1, 7], x[0, 2, 18], x[0, 3, 3] = -np.inf, np.nan, np.nan, np.inf
    program("softmax", x, y)
    assert (y[0, 0] == 0).all() and np.isnan(y[0, 1]).all() and np.isnan(y[0, 2]).all() and np.isnan(y[0, 3, 3])
    check_close("constant row", y[0, 4], 1 / 19, 1e-8)
    loss, count = output(()), output(())
    for bad in (19, -2, 2**31 - 1):
        program("loss", np.zeros((1, 1, 19), np.float32), np.full((1, 1), bad, np.int32), scalar(1), loss)
        assert np.isnan(loss), bad
    targets = np.full((1, 5), IGNORE, np.int32)
    program("count", targets, count)
    assert count == 0
    program("gradient", targets, scalar(0), scalar(1), loss, x)
    assert np.isnan(loss) and (x == 0).all()


for architecture in ARCHITECTURES:
    program = Program(functions("?"), architecture)
    check_assembly(program)
    for shape in [(1, 1, 1), (1, 3, 2), (2, 5, 15), (1, 2, 260), (1, 2, 2051)]:
        check(program, shape)
    check_special(program)
# Teams of a few lanes, of a warp, of a block; rows in registers, in shared memory, in neither.
for columns, rows in [(3, 70), (16, 11), (64, 37), (65, 3), (1000, 9), (1029, 3), (2056, 2), (8200, 2), (50257, 1)]:
    program = Program(functions(columns))
    check_assembly(program)
    check(program, (1, rows, columns))


def check_padded(architecture, columns, pitch, rows, element):
    """Rows that begin at multiples of 16 bytes and whose columns are no multiple of what an access takes."""
    view = "memref<%dx%dx%s, strided<[%d, 1]>>" % (rows, columns, element, pitch)
    whole = "memref<%dx%dx%s>" % (rows, pitch, element)
    types = {"t": "memref<%dxi32>" % rows, "n": ONE, "s": ONE, "l": ONE}
    program = Program(function("gradient", {**types, "x": whole}, """%%v = memref.subview %%x[0, 0] [%d, %d] [1, 1] : %s to %s
  kernel.cross_entropy_gradient %%t, %%n, %%s into %%l, %%v {ignore_index = %d} : (%s, %s) -> ()""" % (
        rows, columns, whole, view, IGNORE, ", ".join(types.values()), view)), architecture)
    check_assembly(program)
    assert ("cp.async" in program.ptx) == (columns > 8192) or not program.ptx, "copies of rows in shared memory"
    x = (random.standard_normal((rows, pitch)) * 3).astype(np.float32)
    stored = bf16(x) if element == "bf16" else x
    logits = (from_bf16(stored) if element == "bf16" else stored)[:, :columns].copy()
    gap = stored[:, columns:].copy()
    targets = random.integers(0, columns, rows).astype(np.int32)
    targets[-1] = columns - 1
    if rows > 1:
        targets[0] = IGNORE
    counted, loss = int((targets != IGNORE).sum()), output(())
    program.same_bits("gradient", targets, scalar(counted), scalar(1), loss, stored)
    assert (stored[:, columns:] == gap).all(), "something beside the rows was written"
    p, lse = reference(logits)
    onehot = (np.arange(columns) == targets[:, None]) * (targets != IGNORE)[:, None]
    nll = np.where(targets != IGNORE, lse - (logits * onehot).sum(-1), 0)
    what = "%d of %d columns of %s, %s" % (columns, pitch, element, architecture)
    check_close("loss, " + what, loss, nll.sum() / counted, 1e-6 * np.abs(nll).sum() / counted)
    wanted = np.where(targets[:, None] != IGNORE, p - onehot, 0) / counted
    got = from_bf16(stored) if element == "bf16" else stored
    digits = 0.004 if element == "bf16" else 1e-5
    check_close("gradient, " + what, got[:, :columns], wanted, digits * (p + onehot) / counted + 1e-30)


for architecture in ARCHITECTURES:
    for case in [(65, 72, 9, "bf16"), (1030, 1032, 3, "bf16"), (3001, 3008, 2, "f32"), (8197, 8256, 2, "bf16")]:
        check_padded(architecture, *case)

# In bf16: the probability of the target is that of the exact logits, not of a rounded result.
program = Program(functions(520, "bf16"))
check_assembly(program)
x = bf16(random.standard_normal((1, 3, 520)) * 3)
logits, targets, loss = from_bf16(x).copy(), np.array([[5, IGNORE, 519]], np.int32), output(())
program.same_bits("gradient", targets, scalar(2), scalar(1), loss, x)
wanted = (reference(logits)[0] - (np.arange(520) == targets[..., None])) * (targets != IGNORE)[..., None] / 2
check_close("gradient in bf16", from_bf16(x), wanted, 0.004 * np.abs(wanted) + 1e-30)
