#===- gemm.py - Matrix products on GPUs against float64 ------------------------------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
#===---------------------------------------------------------------------------------------------===#
# RUN: %python %s
"""kernel.gemm and kernel.batch_gemm on odd sizes, all transposes and epilogues, strides, static and dynamic sizes.

Each kernel runs with two schedules of its warps, which must give the same bits; what strided arrays hold between their
rows must stay. Errors are bounded by those of a sum of K rounded products. Arguments: architectures to test (default:
sm_80 everything, sm_90a a sample)."""

import math
import sys

import numpy as np

from device import ARCHITECTURES, Program, bf16, check_close, from_bf16, function, output

rng = np.random.default_rng(7)
erf = np.vectorize(math.erf, otypes=[np.float64])
ACTIVATIONS = {
    "none": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "gelu_tanh": lambda x: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "gelu_erf": lambda x: 0.5 * x * (1 + erf(x / math.sqrt(2))),
    "silu": lambda x: x / (1 + np.exp(-x)),
}
EPSILON = {"f64": 2.0**-53, "f32": 2.0**-24, "f16": 2.0**-11, "bf16": 2.0**-8}  # half a unit in the last place of 1
DTYPE = {"f64": np.float64, "f32": np.float32, "f16": np.float16, "bf16": np.uint16}


def stored(values, element):
    return bf16(values) if element == "bf16" else np.asarray(values, DTYPE[element])


def read(array, element):
    return np.asarray(from_bf16(array) if element == "bf16" else array, np.float64)


class Operand:
    """A memref of a kernel: a whole array, or with `gap` a part of one whose rows are longer by it. With `skip`, where
    there are leading dimensions, so many rows more lie between the last row of one and the first of the next."""

    def __init__(self, name, shape, open_dims, element, gap=0, skip=0):
        self.name, self.shape, self.element, self.gap = name, list(shape), element, gap if len(shape) > 1 else 0
        self.skip = skip if len(shape) > 2 else 0
        self.open = open_dims  # dimensions that the type leaves open

    def type(self, shape, layout=""):
        dims = "".join(("?" if i in self.open else str(size)) + "x" for i, size in enumerate(shape))
        return "memref<%s%s%s>" % (dims, self.element, layout)

    @property
    def whole_shape(self):
        extra = [0] * (len(self.shape) - 1) + [self.gap]
        if self.skip:
            extra[-2] = self.skip
        return [size + more for size, more in zip(self.shape, extra)]

    def argument(self):
        return self.type(self.whole_shape)

    def view(self):
        """The text that makes the part, its name and its type."""
        if not self.gap:
            return "", "%" + self.name, self.argument()
        rank, offset = len(self.shape), self.gap // 2
        text, sizes = "", []
        for i, size in enumerate(self.shape):
            if i in self.open:
                assert i < rank - 1
                text += "%%%s_c%d = arith.constant %d : index\n  %%%s_d%d = memref.dim %%%s, %%%s_c%d : %s\n  " % (
                    self.name, i, i, self.name, i, self.name, self.name, i, self.argument())
                if i == rank - 2 and self.skip:
                    text += "%%%s_skip = arith.constant %d : index\n  %%%s_used = arith.subi %%%s_d%d, %%%s_skip : index\n  " % (
                        self.name, self.skip, self.name, self.name, i, self.name)
                    sizes.append("%%%s_used" % self.name)
                else:
                    sizes.append("%%%s_d%d" % (self.name, i))
            else:
                sizes.append(str(size))
        strides, known = ["1"], self.whole_shape[-1]
        for i in range(rank - 2, -1, -1):
            strides.insert(0, "?" if known is None else str(known))
            known = None if known is None or i in self.open else known * self.whole_shape[i]
        inferred = self.type(self.shape, ", strided<[%s], offset: %d>" % (", ".join(strides), offset))
        final = self.type(self.shape, ", strided<[%s1], offset: ?>" % ("?, " * (rank - 1)))
        text += "%%%s_part = memref.subview %%%s[%s] [%s] [%s] : %s to %s\n  " % (
            self.name, self.name, ", ".join(["0"] * (rank - 1) + [str(offset)]), ", ".join(sizes),
            ", ".join(["1"] * rank), self.argument(), inferred)
        if self.gap % 8:  # of some the type says all strides, of others none
            text += "%%%s_view = memref.cast %%%s_part : %s to %s\n  " % (self.name, self.name, inferred, final)
            return text, "%%%s_view" % self.name, final
        return text, "%%%s_part" % self.name, inferred

    def array(self, values=None):
        """A new array with `values` in its part; None: an output whose old contents must not matter."""
        if values is None and not self.gap:
            return output(self.whole_shape, DTYPE[self.element])
        array = stored(np.full(self.whole_shape, 768.0), self.element)  # which all types have
        self.part(array)[...] = stored(np.full(self.shape, np.nan) if values is None else values, self.element)
        return array

    def part(self, array):
        if self.skip:
            array = array[..., :self.shape[-2], :]
        return array[..., self.gap // 2:self.gap // 2 + self.shape[-1]]

    def values(self, array):
        return read(self.part(array), self.element)

    def check_gaps(self, array):
        if self.gap:
            gaps = np.array(read(array, self.element))
            self.part(gaps)[...] = 768.0
            assert (gaps == 768.0).all(), "%s was written between its rows" % self.name


class Case:
    """One kernel with its sizes; several `m` share a kernel where it is dynamic. `b`, `c` and so on name the element
    types of operands that differ from `element`."""

    batch = ()
    rounding = 0.0  # of each factor, relative to it

    def __init__(self, m, n, k, a=False, b=False, dynamic="", bias=False, residual=False, second=False,
                 accumulate=False, activation="none", element="f32", gap=0, skip=0, leading=None, elements=()):
        self.__dict__.update(locals())
        self.elements = dict(elements)
        self.sizes = m if isinstance(m, (list, tuple)) else [m]
        assert len(self.sizes) == 1 or "m" in dynamic

    def operands(self, m):
        def lead(size, name):
            if self.leading:
                return [self.leading, size // self.leading], name + name
            return [size], name
        (ms, mn), (ks, kn) = lead(m, "m"), lead(self.k, "k")
        a = (ks + [m], kn + "m") if self.a else (ms + [self.k], mn + "k")
        b = ([self.n, self.k], "nk") if self.b else (ks + [self.n], kn + "n") if self.a else ([self.k, self.n], "kn")
        c = ([m, self.n], "mn") if self.a else (ms + [self.n], mn + "n")
        shapes = {"a": a, "b": b}
        if self.bias:
            shapes["bias"] = ([self.n], "n")
        if self.residual:
            shapes["residual"] = c
        shapes["c"] = c
        if self.second:
            shapes["second"] = c
        return [self.operand(name, *shape) for name, shape in shapes.items()]

    def operand(self, name, shape, names):
        open_dims = {i for i, each in enumerate(names) if each in self.dynamic}
        return Operand(name, shape, open_dims, self.elements.get(name, self.element), self.gap, self.skip)

    def text(self, name):
        operands = self.operands(self.sizes[0])
        views = {operand.name: operand.view() for operand in operands}
        body = "".join(view[0] for view in views.values())
        flags = (["transpose_a"] if self.a else []) + (["transpose_b"] if self.b else [])
        flags += ["accumulate"] if self.accumulate else []
        if self.activation != "none":
            flags.append("activation = %d : i32" % list(ACTIVATIONS).index(self.activation))
        body += "kernel.%s %s, %s %s into %s {%s} : (%s) -> ()" % (
            self.op, views["a"][1], views["b"][1],
            " ".join("%s %s" % (extra, views[extra][1]) for extra in ("bias", "residual") if extra in views),
            ", ".join(views[each][1] for each in ("c", "second") if each in views), ", ".join(flags),
            ", ".join(view[2] for view in views.values()))
        return function(name, {operand.name: operand.argument() for operand in operands}, body)

    op = "gemm"

    def expected(self, values):
        """C, the second output, and the sums of magnitudes that bound their errors."""
        two = lambda x: x.reshape(math.prod(x.shape[:-1]), x.shape[-1])
        a, b = two(values["a"]), two(values["b"])
        a, b = (a.T if self.a else a), (b.T if self.b else b)
        wanted, size = a @ b, np.abs(a) @ np.abs(b)
        if self.bias:
            wanted, size = wanted + values["bias"], size + np.abs(values["bias"])
        before = wanted
        wanted = ACTIVATIONS[self.activation](wanted)
        for extra, used in (("residual", self.residual), ("c", self.accumulate)):
            if used:
                wanted, size = wanted + two(values[extra]), size + np.abs(two(values[extra]))
        return wanted, before, size

    def check(self, program, name, m):
        operands = self.operands(m)
        arrays = {}
        for operand in operands:
            read_too = operand.name not in ("c", "second") or (operand.name == "c" and self.accumulate)
            arrays[operand.name] = operand.array(rng.standard_normal(operand.shape) if read_too else None)
        values = {operand.name: operand.values(arrays[operand.name]) for operand in operands}
        wanted, before, size = self.expected(values)
        program.same_bits(name, *arrays.values())
        # A sum of K products, in any order, is off by K roundings of the sum of magnitudes at most; random signs
        # leave about the square root of that. Activations have slopes of up to 1.13. Results are rounded once more.
        compute = "f64" if self.element == "f64" else "f32"
        what = "%s %s m=%d" % (program.architecture,
                               {k: v for k, v in self.__dict__.items() if v and k not in ("self", "sizes")}, m)
        for operand in operands:
            operand.check_gaps(arrays[operand.name])
            if operand.name in ("c", "second"):
                result = wanted if operand.name == "c" else before
                bound = 2 * EPSILON[compute] * (4 + 2 * math.sqrt(self.k)) * (size + 1) + 2.01 * self.rounding * size
                if operand.element not in ("f32", "f64"):
                    bound = bound + 1.01 * EPSILON[operand.element] * np.abs(result)
                got = operand.values(arrays[operand.name]).reshape(result.shape)
                check_close("%s (%s)" % (what, operand.name), got, result, bound)


class Batch(Case):
    """A batch of products: `count` are its leading dimensions."""

    op = "batch_gemm"

    def __init__(self, count, m, n, k, **options):
        super().__init__(m, n, k, **options)
        self.count = list(count)

    def operands(self, m):
        letters = "x" * len(self.count)
        shapes = {"a": ([self.k, m], "km") if self.a else ([m, self.k], "mk"),
                  "b": ([self.n, self.k], "nk") if self.b else ([self.k, self.n], "kn"), "c": ([m, self.n], "mn")}
        return [self.operand(name, self.count + shape, letters + names) for name, (shape, names) in shapes.items()]

    def expected(self, values):
        a, b = values["a"], values["b"]
        a, b = (a.swapaxes(-1, -2) if self.a else a), (b.swapaxes(-1, -2) if self.b else b)
        return a @ b, None, np.abs(a) @ np.abs(b)


def cases():
    for n, k in [(1, 5), (3, 70), (17, 31), (64, 8), (65, 1)]:
        yield Case([1, 9, 66], n, k, dynamic="m", bias=True)
        yield Case([1, 9, 66], n, k, b=True, dynamic="m")
    for m, n, k in [(1, 3, 5), (5, 49, 57), (63, 17, 9), (70, 129, 33), (8, 48, 130), (9, 1, 1)]:
        yield Case(m, n, k, a=True)
    yield Case(60, 47, 70, a=True, accumulate=True)
    # All sizes dynamic; large tiles where there are many.
    yield Case([63, 1], 49, 31, dynamic="mnk", bias=True, residual=True)
    yield Case(5, 17, 70, b=True, dynamic="mnk", bias=True)
    yield Case(65, 50, 57, a=True, dynamic="mnk")
    yield Case([4100], 129, 9, dynamic="m", bias=True, activation="relu")
    yield Case(1025, 1030, 10, b=True)
    yield Case(1025, 1028, 10, a=True, accumulate=True)
    # The depth shared by several blocks.
    yield Case(130, 132, 520)
    yield Case(70, 130, 100, a=True, dynamic="k")
    yield Case(40, 50, 600, b=True, bias=True, residual=True, second=True, activation="silu")
    # Epilogues.
    for activation in ACTIVATIONS:
        yield Case([9], 52, 31, dynamic="m", bias=True, second=True, residual=True, activation=activation)
        yield Case([9], 49, 31, dynamic="m", bias=True, second=True, residual=True, activation=activation)
    # Leading dimensions, rows with gaps between them, of aligned and of odd lengths.
    yield Case([66], 49, 31, dynamic="m", leading=3, bias=True, residual=True)
    for gap in (8, 12, 5):
        yield Case([66], 52, 32, dynamic="m", leading=3, gap=gap, bias=True, second=True)
        yield Case(52, 32, 66, a=True, dynamic="k", leading=3, gap=gap, accumulate=True)
        yield Case(30, 32, 66, b=True, gap=gap, residual=True)
    # Leading dimensions that lie evenly, and that do not, where only the host sees which.
    for skip in (0, 2):
        yield Case([3, 66], 52, 32, dynamic="m", leading=3, gap=12, skip=skip, bias=True, residual=True)
    # Few rows, B as such and transposed, vectors of B and single elements.
    for m in (1, 3, 8):
        yield Case(m, 52, 264, bias=True, second=True, activation="gelu_tanh")
        yield Case(m, 51, 263, b=True, residual=True)
        yield Case(m, 52, 264, b=True, gap=8, accumulate=True)
    for element in ("bf16", "f16", "f64"):
        wide = "f64" if element == "f64" else "f32"
        for n, k in ((72, 520), (71, 77)):
            yield Case([1, 7], n, k, dynamic="m", element=element, elements={"c": wide}, bias=True)
            yield Case([1, 7], n, k, b=True, dynamic="m", element=element)
    yield Case([1, 7], 40, 72, b=True, dynamic="m", elements={"b": "bf16"})
    # Other elements.
    yield Case([2, 66], 49, 130, dynamic="m", element="f64", bias=True, residual=True, activation="relu")
    yield Case(49, 66, 70, a=True, element="f64", accumulate=True)
    yield Case(50, 66, 40, b=True, element="f64")
    for element in ("bf16", "f16"):
        yield Case(50, 66, 40, element=element, elements={"c": "f32"})
        yield Case(50, 66, 40, b=True, element=element, bias=True, second=True, elements={"bias": "f32"})
        yield Case(50, 66, 40, a=True, element=element, accumulate=True)
    yield Case(9, 20, 30, elements={"b": "bf16"}, residual=True)
    # Products by tensor cores: rows that begin at multiples of 16 bytes and that do not, ends of tiles in each direction.
    for element in ("bf16", "f16"):
        for flags in ({}, {"a": True}, {"b": True}):
            yield Case(66, 72, 40, element=element, elements={"c": "f32"}, **flags)
            yield Case(63, 130, 136, element=element, **flags)
            yield Case(9, 65, 1, element=element, **flags)
            yield Case([33, 130] if "a" not in flags else 130, 56, 168, dynamic="k" if "a" in flags else "m",
                       element=element, accumulate=True, **flags)
    for flags in ({}, {"b": True}):
        for gap in (8, 12, 5):
            yield Case([66], 72, 48, dynamic="m", leading=3, gap=gap, element="bf16", bias=True, second=True, **flags)
        for activation in ACTIVATIONS:
            yield Case(70, 88, 96, element="bf16", bias=True, second=True, residual=True, activation=activation,
                       elements={"second": "f32", "bias": "f32"}, **flags)
        # Sizes that only the host knows: rows lie as it finds them.
        yield Case(65, 72, 40, dynamic="mnk", element="bf16", bias=True, **flags)
        yield Case(65, 71, 41, dynamic="mnk", element="bf16", residual=True, **flags)
    yield Case(72, 40, 66, a=True, dynamic="k", leading=3, skip=2, gap=12, element="bf16", accumulate=True)
    # Large tiles; the depth shared by several blocks.
    yield Case([1030], 1032, 40, dynamic="m", element="bf16", bias=True)
    yield Case(1024, 1026, 33, b=True, element="bf16", elements={"c": "f32"})
    yield Case(1028, 1032, 40, a=True, element="f16", accumulate=True)
    yield Case(130, 136, 520, element="bf16", bias=True, activation="gelu_tanh")
    yield Case(136, 130, 520, a=True, element="bf16", elements={"c": "f32"}, accumulate=True)
    yield Case(40, 56, 608, b=True, element="f16", residual=True, second=True, activation="silu")
    # Batches.
    for flags in ({}, {"a": True}, {"b": True}, {"a": True, "b": True}):
        yield Batch([2, 3], 17, 49, 31, **flags)
        yield Batch([2, 3], 17, 52, 32, gap=8, **flags)
        yield Batch([5], [1, 70], 7, 30, dynamic="xmnk", **flags)
        yield Batch([2, 3], 66, 40, 72, element="bf16", **flags)
        yield Batch([3], 66, 40, 72, gap=8, element="bf16", elements={"c": "f32"}, **flags)
        yield Batch([5], [1, 70], 7, 30, dynamic="xmnk", element="f16", **flags)
    yield Batch([3], 9, 17, 5, dynamic="x", element="f64")
    yield Batch([66], 130, 7, 9)
    # No depth at all: C is the epilogue of zeros. No rows: nothing.
    yield Case(9, 49, 0, dynamic="k", bias=True)
    yield Case(9, 48, 0, dynamic="k", bias=True, element="bf16")
    yield Case([0, 2], 49, 3, dynamic="m", bias=True)


def main():
    everything = list(cases())
    for architecture in sys.argv[1:] or ARCHITECTURES:
        chosen = everything if architecture == "sm_80" or sys.argv[1:] else everything[::4]
        program = Program("".join(case.text("f%d" % i) for i, case in enumerate(chosen)), architecture)
        for i, case in enumerate(chosen):
            for m in case.sizes:
                case.check(program, "f%d" % i, m)
        print("%s: %d kernels" % (architecture, len(chosen)))


if __name__ == "__main__":
    main()
