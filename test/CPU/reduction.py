#===- reduction.py - Sums of rows, squared norms, linalg reductions against float64 NumPy ----------------===//
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
#===---------------------------------------------------------------------------------------------===//
# RUN: %python %s
"""kernel.sum_rows, kernel.squared_norm, and linalg.generic with reduction dimensions."""

import numpy as np

from elementwise_generic import generic
from kernel_harness import CompileError, Program, bf16, check_close, check_guards, from_bf16, guarded, runnable_cpus

random = np.random.default_rng(6)


def sum_rows(name, x, y):
    return """func.func @%s(%%x: %s, %%y: %s) {
      kernel.sum_rows %%x into %%y : (%s, %s) -> ()
      return
    }\n""" % (name, x, y, x, y)


def squared_norm(name, types, result="memref<f32>"):
    names = ["%%x%d" % i for i in range(len(types))]
    return """func.func @%s(%s, %%y: %s) {
      kernel.squared_norm %s into %%y : (%s, %s) -> ()
      return
    }\n""" % (name, ", ".join("%s: %s" % pair for pair in zip(names, types)), result, ", ".join(names),
              ", ".join(types), result)


ROW, COLUMN, BOTH = ["parallel", "reduction"], ["reduction", "parallel"], ["reduction", "reduction"]
MATRIX, IN = "memref<?x?xf32>", ("memref<?x?xf32>", "d0, d1")
MAX, ADD = "%r = arith.maximumf %a0, %a1 : f32", "%r = arith.addf %a1, %a0 : f32"
# Each element halves what came before: no lanes can share it, and another order gives another result.
HALVE = "%c = arith.constant 0.5 : f32\n %h = arith.mulf %a1, %c : f32\n %r = arith.subf %a0, %h : f32"
TEXT = "".join([
    sum_rows("rows_3", "memref<?x3xf32>", "memref<3xf32>"),
    sum_rows("rows_769", "memref<?x?x769xf32>", "memref<769xf32>"),
    sum_rows("rows_any", "memref<?x?xf32>", "memref<?xf32>"),
    sum_rows("rows_narrow", "memref<?x769xbf16>", "memref<769xf32>"),
    sum_rows("rows_wide", "memref<5x50257xf32>", "memref<50257xf32>"),
    sum_rows("rows_strided", "memref<23x17xf32, strided<[40, 1]>>", "memref<17xf32>"),
    squared_norm("norm_one", ["memref<1xf32>"]),
    squared_norm("norm_mix", [MATRIX, "memref<769xf32>", "memref<300x1000xf32>", "memref<6x17xf32, strided<[40, 1]>>", "memref<f32>"]),
    squared_norm("norm_any", ["memref<?xf32>"], "memref<f64>"),
    generic("row_sum_narrow", 2, [("memref<?x?xbf16>", "d0, d1"), ("memref<?xf32>", "d0")],
            "%e = arith.extf %a0 : bf16 to f32\n %r = arith.addf %a1, %e : f32", ROW),
    generic("column_sum_narrow", 2, [("memref<?x?xbf16>", "d0, d1"), ("memref<?xf32>", "d1")],
            "%e = arith.extf %a0 : bf16 to f32\n %r = arith.addf %a1, %e : f32", COLUMN),
    generic("row_max", 2, [IN, ("memref<?xf32>", "d0")], MAX, ROW),
    generic("row_sum", 2, [IN, ("memref<?xf32>", "d0")], ADD, ROW),
    generic("row_dot", 3, [("memref<4x5x65xf32>", "d0, d1, d2"), ("memref<4x5x65xf32>", "d0, d1, d2"), ("memref<5x4xf32>", "d1, d0")],
            "%p = arith.mulf %a0, %a1 : f32\n %r = arith.addf %p, %a2 : f32", ["parallel", "parallel", "reduction"]),
    generic("column_sum", 2, [IN, ("memref<?xf32>", "d1")], ADD, COLUMN),
    generic("column_first", 2, [IN, ("memref<?xf32>", "d1")], HALVE, COLUMN),
    generic("matmul", 3, [("memref<7x33xf32>", "d0, d2"), ("memref<33x19xf32>", "d2, d1"), ("memref<7x19xf32>", "d0, d1")],
            "%p = arith.mulf %a0, %a1 : f32\n %r = arith.addf %p, %a2 : f32", ["parallel", "parallel", "reduction"]),
    generic("row_order", 2, [IN, ("memref<?xf32>", "d0")], HALVE, ROW),
    generic("all_sum", 2, [IN, ("memref<f32>", "")], ADD, BOTH),
    generic("all_strided", 2, [("memref<?x?xf32, strided<[1000, 1]>>", "d0, d1"), ("memref<f32>", "")], ADD, BOTH),
    generic("all_order", 1, [("memref<?xf32>", "d0"), ("memref<f32>", "")], HALVE,
            ["reduction"]),
    generic("count", 1, [("memref<?xi32>", "d0"), ("memref<i32>", "")],
            "%z = arith.constant 3 : i32\n %c = arith.cmpi eq, %a0, %z : i32\n %e = arith.extui %c : i1 to i32\n"
            "%r = arith.addi %a1, %e : i32", ["reduction"]),
    generic("weighted", 1, [("memref<?xf32>", "d0"), ("memref<f32>", "")],
            "%i = linalg.index 0 : index\n %k = arith.index_cast %i : index to i32\n %f = arith.sitofp %k : i32 to f32\n"
            "%p = arith.mulf %f, %a0 : f32\n %r = arith.addf %a1, %p : f32", ["reduction"]),
])


def normal(*shape):
    return random.standard_normal(shape).astype(np.float32)


def check_cpu(cpu):
    program = Program(TEXT, cpu=cpu)

    def check(name, inputs, shape, wanted, tolerance, start=0.0, dtype=np.float32):
        y = guarded(shape, dtype, fill=start)
        program.same_bits(name, *inputs, y)
        check_guards(y)
        check_close("%s %s, %s" % (name, [i.shape for i in inputs], cpu), y, wanted, tolerance)

    def check_sum(name, x, axis, start=0.0):
        wide = np.asarray(x, np.float64)
        wanted = wide.sum(axis) + start
        check(name, (x,), wanted.shape, wanted, 1e-6 * (np.abs(wide).sum(axis) + abs(start)), start)

    for rows in (0, 1, 3, 16, 67):
        check_sum("rows_3", normal(rows, 3), 0)
        check_sum("rows_769", normal(2, rows, 769), (0, 1))
        check_sum("rows_any", normal(rows, 555), 0)
        narrow = bf16(normal(rows, 769))
        wide = from_bf16(narrow).astype(np.float64)
        check("rows_narrow", (narrow,), (769,), wide.sum(0), 1e-6 * np.abs(wide).sum(0))
    check_sum("rows_any", normal(50257, 3), 0)
    check_sum("rows_wide", normal(5, 50257), 0)
    check_sum("rows_strided", guarded((23, 17), pitch=40, fill=normal(23, 17)), 0)

    x = normal(1)
    check("norm_one", (x,), (), float(x[0]) ** 2, 1e-7 * float(x[0]) ** 2)
    parts = [normal(123, 45), normal(769), normal(300, 1000), guarded((6, 17), pitch=40, fill=normal(6, 17)), np.array(0.7, np.float32)]
    wanted = sum((p.astype(np.float64) ** 2).sum() for p in parts)
    check("norm_mix", parts, (), wanted, 1e-6 * wanted)
    for n in (1, 3000001):
        x = random.random(n).astype(np.float32)
        wanted = (x.astype(np.float64) ** 2).sum()
        check("norm_any", (x,), (), wanted, 1e-6 * wanted, dtype=np.float64)

    for rows, columns in ((1, 1), (3, 17), (70, 769), (5, 0), (2000, 3), (1, 50257)):
        x = normal(rows, columns)
        check_sum("row_sum", x, 1, start=2.0)
        for name, axis in (("row_sum_narrow", 1), ("column_sum_narrow", 0)):
            narrow = bf16(x)
            wide = from_bf16(narrow).astype(np.float64)
            check(name, (narrow,), wide.sum(axis).shape, wide.sum(axis), 1e-6 * np.abs(wide).sum(axis))
        check_sum("column_sum", x, 0, start=2.0)
        check_sum("all_sum", x, (0, 1), start=2.0)
        check("row_max", (x,), (rows,), np.maximum(x.max(1, initial=-np.inf), -1), 0, start=-1.0)
        wide, row, column, total = x.astype(np.float64), np.ones(rows), np.ones(columns), 1.0
        for j in range(columns):
            row, total = wide[:, j] - row / 2, wide[0, j] - total / 2
        for i in range(rows):
            column = wide[i] - column / 2
        check("row_order", (x,), (rows,), row, 3e-6, start=1.0)
        check("column_first", (x,), (columns,), column, 3e-6, start=1.0)
        check("all_order", (x[0].copy(),), (), total, 3e-6, start=1.0)
    check_sum("all_strided", guarded((40, 769), pitch=1000, fill=normal(40, 769)), (0, 1))
    a, b = normal(4, 5, 65), normal(4, 5, 65)
    check("row_dot", (a, b), (5, 4), np.einsum("ijk,ijk->ji", a.astype(np.float64), b), 1e-5)
    a, b = normal(7, 33), normal(33, 19)
    check("matmul", (a, b), (7, 19), a.astype(np.float64) @ b, 1e-5)
    for n in (1, 33, 100001):
        x, i = normal(n), random.integers(0, 5, n).astype(np.int32)
        check("count", (i,), (), (i == 3).sum(), 0, start=0, dtype=np.int32)
        terms = np.arange(n) * x.astype(np.float64)
        check("weighted", (x,), (), terms.sum(), 1e-6 * (1e-30 + np.abs(terms).sum()))


def check_error():
    """A sum that were rounded to bf16 at every step is refused."""
    text = generic("f", 2, [("memref<?x?xbf16>", "d0, d1"), ("memref<?xbf16>", "d0")], "%r = arith.addf %a1, %a0 : bf16", ROW)
    try:
        Program(text)
    except CompileError as error:
        assert "has no emitter for the CPU on elements of type 'bf16' that it reduces to; use 'f32'" in str(error), error
    else:
        raise AssertionError("a sum in bf16 was compiled")


for cpu in runnable_cpus():
    check_cpu(cpu)
check_error()
