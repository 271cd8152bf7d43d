# RUN: %python %s %S %t
"""Kernels of ours as nvcc compiles them, run by quern-emulate and compared with float64."""

import os
import sys

import numpy as np

from launching import Launcher, draw, expect, from_bfloat16, product_bound, random, to_bfloat16

kernels = sys.argv[1]
files = Launcher(sys.argv[2])
buffer, tensor, result = files.buffer, files.tensor, files.result


def emulate(kernel, options, *arguments):
    files.emulate(os.path.join(kernels, kernel + ".ptx"), options.split(), arguments)


def gemm_mma():
    m, n, k = 128, 64, 96
    a, b = draw(m, k), draw(n, k)
    emulate("gemm_mma", f"--grid {n // 64},{m // 64} --block 128", buffer("a", a), buffer("b", b),
            buffer("c", np.zeros((m, n), np.float32)), f"i32:{n}", f"i32:{k}")
    x, y = from_bfloat16(a), from_bfloat16(b)
    expect("gemm_mma", result("c", (m, n)), x @ y.T, product_bound(x, y))


def gemm_wgmma():
    m, n, k = 128, 64, 320
    a, b = draw(m, k), draw(n, k)
    emulate("gemm_wgmma", f"--grid {n // 64},{m // 64} --block 256 --shared 60000", tensor("a", a, (64, 64)),
            tensor("b", b, (64, 64)), tensor("c", np.zeros((m, n), np.uint16), (64, 64)), f"i32:{k}")
    x, y = from_bfloat16(a), from_bfloat16(b)
    exact = x @ y.T
    expect("gemm_wgmma", from_bfloat16(result("c", (m, n), np.uint16)), exact,
           product_bound(x, y) + 2.0**-8 * np.abs(exact))


def attention_registers():
    # Scores of moderate size.
    q, k, v = to_bfloat16(from_bfloat16(draw(64, 64)) / 8), draw(64, 64), draw(64, 64)
    emulate("attention_registers", "--block 128", tensor("q", q, (64, 64)), tensor("k", k, (64, 64)),
            tensor("v", v, (64, 64)), buffer("o", np.zeros((64, 64), np.float32)))
    x, y, z = from_bfloat16(q), from_bfloat16(k), from_bfloat16(v)
    scores = x @ y.T
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    weights /= weights.sum(axis=1, keepdims=True)
    # Weights are rounded to bf16; scores have an absolute error that exp makes a relative one.
    expect("attention_registers", result("o", (64, 64)), weights @ z,
           (weights * (2.0**-8 + 4 * product_bound(x, y))) @ np.abs(z))


def cluster_multicast():
    clusters = 2
    tile = random.standard_normal((clusters * 64, 64)).astype(np.float32)
    emulate("cluster_multicast", f"--grid {2 * clusters} --block 128",
            tensor("tile", tile, (64, 32), kind="f32", swizzle=""),
            buffer("sums", np.zeros((clusters, 2, 64), np.float32)))
    sums = result("sums", (clusters, 2, 64))
    exact = tile.astype(np.float64).reshape(clusters, 64, 64)
    for rank in range(2):
        expect("cluster_multicast", sums[:, rank], exact.sum(axis=1), 64 * 2.0**-24 * np.abs(exact).sum(axis=1))


def bulk_sum():
    # Whole numbers: blocks add them in any order.
    parts = random.integers(-1000, 1000, (5, 1024)).astype(np.float32)
    emulate("bulk_sum", "--grid 5 --block 128", buffer("parts", parts), buffer("total", np.zeros(1024, np.float32)))
    exact = parts.astype(np.float64)
    expect("bulk_sum", result("total", 1024), 2 * exact.sum(axis=0), 2 * 5 * 2.0**-24 * np.abs(exact).sum(axis=0))


for test in (gemm_mma, gemm_wgmma, attention_registers, cluster_multicast, bulk_sum):
    test()
