#===- rotary.py - Rotary embedding and cache writes on GPUs, against float64 NumPy ----------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
#===---------------------------------------------------------------------------------------------===#
# RUN: %python %s
"""kernel.rotary at near and far positions, both pairings, forward and inverse; kernel.cache_append."""

import numpy as np

from device import ARCHITECTURES, Program, bf16, check_close, from_bf16, function, output

random = np.random.default_rng(5)
WIDTHS = (2, 6, 64)
FLAGS = {"half": "", "half_inverse": ", inverse", "pairs": ", interleaved", "pairs_inverse": ", interleaved, inverse"}


def rotary(name, width, flags, element="f32"):
    x = "memref<?x?x?x%dx%s>" % (width, element)
    return function(name, {"x": x, "offset": "memref<i32>", "y": x},
                    "kernel.rotary %%x offset %%offset into %%y {base = 1.0e+4%s} : (%s, memref<i32>, %s) -> ()" % (
                        flags, x, x))


TEXT = "".join(rotary("%s_%d" % (name, width), width, flags) for width in WIDTHS for name, flags in FLAGS.items())
TEXT += rotary("narrow", 32, "", "bf16")
TEXT += function("strided", {"whole": "memref<2x11x12x8xf32>", "offset": "memref<i32>", "y": "memref<2x11x4x8xf32>"}, """
  %x = memref.subview %whole[0, 0, 3, 0] [2, 11, 4, 8] [1, 1, 1, 1]
    : memref<2x11x12x8xf32> to memref<2x11x4x8xf32, strided<[1056, 96, 8, 1], offset: 24>>
  kernel.rotary %x offset %offset into %y {base = 5.0e+5}
    : (memref<2x11x4x8xf32, strided<[1056, 96, 8, 1], offset: 24>>, memref<i32>, memref<2x11x4x8xf32>) -> ()""")
TEXT += function("start", {"x": "memref<2x7x3x32xf32>", "y": "memref<2x7x3x32xf32>"}, """
  kernel.rotary %x into %y {base = 1.0e+4} : (memref<2x7x3x32xf32>, memref<2x7x3x32xf32>) -> ()""")
APPEND = "memref<?x?x2x17xf32>"
TEXT += function("append", {"x": APPEND, "offset": "memref<i32>", "cache": APPEND}, """
  kernel.cache_append %%x, %%offset into %%cache : (%s, memref<i32>, %s) -> ()""" % (APPEND, APPEND))
CACHE = "memref<?x?x2x24xbf16>"
for name, x in (("append_narrow", CACHE), ("append_rounded", "memref<?x?x2x24xf32>")):
    TEXT += function(name, {"x": x, "offset": "memref<i32>", "cache": CACHE}, """
  kernel.cache_append %%x, %%offset into %%cache : (%s, memref<i32>, %s) -> ()""" % (x, CACHE))


def reference(x, offset, base, interleaved, inverse):
    width, x = x.shape[-1], x.astype(np.float64)
    angle = (offset + np.arange(x.shape[1], dtype=np.float64))[:, None] * base ** (-2.0 * np.arange(width // 2) / width)
    c, s = np.cos(angle)[:, None, :], np.sin(angle)[:, None, :] * (-1 if inverse else 1)
    u, v = (x[..., 0::2], x[..., 1::2]) if interleaved else (x[..., :width // 2], x[..., width // 2:])
    pair = u * c - v * s, u * s + v * c
    return np.stack(pair, -1).reshape(x.shape) if interleaved else np.concatenate(pair, -1)


def normal(*shape):
    return random.standard_normal(shape).astype(np.float32)


def size(x):
    """Of pairs: cosine, sine and the two products are each rounded once, in units of 2^-24 of it."""
    return np.sqrt((x.astype(np.float64) ** 2).sum(-1, keepdims=True))


for architecture in ARCHITECTURES:
    program = Program(TEXT, architecture)
    for width in WIDTHS:
        for name, flags in FLAGS.items():
            for shape, offset in (((1, 1, 1, width), 0), ((2, 5, 3, width), 5), ((3, 3, 13, width), 1000000)):
                x, y = normal(*shape), output(shape)
                program("%s_%d" % (name, width), x, np.array(offset, np.int32), y)
                wanted = reference(x, offset, 10000.0, "interleaved" in flags, "inverse" in flags)
                check_close("%s %s at %d" % (name, shape, offset), y, wanted, 3 * 2.0**-24 * size(x))
    # Cosine and sine themselves, from x = (1, 0): within 2 ulp of the f64 value rounded to f32.
    x = np.zeros((1, 64, 1, 64), np.float32)
    x[..., :32] = 1.0
    for offset in (0, 4096, 995904):
        y = output(x.shape)
        program("half_64", x, np.array(offset, np.int32), y)
        wanted = reference(x, offset, 10000.0, False, False)
        check_close("cosine and sine at %d" % offset, y, wanted, 2 * np.spacing(np.abs(wanted).astype(np.float32)))
    x, y = bf16(normal(2, 3, 4, 32)), output((2, 3, 4, 32), np.uint16)
    program("narrow", x, np.array(7, np.int32), y)
    wanted = reference(from_bf16(x), 7, 10000.0, False, False)
    check_close("bf16", from_bf16(y), wanted, 2.0**-8 * np.abs(wanted) + 1e-6)
    whole, y = normal(2, 11, 12, 8), output((2, 11, 4, 8))
    program.same_bits("strided", whole, np.array(3, np.int32), y)
    check_close("strided", y, reference(whole[:, :, 3:7], 3, 500000.0, False, False), 1e-6)
    x, y = normal(2, 7, 3, 32), output((2, 7, 3, 32))
    program("start", x, y)
    check_close("without an offset", y, reference(x, 0, 10000.0, False, False), 2e-6)

    for batch, length, capacity, offset in ((1, 1, 1, 0), (3, 5, 9, 4), (2, 64, 100, 20)):
        x, cache = normal(batch, length, 2, 17), np.ones((batch, capacity, 2, 17), np.float32)
        program("append", x, np.array(offset, np.int32), cache)
        wanted = np.ones(cache.shape)
        wanted[:, offset:offset + length] = x
        check_close("cache", cache, wanted, 0)
        # A cache of bf16, of what is bf16 or has to be rounded.
        x = normal(batch, length, 2, 24)
        for name, given in (("append_narrow", bf16(x)), ("append_rounded", x)):
            cache = np.full((batch, capacity, 2, 24), 7, np.uint16)
            program(name, given, np.array(offset, np.int32), cache)
            wanted = np.full(cache.shape, 7, np.uint16)
            wanted[:, offset:offset + length] = bf16(x)
            assert (cache == wanted).all(), name

    for kernel, use in (program.assemble() or {}).items():
        assert use["spills"] == 0, "%s spills %d bytes" % (kernel, use["spills"])
