#===- gemm_panels.py - Products with matrices in panels, against float64 ---------------------------===//
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
#===---------------------------------------------------------------------------------------------===//
# RUN: %python %s
"""kernel.gemm with panels_b and panels_c: panels of columns and of rows, read in place and across, whole ones and a
narrow last one, several blocks of K, few rows and many, f32, bf16 and f64; 1 to 4 threads give the same bits.
Arguments: processors to test (default: all levels that this machine runs)."""

import math
import re
import sys

import numpy as np

from kernel_harness import CompileError, Program, bf16, check_close, check_guards, from_bf16, guarded, runnable_cpus

rng = np.random.default_rng(11)


def to_panels(matrix, width, side):
    """The elements of a matrix in the order of `#kernel.panels<width side>`, as a matrix of the same shape."""
    columns = matrix.T if side == "rows" else matrix
    parts = [columns[:, first:first + width].ravel() for first in range(0, columns.shape[1], width)]
    return np.concatenate(parts).reshape(matrix.shape)


def from_panels(matrix, width, side):
    """The inverse of `to_panels`."""
    places = to_panels(np.arange(matrix.size).reshape(matrix.shape), width, side).ravel()
    result = np.empty(matrix.size, matrix.dtype)
    result[places] = matrix.ravel()
    return result.reshape(matrix.shape)


class Product:
    """One kernel; B is [k, n], or [n, k] where `b`, or C [m, n] = A^T B where `a`, in panels of `side`."""

    def __init__(self, m, n, k, side, a=False, b=False, dynamic=False, element="f32", type_b=None, accumulate=False,
                 epilogue=False):
        self.__dict__.update(locals())
        sizes = k if a else m
        self.rows = sizes if isinstance(sizes, list) else [sizes]

    def text(self, name, width):
        m = "?" if self.dynamic else self.m
        type_of = lambda element, *sizes: "memref<%sx%s>" % ("x".join(map(str, sizes)), element)
        depth = "?" if self.dynamic and self.a else self.k
        types = [type_of(self.element, *((depth, self.m) if self.a else (m, self.k))),
                 type_of(self.type_b or self.element, *((self.n, self.k) if self.b else (depth if self.a else self.k, self.n)))]
        if self.epilogue:
            types.append(type_of(self.element, self.n))
        types.append(type_of(self.element, self.m if self.a else m, self.n))
        flags = ["transpose_a"] * self.a + ["transpose_b"] * self.b + ["accumulate"] * self.accumulate
        flags += ["activation = 1 : i32"] * self.epilogue
        flags.append("panels_%s = #kernel.panels<%d %s>" % ("c" if self.a else "b", width, self.side))
        names = ["%a", "%b"] + ["%bias"] * self.epilogue + ["%c"]
        return "func.func @%s(%s) {\n  kernel.gemm %%a, %%b %s into %%c {%s} : (%s) -> ()\n  return\n}\n" % (
            name, ", ".join("%s: %s" % pair for pair in zip(names, types)), "bias %bias" if self.epilogue else "",
            ", ".join(flags), ", ".join(types))

    def check(self, program, name, size, width):
        dtype = np.float64 if self.element == "f64" else np.float32
        m, depth = (self.m, size) if self.a else (size, self.k)
        a = rng.standard_normal((depth, m) if self.a else (m, depth)).astype(dtype)
        b = rng.standard_normal((self.n, depth) if self.b else (depth, self.n)).astype(dtype)
        if self.type_b == "bf16":
            b = from_bf16(bf16(b))
        laid = b if self.a else to_panels(b, width, self.side)
        inputs = [guarded(a.shape, dtype, fill=a),
                  guarded(b.shape, np.uint16, fill=bf16(laid)) if self.type_b else guarded(b.shape, dtype, fill=laid)]
        a64, b64 = (x.astype(np.float64) for x in (a.T if self.a else a, b.T if self.b else b))
        wanted, size = a64 @ b64, np.abs(a64) @ np.abs(b64)
        if self.epilogue:
            bias = rng.standard_normal(self.n).astype(dtype)
            inputs.append(guarded(self.n, dtype, fill=bias))
            wanted, size = np.maximum(wanted + bias, 0), size + np.abs(bias)
        old = rng.standard_normal((m, self.n)).astype(dtype)
        c = guarded(old.shape, dtype, fill=to_panels(old, width, self.side) if self.accumulate else np.nan)
        if self.accumulate:
            wanted, size = wanted + old, size + np.abs(old)
        program.same_bits(name, *inputs, c)
        what = "%s %s" % (program.cpu, {k: v for k, v in self.__dict__.items() if v and k != "self"})
        got = from_panels(np.asarray(c), width, self.side) if self.a else np.asarray(c)
        check_close(what, got, wanted, np.finfo(dtype).eps * (4 + 2 * math.sqrt(depth)) * (size + 1))
        check_guards(*inputs, c)


def products(width):
    rows = [1, 3, 7, 8, 65]
    for n in (width, 3 * width, 2 * width + 5, 5 * width + width // 2):
        for k in (31, 1500):
            # Read in place: panels of the columns of op(B); across: of its rows, which are the depth.
            yield Product(rows, n, k, "columns", dynamic=True, epilogue=True)
            yield Product(rows, n, k, "rows", b=True, dynamic=True)
            yield Product(rows, k, n, "columns", b=True, dynamic=True)
            yield Product(rows, k, n, "rows", dynamic=True, epilogue=True)
            # Gradients.
            yield Product(k, n, 900 if k == 31 else 37, "columns", a=True)
            yield Product(k, n, 37, "rows", a=True, accumulate=True)
    # Of A^T B with a dynamic depth the sizes that `rows` lists are that.
    yield Product(40, 2 * width + 5, [0, 5, 40], "columns", a=True, dynamic=True)
    yield Product(40, 2 * width + 5, [5, 40, 900], "rows", a=True, dynamic=True, accumulate=True)
    for n in (2 * width, 2 * width + 5):
        yield Product([2, 30], n, 130, "columns", dynamic=True, type_b="bf16")
        yield Product([2, 30], n, 130, "rows", b=True, dynamic=True, type_b="bf16", epilogue=True)
        yield Product([2, 30], 130, n, "columns", b=True, dynamic=True, type_b="bf16")
    yield Product(1, 4 * width, 900, "columns")
    yield Product(64, 4 * width, 900, "columns")
    yield Product(64, 900, 4 * width, "columns", b=True)
    # One matrix over several chunks of packed A.
    yield Product(1500, width + 1, 900, "rows", b=True)


def width_of(cpu, machine, element):
    """The width of the tile, from the message that refuses another one."""
    text = Product(8, 8, 8, "columns", element=element).text("f", 1 << 20)
    try:
        Program(text, cpu, machine=machine)
    except CompileError as error:
        found = re.search(r"has panels of 1048576, and the tile of \S+ is (\d+) columns of '%s' wide" % element, str(error))
        assert found, error
        return int(found[1])
    raise AssertionError("panels wider than any tile were taken")


def run(cpu, machine="", step=1):
    width = width_of(cpu, machine, "f32")
    cases = list(products(width))[::step]
    double = width_of(cpu, machine, "f64")
    wide = [Product([2, 30], 2 * double + 1, 130, "columns", dynamic=True, element="f64"),
            Product(30, 2 * double + 1, 130, "rows", a=True, element="f64", accumulate=True)]
    texts = [case.text("f%d" % i, width) for i, case in enumerate(cases)]
    texts += [case.text("d%d" % i, double) for i, case in enumerate(wide)]
    program = Program("".join(texts), cpu, machine=machine)
    for letter, group, columns in (("f", cases, width), ("d", wide, double)):
        for i, case in enumerate(group):
            for size in case.rows:
                case.check(program, "%s%d" % (letter, i), size, columns)
    print("%s %s: %d kernels, panels of %d" % (cpu, machine, len(cases) + len(wide), width))


def main():
    for cpu in sys.argv[1:] or runnable_cpus():
        run(cpu, step=1 if cpu in ("native", "x86-64-v3") else 3)
    run("native", "tile-rows=1,tile-vectors=4,panel=4K,packed=64K", step=2)
    run("native", "tile-rows=8,tile-vectors=1,panel=8K", step=2)


main()
