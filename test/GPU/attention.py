#===- attention.py - Attention on GPUs, against float64 NumPy -------------------------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
#===-----------------------------------------------------------------------------------------------===#
# RUN: %python %s
"""kernel.attention and kernel.attention_backward: causal or not, offsets, grouped queries, masks, lengths, rows
without a visible key, odd sizes, slices of a fused tensor, static and dynamic sizes, f32, bf16 and f16."""

import sys

import numpy as np

from device import ARCHITECTURES, Program, bf16, check_close, from_bf16, function, output

random = np.random.default_rng(5)


class Case:
    """One signature (what is compiled) and the sizes it is called with: (B, T, S, offset)."""

    def __init__(self, sizes, H=2, G=None, D=16, E=None, causal=False, mask=None, lengths=False, offset=False,
                 lse=True, fused=False, static=False, shifted=False, decode=False, element="f32"):
        self.sizes, self.H, self.G, self.D, self.E = sizes, H, G or H, D, E or D
        self.causal, self.mask, self.lengths, self.offset = causal, mask, lengths, offset
        self.lse, self.fused, self.static = lse, fused, static
        # Slices of a flat tensor in which no row begins at a multiple of 4 bytes.
        self.shifted = shifted
        self.decode = decode                    # one query a sequence, known when compiling
        self.element = element
        self.backward = lse and not offset and not decode
        self.scale = 1 / np.sqrt(D)

    def __str__(self):
        return " ".join("%s=%s" % item for item in vars(self).items() if item[1] not in (None, False, True) or item[1])

    def uses_warp_groups(self, architecture, T, S):
        """Whether products are by wgmma: what TMA can copy, and enough queries."""
        return (architecture == "sm_90a" and self.element != "f32" and self.D % 16 == self.E % 16 == 0 and self.mask is None
                and not self.shifted and not self.decode and T > 64 and S > 0)

    def gradients_use_warp_groups(self, architecture, T, S):
        """The same of the gradients, which need enough keys as well, and registers for all of their widths."""
        return self.uses_warp_groups(architecture, T, S) and S > 64 and max(self.D, self.E) <= 128

    def types(self):
        """Of q, k, v, what is optional, o and lse, as the kernel sees them; `whole` where they are slices of it."""
        B, T, S = self.sizes[0][:3] if self.static else ("?", 1 if self.decode else "?", "?")
        four = lambda t, heads, width: "memref<%sx%sx%dx%dx%s>" % (B, t, heads, width, self.element)
        types = {"q": four(T, self.H, self.D), "k": four(S, self.G, self.D), "v": four(S, self.G, self.E)}
        if self.mask is not None:
            names = {"B": B, "H": self.H, "T": T, "S": S, "1": 1}
            types["mask"] = "memref<%sx%s>" % ("x".join(str(names[c]) for c in self.mask), self.element)
        if self.lengths:
            types["lengths"] = "memref<%sxi32>" % B
        if self.offset:
            types["offset"] = "memref<i32>"
        types["o"] = four(T, self.H, self.E)
        types["lse"] = "memref<%sx%dx%sxf32>" % (B, self.H, T)
        return types

    def slices(self, whole, names, types):
        """Ops that make `names` the three slices of %whole [B, T, 3, H, D]."""
        B, T = self.sizes[0][:2]
        if self.shifted:
            return self.shifted_slices(whole, names, types)
        sizes = (B, T, self.H, self.D) if self.static else ("%B", "%T", self.H, self.D)
        pitch = self.pitch()
        source = "memref<%s>" % "x".join(str(n) for n in (
            (B, T) if self.static else ("?", "?")) + (3, self.H, self.D, self.element))
        text = "" if self.static else """
  %%zero_%s = arith.constant 0 : index
  %%one_%s = arith.constant 1 : index
  %%B_%s = memref.dim %%%s, %%zero_%s : %s
  %%T_%s = memref.dim %%%s, %%one_%s : %s""" % ((whole,) * 5 + (source,) + (whole,) * 3 + (source,))
        for i, name in enumerate(names):
            offset = "offset: %d" % (i * self.H * self.D)
            types[name] = "memref<%s, strided<[%s, %d, %d, 1], %s>>" % (
                "x".join(str(n) for n in ((B, T) if self.static else ("?", "?")) + (self.H, self.D, self.element)),
                T * pitch if self.static else "?", pitch, self.D, offset)
            text += "\n  %%%s = memref.subview %%%s[0, 0, %d, 0, 0] [%s, %s, 1, %s, %s] [1, 1, 1, 1, 1] : %s to %s" % (
                name, whole, i, *(str(n).replace("%B", "%B_" + whole).replace("%T", "%T_" + whole) for n in sizes),
                source, types[name])
        return source, text

    def pitch(self):
        """Elements from one row of the fused tensor to the next."""
        return 3 * self.H * self.D + (2 if self.shifted else 0)

    def flat_size(self):
        B, T = self.sizes[0][:2]
        return 1 + B * T * self.pitch()

    def shifted_slices(self, whole, names, types):
        B, T = self.sizes[0][:2]
        source, text = "memref<%dx%s>" % (self.flat_size(), self.element), ""
        for i, name in enumerate(names):
            offset, strides = 1 + i * self.H * self.D, (T * self.pitch(), self.pitch(), self.D, 1)
            types[name] = "memref<%dx%dx%dx%dx%s, strided<[%d, %d, %d, %d], offset: %d>>" % (
                B, T, self.H, self.D, self.element, *strides, offset)
            text += "\n  %%%s = memref.reinterpret_cast %%%s to offset: [%d], sizes: [%d, %d, %d, %d], strides: [%d, %d, %d, %d] : %s to %s" % (
                name, whole, offset, B, T, self.H, self.D, *strides, source, types[name])
        return source, text

    def fused_views(self, array):
        """The three slices of the array that holds them."""
        B, T = self.sizes[0][:2]
        if self.shifted:
            array = array[1:].reshape(B, T, self.pitch())[..., :3 * self.H * self.D].reshape(B, T, 3, self.H, self.D)
        return [array[:, :, i] for i in range(3)]

    def text(self, name):
        types = self.types()
        dense = dict(types)
        extra = [e for e in ("mask", "lengths", "offset") if e in types]
        outputs = ["o"] + (["lse"] if self.lse else [])
        attributes = "{%sscale = %r}" % ("causal, " if self.causal else "", float(self.scale))
        optional = "".join(" %s %%%s" % (e, e) for e in extra)
        body, inputs = "", {n: dense[n] for n in ("q", "k", "v")}
        if self.fused:
            source, body = self.slices("whole", ("q", "k", "v"), types)
            inputs = {"whole": source}
        operands = ["q", "k", "v"] + extra + outputs
        body += "\n  kernel.attention %%q, %%k, %%v%s into %s %s : (%s) -> ()" % (
            optional, ", ".join("%" + o for o in outputs), attributes, ", ".join(types[n] for n in operands))
        text = function(name, {**inputs, **{n: types[n] for n in extra + outputs}}, body)
        if not self.backward:
            return text
        types.update(g=dense["o"], d=dense["lse"], dq=dense["q"], dk=dense["k"], dv=dense["v"])
        body, gradients = "", {n: types[n] for n in ("dq", "dk", "dv")}
        if self.fused:
            source, body = self.slices("whole", ("q", "k", "v"), types)
            more = self.slices("gradients", ("dq", "dk", "dv"), types)
            body, gradients = body + more[1], {"gradients": source}
        operands = ["q", "k", "v", "o", "lse", "g"] + extra + ["dq", "dk", "dv", "d"]
        body += "\n  kernel.attention_backward %%q, %%k, %%v, %%o, %%lse, %%g%s into %%dq, %%dk, %%dv, %%d %s : (%s) -> ()" % (
            optional, attributes, ", ".join(types[n] for n in operands))
        return text + function(name + "_backward", {
            **inputs, **{n: types[n] for n in ["o", "lse", "g"] + extra}, **gradients, "d": types["d"]}, body)


def reference(case, q, k, v, mask, lengths, offset, g):
    """O, log-sum-exp, the three gradients and D, in f64."""
    repeat = case.H // case.G
    q, k, v = (np.asarray(x, np.float64) for x in (q, k, v))
    kk, vv = np.repeat(k, repeat, 2), np.repeat(v, repeat, 2)
    scores = np.einsum("bthd,bshd->bhts", q, kk) * case.scale
    B, H, T, S = scores.shape
    if mask is not None:
        scores = scores + np.asarray(mask, np.float64)
    visible = np.ones((B, 1, T, S), bool)
    if case.causal:
        visible &= np.arange(S) <= offset + np.arange(T)[:, None]
    if lengths is not None:
        visible &= np.arange(S) < np.asarray(lengths)[:, None, None, None]
    scores = np.where(visible, scores, -np.inf)
    largest = scores.max(-1, keepdims=True) if S else np.full((B, H, T, 1), -np.inf)
    largest = np.where(np.isneginf(largest), 0, largest)
    p = np.exp(scores - largest)
    total = p.sum(-1, keepdims=True)
    with np.errstate(all="ignore"):
        lse = (np.log(total) + largest)[..., 0]
        p = np.where(total == 0, 0, p / total)
    o = np.einsum("bhts,bshe->bthe", p, vv)
    g = np.asarray(g, np.float64)
    dv = np.einsum("bhts,bthe->bshe", p, g)
    dp = np.einsum("bthe,bshe->bhts", g, vv)
    d = np.einsum("bthe,bthe->bht", g, o)
    ds = p * (dp - d[..., None]) * case.scale
    dq = np.einsum("bhts,bshd->bthd", ds, kk)
    dk = np.einsum("bhts,bthd->bshd", ds, q)
    sum_heads = lambda x: x.reshape(B, S, case.G, repeat, x.shape[-1]).sum(3)
    return o, lse, dq, sum_heads(dk), sum_heads(dv), d


class Numbers:
    """Arrays in the case's storage type, and what they hold."""

    def __init__(self, case):
        self.element = case.element
        # Half a unit in the last place, once for what is stored and once for P and dS, which pass through 16 bits.
        self.epsilon = {"bf16": 2.0**-8, "f16": 2.0**-11, "f32": 0}[case.element]
        self.dtype = {"bf16": np.uint16, "f16": np.float16, "f32": np.float32}[case.element]

    def normal(self, shape):
        return self.store(random.standard_normal(shape))

    def store(self, x):
        return bf16(x) if self.element == "bf16" else np.ascontiguousarray(x, self.dtype)

    def output(self, shape):
        return output(shape, self.dtype)

    def value(self, x):
        return np.asarray(from_bf16(x) if self.element == "bf16" else x, np.float64)


def check_kernels(what, program, by_groups):
    """Products of what ran last are those of warp groups, of what TMA copies, or none is."""
    if kernels := program.kernels():
        ptx = "".join(kernels[launched] for launched in program.launched())
        used = ["wgmma.mma_async" in ptx, "cp.async.bulk.tensor" in ptx, by_groups and "mma.sync" not in ptx]
        assert used == [by_groups] * 3, "%s ran %s" % (what, program.launched())


def check(program, name, case, B, T, S, offset):
    what = "%s, %s at B=%d T=%d S=%d offset=%d:" % (program.architecture, case, B, T, S, offset)
    H, G, D, E, n = case.H, case.G, case.D, case.E, Numbers(case)
    if case.fused:
        shape = (case.flat_size(),) if case.shifted else (B, T, 3, H, D)
        inputs = [n.normal(shape)]
        q, k, v = map(n.value, case.fused_views(inputs[0]))
    else:
        inputs = [n.normal(shape) for shape in ((B, T, H, D), (B, S, G, D), (B, S, G, E))]
        if case.offset:
            # Memory behind the last visible key may hold anything.
            for x in inputs[1:]:
                x[:, offset + T:] = n.store(np.float32(np.nan))
        q, k, v = (n.value(x) for x in inputs)
    o, g, lse, d = n.output((B, T, H, E)), n.normal((B, T, H, E)), output((B, H, T)), output((B, H, T))
    extra, mask, lengths = [], None, None
    if case.mask is not None:
        mask = random.standard_normal(tuple({"B": B, "H": H, "T": T, "S": S, "1": 1}[c] for c in case.mask))
        if mask.ndim and mask.shape[-1] > 2:
            mask[..., 1] = -np.inf           # a hidden key
            mask[..., 0] = -3e38             # almost hidden
        extra.append(n.store(mask))
        mask = n.value(extra[0])
    if case.lengths:
        lengths = np.array([(i * 7 + 3) % (S + 2) - 1 for i in range(B)], np.int32)  # -1 and 0 as well
        lengths[-1] = 0 if B > 1 else S
        extra.append(lengths)
    if case.offset:
        extra.append(np.array(offset, np.int32))
    program.same_bits(name, *inputs, *extra, o, *([lse] if case.lse else []))
    check_kernels(what, program, case.uses_warp_groups(program.architecture, T, S))
    seen = slice(0, min(S, offset + T)) if case.offset else slice(None)
    wanted = reference(case, q, k[:, seen], v[:, seen], mask, lengths, offset, n.value(g))
    size = np.abs(v[:, seen]).max(initial=1)
    check_close(what + " o", n.value(o), wanted[0], (3e-6 + 2 * n.epsilon) * size)
    if case.lse:
        empty = np.isneginf(wanted[1])
        assert (np.isneginf(lse) == empty).all(), what + " log-sum-exp of rows without a key"
        check_close(what + " log-sum-exp", np.where(empty, 0, lse), np.where(empty, 0, wanted[1]),
                    2e-6 * (1 + np.abs(np.where(empty, 0, wanted[1]))))
    if not case.backward:
        return
    # What the backward pass reads is what the forward pass stored.
    stored = n.store(wanted[0]), np.ascontiguousarray(wanted[1], np.float32)
    if case.fused:
        # Between slices that are shifted there is memory that stays as it is.
        gradients = n.normal(shape) if case.shifted else n.output(shape)
        around = gradients.copy()
        results = [gradients]
    else:
        results = dq, dk, dv = [n.output(x.shape) for x in inputs]
    program.same_bits(name + "_backward", *inputs, *stored, g, *extra, *results, d)
    check_kernels(what, program, case.gradients_use_warp_groups(program.architecture, T, S))
    if case.fused:
        dq, dk, dv = (x.copy() for x in case.fused_views(gradients))
        for x, y in zip(case.fused_views(gradients), case.fused_views(around)):
            x[...] = y
        assert not case.shifted or gradients.tobytes() == around.tobytes(), what + " wrote between the slices"
    for label, got, want in zip(("dq", "dk", "dv"), map(n.value, (dq, dk, dv)), wanted[2:]):
        largest = np.abs(want).max(initial=1)
        check_close("%s %s" % (what, label), got, want, 1e-5 * (1 + np.abs(want)) + 4 * n.epsilon * largest)
    check_close(what + " d", d, wanted[5], 1e-5 * (1 + np.abs(wanted[5])) + 2 * n.epsilon * E**0.5)


def cases():
    yield Case([(1, 1, 1, 0), (2, 3, 3, 0), (1, 33, 33, 0), (1, 131, 131, 0)], D=64, causal=True)
    yield Case([(1, 5, 9, 0), (2, 70, 45, 0)], H=3, D=16)
    yield Case([(2, 67, 67, 0)], H=3, D=64, causal=True, fused=True)
    yield Case([(1, 96, 96, 0)], H=2, D=32, causal=True, fused=True, static=True)
    yield Case([(1, 40, 40, 0), (1, 7, 7, 0)], H=8, G=4, D=8, causal=True)
    yield Case([(2, 21, 21, 0)], H=6, G=2, D=20, E=12, causal=True)
    yield Case([(1, 18, 18, 0)], H=1, D=1, E=3)
    yield Case([(1, 41, 77, 0)], H=1, D=100, E=72)
    yield Case([(1, 35, 35, 0)], H=2, G=1, D=256, causal=True)
    yield Case([(1, 70, 70, 0)], H=1, D=128, causal=True)
    yield Case([(3, 37, 70, 0)], H=2, D=24, lengths=True)
    yield Case([(5, 37, 37, 0)], H=2, D=24, lengths=True, causal=True)
    for mask in ("TS", "1S", "HTS", "B11S", "BHTS", "1HT1"):
        yield Case([(2, 19, 35, 0)], H=2, D=16, mask=mask)
    yield Case([(2, 35, 35, 0)], H=4, G=2, D=16, mask="BHTS", lengths=True, causal=True)
    yield Case([(1, 5, 40, 0), (1, 5, 40, 30), (2, 70, 190, 100)], H=2, D=32, causal=True, offset=True)
    yield Case([(1, 9, 9, 0)], H=2, D=32, causal=True, lse=False)
    # Decoding: pieces of keys, no key at all, more sequences than are split.
    yield Case([(2, 1, 1, 0), (2, 1, 64, 63), (1, 1, 1000, 999), (1, 1, 1000, 770)], H=6, G=2, D=64, causal=True,
               offset=True, lse=False, decode=True)
    yield Case([(35, 1, 40, 20), (1, 1, 500, 400)], H=4, G=4, D=8, causal=True, offset=True, lse=False, decode=True)
    yield Case([(3, 1, 400, 0), (1, 1, 17, 0)], H=6, G=3, D=20, E=36, decode=True)
    yield Case([(3, 1, 300, 0)], H=2, G=1, D=160, lengths=True, decode=True)
    yield Case([(2, 1, 290, 0)], H=4, G=2, D=16, mask="BHTS", lengths=True, decode=True)
    # bf16 by tensor cores: all tile sizes, masks, slices, widths that are no power of 2; and what they cannot take.
    yield Case([(1, 1, 1, 0), (1, 140, 140, 0)], H=1, D=64, causal=True, element="bf16")
    yield Case([(1, 67, 67, 0)], H=2, D=64, causal=True, fused=True, element="bf16")
    yield Case([(2, 20, 20, 0)], H=2, D=16, causal=True, fused=True, static=True, shifted=True, element="bf16")
    yield Case([(1, 70, 150, 0)], H=1, D=128, E=64, element="bf16")
    yield Case([(1, 70, 70, 0)], H=2, G=1, D=128, causal=True, lengths=True, element="bf16")
    yield Case([(1, 70, 90, 0)], H=1, D=32, E=256, static=True, element="bf16")
    yield Case([(1, 35, 35, 0)], H=1, D=48, E=80, element="bf16")
    yield Case([(2, 35, 35, 0)], H=4, G=2, D=16, mask="BHTS", lengths=True, causal=True, element="bf16")
    yield Case([(1, 5, 40, 30), (1, 70, 190, 100)], H=2, D=32, causal=True, offset=True, element="bf16")
    yield Case([(1, 20, 20, 0)], H=2, D=24, causal=True, element="bf16")
    # Queries of several heads after each other; keys that no query sees.
    yield Case([(1, 75, 75, 0)], H=4, G=2, D=32, causal=True, element="f16")
    yield Case([(3, 37, 70, 0)], H=2, D=64, lengths=True, element="f16")
    yield Case([(1, 20, 150, 0)], H=3, G=1, D=128, causal=True, element="bf16")
    yield Case([(1, 1, 300, 290)], H=8, G=2, D=64, causal=True, offset=True, decode=True, element="bf16")
    # By warp groups on sm_90a: tiles of keys that all queries see, that a causal mask hides in part or that begin before
    # the first key; fewer queries and keys than a tile; every width of tiles; what TMA cannot copy.
    yield Case([(1, 64, 64, 0), (1, 65, 1, 0), (1, 200, 390, 0)], H=1, D=64, element="bf16")
    yield Case([(1, 390, 390, 0)], H=2, G=1, D=64, causal=True, element="bf16")
    yield Case([(1, 260, 260, 0)], H=1, D=128, causal=True, fused=True, static=True, element="f16")
    yield Case([(1, 130, 400, 250), (1, 70, 300, 0)], H=1, D=128, causal=True, offset=True, element="bf16")
    yield Case([(4, 140, 200, 0)], H=2, G=1, D=64, lengths=True, causal=True, element="f16")
    yield Case([(3, 66, 300, 0)], H=1, D=128, lengths=True, element="bf16")
    yield Case([(1, 66, 140, 0)], H=1, D=48, E=80, element="bf16")
    yield Case([(1, 100, 230, 0)], H=1, D=192, E=160, causal=True, lse=False, element="bf16")
    yield Case([(1, 70, 130, 0)], H=1, D=256, element="f16")
    yield Case([(1, 70, 70, 0)], H=1, D=16, causal=True, fused=True, static=True, shifted=True, element="bf16")
    # More pieces of work than blocks.
    yield Case([(35, 65, 65, 0)], H=4, G=2, D=16, causal=True, lse=False, element="bf16")
    yield Case([(67, 65, 70, 0)], H=2, D=16, lse=False, element="bf16")


def check_places(architecture):
    """Slices at the end of a tensor whose length the host sees: TMA copies them where they begin at multiples of 16 bytes."""
    case = Case([(1, 70, 70, 0)], H=2, D=64, causal=True, element="bf16")
    B, T, _, _ = case.sizes[0]
    size, strides = B * T * case.pitch(), (T * case.pitch(), case.pitch(), case.D, 1)
    view = "memref<%dx%dx%dx%dxbf16, strided<[%d, %d, %d, %d], offset: ?>>" % (B, T, case.H, case.D, *strides)
    types = {"whole": "memref<?xbf16>", "o": case.types()["o"], "lse": case.types()["lse"]}
    body = """%zero = arith.constant 0 : index
  %length = memref.dim %whole, %zero : memref<?xbf16>"""
    for i, name in enumerate("qkv"):
        body += """
  %%before_%s = arith.constant %d : index
  %%offset_%s = arith.subi %%length, %%before_%s : index
  %%%s = memref.reinterpret_cast %%whole to offset: [%%offset_%s], sizes: [%d, %d, %d, %d], strides: [%d, %d, %d, %d] : memref<?xbf16> to %s""" % (
            name, size - i * case.H * case.D, name, name, name, name, B, T, case.H, case.D, *strides, view)
    body += "\n  kernel.attention %%q, %%k, %%v into %%o, %%lse {causal, scale = %r} : (%s) -> ()" % (
        float(case.scale), ", ".join([view] * 3 + [types["o"], types["lse"]]))
    program, n = Program(function("f", types, body), architecture), Numbers(case)
    for before in (0, 8, 3):
        whole, o, lse = n.normal((before + size,)), n.output((B, T, case.H, case.D)), output((B, case.H, T))
        program.same_bits("f", whole, o, lse)
        q, k, v = (n.value(whole[before:].reshape(B, T, 3, case.H, case.D)[:, :, i]) for i in range(3))
        wanted = reference(case, q, k, v, None, None, 0, np.zeros(q.shape))
        what = "%s, %d elements before the slices:" % (architecture, before)
        check_close(what + " o", n.value(o), wanted[0], (3e-6 + 2 * n.epsilon) * np.abs(v).max())
        check_close(what + " log-sum-exp", lse, wanted[1], 2e-6 * (1 + np.abs(wanted[1])))
        if kernels := program.kernels():
            used = any("wgmma" in kernels[name] for name in program.launched())
            assert used == (architecture == "sm_90a" and before % 8 == 0), what + " ran %s" % program.launched()


def main():
    for architecture in ARCHITECTURES:
        check_places(architecture)
        # All kernels on the first; on the others what is theirs, and of what they share with it a part.
        chosen = [case for i, case in enumerate(cases()) if architecture == ARCHITECTURES[0] or i % 6 == 0 or
                  any(case.uses_warp_groups(architecture, T, S) for _, T, S, _ in case.sizes)]
        program = Program("".join(case.text("f%d" % i) for i, case in enumerate(chosen)), architecture)
        for i, case in enumerate(chosen):
            for size in case.sizes:
                if "-v" in sys.argv:
                    print(architecture, case, size, flush=True)
                check(program, "f%d" % i, case, *size)
        for kernel, use in (program.assemble() or {}).items():
            assert use["spills"] == 0, "%s spills %d bytes" % (kernel, use["spills"])


if __name__ == "__main__":
    main()
