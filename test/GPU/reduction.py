#===- reduction.py - Sums of rows and squared norms on GPUs against float64 NumPy -------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
#===-----------------------------------------------------------------------------------------------===#
# RUN: %python %s
"""kernel.sum_rows and kernel.squared_norm."""

import numpy as np

from device import ARCHITECTURES, Program, bf16, check_assembly, check_close, from_bf16, function, kernel, output

random = np.random.default_rng(6)


def normal(*shape):
    return random.standard_normal(shape).astype(np.float32)


def squared_norm(name, types, result="memref<f32>"):
    inputs = {"x%d" % i: type for i, type in enumerate(types)}
    return kernel(name, "kernel.squared_norm %s into %%y" % ", ".join("%" + i for i in inputs), {**inputs, "y": result})


def sum_rows(name, x, y):
    return kernel(name, "kernel.sum_rows %x into %y", {"x": x, "y": y})


VIEW = "memref<23x17xf32, strided<[40, 1], offset: 3>>"
MATRIX = "memref<?x?xf32>"
TEXT = "".join([
    sum_rows("rows_3", "memref<?x3xf32>", "memref<3xf32>"),
    sum_rows("rows_260", "memref<?x?x260xf32>", "memref<260xf32>"),
    sum_rows("rows_any", MATRIX, "memref<?xf32>"),
    sum_rows("rows_few", "memref<5x3000xf32>", "memref<3000xf32>"),
    sum_rows("rows_bf16", "memref<?x24xbf16>", "memref<24xbf16>"),
    function("rows_strided", {"x": "memref<23x40xf32>", "y": "memref<17xf32>"}, """
  %%v = memref.subview %%x[0, 3] [23, 17] [1, 1] : memref<23x40xf32> to %s
  kernel.sum_rows %%v into %%y : (%s, memref<17xf32>) -> ()""" % (VIEW, VIEW)),
    squared_norm("norm_one", ["memref<1xf32>"]),
    squared_norm("norm_mix", [MATRIX, "memref<769xf32>", "memref<30x1000xf32>", "memref<f32>"]),
    squared_norm("norm_any", ["memref<?xf32>"], "memref<f64>"),
    function("norm_strided", {"x": "memref<23x40xf32>", "y": "memref<f32>"}, """
  %%v = memref.subview %%x[0, 3] [23, 17] [1, 1] : memref<23x40xf32> to %s
  kernel.squared_norm %%v into %%y : (%s, memref<f32>) -> ()""" % (VIEW, VIEW)),
])
for architecture in ARCHITECTURES:
    program = Program(TEXT, architecture)
    check_assembly(program)

    def check(name, inputs, shape, wanted, tolerance, dtype=np.float32):
        y = output(shape, dtype)
        program.same_bits(name, *inputs, y)
        check_close("%s %s, %s" % (name, [i.shape for i in inputs], architecture), y, wanted, tolerance)

    def check_sum(name, x, axis):
        wide = np.asarray(x, np.float64)
        check(name, (x,), wide.sum(axis).shape, wide.sum(axis), 1e-6 * np.abs(wide).sum(axis))

    for rows in (0, 1, 9, 150):
        check_sum("rows_3", normal(rows, 3), 0)
        check_sum("rows_260", normal(2, rows, 260), (0, 1))
        check_sum("rows_any", normal(rows, 55), 0)
        check_sum("rows_any", normal(rows, 136), 0)
    check_sum("rows_few", normal(5, 3000), 0)
    x, y = normal(23, 40), output(17)
    program.same_bits("rows_strided", x, y)
    check_close("strided rows", y, x[:, 3:20].astype(np.float64).sum(0), 1e-5)
    x, y = bf16(normal(90, 24)), output(24, np.uint16)
    program.same_bits("rows_bf16", x, y)
    wanted = from_bf16(x).astype(np.float64).sum(0)
    check_close("rows in bf16", from_bf16(y), wanted, 0.004 * np.abs(wanted) + 1e-4)

    x = normal(1)
    check("norm_one", (x,), (), float(x[0]) ** 2, 1e-7 * float(x[0]) ** 2)
    parts = [normal(12, 45), normal(769), normal(30, 1000), np.array(0.7, np.float32)]
    wanted = sum((p.astype(np.float64) ** 2).sum() for p in parts)
    check("norm_mix", parts, (), wanted, 1e-6 * wanted)
    for n in (1, 1003, 4096):
        x = random.random(n).astype(np.float32)
        wanted = (x.astype(np.float64) ** 2).sum()
        check("norm_any", (x,), (), wanted, 1e-6 * wanted, dtype=np.float64)
    x = normal(23, 40)
    wanted = (x[:, 3:20].astype(np.float64) ** 2).sum()
    check("norm_strided", (x,), (), wanted, 1e-6 * wanted)
