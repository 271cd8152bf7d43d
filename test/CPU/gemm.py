#===- gemm.py - Matrix products against float64 ------------------------------------------------===//
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
#===---------------------------------------------------------------------------------------------===//
# RUN: %python %s
"""kernel.gemm on odd sizes, all transposes and epilogues, strides, static and dynamic sizes.

Each kernel is called with 1 to 4 threads, which must give the same bits; arrays are surrounded by
canaries; errors are bounded by those of a sum of K rounded products. Arguments: processors to test
(default: all levels that this machine runs)."""

import math
import sys

import numpy as np

from kernel_harness import Program, bf16, check_close, check_guards, from_bf16, guarded, runnable_cpus

rng = np.random.default_rng(7)
erf = np.vectorize(math.erf, otypes=[np.float64])
ACTIVATIONS = {
    "none": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "gelu_tanh": lambda x: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "gelu_erf": lambda x: 0.5 * x * (1 + erf(x / math.sqrt(2))),
    "silu": lambda x: x / (1 + np.exp(-x)),
}


def memref(shape, dynamic, element, pitch=None):
    """The type of an array; `dynamic` dims are '?', a pitch gives rows a dynamic stride."""
    dims = "x".join("?" if i in dynamic else str(size) for i, size in enumerate(shape))
    layout = ""
    if pitch:
        strides = ["?"] * (len(shape) - 1) + ["1"]
        layout = ", strided<[%s], offset: ?>" % ", ".join(strides)
    return "memref<%s%s%s%s>" % (dims, "x" if shape else "", element, layout)


def operand(shape, narrow, dtype, pitch):
    """A guarded array of random numbers, in bf16 where `narrow`."""
    values = rng.standard_normal(shape)
    return guarded(shape, np.uint16 if narrow else dtype, pitch, fill=bf16(values) if narrow else values)


def exact(array):
    """The numbers of an array, as rows."""
    values = np.asarray(from_bf16(array) if array.dtype == np.uint16 else array, np.float64)
    return values.reshape(math.prod(values.shape[:-1]), values.shape[-1])


def rounding(array, wanted):
    """What storing `wanted` in an array of bf16 adds to its errors: once, whatever the depth."""
    return 2.0**-8 * np.abs(wanted) if array.dtype == np.uint16 else 0.0


class Gemm:
    """One kernel with its sizes; several `rows` share a kernel when M is dynamic. The operands that `narrow`
    names (a, b, bias, residual, c, second) are bf16."""

    def __init__(self, m, n, k, a=False, b=False, dynamic="", bias=False, residual=False, second=False,
                 accumulate=False, activation="none", element="f32", pitch=False, leading=None, narrow=""):
        self.__dict__.update(locals())
        self.rows = m if isinstance(m, (list, tuple)) else [m]
        assert len(self.rows) == 1 or "m" in dynamic

    def shapes(self, m):
        lead = (lambda size: [self.leading, size // self.leading]) if self.leading else (lambda size: [size])
        a = lead(self.k) + [m] if self.a else lead(m) + [self.k]
        b = [self.n, self.k] if self.b else (lead(self.k) if self.a else [self.k]) + [self.n]
        c = [m, self.n] if self.a else lead(m) + [self.n]
        return a, b, c

    def type(self, shape, names, element, pitch):
        dynamic = {i for i, name in enumerate(names) if name in self.dynamic}
        if self.leading and len(shape) == 3:  # the flattened size is dynamic: both of its dims are
            dynamic = ({0, 1} if names[0] in self.dynamic else set()) | ({2} if names[-1] in self.dynamic else set())
        return memref(shape, dynamic, element, pitch)

    def text(self, name):
        a, b, c = self.shapes(self.rows[0])
        of = lambda name: "bf16" if name in self.narrow else self.element
        typed = [("a", self.type(a, "km" if self.a else "mk", of("a"), self.pitch)),
                 ("b", self.type(b, "nk" if self.b else "kn", of("b"), self.pitch))]
        if self.bias:
            typed.append(("bias", self.type([self.n], "n", of("bias"), None)))
        like_c = lambda name: (name, self.type(c, "mn", of(name), self.pitch))
        if self.residual:
            typed.append(like_c("residual"))
        outputs = [like_c("c")] + ([like_c("second")] if self.second else [])
        flags = (["transpose_a"] if self.a else []) + (["transpose_b"] if self.b else [])
        flags += ["accumulate"] if self.accumulate else []
        flags.append("activation = %d : i32" % list(ACTIVATIONS).index(self.activation))
        return """func.func @%s(%s) {
  kernel.gemm %%a, %%b %s into %s {%s} : (%s) -> ()
  return
}
""" % (name, ", ".join("%%%s: %s" % item for item in typed + outputs),
            ("bias %bias " if self.bias else "") + ("residual %residual" if self.residual else ""),
            ", ".join("%" + item[0] for item in outputs), ", ".join(flags),
            ", ".join(item[1] for item in typed + outputs))

    def check(self, program, name, m):
        dtype = np.float32 if self.element == "f32" else np.float64
        def array(name, shape):
            return operand(shape, name in self.narrow, dtype, shape[-1] + 5 if self.pitch and len(shape) > 1 else None)
        a, b, c = (array(name, shape) for name, shape in zip("abc", self.shapes(m)))
        inputs = [a, b]
        a64, b64 = exact(a), exact(b)
        a64, b64 = (a64.T if self.a else a64), (b64.T if self.b else b64)
        wanted, size = a64 @ b64, np.abs(a64) @ np.abs(b64)
        if self.bias:
            inputs.append(array("bias", [self.n]))
            wanted, size = wanted + exact(inputs[-1]), size + np.abs(exact(inputs[-1]))
        pre = wanted
        wanted = ACTIVATIONS[self.activation](wanted)
        if self.residual:
            inputs.append(array("residual", c.shape))
            wanted = wanted + exact(inputs[-1])
            size = size + np.abs(exact(inputs[-1]))
        if self.accumulate:
            wanted, size = wanted + exact(c), size + np.abs(exact(c))
        else:
            c[...] = 0x7FC0 if c.dtype == np.uint16 else np.nan  # what it held must not matter
        outputs = [c] + ([array("second", c.shape)] if self.second else [])
        program.same_bits(name, *inputs, *outputs)
        what = "%s %s m=%d" % (program.cpu, {k: v for k, v in self.__dict__.items() if v and k not in ("self", "rows")}, m)
        # A sum of K products, in any order, is off by K roundings of the sum of magnitudes at most;
        # random signs leave about the square root of that. Activations have slopes of up to 1.13.
        bound = np.finfo(dtype).eps * (4 + 2 * math.sqrt(self.k)) * (size + 1)
        check_close(what, exact(c), wanted, bound + rounding(c, wanted))
        if self.second:
            check_close(what + " (second output)", exact(outputs[1]), pre, bound + rounding(outputs[1], pre))
        check_guards(*inputs, *outputs)


ROWS = [1, 2, 5, 7, 8, 9, 63, 257]


class BatchGemm:
    """One kernel.batch_gemm; `batch` is the sizes of the leading dimensions, "b" makes them dynamic."""

    def __init__(self, batch, m, n, k, a=False, b=False, dynamic="", element="f32", pitch=False, narrow=""):
        self.__dict__.update(locals())
        self.rows = m if isinstance(m, (list, tuple)) else [m]

    def shapes(self, m):
        swap = lambda rows, columns, flag: self.batch + ([columns, rows] if flag else [rows, columns])
        return swap(m, self.k, self.a), swap(self.k, self.n, self.b), self.batch + [m, self.n]

    def text(self, name):
        names = ["km" if self.a else "mk", "nk" if self.b else "kn", "mn"]
        types = [memref(shape, {i for i, d in enumerate("b" * len(self.batch) + name) if d in self.dynamic},
                        "bf16" if operand in self.narrow else self.element, self.pitch)
                 for shape, name, operand in zip(self.shapes(self.rows[0]), names, "abc")]
        flags = (["transpose_a"] if self.a else []) + (["transpose_b"] if self.b else [])
        return """func.func @%s(%%a: %s, %%b: %s, %%c: %s) {
  kernel.batch_gemm %%a, %%b into %%c {%s} : (%s) -> ()
  return
}
""" % (name, *types, ", ".join(flags), ", ".join(types))

    def check(self, program, name, m):
        dtype = np.float32 if self.element == "f32" else np.float64
        shapes, pitch = self.shapes(m), lambda shape: shape[-1] + 5 if self.pitch else None
        arrays = [operand(shape, name in self.narrow, dtype, pitch(shape)) for name, shape in zip("abc", shapes)]
        program.same_bits(name, *arrays)
        a64, b64, c64 = (exact(array).reshape(array.shape) for array in arrays)
        a64, b64 = (a64.swapaxes(-1, -2) if self.a else a64), (b64.swapaxes(-1, -2) if self.b else b64)
        bound = np.finfo(dtype).eps * (4 + 2 * math.sqrt(self.k)) * (np.abs(a64) @ np.abs(b64) + 1)
        check_close("%s batch %s" % (program.cpu, self.__dict__), c64, a64 @ b64, bound + rounding(arrays[2], a64 @ b64))
        check_guards(*arrays)


def kernels():
    # Dynamic rows: few and many rows through one kernel; every width and depth once.
    for n, k in [(1, 5), (3, 770), (17, 31), (47, 2), (48, 1), (49, 31), (129, 770)]:
        yield Gemm(ROWS, n, k, dynamic="m", bias=True)
        yield Gemm(ROWS, n, k, b=True, dynamic="m")
    for m, n, k in [(1, 3, 5), (5, 49, 257), (63, 17, 9), (257, 129, 63), (8, 48, 770), (9, 1, 1)]:
        yield Gemm(m, n, k, a=True)
    yield Gemm(129, 47, 770, a=True, accumulate=True)
    # Static rows.
    for m in (1, 7, 8, 63):
        yield Gemm(m, 49, 31, residual=True)
        yield Gemm(m, 49, 31, b=True, accumulate=True)
    # All sizes dynamic.
    yield Gemm(63, 49, 31, dynamic="mnk", bias=True, residual=True)
    yield Gemm(5, 17, 770, b=True, dynamic="mnk", bias=True)
    yield Gemm(65, 50, 1537, a=True, dynamic="mnk")
    yield Gemm([1, 63], 49, 1537, b=True, dynamic="mk", bias=True, activation="silu", second=True)
    # Epilogues, in one block of K and in several.
    for activation in ACTIVATIONS:
        yield Gemm([2, 9], 49, 31, dynamic="m", bias=True, second=True, residual=True, activation=activation)
    yield Gemm([3, 65], 50, 1700, dynamic="m", bias=True, second=True, residual=True, activation="gelu_tanh")
    yield Gemm([3, 65], 50, 1700, b=True, dynamic="m", accumulate=True)
    # Leading dimensions, rows with gaps between them, f64.
    yield Gemm([6, 66], 49, 31, dynamic="m", leading=3, bias=True, residual=True)
    yield Gemm([6, 66], 49, 31, dynamic="m", leading=3, pitch=True, bias=True, second=True)
    yield Gemm(50, 31, 66, a=True, dynamic="k", leading=3, pitch=True)
    yield Gemm(30, 31, 66, b=True, pitch=True, accumulate=True)
    yield Gemm([2, 66], 49, 130, dynamic="m", element="f64", bias=True, residual=True, activation="relu")
    yield Gemm([2, 66], 49, 130, b=True, dynamic="m", element="f64")
    yield Gemm(49, 66, 130, a=True, element="f64", accumulate=True)
    # Batches.
    for flags in ({}, {"a": True}, {"b": True}, {"a": True, "b": True}):
        yield BatchGemm([2, 3], 17, 49, 31, **flags)
        yield BatchGemm([2, 3], 17, 49, 31, pitch=True, **flags)
        yield BatchGemm([5], [1, 130], 7, 300, dynamic="bmnk", **flags)
    yield BatchGemm([3], 9, 17, 5, dynamic="b", element="f64")
    # No depth at all: C is the epilogue of zeros.
    yield Gemm(9, 49, 0, dynamic="k", bias=True)
    yield Gemm([2, 9], 49, 0, dynamic="m", bias=True)
    # Few rows: several ranges of K, several strips of columns, one vector more and one less.
    for n, k in [(48, 900), (4097, 130), (64, 770), (65, 771)]:
        yield Gemm([1, 3], n, k, dynamic="m", bias=True)
    # Factors of bf16, which is exact: the bounds are those of f32. Few and many rows, edges of both kinds.
    for n, k in [(3, 770), (48, 64), (49, 31), (4097, 130)]:
        yield Gemm([1, 3, 9, 63], n, k, dynamic="m", bias=True, narrow="b")
        yield Gemm([1, 3, 9, 63], n, k, b=True, dynamic="m", residual=True, narrow="b")
    yield Gemm([2, 63], 49, 31, dynamic="mnk", narrow="b")
    yield Gemm([2, 66], 49, 130, dynamic="m", leading=2, pitch=True, narrow="ab")
    yield Gemm([2, 66], 49, 130, b=True, dynamic="m", pitch=True, narrow="ab", bias=True, activation="silu")
    yield Gemm(63, 17, 257, a=True, narrow="ab", accumulate=True)
    for flags in ({}, {"a": True}, {"b": True}):
        yield BatchGemm([2, 3], 17, 49, 31, narrow="b", **flags)
    yield BatchGemm([3], 17, 49, 33, narrow="ab", pitch=True)
    # C and what is added to it in bf16: it is rounded once, also from several blocks of K and in several strips of
    # columns; few rows and many, all sizes static and none.
    all_narrow = ["a", "b", "bias", "residual", "c", "second"]
    for n, k in [(49, 31), (49, 1700)]:
        yield Gemm([2, 65], n, k, dynamic="m", bias=True, second=True, residual=True, activation="gelu_tanh", narrow=all_narrow)
        yield Gemm([2, 65], n, k, b=True, dynamic="m", pitch=True, bias=True, residual=True, narrow=["a", "c"])
        yield Gemm(65, n, k, narrow=["c", "residual"], residual=True)
        yield Gemm(65, n, k, a=True, accumulate=True, narrow="abc")
        yield Gemm(9, n, k, dynamic="mnk", second=True, activation="silu", narrow=["b", "second"])
    yield Gemm(9, 2100, 900, b=True, narrow="ac")
    yield Gemm([3, 9], 1100, 900, dynamic="mnk", bias=True, narrow="ac")
    for flags in ({}, {"a": True}, {"b": True}):
        yield BatchGemm([2], 17, 49, 31, narrow="abc", **flags)
        yield BatchGemm([2], 17, 300, 300, narrow="ac", **flags)
        yield BatchGemm([5], [1, 130], 300, 300, dynamic="bmnk", narrow="bc", **flags)
    # More rows than one chunk of packed A holds.
    yield Gemm(1500, 5, 900, dynamic="m")
    yield Gemm(1500, 5, 900, a=True)
    yield Gemm(1500, 5, 900, dynamic="m", narrow="ac")


def pairs():
    """A and B in bf16, which processors with AVX512-BF16 multiply by pairs along K: K odd, even and 1, in one block
    and in several; edges of both kinds; C in either type."""
    for n, k in [(1, 1), (3, 770), (17, 31), (48, 2), (49, 33), (129, 64), (50, 1537), (49, 3203)]:
        yield Gemm([2, 8, 9, 65], n, k, dynamic="m", bias=True, narrow="ab")
        yield Gemm([2, 8, 9, 65], n, k, b=True, dynamic="m", narrow="abc")
        yield Gemm(67, n, k, a=True, narrow="ab")
        yield Gemm(8, n, k, a=True, narrow="abc", accumulate=True)
    for m in (9, 63):
        yield Gemm(m, 49, 31, residual=True, narrow="ab")
        yield Gemm(m, 49, 34, b=True, accumulate=True, narrow="ab")
    # All sizes dynamic: whether K is odd is found out as it comes.
    for k in (1, 30, 31, 1537):
        yield Gemm([1, 63], 49, k, dynamic="mnk", bias=True, residual=True, narrow="ab")
        yield Gemm([1, 63], 49, k, b=True, dynamic="mnk", narrow=["a", "b", "c", "second"], second=True, activation="silu")
        yield Gemm(65, 50, k, a=True, dynamic="mnk", narrow="ab")
    yield Gemm(9, 49, 0, dynamic="k", bias=True, narrow="ab")
    # Rows at odd places with gaps between them, leading dimensions, strips of columns.
    yield Gemm([6, 66], 49, 31, dynamic="m", leading=3, pitch=True, bias=True, second=True, narrow="ab")
    yield Gemm(50, 31, 66, a=True, dynamic="k", leading=3, pitch=True, narrow="ab")
    yield Gemm(30, 31, 65, b=True, pitch=True, accumulate=True, narrow="ab")
    yield Gemm(9, 2100, 3301, b=True, narrow="abc")
    yield Gemm(9, 1100, 3301, dynamic="mnk", bias=True, narrow="abc")
    yield Gemm(1500, 5, 1801, dynamic="m", narrow="ab")
    yield Gemm(1500, 5, 1801, a=True, narrow="ab")
    for flags in ({}, {"a": True}, {"b": True}, {"a": True, "b": True}):
        yield BatchGemm([2, 3], 17, 49, 31, narrow="ab", **flags)
        yield BatchGemm([2, 3], 17, 49, 2, narrow="abc", pitch=True, **flags)
        yield BatchGemm([5], [1, 130], 300, 601, dynamic="bmnk", narrow="abc", **flags)
    # One factor alone in bf16 is no pair.
    yield Gemm(9, 49, 31, narrow="a")
    yield Gemm(9, 49, 31, b=True, narrow="b")


def run(cases, cpu="native", machine="", emulated=False):
    program = Program("".join(case.text("f%d" % i) for i, case in enumerate(cases)), cpu, machine=machine, emulated=emulated)
    for i, case in enumerate(cases):
        for m in case.rows:
            case.check(program, "f%d" % i, m)
    return program


def main():
    cases = list(kernels())
    for cpu in sys.argv[1:] or runnable_cpus():
        # The native tiles and those of v3 try everything; of the others a sample will do.
        chosen = cases[::3] if cpu in ("x86-64-v2", "x86-64-v4") and len(sys.argv) == 1 else cases
        program = run(chosen, cpu)
        print("%s: %d kernels, emitted in %.2f s, compiled in %.2f s" %
              (cpu, len(chosen), program.emit_seconds, program.compile_seconds))
    # Other tiles than those of the model: narrow ones in many blocks of K and chunks of A, tall ones.
    for machine in ("tile-rows=1,tile-vectors=4,panel=4K,packed=64K", "tile-rows=8,tile-vectors=1,panel=8K"):
        run(cases[1::4], machine=machine)
    # By pairs, with the instruction or with what stands in for it, and not by pairs.
    cases = list(pairs())
    run(cases, machine="dot=bf16")
    run(cases[::4], machine="dot=none")
    run(cases[1::4], machine="dot=bf16,tile-rows=1,tile-vectors=4,panel=4K,packed=64K")
    run(cases[2::4], machine="dot=bf16,tile-rows=8,tile-vectors=1,panel=8K")
    run(cases[3::4], "x86-64-v2", "dot=bf16")
    # As emitted for processors that have it. AVX-512's own instructions for activations are not emulated.
    plain = [case for case in cases if getattr(case, "activation", "none") == "none"]
    run(plain[::2], "znver4", emulated=True)
    run(plain[1::4], "sapphirerapids", "tile-rows=16,tile-vectors=1,panel=8K", emulated=True)


main()
