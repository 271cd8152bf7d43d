# RUN: %python %s %S %t
"""Kernels of ours as nvcc compiles them, run by quern-emulate and compared with float64."""

import os
import subprocess
import sys

import numpy as np

kernels, folder = sys.argv[1:]
os.makedirs(folder, exist_ok=True)
random = np.random.default_rng(0)


def path(name):
    return os.path.join(folder, name)


def to_bfloat16(x):
    """The nearest bf16 numbers as uint16, ties to even; all finite."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)


def from_bfloat16(x):
    return (x.astype(np.uint32) << 16).view(np.float32).astype(np.float64)


def draw(rows, columns):
    return to_bfloat16(random.standard_normal((rows, columns)).astype(np.float32))


def emulate(kernel, *arguments):
    """Runs one launch in turn and with two seeds; the results must not differ and nothing be found."""
    command = ["quern-emulate", os.path.join(kernels, kernel + ".ptx"), *arguments]
    outputs = [a.split(":")[-1] for a in arguments if "buffer:" in a or "tensor:" in a]
    before = {name: open(name, "rb").read() for name in outputs}
    results = []
    for schedule in ("0", "1", "2"):
        for name, contents in before.items():
            open(name, "wb").write(contents)
        run = subprocess.run(command + ["--schedule", schedule], stdout=subprocess.PIPE, text=True)
        assert run.returncode == 0, f"{kernel}, schedule {schedule}:\n{run.stdout}"
        results.append({name: open(name, "rb").read() for name in outputs})
    assert results[0] == results[1] == results[2], kernel


def buffer(name, values):
    values.tofile(path(name))
    return "buffer:" + path(name)


def tensor(name, values, kind, box, swizzle=128):
    values.tofile(path(name))
    rows, columns = values.shape
    return f"tensor:{kind},{columns}x{rows},{box[0]}x{box[1]},{swizzle}:{path(name)}"


def expect(what, result, exact, scale):
    """`scale` bounds the sum of the magnitudes that an element is made of: errors are in proportion to it."""
    error = np.max(np.abs(result - exact) / scale)
    assert np.isfinite(result).all() and error <= 1, (what, error)


def gemm_mma():
    m, n, k = 128, 64, 96
    a, b = draw(m, k), draw(n, k)
    emulate("gemm_mma", "--grid", f"{n // 64},{m // 64}", "--block", "128",
            "--argument", buffer("a", a), "--argument", buffer("b", b),
            "--argument", buffer("c", np.zeros((m, n), np.float32)),
            "--argument", f"i32:{n}", "--argument", f"i32:{k}")
    x, y = from_bfloat16(a), from_bfloat16(b)
    # Sums are cut to 24 bits after every 8 products.
    expect("gemm_mma", np.fromfile(path("c"), np.float32).reshape(m, n), x @ y.T,
           k / 8 * 2.0**-23 * (np.abs(x) @ np.abs(y).T))


def gemm_wgmma():
    m, n, k = 128, 64, 320
    a, b = draw(m, k), draw(n, k)
    emulate("gemm_wgmma", "--grid", f"{n // 64},{m // 64}", "--block", "256", "--shared", "60000",
            "--argument", tensor("a", a, "bf16", (64, 64)),
            "--argument", tensor("b", b, "bf16", (64, 64)),
            "--argument", tensor("c", np.zeros((m, n), np.uint16), "bf16", (64, 64)),
            "--argument", f"i32:{k}")
    x, y = from_bfloat16(a), from_bfloat16(b)
    exact = x @ y.T
    result = from_bfloat16(np.fromfile(path("c"), np.uint16).reshape(m, n))
    expect("gemm_wgmma", result, exact,
           k / 8 * 2.0**-23 * (np.abs(x) @ np.abs(y).T) + 2.0**-8 * np.abs(exact))


def attention_registers():
    q, k, v = draw(64, 64), draw(64, 64), draw(64, 64)
    # Scores of moderate size.
    q = to_bfloat16(from_bfloat16(q) / 8)
    emulate("attention_registers", "--block", "128",
            "--argument", tensor("q", q, "bf16", (64, 64)),
            "--argument", tensor("k", k, "bf16", (64, 64)),
            "--argument", tensor("v", v, "bf16", (64, 64)),
            "--argument", buffer("o", np.zeros((64, 64), np.float32)))
    x, y, z = from_bfloat16(q), from_bfloat16(k), from_bfloat16(v)
    scores = x @ y.T
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    weights /= weights.sum(axis=1, keepdims=True)
    # Weights are rounded to bf16; scores have an absolute error that exp makes a relative one.
    magnitude = np.abs(x) @ np.abs(y).T
    expect("attention_registers", np.fromfile(path("o"), np.float32).reshape(64, 64), weights @ z,
           (weights * (2.0**-8 + 32 * 2.0**-23 * magnitude)) @ np.abs(z))


def cluster_multicast():
    clusters = 2
    tile = random.standard_normal((clusters * 64, 64)).astype(np.float32)
    emulate("cluster_multicast", "--grid", str(2 * clusters), "--block", "128",
            "--argument", f"tensor:f32,64x{clusters * 64},64x32:" + buffer("tile", tile)[7:],
            "--argument", buffer("sums", np.zeros((clusters, 2, 64), np.float32)))
    sums = np.fromfile(path("sums"), np.float32).reshape(clusters, 2, 64)
    exact = tile.astype(np.float64).reshape(clusters, 64, 64)
    for rank in range(2):
        expect("cluster_multicast", sums[:, rank], exact.sum(axis=1),
               64 * 2.0**-24 * np.abs(exact).sum(axis=1))


def bulk_sum():
    parts = random.standard_normal((5, 1024)).astype(np.float32)
    emulate("bulk_sum", "--grid", "5", "--block", "128", "--argument", buffer("parts", parts),
            "--argument", buffer("total", np.zeros(1024, np.float32)))
    exact = parts.astype(np.float64)
    expect("bulk_sum", np.fromfile(path("total"), np.float32), 2 * exact.sum(axis=0),
           2 * 5 * 2.0**-24 * np.abs(exact).sum(axis=0))


for test in (gemm_mma, gemm_wgmma, attention_registers, cluster_multicast, bulk_sum):
    test()
