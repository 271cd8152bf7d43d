#===- elementwise.py - linalg.generic against NumPy -----------------------------------------------------===//
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
#===---------------------------------------------------------------------------------------------===//
# RUN: %python %s
"""Elementwise linalg.generic: broadcasts, permutations, indices, element types, strides; and its errors."""

import math

import numpy as np

from elementwise_generic import generic
from kernel_harness import CompileError, Program, bf16, check_close, check_guards, from_bf16, guarded, runnable_cpus

random = np.random.default_rng(4)

ADD = "%r = arith.addf %a0, %a1 : f32"
CAUSAL = """%i = linalg.index 1 : index
        %j = linalg.index 2 : index
        %v = arith.cmpi ule, %j, %i : index
        %z = arith.constant -1.0e30 : f32
        %s = arith.mulf %a0, %a1 : f32
        %r = arith.select %v, %s, %z : f32"""
GENERICS = "".join([
    generic("add", 2, [("memref<?x?xf32>", "d0, d1")] * 3, ADD),
    generic("add_pitch", 2, [("memref<?x?xf32, strided<[40, 1]>>", "d0, d1")] + [("memref<?x?xf32>", "d0, d1")] * 2, ADD),
    generic("add_row", 3, [("memref<?x?x?xf32>", "d0, d1, d2"), ("memref<?xf32>", "d2"), ("memref<?x?x?xf32>", "d0, d1, d2")], ADD),
    generic("add_column", 2, [("memref<?x?xf32>", "d0, d1"), ("memref<?x1xf32>", "d0, 0"), ("memref<?x?xf32>", "d0, d1")],
            "%e = math.exp %a1 : f32\n %r = arith.mulf %a0, %e : f32"),
    generic("add_scalar", 2, [("memref<?x?xf32>", "d0, d1"), ("memref<f32>", ""), ("memref<?x?xf32>", "d0, d1")], ADD),
    generic("heads", 4, [("memref<?x?x4x17xf32>", "d0, d2, d1, d3"), ("memref<?x4x?x17xf32>", "d0, d1, d2, d3")],
            "%r = arith.negf %a0 : f32"),
    generic("transpose", 2, [("memref<?x?xf32>", "d1, d0"), ("memref<?x?xf32>", "d0, d1")], "%r = arith.negf %a0 : f32"),
    generic("keys", 4, [("memref<2x?x3x?xf32>", "d0, d3, d1, d2"), ("memref<2x3x?x?xf32>", "d0, d1, d2, d3")],
            "%i = linalg.index 3 : index\n %k = arith.index_cast %i : index to i32\n %f = arith.sitofp %k : i32 to f32\n"
            "%r = arith.subf %f, %a0 : f32"),
    generic("causal", 3, [("memref<?x?x?xf32>", "d0, d1, d2"), ("memref<f32>", ""), ("memref<?x?x?xf32>", "d0, d1, d2")], CAUSAL),
    generic("compare", 1, [("memref<?xf32>", "d0"), ("memref<?xi32>", "d0"), ("memref<?xi1>", "d0")],
            "%c = arith.sitofp %a1 : i32 to f32\n %r = arith.cmpf olt, %a0, %c : f32"),
    generic("select", 1, [("memref<?xi1>", "d0"), ("memref<?xf32>", "d0"), ("memref<?xf32>", "d0")],
            "%z = arith.constant 0.0 : f32\n %r = arith.select %a0, %a1, %z : f32"),
    generic("count", 1, [("memref<?xi32>", "d0"), ("memref<?xi64>", "d0")],
            "%i = linalg.index 0 : index\n %k = arith.index_cast %i : index to i64\n %e = arith.extsi %a0 : i32 to i64\n"
            "%r = arith.addi %e, %k : i64"),
    generic("divide", 1, [("memref<?xi32>", "d0"), ("memref<?xi32>", "d0"), ("memref<?xi32>", "d0")], "%r = arith.divsi %a0, %a1 : i32"),
    generic("widen", 1, [("memref<?xf32>", "d0"), ("memref<?xf64>", "d0")],
            "%e = arith.extf %a0 : f32 to f64\n %r = arith.mulf %e, %e : f64"),
    generic("gelu", 2, [("memref<67x769xf32>", "d0, d1"), ("memref<67x769xf32>", "d0, d1")],
            "%c = arith.constant 0.70710678 : f32\n %h = arith.constant 0.5 : f32\n %o = arith.constant 1.0 : f32\n"
            "%s = arith.mulf %a0, %c : f32\n %e = math.erf %s : f32\n %p = arith.addf %e, %o : f32\n"
            "%q = arith.mulf %a0, %h : f32\n %r = arith.mulf %q, %p : f32"),
    generic("narrow", 2, [("memref<?x?xbf16>", "d0, d1"), ("memref<?xf32>", "d1"), ("memref<?x?xbf16>", "d0, d1")],
            "%e = arith.extf %a0 : bf16 to f32\n %x = math.exp %e : f32\n %m = arith.mulf %x, %a1 : f32\n"
            "%r = arith.truncf %m : f32 to bf16"),
    generic("narrow_transpose", 2, [("memref<?x?xbf16>", "d1, d0"), ("memref<?x?xbf16>", "d0, d1")],
            "%e = arith.extf %a0 : bf16 to f32\n %m = arith.mulf %e, %e : f32\n %r = arith.truncf %m : f32 to bf16"),
    generic("fill", 2, [("memref<f32>", ""), ("memref<50257x3xf32>", "d0, d1")], "%r = arith.addf %a0, %a0 : f32"),
    generic("scalar", 0, [("memref<f32>", ""), ("memref<f32>", ""), ("memref<f32>", "")], ADD),
    generic("update", 1, [("memref<?xf32>", "d0"), ("memref<?xf32>", "d0")], ADD),
    """func.func @outer_constant(%x: memref<?xf32>, %y: memref<?xf32>) {
      %two = arith.constant 2.0 : f32
      %three = arith.constant 3.0 : f32
      linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>], iterator_types = ["parallel"]} outs(%x : memref<?xf32>) {
        ^bb0(%a: f32):
        linalg.yield %two : f32
      }
      linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>], iterator_types = ["parallel"]} outs(%y : memref<?xf32>) {
        ^bb0(%a: f32):
        linalg.yield %three : f32
      }
      return
    }
    func.func @fills(%x: memref<3x?xf32>, %y: memref<17xi32>) {
      %zero = arith.constant 0.5 : f32
      %seven = arith.constant 7 : i32
      linalg.fill ins(%zero : f32) outs(%x : memref<3x?xf32>)
      linalg.fill ins(%seven : i32) outs(%y : memref<17xi32>)
      return
    }
    func.func @copy(%x: memref<?x?xf32, strided<[40, 1]>>, %y: memref<?x?xf32>) {
      memref.copy %x, %y : memref<?x?xf32, strided<[40, 1]>> to memref<?x?xf32>
      return
    }
    """])


def normal(*shape):
    return random.standard_normal(shape).astype(np.float32)


def check_cpu(cpu):
    program = Program(GENERICS, cpu=cpu)

    def check(name, inputs, shape, wanted, tolerance=0, dtype=np.float32):
        y = guarded(shape, dtype) if np.dtype(dtype).itemsize % 4 == 0 else np.zeros(shape, dtype)
        program.same_bits(name, *inputs, y)
        if np.dtype(dtype).itemsize % 4 == 0:
            check_guards(y)
        check_close("%s %s %s" % (name, cpu, shape), y, wanted, tolerance)

    for rows, columns in ((1, 1), (3, 17), (70, 769), (0, 5), (5, 0), (50257, 3), (1, 50257)):
        a, b = normal(rows, columns), normal(rows, columns)
        check("add", (a, b), (rows, columns), a + b)
        check("add_scalar", (a, np.array(3, np.float32)), (rows, columns), a + 3)
        column = normal(rows, 1)
        check("add_column", (a, column), (rows, columns), a * np.exp(column.astype(np.float64)), 1e-6 * np.abs(a) * np.exp(column))
        check("transpose", (a,), (columns, rows), -a.T)
        narrow, scale = bf16(a), normal(columns)
        y, z = guarded((rows, columns), np.uint16), guarded((columns, rows), np.uint16)
        program.same_bits("narrow", narrow, scale, y)
        program.same_bits("narrow_transpose", narrow, z)
        check_guards(y, z)
        wanted = np.exp(from_bf16(narrow).astype(np.float64)) * scale
        check_close("bf16 %s" % cpu, from_bf16(y), wanted, (2.0**-8 + 1e-6) * np.abs(wanted))
        assert (z == bf16(from_bf16(narrow).T ** 2)).all(), "transposed in bf16"
        if columns and columns <= 40:
            padded = guarded((rows, columns), pitch=40, fill=a)
            check("add_pitch", (padded, b), (rows, columns), a + b)
            check("copy", (padded,), (rows, columns), a)
    for n in (1, 16, 33, 8192, 20001):
        f, i, k = normal(n), random.integers(-3, 3, n).astype(np.int32), random.integers(1, 9, n).astype(np.int32)
        check("compare", (f, i), (n,), f < i, dtype=np.bool_)
        check("select", (f < i, f), (n,), np.where(f < i, f, 0))
        check("count", (i,), (n,), i.astype(np.int64) + np.arange(n), dtype=np.int64)
        check("divide", (i, k), (n,), np.trunc(i / k), dtype=np.int32)
        check("widen", (f,), (n,), f.astype(np.float64) ** 2, dtype=np.float64)
    cube, row = normal(3, 23, 65), normal(65)
    check("add_row", (cube, row), cube.shape, cube + row)
    heads = normal(2, 9, 4, 17)
    check("heads", (heads,), (2, 4, 9, 17), -heads.transpose(0, 2, 1, 3))
    for length, width in ((1, 1), (33, 17), (16, 64)):
        keys = normal(2, length, 3, width)
        check("keys", (keys,), (2, 3, width, length), np.arange(length, dtype=np.float32) - keys.transpose(0, 2, 3, 1))
    scores = normal(6, 37, 37)
    check("causal", (scores, np.array(0.125, np.float32)), scores.shape,
          np.where(np.tri(37, dtype=bool), scores * np.float32(0.125), np.float32(-1e30)))
    x = normal(67, 769)
    erf = np.vectorize(math.erf)(x.astype(np.float64) / np.sqrt(2))
    check("gelu", (x,), x.shape, 0.5 * x * (1 + erf), 3e-7 * (1 + np.abs(x)))
    check("fill", (np.array(1.5, np.float32),), (50257, 3), 3)
    check("scalar", (np.array(1.5, np.float32), np.array(2, np.float32)), (), 3.5)
    a, y = normal(1000), guarded(1000, fill=1.0)
    program("update", a, y)
    check_close("update", y, a + np.float32(1), 0)
    x, y = guarded(37), guarded(37)
    program("outer_constant", x, y)
    check_close("first constant", x, 2, 0)
    check_close("second constant", y, 3, 0)
    x, y = guarded((3, 50)), guarded(17, np.int32)
    program("fills", x, y)
    check_guards(x, y)
    check_close("fill", x, 0.5, 0)
    check_close("fill", y, 7, 0)


def check_errors():
    def expect(text, message):
        try:
            Program(text)
        except CompileError as error:
            assert message in str(error), "%s\nlacks: %s" % (error, message)
        else:
            raise AssertionError("compiled, but should fail with: " + message)

    expect(generic("f", 2, [("memref<8xf32>", "d0 + d1"), ("memref<4x5xf32>", "d0, d1")], "%r = arith.negf %a0 : f32"),
           "is more than a permutation of dimensions and zeros")
    expect(generic("f", 2, [("memref<4x5xf32>", "d0, d1"), ("memref<4xf32>", "d0")], "%r = arith.negf %a0 : f32"),
           "output #0 must be indexed by all parallel dimensions")
    expect("""func.func @f(%n: index, %y: memref<?xf32>) {
      %i = arith.index_cast %n : index to i32
      %s = arith.sitofp %i : i32 to f32
      linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>], iterator_types = ["parallel"]} outs(%y : memref<?xf32>) {
        ^bb0(%a: f32):
        linalg.yield %s : f32
      }
      return
    }""", "uses a value from outside of its body that is no constant")
    expect("""func.func @f(%x: memref<4x8xf32, strided<[8, 2]>>, %y: memref<4x8xf32>) {
      kernel.norm rms %x into %y {epsilon = 1.0e-5} : (memref<4x8xf32, strided<[8, 2]>>, memref<4x8xf32>) -> ()
      return
    }""", "does not have its last dimension contiguous")
    expect("""func.func @f(%x: memref<4x?xf32>, %w: memref<?xf32>, %y: memref<4x?xf32>) {
      kernel.norm_backward rms %x, %x weight %w into %y, %w {epsilon = 1.0e-5}
        : (memref<4x?xf32>, memref<4x?xf32>, memref<?xf32>, memref<4x?xf32>, memref<?xf32>) -> ()
      return
    }""", "needs a static last dimension")


for cpu in runnable_cpus():
    check_cpu(cpu)
check_errors()
