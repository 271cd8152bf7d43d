#===- rotary.py - Rotary embedding and cache writes against float64 NumPy -------------------------------===//
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
#===---------------------------------------------------------------------------------------------===//
# RUN: %python %s
"""kernel.rotary at near and far positions, both pairings, forward and inverse; kernel.cache_append."""

import numpy as np

from kernel_harness import Program, bf16, check_close, check_guards, from_bf16, guarded, runnable_cpus

random = np.random.default_rng(5)
WIDTHS = (2, 6, 32, 64, 128)


def function(name, width, flags, base=10000.0, layout="", element="f32"):
    x, y = "memref<?x?x?x%dx%s%s>" % (width, element, layout), "memref<?x?x?x%dx%s>" % (width, element)
    return """func.func @%s(%%x: %s, %%offset: memref<i32>, %%y: %s) {
      kernel.rotary %%x offset %%offset into %%y {base = %e%s} : (%s, memref<i32>, %s) -> ()
      return
    }\n""" % (name, x, y, base, "".join(", " + f for f in flags), x, y)


FLAGS = {"half": [], "half_inverse": ["inverse"], "pairs": ["interleaved"], "pairs_inverse": ["interleaved", "inverse"]}
TEXT = "".join(function("%s_%d" % (name, width), width, flags) for width in WIDTHS for name, flags in FLAGS.items())
TEXT += "".join(function(name + "_narrow", 38, flags, element="bf16") for name, flags in FLAGS.items())
TEXT += function("strided", 8, [], 500000.0, ", strided<[?, 96, 8, 1], offset: ?>")
TEXT += """
func.func @start(%x: memref<?x?x?x32xf32>, %y: memref<?x?x?x32xf32>) {
  kernel.rotary %x into %y {base = 1.0e+4} : (memref<?x?x?x32xf32>, memref<?x?x?x32xf32>) -> ()
  return
}
func.func @append(%x: memref<?x?x2x17xf32>, %offset: memref<i32>, %cache: memref<?x?x2x17xf32>) {
  kernel.cache_append %x, %offset into %cache : (memref<?x?x2x17xf32>, memref<i32>, memref<?x?x2x17xf32>) -> ()
  return
}
func.func @append_from_narrow(%x: memref<?x?x2x17xbf16>, %offset: memref<i32>, %cache: memref<?x?x2x17xbf16>) {
  kernel.cache_append %x, %offset into %cache : (memref<?x?x2x17xbf16>, memref<i32>, memref<?x?x2x17xbf16>) -> ()
  return
}
func.func @append_narrow(%x: memref<?x?x2x17xf32>, %offset: memref<i32>, %cache: memref<?x?x2x17xbf16>) {
  kernel.cache_append %x, %offset into %cache : (memref<?x?x2x17xf32>, memref<i32>, memref<?x?x2x17xbf16>) -> ()
  return
}
"""


def reference(x, offset, base, interleaved, inverse):
    width, x = x.shape[-1], x.astype(np.float64)
    angle = (offset + np.arange(x.shape[1], dtype=np.float64))[:, None] * base ** (-2.0 * np.arange(width // 2) / width)
    c, s = np.cos(angle)[:, None, :], np.sin(angle)[:, None, :] * (-1 if inverse else 1)
    u, v = (x[..., 0::2], x[..., 1::2]) if interleaved else (x[..., :width // 2], x[..., width // 2:])
    pair = u * c - v * s, u * s + v * c
    return np.stack(pair, -1).reshape(x.shape) if interleaved else np.concatenate(pair, -1)


def normal(*shape):
    return random.standard_normal(shape).astype(np.float32)


for cpu in runnable_cpus():
    program = Program(TEXT, cpu=cpu)
    for width in WIDTHS:
        for name, flags in FLAGS.items():
            for shape, offset in (((1, 1, 1, width), 0), ((2, 37, 3, width), 5), ((1, 9, 2, width), 1000000)):
                x, y = normal(*shape), guarded(shape)
                program.same_bits("%s_%d" % (name, width), x, np.array(offset, np.int32), y)
                check_guards(y)
                wanted = reference(x, offset, 10000.0, "interleaved" in flags, "inverse" in flags)
                # Cosine, sine and the two products are each rounded once: the size of the pair, in units of 2^-24.
                size = np.sqrt((x.astype(np.float64) ** 2).sum(-1, keepdims=True))
                check_close("%s %s at %d" % (name, shape, offset), y, wanted, 3 * 2.0**-24 * size)
    for name, flags in FLAGS.items():
        x, y = bf16(normal(2, 9, 3, 38)), guarded((2, 9, 3, 38), np.uint16)
        program.same_bits(name + "_narrow", x, np.array(5, np.int32), y)
        check_guards(y)
        wanted = reference(from_bf16(x), 5, 10000.0, "interleaved" in flags, "inverse" in flags)
        check_close(name + " in bf16", from_bf16(y), wanted, 2.0**-8 * np.abs(wanted) + 1e-6)
    # Cosine and sine themselves, from x = (1, 0): within 2 ulp of the f64 value rounded to f32.
    x = np.zeros((1, 4096, 1, 128), np.float32)
    x[..., :64] = 1.0
    for offset in (0, 4096, 995904):
        y = guarded(x.shape)
        program("half_128", x, np.array(offset, np.int32), y)
        wanted = reference(x, offset, 10000.0, False, False)
        check_close("cosine and sine at %d, %s" % (offset, cpu), y, wanted, 2 * np.spacing(np.abs(wanted).astype(np.float32)))
    whole = normal(2, 11, 12, 8)
    x, y = whole[:, :, 3:7], guarded((2, 11, 4, 8))
    program.same_bits("strided", x, np.array(3, np.int32), y)
    check_guards(y)
    check_close("strided", y, reference(x, 3, 500000.0, False, False), 1e-6)
    x, y = normal(2, 7, 3, 32), guarded((2, 7, 3, 32))
    program.same_bits("start", x, y)
    check_close("without an offset", y, reference(x, 0, 10000.0, False, False), 2e-6)

    for batch, length, capacity, offset in ((1, 1, 1, 0), (3, 5, 9, 4), (2, 64, 100, 20)):
        x, cache = normal(batch, length, 2, 17), guarded((batch, capacity, 2, 17), fill=1.0)
        program.same_bits("append", x, np.array(offset, np.int32), cache)
        check_guards(cache)
        wanted = np.ones(cache.shape)
        wanted[:, offset:offset + length] = x
        check_close("cache", cache, wanted, 0)

    x, cache = bf16(normal(2, 5, 2, 17)), guarded((2, 9, 2, 17), np.uint16, fill=7)
    program.same_bits("append_from_narrow", x, np.array(4, np.int32), cache)
    check_guards(cache)
    assert (cache[:, 4:] == x).all() and (cache[:, :4] == 7).all(), "rows of bf16 in a cache of bf16"

    # A cache of bf16: every number is rounded to nearest, ties to even; infinities, zeros and NaN stay what they are.
    bits = random.integers(0, 1 << 32, 3 * 61 * 2 * 17, np.uint64).astype(np.uint32)
    bits[::3] = bits[::3] & 0xFFFF0000 | 0x8000  # ties
    bits[1::7] &= 0x807FFFFF  # denormal numbers
    bits[:9] = 0, 1 << 31, 0x7F800000, 0xFF800000, 0x7F7FFFFF, 0x7F7F8000, 0x7F7F7FFF, 0x7FFFFFFF, 0xFF800001
    x, cache = bits.view(np.float32).reshape(3, 61, 2, 17), guarded((3, 70, 2, 17), np.uint16, fill=7)
    program.same_bits("append_narrow", x, np.array(4, np.int32), cache)
    check_guards(cache)
    got, wanted = cache[:, 4:65].astype(np.int64), bf16(x).astype(np.int64)
    isnan = np.isnan(x)
    assert ((got[isnan] & 0x7F80) == 0x7F80).all() and ((got[isnan] & 0x7F) != 0).all(), "a NaN became a number"
    assert (got[~isnan] == wanted[~isnan]).all(), "rounding to bf16"
    assert (cache[:, :4] == 7).all() and (cache[:, 65:] == 7).all(), "other rows of the cache"
