# ===- kernels.py - PTX of other compilers on the emulator ------------------------------------------===//
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# ===----------------------------------------------------------------------------------------------===//
"""Kernels of Programs/*.cu as nvcc and clang compile them: results, and races where a barrier is missing.

RUN: %python %s
"""

import numpy as np

from emulate import programs, emulate

random = np.random.default_rng(1)


def close(actual, expected, tolerance):
    error = np.abs(actual.astype(np.float64) - expected) / np.maximum(1, np.abs(expected))
    assert error.max() <= tolerance, (error.max(), tolerance)


def reduce(ptx, options):
    x = random.standard_normal(1000, np.float32)
    total = np.zeros(1, np.float32)
    emulate(ptx, "reduce_synchronized", 1, 256, [x, total, len(x)], options)
    # 1000 additions in single precision.
    close(total, x.astype(np.float64).sum(), 1e-4)
    report = emulate(ptx, "reduce_racing", 1, 256, [x, total, len(x)], options, expected=1)
    assert "shared-race" in report and "nothing orders the two" in report, report
    assert "from reduce.cu:" in report, report


def multiply(ptx, options):
    m, n, k = 20, 33, 40
    a, b = random.standard_normal((m, k), np.float32), random.standard_normal((k, n), np.float32)
    c = np.zeros((m, n), np.float32)
    arguments = [a, b, c, m, n, k]
    emulate(ptx, "multiply_synchronized", (3, 2), (16, 16), arguments, options)
    close(c, a.astype(np.float64) @ b.astype(np.float64), 1e-5)
    for kernel in ("multiply_without_first", "multiply_without_second"):
        report = emulate(ptx, kernel, (3, 2), (16, 16), arguments, options, expected=1)
        assert "shared-race" in report, report


def collatz_steps(value, most):
    count = 0
    while value != 1:
        if count == most:
            return -1
        value = 3 * value + 1 if value % 2 else value // 2
        count += 1
    return count


def diverge(ptx, options):
    n = 100
    start = np.arange(1, n + 1, dtype=np.int32)
    steps = np.zeros(n, np.int32)
    emulate(ptx, "collatz", 2, 64, [start, steps, n, 60], options)
    assert (steps == [collatz_steps(int(v), 60) for v in start]).all(), steps

    operation = random.integers(0, 9, 64, np.int32)
    a, b = random.integers(-50, 50, (2, 64), np.int32)
    a[0], b[0], operation[0] = -7, 2, 3
    result = np.zeros(64, np.int32)
    emulate(ptx, "interpret", 2, 32, [operation, a, b, result], options)

    def interpret(o, a, b):
        if o == 3:
            return int(np.fix(a / b)) if b else 0
        if o > 6:
            return bin(a & 0xFFFFFFFF).count("1") + (32 - (b & 0xFFFFFFFF).bit_length())
        return [a + b, a - b, a * b, 0, a & b, a | b, a ^ b][o]

    expected = [interpret(*map(int, row)) for row in zip(operation, a, b)]
    assert (result == expected).all(), (result, expected)

    emulate(ptx, "recurse", 1, 64, [result], options)
    fibonacci = [0, 1]
    while len(fibonacci) < 12:
        fibonacci.append(fibonacci[-1] + fibonacci[-2])
    assert (result == [fibonacci[i % 12] if i % 3 != 1 else -1 for i in range(64)]).all(), result

    x = random.integers(0, 100, 32, np.int32)
    count = np.zeros(32, np.int32)
    emulate(ptx, "count_branch", 1, 32, [x, count], options)
    even = x % 2 == 0
    expected = np.where(even, even.sum() + x[even].sum(), -(~even).sum() - x[~even].max())
    assert (count == expected).all(), count


def together(ptx, options):
    n = 3000
    data = random.integers(0, 256, n, np.uint8)
    data[:500] = 7
    counts = np.zeros(256, np.uint32)
    emulate(ptx, "histogram_atomic", 3, 128, [data, counts, n], options)
    assert (counts == np.bincount(data, minlength=256)).all()
    report = emulate(ptx, "histogram_racing", 3, 128, [data, counts, n], options, expected=1)
    assert "shared-race" in report and "global-race" in report, report

    x = random.integers(-99, 99, 300, np.int32)
    sums, done, total = np.zeros(10, np.int32), np.zeros(1, np.uint32), np.zeros(1, np.int32)
    emulate(ptx, "sum_of_blocks", 10, 32, [x, sums, done, total, 300], options)
    assert total[0] == x.sum() and done[0] == 0
    report = emulate(ptx, "sum_of_blocks_unfenced", 10, 32, [x, sums, done, total, 300], options, expected=1)
    assert "global-race" in report, report

    lock, counter = np.zeros(1, np.int32), np.zeros(1, np.int32)
    emulate(ptx, "locked", 2, 64, [lock, counter], options)
    assert counter[0] == 128 and lock[0] == 0

    arrived, values, result = np.zeros(1, np.uint32), np.zeros(6, np.int32), np.zeros(6, np.int32)
    emulate(ptx, "grid_barrier", 6, 1, [arrived, values, result], options)
    assert (result == np.arange(6)[::-1] ** 2).all(), result


def functions(ptx, options):
    n = 200
    x = np.linspace(-6, 6, n, dtype=np.float32)
    y = np.zeros((10, n), np.float32)
    emulate(ptx, "functions", 2, 128, [x, y, n], options)
    v = x.astype(np.float64)
    erf = np.vectorize(__import__("math").erf)
    expected = [np.exp(v), np.log(np.abs(v) + 1), np.tanh(v), erf(v), np.sin(v), np.cos(v)]
    expected += [1 / np.sqrt(np.abs(v) + 0.5), np.abs(v) ** 1.7, v / (v * v + 1), np.sqrt(np.abs(v))]
    for row, values in zip(y, expected):
        # CUDA states at most 4 units in the last place for these (powf: 4).
        close(row, values, 1e-6)

    x = np.linspace(-6, 6, n)
    y = np.zeros((8, n))
    emulate(ptx, "functions_of_doubles", 2, 128, [x, y, n], options)
    expected = [np.exp(x), np.log(np.abs(x) + 1), np.tanh(x), erf(x), np.sin(x), x / (x * x + 3)]
    expected += [np.sqrt(np.abs(x)), 1 / np.sqrt(np.abs(x) + 0.5)]
    for row, values in zip(y, expected):
        close(row, values, 1e-15)

    a = random.integers(-(2**62), 2**62, 50, np.int64)
    b = random.integers(1, 2**40, 50, np.int64)
    b[::2] = random.integers(-1000, -1, 25)
    quotient, remainder = np.zeros((2, 2, 50), np.int64)
    emulate(ptx, "divide", 1, 64, [a, b, quotient, remainder, 50], options)
    truncated = [int(x) // int(y) if (x < 0) == (y < 0) or x % y == 0 else int(x) // int(y) + 1 for x, y in zip(a, b)]
    assert (quotient[0] == truncated).all()
    assert (remainder[0] == a - quotient[0] * b).all()
    assert (remainder[1] == a.astype(np.uint32) % b.astype(np.uint32)).all()


for compiler in ("nvcc", "clang"):
    for test in (reduce, multiply, diverge, together, functions):
        for options in ([], ["--schedule", "3"]):
            test(f"{programs}/{test.__name__}.{compiler}.ptx", options)
