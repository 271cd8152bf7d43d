#===- gemm_region.py - Products with regions against float64 -------------------------------------===//
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
#===---------------------------------------------------------------------------------------------===//
# RUN: %python %s
"""kernel.gemm with a region: operands of all kinds and types, several outputs, outputs in the place of operands,
after bias, activation and residual; few rows and many, one block of K and several, odd sizes and K = 0.

As in gemm.py, kernels are called with 1 to 4 threads, arrays are surrounded by canaries, and errors are bounded by
those of a sum of K rounded products, times the slope of what the region makes of it, and of a few roundings more."""

import math
import sys

import numpy as np

from kernel_harness import Program, bf16, check_close, check_guards, from_bf16, guarded, runnable_cpus

rng = np.random.default_rng(11)
DTYPES = {"f32": np.float32, "f64": np.float64, "bf16": np.uint16, "i32": np.int32, "i16": np.int16}
sigmoid = lambda x: 1 / (1 + np.exp(-x))


def exact(array):
    return np.asarray(from_bf16(array) if array.dtype == np.uint16 else array, np.float64)


class Body:
    """A region: `operands` are (kind, type) with kind matrix, vector or scalar; `function(value, *operands)` gives for
    each output (result, its slope in value, sizes of what is added up in it). `place` says for an output in which
    operand's memory it lies. "T" is the type of the product."""

    def __init__(self, operands, outputs, text, function, place=None):
        self.operands, self.outputs, self.text, self.function = operands, outputs, text, function
        self.place = place or {}


SWIGLU = Body([("matrix", "T")], ["T", "T"], """
    %one = arith.constant 1.0 : T
    %0 = arith.negf %x0 : T
    %1 = math.exp %0 : T
    %2 = arith.addf %1, %one : T
    %3 = arith.divf %x0, %2 : T
    %4 = arith.mulf %3, %sum : T
    kernel.yield %4, %sum : T, T""", lambda s, g: [(g * sigmoid(g) * s, np.abs(g * sigmoid(g)), 0), (s, 1, 0)])
SWIGLU_IN_PLACE = Body([("matrix", "T")], ["T"], SWIGLU.text.replace("%4, %sum : T, T", "%4 : T"),
                       lambda s, g: [(g * sigmoid(g) * s, np.abs(g * sigmoid(g)), 0)], {0: 0})
SOFTCAP = Body([("scalar", "T")], ["T"], """
    %0 = arith.divf %sum, %x0 : T
    %1 = math.tanh %0 : T
    %2 = arith.mulf %1, %x0 : T
    kernel.yield %2 : T""", lambda s, c: [(c * np.tanh(s / c), 1, 0)])
# Of all kinds, one of them in bf16 and one that nothing reads.
MIXED = Body([("vector", "T"), ("matrix", "bf16"), ("scalar", "T"), ("matrix", "T")], ["T"], """
    %0 = arith.WIDE
    %1 = arith.mulf %sum, %x2 : T
    %2 = arith.mulf %0, %x0 : T
    %3 = arith.addf %1, %2 : T
    kernel.yield %3 : T""", lambda s, v, x, c, _: [(s * c + v * x, np.abs(c), np.abs(v * x))])
# SGD with momentum, as an update in the product that makes the gradient: parameter and moment in place.
UPDATE = Body([("matrix", "T"), ("matrix", "T"), ("scalar", "f64"), ("scalar", "f64")], ["T", "T"], """
    %rate = arith.RATE
    %beta = arith.BETA
    %0 = arith.mulf %x1, %beta : T
    %1 = arith.addf %0, %sum : T
    %2 = arith.mulf %1, %rate : T
    %3 = arith.subf %x0, %2 : T
    kernel.yield %3, %1 : T, T""", lambda s, p, m, rate, beta: [
    (p - rate * (beta * m + s), np.abs(rate), np.abs(p) + np.abs(rate * beta * m)), (beta * m + s, 1, np.abs(beta * m))],
    {0: 0, 1: 1})
# The second output lies where the first operand does, which the first output is made of.
SWAP = Body([("matrix", "T"), ("matrix", "T")], ["T", "T"], """
    %0 = arith.addf %sum, %x0 : T
    %1 = arith.addf %sum, %x1 : T
    kernel.yield %0, %1 : T, T""", lambda s, x, y: [(s + x, 1, np.abs(x)), (s + y, 1, np.abs(y))], {0: 1, 1: 0})
# To other types, and from integers.
CASTS = Body([("matrix", "i32"), ("matrix", "i16")], ["i32", "bf16", "T"], """
    %0 = arith.sitofp %x0 : i32 to T
    %1 = arith.sitofp %x1 : i16 to T
    %2 = arith.mulf %0, %1 : T
    %3 = arith.fptosi %2 : T to i32
    %4 = arith.addf %sum, %0 : T
    %5 = arith.NARROW
    kernel.yield %3, %5, %4 : i32, f32, T""", lambda s, x, y: [
    (x * y, 0, 0), (s + x, 1, np.abs(x)), (s + x, 1, np.abs(x))])


class Gemm:
    """One kernel with its sizes and its region. `fixed` turns on bias, activation and residual before the region."""

    def __init__(self, m, n, k, body, a=False, b=False, dynamic=False, fixed=False, element="f32", narrow=False, pitch=False):
        self.__dict__.update(locals())
        self.rows = m if isinstance(m, (list, tuple)) else [m]

    def resolve(self, text):
        t = self.element
        wide = "extf %x1 : f32 to f64" if t == "f64" else "mulf %x1, %x1 : f32"
        replaced = text.replace("arith.WIDE", "arith." + wide)
        for name, operand in (("RATE", "%x2"), ("BETA", "%x3")):
            replaced = replaced.replace("arith." + name, "arith.truncf %s : f64 to T" % operand if t == "f32" else
                                        "arith.mulf %%one64, %s : f64" % operand)
        replaced = replaced.replace("arith.NARROW", "arith.truncf %4 : f64 to f32" if t == "f64" else "arith.mulf %one32, %4 : f32")
        ones = "\n    %one64 = arith.constant 1.0 : f64\n    %one32 = arith.constant 1.0 : f32"
        return ones + "".join(" " + t if word == " T" else word for word in _words(replaced))

    def type_of(self, element):
        return self.element if element == "T" else element

    def stored(self, element):
        """What C's shape is stored in: bf16 instead of the product's type where asked."""
        return "bf16" if self.narrow and element == "T" else self.type_of(element)

    def memref(self, shape, element, pitch):
        dims = "".join(("?" if self.dynamic else str(size)) + "x" for size in shape)
        layout = ", strided<[?, 1], offset: ?>" if pitch and len(shape) == 2 else ""
        return "memref<%s%s%s>" % (dims, element, layout)

    def arguments(self, m):
        """(name, shape, stored type) of operands, in the order of the op; outputs in place are not among them."""
        c, factor = (m, self.n), self.stored("T")
        list_ = [("a", (self.k, m) if self.a else (m, self.k), factor),
                 ("b", (self.n, self.k) if self.b else (self.k, self.n), factor)]
        if self.fixed:
            list_ += [("bias", (self.n,), self.element), ("residual", c, factor)]
        for i, (kind, element) in enumerate(self.body.operands):
            shape = {"matrix": c, "vector": (self.n,), "scalar": ()}[kind]
            list_.append(("e%d" % i, shape, self.stored(element) if kind == "matrix" else self.type_of(element)))
        for i, element in enumerate(self.body.outputs):
            if i not in self.body.place:
                list_.append(("o%d" % i, c, self.stored(element)))
        return list_

    def text(self, name):
        typed = {n: self.memref(shape, t, self.pitch) for n, shape, t in self.arguments(self.rows[0])}
        extras = ["e%d" % i for i in range(len(self.body.operands))]
        outputs = ["e%d" % self.body.place[i] if i in self.body.place else "o%d" % i for i in range(len(self.body.outputs))]
        order = ["a", "b"] + (["bias", "residual"] if self.fixed else []) + extras + outputs
        wider = lambda t: "f32" if t == "bf16" else t
        blocks = ["%%sum: %s" % self.element] + ["%%x%d: %s" % (i, wider(self.type_of(t))) for i, (_, t) in enumerate(self.body.operands)]
        flags = (["transpose_a"] if self.a else []) + (["transpose_b"] if self.b else []) + (["activation = 1 : i32"] if self.fixed else [])
        return """func.func @%s(%s) {
  kernel.gemm %%a, %%b %s %s into %s {%s} : (%s) -> () epilogue (%s) {%s
  }
  return
}
""" % (name, ", ".join("%%%s: %s" % item for item in typed.items()), "bias %bias residual %residual" if self.fixed else "",
            "with " + ", ".join("%" + e for e in extras) if extras else "", ", ".join("%" + o for o in outputs), ", ".join(flags),
            ", ".join(typed[o] for o in order), ", ".join(blocks), self.resolve(self.body.text))

    def array(self, shape, element):
        pitch = shape[-1] + 5 if self.pitch and len(shape) == 2 else None
        if element[0] == "i":
            return guarded(shape, DTYPES[element], pitch, fill=rng.integers(-9, 9, shape).astype(DTYPES[element]))
        values = rng.standard_normal(shape)
        if not shape:
            values = np.abs(values) + 0.5
        return guarded(shape, DTYPES[element], pitch, fill=bf16(values).reshape(shape) if element == "bf16" else values)

    def check(self, program, name, m):
        arrays = {n: self.array(shape, t) for n, shape, t in self.arguments(m)}
        before = {n: exact(x).copy() for n, x in arrays.items()}
        a, b = (before["a"].T if self.a else before["a"]), (before["b"].T if self.b else before["b"])
        value, size = a @ b, np.abs(a) @ np.abs(b)
        if self.fixed:
            value = np.maximum(value + before["bias"], 0) + before["residual"]
            size = size + np.abs(before["bias"]) + np.abs(before["residual"])
        program.same_bits(name, *arrays.values())
        operands = [before["e%d" % i] for i in range(len(self.body.operands))]
        if self.body is MIXED and self.element == "f32":
            operands[1] = operands[1]**2
        eps = np.finfo(np.float32 if self.narrow or self.element == "f32" else np.float64).eps
        sums = eps * (4 + 2 * math.sqrt(self.k)) * (size + 1)
        for i, (wanted, slope, added) in enumerate(self.body.function(value, *operands)):
            array = arrays["e%d" % self.body.place[i] if i in self.body.place else "o%d" % i]
            stored = {np.dtype(np.uint16): 2.0**-8, np.dtype(np.float32): 2.0**-24}.get(array.dtype, 0.0)
            bound = sums * slope + 32 * eps * (np.abs(wanted) + added) + stored * np.abs(wanted)
            check_close("%s %s output %d" % (program.cpu, self.text(name), i), exact(array), wanted, bound)
        check_guards(*arrays.values())


def _words(text):
    import re
    return re.split(r"( T)\b", text)


def kernels():
    bodies = [SWIGLU, SWIGLU_IN_PLACE, SOFTCAP, MIXED, UPDATE, SWAP, CASTS]
    for body in bodies:
        # Static, few and many rows; B as such (its rows, then its columns) and transposed.
        for m in (1, 5, 13, 65):
            yield Gemm(m, 29, 37, body)
            yield Gemm(m, 29, 37, body, b=True)
        yield Gemm([2, 7, 8, 41], 51, 23, body, dynamic=True, pitch=True)
        yield Gemm([3, 17], 51, 23, body, b=True, dynamic=True)
        yield Gemm(31, 50, 19, body, a=True)
        # Several blocks of K, whose partial sums must not go where operands lie; none.
        yield Gemm(33, 29, 1700, body, pitch=True)
        yield Gemm(9, 1100, 1700, body, a=True)
        yield Gemm(19, 29, 1700, body, dynamic=True)
        yield Gemm([1, 9], 29, 0, body, dynamic=True)
        yield Gemm(9, 29, 0, body)
        # After what is fixed, in f64, stored in bf16.
        yield Gemm([3, 21], 45, 30, body, dynamic=True, fixed=True)
        yield Gemm(21, 45, 1700, body, fixed=True)
        yield Gemm(21, 45, 30, body, element="f64", b=True)
        yield Gemm(21, 45, 1100, body, element="f64", fixed=True)
        yield Gemm([3, 21], 45, 30, body, dynamic=True, narrow=True, pitch=True)
        yield Gemm(21, 45, 1700, body, narrow=True, fixed=True)
        yield Gemm(21, 1100, 900, body, a=True, narrow=True)


def run(chosen, **options):
    program = Program("".join(case.text("f%d" % i) for i, case in enumerate(chosen)), **options)
    for i, case in enumerate(chosen):
        for m in case.rows:
            case.check(program, "f%d" % i, m)
    print("%s %s: %d kernels, emitted in %.2f s, compiled in %.2f s" %
          (program.cpu, program.machine, len(chosen), program.emit_seconds, program.compile_seconds))


def main():
    cases = list(kernels())
    for cpu in sys.argv[1:] or runnable_cpus():
        run(cases if cpu in ("native", "x86-64-v3") and len(sys.argv) == 1 else cases[::3], cpu=cpu)
    for machine in ("tile-rows=1,tile-vectors=4,panel=4K,packed=64K", "tile-rows=8,tile-vectors=1,panel=8K"):
        run(cases[1::4], machine=machine)


main()
