#===- rows.py - What is measured on a GPU ---------------------------------------------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
#===-----------------------------------------------------------------------------------------------===#
"""The rows of the table: kernels, as text with operands, and the sizes that peers.py needs for the same work.

Operations are counted as two for a multiply-add, of causal attention those that no mask hides, two and a half times as
many backward; bytes are what a single pass must move: each operand read or written once."""

GPT2 = "gpt --layers 12 --heads 12 --width 768 --context 1024 --vocabulary 50257".split()
SIZES = {"bf16": 2, "f32": 4, "f64": 8, "i32": 4}


class Operand:
    """`fill` is "normal", a number, "below N" (integers), or None for what is only written."""

    def __init__(self, element, shape, fill="normal"):
        self.element, self.shape, self.fill = element, tuple(shape), fill

    def type(self):
        return "memref<%s>" % "x".join([*map(str, self.shape), self.element])

    def bytes(self):
        count = SIZES[self.element]
        for size in self.shape:
            count *= size
        return count


class Row:
    """`op` names its operands by %NAME in their order. `amount` is in `unit` a run; `first` and `then` are goals: of the
    peer's speed, or of the memory's where the unit is bytes. `peer` is the kind of work and its sizes."""

    def __init__(self, name, op, operands, amount, unit, first, then, peer):
        self.name, self.op, self.operands = name, op, operands
        self.amount, self.unit, self.first, self.then, self.peer = amount, unit, first, then, peer
        # Bytes that memory must move.
        self.moved = amount if unit == "B" else sum(operand.bytes() for operand in operands.values())
        # Blocks that predict.py executes, as a multiple of its --sample, and whether even so it takes long.
        self.sample, self.isCostly = 1, peer[:3] == ["gemm", 65536, 50257]


def gemm(m, n, k, layout):
    a, b = ((k, m) if layout[0] == "t" else (m, k)), ((n, k) if layout[1] == "t" else (k, n))
    flags = {"nn": "", "nt": " {transpose_b}", "tn": " {transpose_a}"}[layout]
    operands = {"a": Operand("bf16", a), "b": Operand("bf16", b), "c": Operand("bf16", (m, n), None)}
    return Row("gemm %dx%dx%d %s" % (m, k, n, layout), "kernel.gemm %a, %b into %c" + flags, operands, 2.0 * m * n * k, "FLOP",
               0.8, 1.0, ["gemm", m, n, k, layout])


def attention(batch, length, heads, size):
    """Forward and backward."""
    for row in _attention(batch, length, heads, size):
        row.sample = 16  # the mask leaves some blocks much less to do than others
        yield row


def _attention(batch, length, heads, size):
    scale = " {causal, scale = %r}" % size**-0.5
    big, rows = (batch, length, heads, size), (batch, heads, length)
    inputs = {name: Operand("bf16", big) for name in "qkv"}
    seen = batch * heads * length * (length + 1) / 2
    name = "%d x %d, %d heads of %d" % (batch, length, heads, size)
    yield Row("attention " + name, "kernel.attention %q, %k, %v into %o, %lse" + scale,
              {**inputs, "o": Operand("bf16", big, None), "lse": Operand("f32", rows, None)}, 4 * seen * size, "FLOP", 0.8, 1.0,
              ["attention", batch, length, heads, size])
    # Scores that are no larger than the log-sum-exp, as in a softmax.
    more = {"o": Operand("bf16", big), "lse": Operand("f32", rows, 8), "g": Operand("bf16", big)}
    results = {**{name: Operand("bf16", big, None) for name in ("dq", "dk", "dv")}, "d": Operand("f32", rows, None)}
    yield Row("attention backward " + name, "kernel.attention_backward %q, %k, %v, %o, %lse, %g into %dq, %dk, %dv, %d" + scale,
              {**inputs, **more, **results}, 10 * seen * size, "FLOP", 0.7, 1.0, ["attention_backward", batch, length, heads, size])


def moving(name, op, operands, peer, twice=()):
    """A row in bytes: all operands once, those in `twice` read and written."""
    amount = sum(operand.bytes() for operand in operands.values()) + sum(operands[name].bytes() for name in twice)
    return Row(name, op, operands, amount, "B", 0.85, 0.92, peer)


def norms(rows, width):
    data, vector = (rows, width), (width,)
    name = "%d x %d" % data
    yield moving("layer norm bf16 " + name, "kernel.norm layer %x weight %w bias %b into %y {epsilon = 1.0e-5}",
                 {"x": Operand("bf16", data), "w": Operand("bf16", vector), "b": Operand("bf16", vector),
                  "y": Operand("bf16", data, None)}, ["norm", rows, width])
    yield moving("layer norm backward f32 " + name, "kernel.norm_backward layer %x, %g weight %w into %dx, %dw, %db {epsilon = 1.0e-5}",
                 {"x": Operand("f32", data), "g": Operand("f32", data), "w": Operand("f32", vector),
                  "dx": Operand("f32", data, None), "dw": Operand("f32", vector, None), "db": Operand("f32", vector, None)},
                 ["norm_backward", rows, width])


def cross_entropy(rows, vocabulary):
    operands = {"t": Operand("i32", (rows,), "below %d" % vocabulary), "n": Operand("f32", (), rows), "s": Operand("f32", (), 1),
                "l": Operand("f32", (), None), "x": Operand("bf16", (rows, vocabulary))}
    return moving("cross-entropy and gradient %d x %d" % (rows, vocabulary),
                  "kernel.cross_entropy_gradient %t, %n, %s into %l, %x {ignore_index = -1}", operands,
                  ["cross_entropy", rows, vocabulary], ["x"])


def adamw(count):
    scalars = dict(scale=1, rate=1e-3, beta1=0.9, beta2=0.999, epsilon=1e-8, step=10, decay=0.1)
    operands = {"g": Operand("f32", (count,)),
                **{name: Operand("f32" if name == "scale" else "f64", (), value) for name, value in scalars.items()},
                "p": Operand("f32", (count,)), "m": Operand("f32", (count,), 0.01), "v": Operand("f32", (count,), 0.01)}
    return moving("AdamW %d parameters" % count,
                  "kernel.adamw %g scale %scale options %rate, %beta1, %beta2, %epsilon, %step decay %decay into %p, %m, %v", operands,
                  ["adamw", count], ["p", "m", "v"])


def add(rows, width):
    operands = {"x": Operand("bf16", (rows, width)), "y": Operand("bf16", (rows, width)), "z": Operand("bf16", (rows, width), None)}
    type = operands["x"].type()
    return moving("add bf16 %d x %d" % (rows, width), """linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>,
    affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}
    ins(%%x, %%y : %s, %s) outs(%%z : %s) {
    ^bb0(%%a: bf16, %%b: bf16, %%c: bf16):
      %%r = arith.addf %%a, %%b : bf16
      linalg.yield %%r : bf16
    }""" % (type, type, type), operands, ["add", rows, width])


def text(row):
    """The program of a row, whose function is called f."""
    from device import function, kernel
    types = {name: operand.type() for name, operand in row.operands.items()}
    return function("f", types, row.op) if row.op.startswith("linalg") else kernel("f", row.op, types)


def rows(quick):
    """All kernels that are timed; with `quick`, small ones of each kind."""
    if quick:
        yield from (gemm(40, 72, 64, layout) for layout in ("nn", "nt", "tn"))
        yield from attention(1, 40, 2, 64)
        yield from norms(6, 96)
        yield from (cross_entropy(3, 260), adamw(1000), add(8, 96))
        return
    for size in (8192, 4096):
        yield from (gemm(size, size, size, layout) for layout in ("nn", "nt", "tn"))
    tokens = 65536
    for n, k in ((2304, 768), (768, 768), (3072, 768), (768, 3072)):
        yield gemm(tokens, n, k, "nn")
    yield gemm(tokens, 50257, 768, "nt")
    yield gemm(tokens, 768, 3072, "nt")
    yield gemm(768, 3072, tokens, "tn")
    for size in (64, 128):
        for length in (1024, 4096, 8192, 16384):
            yield from attention(16384 // length, length, 2048 // size, size)
    yield from norms(tokens, 768)
    yield from (cross_entropy(16384, 50257), adamw(124439808), add(tokens, 3072))
