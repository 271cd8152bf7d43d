#===- padded-rows.py - Logits whose rows begin at multiples of 16 bytes --------------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
#===---------------------------------------------------------------------------------------------===#
# RUN: %python %s
"""Logits, their gradient in place and the gradients of both factors, where rows of an odd number of columns stand in a
buffer of longer ones as quern-pad-rows lays them: by copies of 16 bytes and tensor cores, with nothing written between
the rows."""

import re

import numpy as np

from device import ARCHITECTURES, Program, bf16, check_assembly, check_close, from_bf16, function, output

random = np.random.default_rng(5)
WIDTH = 64


def text(rows, columns, pitch):
    view = "memref<%sx%dxbf16, strided<[%d, 1]>>" % ("?" if rows is None else rows, columns, pitch)
    count = "?" if rows is None else str(rows)
    matrix = lambda r, c, element="bf16": "memref<%sx%sx%s>" % (r, c, element)
    x, w, dx, dw = matrix(count, WIDTH), matrix(columns, WIDTH), matrix(count, WIDTH, "f32"), matrix(columns, WIDTH, "f32")
    whole, one, targets = matrix(count, pitch), "memref<f32>", "memref<%sxi32>" % count
    size = "%rows" if rows is None else count
    return function("f", {"x": x, "w": w, "t": targets, "n": one, "s": one, "l": one, "logits": whole, "dx": dx, "dw": dw},
                    """%zero = arith.constant 0 : index
  %rows = memref.dim %x, %zero : {x}
  %v = memref.subview %logits[0, 0] [{size}, {columns}] [1, 1] : {whole} to {view}
  kernel.gemm %x, %w into %v {{transpose_b}} : ({x}, {w}, {view}) -> ()
  kernel.cross_entropy_gradient %t, %n, %s into %l, %v {{ignore_index = -1}} : ({targets}, {one}, {one}, {one}, {view}) -> ()
  kernel.gemm %v, %w into %dx : ({view}, {w}, {dx}) -> ()
  kernel.gemm %v, %x into %dw {{transpose_a}} : ({view}, {x}, {dw}) -> ()""".format(**locals()))


def check(program, rows, columns, pitch):
    what = "%s, %d of %d columns" % (program.architecture, columns, pitch)
    x, w = bf16(random.standard_normal((rows, WIDTH)) / 4), bf16(random.standard_normal((columns, WIDTH)))
    logits, gap = bf16(np.full((rows, pitch), 768.0)), bf16(np.full((), 768.0))
    targets = random.integers(0, columns, rows).astype(np.int32)
    loss, dx, dw = output(()), output((rows, WIDTH)), output((columns, WIDTH))
    program.same_bits("f", x, w, targets, np.array(rows, np.float32), np.array(1, np.float32), loss, logits, dx, dw)
    assert (logits[:, columns:] == gap).all(), "something between the rows was written: " + what
    x64, w64 = (from_bf16(a).astype(np.float64) for a in (x, w))
    exact = x64 @ w64.T
    p = np.exp(exact - exact.max(-1, keepdims=True))
    p /= p.sum(-1, keepdims=True)
    onehot = np.arange(columns) == targets[:, None]
    gradient = (p - onehot) / rows
    # Logits and probabilities are rounded to 8 bits; an error in a logit, or in the sum of a row, is one relative to the
    # probability.
    digits = 2.0**-8 * (2 + np.abs(exact) + np.abs(exact).max(-1, keepdims=True)) * (p + onehot) / rows
    stored = from_bf16(logits)[:, :columns].astype(np.float64)
    check_close("gradient of the logits, " + what, stored, gradient, digits)
    check_close("dx, " + what, dx, stored @ w64, 1e-5 * (np.abs(stored) @ np.abs(w64)))
    check_close("dw, " + what, dw, stored.T @ x64, 1e-5 * (np.abs(stored).T @ np.abs(x64)))
    wanted = "wgmma.mma_async" if program.architecture == "sm_90a" else "mma.sync"
    kernels = program.kernels()
    bodies = [kernels[name] for name in program.launched() if name.startswith("gemm")] if kernels else []
    products = [body for body in bodies if wanted in body]  # others add up parts of the depth
    assert len(products) == 3 or not kernels, "a product without %s: %s" % (wanted, what)
    for body in bodies:
        assert "fma.rn" not in body, what
    for body in products:  # by copies, not element by element
        assert re.search(r"cp\.async\.(bulk\.tensor|cg)", body) and "ld.global.b16" not in body, what


for architecture in ARCHITECTURES:
    for rows, columns, pitch in ((20, 99, 104), (None, 99, 104), (70, 259, 264)):
        program = Program(text(rows, columns, pitch), architecture)
        check_assembly(program)
        for count in [rows] if rows else [17, 65]:
            check(program, count, columns, pitch)
