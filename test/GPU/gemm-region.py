#===- gemm-region.py - Products with regions on GPUs against float64 -----------------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
#===---------------------------------------------------------------------------------------------===#
# RUN: %python %s
"""kernel.gemm with a region, in all emitters: few rows, multiply-adds, tensor cores of both kinds, parts of the depth
that are added up. The region reads a matrix, a vector and numbers of two types, writes its first output in the place
of the matrix, and hands on the value as the second."""

import numpy as np

from device import Program, bf16, check_close, from_bf16, function, output

rng = np.random.default_rng(13)
EPSILON = {"f64": 2.0**-53, "f32": 2.0**-24, "bf16": 2.0**-8}
DTYPE = {"f64": np.float64, "f32": np.float32, "bf16": np.uint16}


class Case:
    """`fixed`: after bias, ReLU and a residual. Several `m` share a kernel where M is dynamic."""

    def __init__(self, m, n, k, flags="", fixed=False, element="f32", dynamic=False):
        self.__dict__.update(locals())
        self.sizes = m if isinstance(m, list) else [m]

    def shapes(self, m):
        a, b = (m, self.k), (self.k, self.n)
        shapes = {"a": a[::-1] if self.flags == "transpose_a" else a, "b": b[::-1] if self.flags == "transpose_b" else b}
        if self.fixed:
            shapes.update(bias=(self.n,), residual=(m, self.n))
        return dict(shapes, x=(m, self.n), v=(self.n,), s=(), t=(), y=(m, self.n))

    def element_of(self, name):
        return "f64" if name == "t" else "f32" if name in "vs" and self.element == "bf16" else self.element

    def text(self, name):
        types = {}
        for each, shape in self.shapes(self.sizes[0]).items():
            dims = ["?" if self.dynamic and i == 0 and each in ("a", "residual", "x", "y") else str(size) for i, size in enumerate(shape)]
            types[each] = "memref<%s>" % "x".join(dims + [self.element_of(each)])
        t = "f64" if self.element == "f64" else "f32"
        narrow = "arith.truncf %t0 : f64 to f32" if t == "f32" else "arith.addf %t0, %zero : f64"
        body = """kernel.gemm %%a, %%b %s with %%x, %%v, %%s, %%t into %%x, %%y {%s} : (%s) -> ()
      epilogue (%%sum: T, %%x0: T, %%v0: T, %%s0: T, %%t0: f64) {
    %%zero = arith.constant 0.0 : T
    %%t1 = %s
    %%0 = arith.addf %%sum, %%v0 : T
    %%1 = arith.mulf %%0, %%x0 : T
    %%2 = arith.mulf %%1, %%s0 : T
    %%3 = arith.addf %%2, %%t1 : T
    kernel.yield %%3, %%sum : T, T
  }""" % ("bias %bias residual %residual" if self.fixed else "",
          ", ".join(([self.flags] if self.flags else []) + (["activation = 1 : i32"] if self.fixed else [])),
          ", ".join([types[each] for each in types if each != "y"] + [types["x"], types["y"]]), narrow)
        return function(name, types, body.replace(" T", " " + t))

    def check(self, program, name, m):
        arrays, values = {}, {}
        for each, shape in self.shapes(m).items():
            element = self.element_of(each)
            drawn = rng.standard_normal(shape)
            arrays[each] = output(shape, DTYPE[element]) if each == "y" else \
                bf16(drawn) if element == "bf16" else np.array(drawn, DTYPE[element])
            values[each] = self.read(arrays[each])
        a = values["a"].T if self.flags == "transpose_a" else values["a"]
        b = values["b"].T if self.flags == "transpose_b" else values["b"]
        wanted, size = a @ b, np.abs(a) @ np.abs(b)
        if self.fixed:
            wanted = np.maximum(wanted + values["bias"], 0) + values["residual"]
            size = size + np.abs(values["bias"]) + np.abs(values["residual"])
        program.same_bits(name, *arrays.values())
        half = EPSILON["f32" if self.element == "bf16" else self.element]
        bound = half * (4 + 2 * self.k**0.5) * (size + 1)
        slope = np.abs(values["x"] * values["s"])
        result = (wanted + values["v"]) * values["x"] * values["s"] + values["t"]
        more = 8 * half * ((size + np.abs(values["v"])) * slope + np.abs(values["t"]))
        for got, expected, error in (("x", result, bound * slope + more), ("y", wanted, bound)):
            check_close("%s: %s" % (self.text(name), got), self.read(arrays[got]), expected,
                        error + EPSILON[self.element] * np.abs(expected))

    def read(self, array):
        return np.array(from_bf16(array) if array.dtype == np.uint16 else array, np.float64)


def cases(architecture):
    if architecture == "sm_90a":
        # Tensor maps need aligned rows; small and large, with edges.
        for flags in ("", "transpose_b", "transpose_a"):
            yield Case(136, 144, 72, flags, element="bf16", fixed=flags == "")
        return
    yield Case([1, 5, 37], 45, 30, "transpose_b", dynamic=True)
    yield Case([3, 20], 44, 30, dynamic=True, fixed=True)
    yield Case(21, 33, 17, "transpose_a", fixed=True)
    yield Case(5, 33, 17, element="f64")
    yield Case(17, 33, 40, element="f64")
    # Blocks share the depth.
    yield Case(16, 20, 1100, "transpose_a")
    yield Case(16, 24, 1024, element="bf16")
    # Tensor cores, with rows that are aligned and that are not.
    for n, k in ((72, 64), (71, 43)):
        yield Case([2, 70], n, k, dynamic=True, element="bf16")
        yield Case(70, n, k, "transpose_b", element="bf16", fixed=True)
    yield Case(9, 31, 0)


def main():
    for architecture in ("sm_80", "sm_90a"):
        chosen = list(cases(architecture))
        program = Program("".join(case.text("f%d" % i) for i, case in enumerate(chosen)), architecture)
        for i, case in enumerate(chosen):
            for m in case.sizes:
                case.check(program, "f%d" % i, m)


main()
