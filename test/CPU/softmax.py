#===- softmax.py - Softmax and cross-entropy against float64 NumPy --------------------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
#===-----------------------------------------------------------------------------------------------===#
# RUN: %python %s
"""kernel.softmax, softmax_backward, count_targets, cross_entropy and cross_entropy_gradient."""

import numpy as np

from kernel_harness import Program, bf16, check_close, check_guards, from_bf16, guarded, runnable_cpus

random = np.random.default_rng(3)
IGNORE = -1


TEMPLATE = """
func.func @softmax(%x: TYPE, %y: TYPE) {
  kernel.softmax %x into %y : (TYPE, TYPE) -> ()
  return
}
func.func @backward(%y: TYPE, %g: TYPE, %dx: TYPE) {
  kernel.softmax_backward %y, %g into %dx : (TYPE, TYPE, TYPE) -> ()
  return
}
func.func @count(%t: memref<?x?xi32>, %n: memref<f32>) {
  kernel.count_targets %t into %n {ignore_index = -1} : (memref<?x?xi32>, memref<f32>) -> ()
  return
}
func.func @loss(%x: TYPE, %t: memref<?x?xi32>, %n: memref<f32>, %l: memref<f32>) {
  kernel.cross_entropy %x, %t, %n into %l {ignore_index = -1}
    : (TYPE, memref<?x?xi32>, memref<f32>, memref<f32>) -> ()
  return
}
func.func @gradient(%t: memref<?x?xi32>, %n: memref<f32>, %s: memref<f32>, %l: memref<f32>, %x: TYPE) {
  kernel.cross_entropy_gradient %t, %n, %s into %l, %x {ignore_index = -1}
    : (memref<?x?xi32>, memref<f32>, memref<f32>, memref<f32>, TYPE) -> ()
  return
}
"""


def functions(columns, layout="", element="f32"):
    return TEMPLATE.replace("TYPE", "memref<?x?x%sx%s%s>" % (columns, element, layout))


def scalar(value=np.nan):
    return guarded((), fill=value)


def reference(x):
    x = x.astype(np.float64)
    largest = x.max(-1, keepdims=True)
    largest = np.where(np.isneginf(largest), 0, largest)
    e = np.exp(x - largest)
    total = e.sum(-1, keepdims=True)
    with np.errstate(all="ignore"):
        return np.where(total == 0, 0, e / total), (np.log(total) + largest)[..., 0]


def check(program, shape, pitch=None):
    what = "%s %s" % (program.cpu, shape)
    # Values far from 0: exp must not overflow, and the differences keep their digits.
    digits = 2e-6 + shape[-1] * 1e-10  # a sum of many terms
    x = guarded(shape, fill=(random.standard_normal(shape) * 3 + 90).astype(np.float32), pitch=pitch)
    if shape[-1] > 2:
        x[..., 1] = -np.inf
    y, g, dx = (guarded(shape, pitch=pitch) for _ in range(3))
    program.same_bits("softmax", x, y)
    p, lse = reference(x)
    check_close("softmax " + what, y, p, digits * p + 1e-37)
    g[...] = random.standard_normal(shape)
    program.same_bits("backward", y, g, dx)
    wanted = y.astype(np.float64) * (g - (y.astype(np.float64) * g).sum(-1, keepdims=True))
    check_close("softmax_backward " + what, dx, wanted, digits * y.astype(np.float64) * (1 + np.abs(g)) + 1e-37)

    targets = guarded(shape[:-1], np.int32, fill=random.integers(0, shape[-1], shape[:-1]))
    if shape[-1] > 2:
        targets[targets == 1] = 2
    if targets.size > 2:
        targets.reshape(-1)[1] = targets.reshape(-1)[-1] = 0
        targets[0, 0] = IGNORE
    count, seed = scalar(), scalar(0.75)
    program.same_bits("count", targets, count)
    counted = int((targets != IGNORE).sum())
    check_close("count " + what, count, counted, 0)
    loss = scalar()
    program.same_bits("loss", x, targets, count, loss)
    chosen = np.take_along_axis(x.astype(np.float64), np.maximum(targets, 0)[..., None].astype(np.int64), -1)[..., 0]
    nll = np.where(targets != IGNORE, lse - chosen, 0)
    check_close("loss " + what, loss, nll.sum() / counted, 1e-6 * np.abs(nll).sum() / counted + 1e-9)
    loss2 = scalar()
    program.same_bits("gradient", targets, count, seed, loss2, x)
    assert loss2.tobytes() == loss.tobytes(), "the two losses differ"
    onehot = np.arange(shape[-1]) == targets[..., None]
    wanted = np.where(targets[..., None] != IGNORE, p - onehot, 0) * 0.75 / counted
    check_close("gradient " + what, x, wanted, digits * (p + onehot) * 0.75 / counted + 1e-37)
    check_guards(x, y, g, dx, targets, count, seed, loss, loss2)


def test_narrow(cpu):
    """In bf16 each result is rounded once; count and loss stay f32."""
    for columns in ("?", 261):
        program = Program(functions(columns, element="bf16"), cpu=cpu)
        shape = (2, 7, 261)
        logits, g = (guarded(shape, np.uint16, fill=bf16(random.standard_normal(shape) * 3)) for _ in range(2))
        y, dx = guarded(shape, np.uint16), guarded(shape, np.uint16)
        program.same_bits("softmax", logits, y)
        p, lse = reference(from_bf16(logits))
        check_close("softmax in bf16", from_bf16(y), p, 2.0**-8 * p + 1e-7)
        program.same_bits("backward", y, g, dx)
        y64, g64 = from_bf16(y).astype(np.float64), from_bf16(g).astype(np.float64)
        wanted = y64 * (g64 - (y64 * g64).sum(-1, keepdims=True))
        check_close("softmax_backward in bf16", from_bf16(dx), wanted, 2.0**-8 * np.abs(wanted) + 1e-6)
        targets = guarded(shape[:-1], np.int32, fill=random.integers(0, shape[-1], shape[:-1]))
        targets[0, 0] = IGNORE
        count, loss, again = scalar(13), scalar(), scalar()
        program.same_bits("loss", logits, targets, count, loss)
        onehot = np.arange(shape[-1]) == targets[..., None]
        nll = (lse - (onehot * from_bf16(logits)).sum(-1)) * (targets != IGNORE)
        check_close("loss of logits in bf16", loss, nll.sum() / 13, 1e-6 * np.abs(nll).sum() / 13)
        program.same_bits("gradient", targets, count, scalar(0.75), again, logits)
        assert loss.tobytes() == again.tobytes(), "the two losses in bf16 differ"
        wanted = np.where(targets[..., None] != IGNORE, p - onehot, 0) * 0.75 / 13
        check_close("gradient in bf16", from_bf16(logits), wanted, 2.0**-8 * np.abs(wanted) + 1e-7)
        check_guards(logits, g, y, dx, loss, again)


def test_special(program):
    """Rows of -infinity give 0, a NaN and +infinity show, a target out of range is a NaN, 0 / 0 too."""
    x = guarded((1, 5, 19), fill=0.5)
    x[0, 0], x[0, 1, 7], x[0, 2, 18], x[0, 3, 3] = -np.inf, np.nan, np.nan, np.inf
    y = guarded(x.shape)
    program("softmax", x, y)
    assert (y[0, 0] == 0).all() and np.isnan(y[0, 1]).all() and np.isnan(y[0, 2]).all() and np.isnan(y[0, 3, 3])
    check_close("constant row", y[0, 4], 1 / 19, 1e-8)
    loss, count = scalar(), scalar(1)
    for bad in (19, -2, 2**31 - 1):
        program("loss", guarded((1, 1, 19), fill=0), guarded((1, 1), np.int32, fill=bad), count, loss)
        assert np.isnan(loss), bad
    targets = guarded((1, 5), np.int32, fill=IGNORE)
    program("count", targets, count)
    assert count == 0
    program("gradient", targets, count, scalar(1), loss, x)
    assert np.isnan(loss) and (np.asarray(x) == 0).all()


def test_blocks():
    """Rows of a known length are read in blocks: some of -infinity, with maxima far from each other, with a NaN.
    The least number masks as -infinity does, and a maximum far from 0 costs no digits."""
    columns = 5003
    program = Program(functions(columns))
    x = guarded((1, 8, columns), fill=random.standard_normal((1, 8, columns)))
    x[0, 0, :4500] = -np.inf
    x[0, 1, 100:] = -np.inf
    x[0, 2] += 0.05 * np.arange(columns)
    x[0, 3] -= 0.05 * np.arange(columns)
    x[0, 4] = -np.inf
    x[0, 5, 4999] = np.nan
    x[0, 6, :4500] = np.finfo(np.float32).min
    x[0, 7] -= 3000
    targets = guarded((1, 8), np.int32, fill=[[4700, 50, 5001, 7, 3, 3, 4700, 9]])
    p, lse = reference(x)
    for row in range(8):
        one, target, count = guarded((1, 1, columns), fill=x[0, row]), guarded((1, 1), np.int32, fill=targets[0, row]), scalar(1)
        loss, again = scalar(), scalar()
        program.same_bits("loss", one, target, count, loss)
        program.same_bits("gradient", target, count, scalar(1), again, one)
        check_guards(one, target, loss, again)
        assert loss.tobytes() == again.tobytes(), "the two losses of row %d differ" % row
        if row in (4, 5):
            assert not np.isfinite(loss), "row %d" % row
            continue
        wanted = lse[0, row] - x[0, row, targets[0, row]].astype(np.float64)
        check_close("loss of row %d" % row, loss, wanted, 2e-6 * (1 + abs(lse[0, row])))
        onehot = np.arange(columns) == targets[0, row]
        check_close("gradient of row %d" % row, one[0, 0], p[0, row] - onehot, 4e-6 * (p[0, row] + onehot) + 1e-37)


for cpu in runnable_cpus():
    program = Program(functions("?"), cpu=cpu)
    for shape in [(1, 1, 1), (1, 3, 2), (2, 5, 15), (3, 7, 16), (2, 40, 65), (1, 3, 257), (1, 2, 5003)]:
        check(program, shape)
    test_special(program)
    test_narrow(cpu)
program = Program(functions(50257))
check(program, (2, 35, 50257))
test_blocks()
program = Program(functions(33, ", strided<[?, ?, 1]>"))
check(program, (3, 5, 33), pitch=40)
