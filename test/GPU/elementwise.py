#===- elementwise.py - linalg.generic on GPUs against NumPy ----------------------------------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
#===-----------------------------------------------------------------------------------------------===#
# RUN: %python %s
"""linalg.generic: broadcasts, permutations, transposes, indices, element types, strides, and reductions of all layouts."""

import math
import re

import numpy as np

from device import ARCHITECTURES, Program, check_assembly, check_close, function, output

random = np.random.default_rng(4)
MATRIX, ROW, CUBE = ("memref<?x?xf32>", "d0, d1"), ("memref<?xf32>", "d1"), ("memref<?x?x?xf32>", "d0, d1, d2")
ADD, NEGATE = "%r = arith.addf %a0, %a1 : f32", "%r = arith.negf %a0 : f32"


def generic(name, dims, operands, body, iterators="", views=None):
    """One generic. `operands` are (memref type, indexing map results), the last the output; their block arguments are
    %a0, %a1, ... and the body yields %r. `iterators` has a p or r for each dimension. `views` replaces operands, by
    number, by (offsets, sizes, type) of a part of them."""
    iterators = [{"p": "parallel", "r": "reduction"}[i] for i in iterators or "p" * dims]
    d = ", ".join("d%d" % i for i in range(dims))
    names, types, lines = ["%%m%d" % i for i in range(len(operands))], [t for t, _ in operands], ""
    for i, (offsets, sizes, view) in (views or {}).items():
        lines += "%%v%d = memref.subview %s%s %s %s : %s to %s\n  " % (
            i, names[i], offsets, sizes, [1] * (sizes.count(",") + 1), types[i], view)
        names[i], types[i] = "%%v%d" % i, view
    elements = [re.match(r"memref<(?:[^x>,]+x)*([a-z]+\d+)", t)[1] for t in types]
    inputs = "ins(%s : %s) " % (", ".join(names[:-1]), ", ".join(types[:-1])) if names[:-1] else ""
    lines += """linalg.generic {indexing_maps = [%s], iterator_types = [%s]} %souts(%s : %s) {
    ^bb0(%s):
      %s
      linalg.yield %%r : %s
    }""" % (", ".join("affine_map<(%s) -> (%s)>" % (d, m) for _, m in operands),
            ", ".join('"%s"' % i for i in iterators), inputs, names[-1], types[-1],
            ", ".join("%%a%d: %s" % (i, e) for i, e in enumerate(elements)), body, elements[-1])
    return function(name, {"m%d" % i: t for i, (t, _) in enumerate(operands)}, lines)


PARALLEL = "".join([
    generic("add", 2, [MATRIX] * 3, ADD),
    generic("add_view", 2, [("memref<?x40xf32>", "d0, d1"), ("memref<?x17xf32>", "d0, d1"), ("memref<?x17xf32>", "d0, d1")], ADD,
            views={0: ("[0, 3]", "[%rows, 17]", "memref<?x17xf32, strided<[40, 1], offset: 3>>")}).replace(
                "%v0 =", "%zero = arith.constant 0 : index\n  %rows = memref.dim %m0, %zero : memref<?x40xf32>\n  %v0 ="),
    # Which layer it is, nobody knows before: addresses decide at run time.
    generic("add_layer", 1, [("memref<3x68xf32>", "d0"), ("memref<68xf32>", "d0"), ("memref<68xf32>", "d0")], ADD,
            views={0: ("[%layer, 0]", "[1, 68]", "memref<68xf32, strided<[1], offset: ?>>")}).replace(
                "%v0 =", "%layer = arith.constant 2 : index\n  %v0 ="),
    generic("add_row", 3, [CUBE, ("memref<?xf32>", "d2"), CUBE], ADD),
    generic("add_column", 2, [MATRIX, ("memref<?x1xf32>", "d0, 0"), MATRIX],
            "%e = math.exp %a1 : f32\n %r = arith.mulf %a0, %e : f32"),
    generic("add_scalar", 2, [MATRIX, ("memref<f32>", ""), MATRIX], ADD),
    generic("heads", 4, [("memref<?x?x4x12xf32>", "d0, d2, d1, d3"), ("memref<?x4x?x12xf32>", "d0, d1, d2, d3")], NEGATE),
    generic("transpose", 2, [("memref<?x?xf32>", "d1, d0"), MATRIX], NEGATE),
    generic("transpose_add", 2, [("memref<?x?xf64>", "d1, d0"), MATRIX, ROW, MATRIX],
            "%t = arith.truncf %a0 : f64 to f32\n %s = arith.addf %t, %a1 : f32\n %r = arith.mulf %s, %a2 : f32"),
    generic("keys", 4, [("memref<2x?x3x?xf32>", "d0, d3, d1, d2"), ("memref<2x3x?x?xf32>", "d0, d1, d2, d3")],
            "%i = linalg.index 3 : index\n %k = arith.index_cast %i : index to i32\n %f = arith.sitofp %k : i32 to f32\n"
            "%r = arith.subf %f, %a0 : f32"),
    generic("causal", 3, [CUBE, ("memref<f32>", ""), CUBE],
            "%i = linalg.index 1 : index\n %j = linalg.index 2 : index\n %v = arith.cmpi ule, %j, %i : index\n"
            "%z = arith.constant -1.0e30 : f32\n %s = arith.mulf %a0, %a1 : f32\n %r = arith.select %v, %s, %z : f32"),
    generic("compare", 1, [("memref<?xf32>", "d0"), ("memref<?xi32>", "d0"), ("memref<?xi1>", "d0")],
            "%c = arith.sitofp %a1 : i32 to f32\n %r = arith.cmpf olt, %a0, %c : f32"),
    generic("select", 1, [("memref<?xi1>", "d0"), ("memref<?xf32>", "d0"), ("memref<?xf32>", "d0")],
            "%z = arith.constant 0.0 : f32\n %r = arith.select %a0, %a1, %z : f32"),
    generic("count", 1, [("memref<?xi32>", "d0"), ("memref<?xi64>", "d0")],
            "%i = linalg.index 0 : index\n %k = arith.index_cast %i : index to i64\n %e = arith.extsi %a0 : i32 to i64\n"
            "%r = arith.addi %e, %k : i64"),
    generic("widen", 1, [("memref<?xf32>", "d0"), ("memref<?xf64>", "d0")],
            "%e = arith.extf %a0 : f32 to f64\n %r = arith.mulf %e, %e : f64"),
    generic("gelu", 2, [("memref<7x69xf32>", "d0, d1")] * 2,
            "%c = arith.constant 0.70710678 : f32\n %h = arith.constant 0.5 : f32\n %o = arith.constant 1.0 : f32\n"
            "%s = arith.mulf %a0, %c : f32\n %e = math.erf %s : f32\n %p = arith.addf %e, %o : f32\n"
            "%q = arith.mulf %a0, %h : f32\n %r = arith.mulf %q, %p : f32"),
    generic("scalar", 0, [("memref<f32>", "")] * 3, ADD),
    generic("update", 1, [("memref<?xf32>", "d0")] * 2, ADD),
    function("fills", {"x": "memref<3x?xf32>", "y": "memref<17xi32>"}, """%zero = arith.constant 0.5 : f32
  %seven = arith.constant 7 : i32
  linalg.fill ins(%zero : f32) outs(%x : memref<3x?xf32>)
  linalg.fill ins(%seven : i32) outs(%y : memref<17xi32>)"""),
    function("copy", {"x": "memref<?x?xf32>", "y": "memref<?x?xf32>"},
             "memref.copy %x, %y : memref<?x?xf32> to memref<?x?xf32>"),
])


def normal(*shape):
    return random.standard_normal(shape).astype(np.float32)


def check_parallel(architecture):
    program = Program(PARALLEL, architecture)
    check_assembly(program)

    def check(name, inputs, shape, wanted, tolerance=0, dtype=np.float32):
        y = output(shape, dtype)
        program.same_bits(name, *inputs, y)
        check_close("%s %s %s" % (name, architecture, shape), y, wanted, tolerance)

    for rows, columns in ((1, 1), (3, 17), (5, 68), (33, 70), (0, 5), (5, 0)):
        a, b = normal(rows, columns), normal(rows, columns)
        check("add", (a, b), a.shape, a + b)
        check("copy", (a,), a.shape, a)
        check("add_scalar", (a, np.array(3, np.float32)), a.shape, a + 3)
        column = normal(rows, 1)
        check("add_column", (a, column), a.shape, a * np.exp(column.astype(np.float64)), 1e-6 * np.abs(a) * np.exp(column))
        check("transpose", (a,), (columns, rows), -a.T)
        row, c = normal(columns), np.ascontiguousarray(normal(rows, columns))
        wide = random.standard_normal((columns, rows))
        check("transpose_add", (wide, c, row), c.shape, (wide.astype(np.float32).T + c) * row)
    x, b = normal(6, 40), normal(6, 17)
    check("add_view", (x, b), b.shape, x[:, 3:20] + b)
    x, b = normal(3, 68), normal(68)
    check("add_layer", (x, b), b.shape, x[2] + b)
    for n in (1, 33, 2048):
        f, i = normal(n), random.integers(-3, 3, n).astype(np.int32)
        check("compare", (f, i), (n,), f < i, dtype=np.bool_)
        check("select", (f < i, f), (n,), np.where(f < i, f, 0))
        check("count", (i,), (n,), i.astype(np.int64) + np.arange(n), dtype=np.int64)
        check("widen", (f,), (n,), f.astype(np.float64) ** 2, dtype=np.float64)
    cube, row = normal(3, 23, 65), normal(65)
    check("add_row", (cube, row), cube.shape, cube + row)
    heads = normal(2, 9, 4, 12)
    check("heads", (heads,), (2, 4, 9, 12), -heads.transpose(0, 2, 1, 3))
    for length, width in ((1, 1), (33, 17), (16, 64)):
        keys = normal(2, length, 3, width)
        check("keys", (keys,), (2, 3, width, length), np.arange(length, dtype=np.float32) - keys.transpose(0, 2, 3, 1))
    scores = normal(6, 37, 37)
    check("causal", (scores, np.array(0.125, np.float32)), scores.shape,
          np.where(np.tri(37, dtype=bool), scores * np.float32(0.125), np.float32(-1e30)))
    x = normal(7, 69)
    erf = np.vectorize(math.erf)(x.astype(np.float64) / np.sqrt(2))
    check("gelu", (x,), x.shape, 0.5 * x * (1 + erf), 3e-7 * (1 + np.abs(x)))
    check("scalar", (np.array(1.5, np.float32), np.array(2, np.float32)), (), 3.5)
    a, y = normal(100), np.ones(100, np.float32)
    program("update", a, y)
    check_close("update", y, a + np.float32(1), 0)
    x, y = output((3, 50)), output(17, np.int32)
    program("fills", x, y)
    check_close("fill", x, 0.5, 0)
    check_close("fill", y, 7, 0)

    # Neighbours go together, and squares through shared memory.
    program("add", normal(64, 64), normal(64, 64), output((64, 64)))
    wide = program.counters()
    program("add", normal(63, 65), normal(63, 65), output((63, 65)))
    if wide is None:
        return  # nobody counts on a real GPU
    assert wide["warp_instructions"] * 2 < program.counters()["warp_instructions"], "4096 elements do not go four at a time"
    program("transpose", normal(64, 64), output((64, 64)))
    counters = program.counters()
    assert counters["global_sectors"] == 2 * 64 * 64 * 4 // 32 and not counters["bank_conflicts"], counters


# Each element halves what came before: no threads can share it, and another order gives another result.
HALVE = "%c = arith.constant 0.5 : f32\n %h = arith.mulf %a1, %c : f32\n %r = arith.subf %a0, %h : f32"
SUM, MAXIMUM = "%r = arith.addf %a1, %a0 : f32", "%r = arith.maximumf %a0, %a1 : f32"
DOT = "%p = arith.mulf %a0, %a1 : f32\n %r = arith.addf %p, %a2 : f32"
REDUCTIONS = "".join([
    generic("row_max", 2, [MATRIX, ("memref<?xf32>", "d0")], MAXIMUM, "pr"),
    generic("row_sum", 2, [MATRIX, ("memref<?xf32>", "d0")], SUM, "pr"),
    generic("row_short", 2, [("memref<?x72xf32>", "d0, d1"), ("memref<?xf32>", "d0")], SUM, "pr"),
    generic("row_dot", 3, [("memref<4x5x65xf32>", "d0, d1, d2"), ("memref<4x5x65xf32>", "d0, d1, d2"),
                           ("memref<5x4xf32>", "d1, d0")], DOT, "ppr"),
    generic("column_sum", 2, [MATRIX, ROW], SUM, "rp"),
    generic("column_few", 2, [("memref<5x?xf32>", "d0, d1"), ROW], SUM, "rp"),
    generic("column_middle", 3, [CUBE, ("memref<?x?xf32>", "d0, d2")], MAXIMUM, "prp"),
    generic("matmul", 3, [("memref<7x33xf32>", "d0, d2"), ("memref<33x19xf32>", "d2, d1"), ("memref<7x19xf32>", "d0, d1")],
            DOT, "ppr"),
    generic("strided_terms", 2, [("memref<?x?xf32>", "d1, d0"), ("memref<?xf32>", "d1"), ("memref<?xf32>", "d0")], DOT, "pr"),
    generic("ends_sum", 3, [CUBE, ("memref<?xf32>", "d1")], SUM, "rpr"),
    generic("all_sum", 2, [MATRIX, ("memref<f32>", "")], SUM, "rr"),
    generic("all_view", 2, [("memref<40x60xf32>", "d0, d1"), ("memref<f32>", "")], SUM, "rr",
            views={0: ("[0, 3]", "[40, 17]", "memref<40x17xf32, strided<[60, 1], offset: 3>>")}),
    generic("row_order", 2, [MATRIX, ("memref<?xf32>", "d0")], HALVE, "pr"),
    generic("column_order", 2, [MATRIX, ROW], HALVE, "rp"),
    generic("count", 1, [("memref<?xi32>", "d0"), ("memref<i32>", "")],
            "%z = arith.constant 3 : i32\n %c = arith.cmpi eq, %a0, %z : i32\n %e = arith.extui %c : i1 to i32\n"
            "%r = arith.addi %a1, %e : i32", "r"),
    generic("weighted", 1, [("memref<?xf64>", "d0"), ("memref<f64>", "")],
            "%i = linalg.index 0 : index\n %k = arith.index_cast %i : index to i32\n %f = arith.sitofp %k : i32 to f64\n"
            "%p = arith.mulf %f, %a0 : f64\n %r = arith.addf %a1, %p : f64", "r"),
    generic("any", 1, [("memref<?xi1>", "d0"), ("memref<i1>", "")], "%r = arith.ori %a0, %a1 : i1", "r"),
])


def check_reductions(architecture):
    program = Program(REDUCTIONS, architecture)
    check_assembly(program)

    def check(name, inputs, wanted, tolerance, start=0.0, dtype=np.float32):
        y = np.full(np.shape(wanted), start, dtype)
        program.same_bits(name, *inputs, y)
        check_close("%s %s, %s" % (name, [i.shape for i in inputs], architecture), y, wanted, tolerance)

    def check_sum(name, x, axis, start=2.0):
        wide = np.asarray(x, np.float64)
        check(name, (x,), wide.sum(axis) + start, 1e-6 * (np.abs(wide).sum(axis) + abs(start)), start)

    for rows, columns in ((1, 1), (3, 17), (9, 260), (5, 0), (70, 3), (1, 2056)):
        x = normal(rows, columns)
        check_sum("row_sum", x, 1)
        check_sum("column_sum", x, 0)
        check_sum("all_sum", x, (0, 1))
        check("row_max", (x,), np.maximum(x.max(1, initial=-np.inf), -1), 0, start=-1.0)
        wide, row, column = x.astype(np.float64), np.ones(rows), np.ones(columns)
        for j in range(columns):
            row = wide[:, j] - row / 2
        for i in range(rows):
            column = wide[i] - column / 2
        check("row_order", (x,), row, 3e-6, start=1.0)
        check("column_order", (x,), column, 3e-6, start=1.0)
        weights = normal(rows)
        check("strided_terms", (x, weights), wide.T @ weights, 1e-5)
    check_sum("row_short", normal(19, 72), 1)
    check_sum("column_few", normal(5, 70), 0)
    check_sum("ends_sum", normal(4, 6, 68), (0, 2))
    cube = normal(3, 21, 36)
    check("column_middle", (cube,), np.maximum(cube.max(1), 0), 0)
    x = normal(40, 60)
    check("all_view", (x,), x[:, 3:20].astype(np.float64).sum(), 1e-4)
    a, b = normal(4, 5, 65), normal(4, 5, 65)
    check("row_dot", (a, b), np.einsum("ijk,ijk->ji", a.astype(np.float64), b), 1e-5)
    a, b = normal(7, 33), normal(33, 19)
    check("matmul", (a, b), a.astype(np.float64) @ b, 1e-5)
    for n in (1, 33, 9001):
        x, i = random.standard_normal(n), random.integers(0, 5, n).astype(np.int32)
        check("count", (i,), (i == 3).sum(), 0, start=0, dtype=np.int32)
        terms = np.arange(n) * x
        check("weighted", (x,), terms.sum(), 1e-13 * (1e-30 + np.abs(terms).sum()), dtype=np.float64)
        check("any", (np.zeros(n, np.bool_),), False, 0, start=False, dtype=np.bool_)
        check("any", (np.arange(n) == n - 1,), True, 0, start=False, dtype=np.bool_)


for architecture in ARCHITECTURES:
    check_parallel(architecture)
    check_reductions(architecture)
