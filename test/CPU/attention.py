#===- attention.py - Attention against float64 NumPy ----------------------------------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
#===-----------------------------------------------------------------------------------------------===#
# RUN: %python %s
"""kernel.attention, kernel.cached_attention and kernel.attention_backward: causal or not, offsets, grouped queries, masks, lengths, rows
without a visible key, odd sizes, slices of a fused tensor, static and dynamic sizes."""

import sys

import numpy as np

from kernel_harness import Program, bf16, check_close, check_guards, from_bf16, guarded, runnable_cpus

random = np.random.default_rng(5)


class Case:
    """One signature (what is compiled) and the sizes it is called with: (B, T, S, offset)."""

    def __init__(self, sizes, H=2, G=None, D=16, E=None, causal=False, mask=None, lengths=False, offset=False,
                 lse=True, fused=False, static=False, decode=False, append=False, narrow=()):
        self.sizes, self.H, self.G, self.D, self.E = sizes, H, G or H, D, E or D
        self.causal, self.mask, self.lengths, self.offset = causal, mask, lengths, offset
        self.lse, self.fused, self.static = lse, fused, static
        self.decode = decode                    # one query a sequence, known when compiling
        self.append = append                    # the cache takes the last key and value first
        self.narrow = set(narrow)               # operands and results of bf16; gradients are as what they belong to
        self.backward = lse and not offset and not decode
        self.scale = 1 / np.sqrt(D)

    def __str__(self):
        return " ".join("%s=%s" % item for item in vars(self).items() if item[1] not in (None, False, True) or item[1])

    def types(self):
        B, T, S = self.sizes[0][:3] if self.static else ("?", 1 if self.decode else "?", "?")
        def four(t, heads, width, element="f32"):
            layout = ""
            if self.fused:
                pitch = 3 * self.H * self.D
                layout = ", strided<[%s, %d, %d, 1], offset: ?>" % (t * pitch if self.static else "?", pitch, self.D)
            return "memref<%sx%sx%dx%dx%s%s>" % (B, t, heads, width, element, layout)
        of = lambda name: "bf16" if name in self.narrow else "f32"
        types = {"q": four(T, self.H, self.D, of("q")), "k": four(S, self.G, self.D, of("k")), "v": four(S, self.G, self.E, of("v"))}
        if self.mask is not None:
            names = {"B": B, "H": self.H, "T": T, "S": S, "1": 1}
            types["mask"] = "memref<%sxf32>" % "x".join(str(names[c]) for c in self.mask)
        if self.lengths:
            types["lengths"] = "memref<%sxi32>" % B
        if self.offset:
            types["offset"] = "memref<i32>"
        if self.append:
            types["key"] = four(1, self.G, self.D, of("k"))
            types["value"] = four(1, self.G, self.E, of("v"))
        types["o"] = four(T, self.H, self.E, of("o"))
        types["lse"] = "memref<%sx%dx%sxf32>" % (B, self.H, T)
        return types

    def text(self, name):
        t = self.types()
        extra = [e for e in ("mask", "lengths", "offset") if e in t]
        if self.append:
            inputs, outputs = ["q", "key", "value"] + extra, ["o", "k", "v"]
            return "func.func @%s(%s) {\n  kernel.cached_attention %%q, %%key, %%value%s into %%o, %%k, %%v {scale = %r} : (%s) -> ()\n  return\n}\n" % (
                name, ", ".join("%%%s: %s" % (n, t[n]) for n in inputs + outputs), "".join(" %s %%%s" % (e, e) for e in extra),
                float(self.scale), ", ".join(t[n] for n in inputs + outputs))
        inputs = ["q", "k", "v"] + extra
        outputs = ["o"] + (["lse"] if self.lse else [])
        attributes = "{%sscale = %r}" % ("causal, " if self.causal else "", float(self.scale))
        operands = "%q, %k, %v" + "".join(" %s %%%s" % (e, e) for e in extra)
        text = "func.func @%s(%s) {\n  kernel.attention %s into %s %s : (%s) -> ()\n  return\n}\n" % (
            name, ", ".join("%%%s: %s" % (n, t[n]) for n in inputs + outputs), operands,
            ", ".join("%" + o for o in outputs), attributes, ", ".join(t[n] for n in inputs + outputs))
        if not self.backward:
            return text
        t.update(g=t["o"], dq=t["q"], dk=t["k"], dv=t["v"], d=t["lse"])
        inputs = ["q", "k", "v", "o", "lse", "g"] + extra
        outputs = ["dq", "dk", "dv", "d"]
        operands = "%q, %k, %v, %o, %lse, %g" + "".join(" %s %%%s" % (e, e) for e in extra)
        return text + "func.func @%s_backward(%s) {\n  kernel.attention_backward %s into %s %s : (%s) -> ()\n  return\n}\n" % (
            name, ", ".join("%%%s: %s" % (n, t[n]) for n in inputs + outputs), operands,
            ", ".join("%" + o for o in outputs), attributes, ", ".join(t[n] for n in inputs + outputs))


def reference(case, q, k, v, mask, lengths, offset, g, stored):
    """O, log-sum-exp, the three gradients and D, in f64; D, and what follows from it, with O as it is stored."""
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
    d = np.einsum("bthe,bthe->bht", g, np.asarray(stored, np.float64))
    ds = p * (dp - d[..., None]) * case.scale
    dq = np.einsum("bhts,bshd->bthd", ds, kk)
    dk = np.einsum("bhts,bthd->bshd", ds, q)
    sum_heads = lambda x: x.reshape(B, S, case.G, repeat, -1).sum(3)
    return o, lse, dq, sum_heads(dk), sum_heads(dv), d


def normal(shape):
    return random.standard_normal(shape).astype(np.float32)


def array(shape, narrow, values=None):
    """A guarded array, in bf16 where `narrow`, with `values` or random numbers."""
    values = normal(shape) if values is None else values
    return guarded(shape, np.uint16, fill=bf16(values)) if narrow else guarded(shape, fill=values)


def exact(x):
    return from_bf16(x) if x.dtype == np.uint16 else x


def rounding(x, wanted):
    """What storing `wanted` in an array of bf16 adds to its errors."""
    return 2.0**-8 * np.abs(wanted) if x.dtype == np.uint16 else 0.0


def fused(B, T, H, D, narrow):
    """Three slices of one guarded [B, T, 3, H, D] tensor, and the tensor."""
    whole = array((B, T, 3, H, D), narrow)
    return [whole[:, :, i] for i in range(3)] + [whole]


def check(program, name, case, B, T, S, offset):
    what = "%s, %s at B=%d T=%d S=%d offset=%d:" % (program.cpu, case, B, T, S, offset)
    H, G, D, E = case.H, case.G, case.D, case.E
    shapes = {"q": (B, T, H, D), "k": (B, S, G, D), "v": (B, S, G, E), "o": (B, T, H, E)}
    if case.fused:
        q, k, v, whole = fused(B, T, H, D, "q" in case.narrow)
        dq, dk, dv, gradients = fused(B, T, H, D, "q" in case.narrow)
        o, g = fused(B, T, H, D, "o" in case.narrow)[:2]
        whole_guards = [whole, gradients]
    else:
        values = {name: normal(shape) for name, shape in shapes.items()}
        if case.offset:  # memory behind the last visible key may hold anything
            values["k"][:, offset + T:], values["v"][:, offset + T:] = np.nan, np.nan
        q, k, v, g = (array(shapes[x], x in case.narrow, values[x]) for x in "qkvo")
        dq, dk, dv, o = (guarded(x.shape, x.dtype) for x in (q, k, v, g))
        whole_guards = [q, k, v, dq, dk, dv, o, g]
    lse, d = guarded((B, H, T)), guarded((B, H, T))
    extra, mask, lengths = [], None, None
    if case.mask is not None:
        shape = tuple({"B": B, "H": H, "T": T, "S": S, "1": 1}[c] for c in case.mask)
        mask = normal(shape)
        if mask.ndim and mask.shape[-1] > 2:
            mask[..., 1] = -np.inf           # a hidden key
            mask[..., 0] = -3e38             # almost hidden
        mask = guarded(shape, fill=mask)
        extra.append(mask)
    if case.lengths:
        lengths = np.array([(i * 7 + 3) % (S + 2) - 1 for i in range(B)], np.int32)  # -1 and 0 as well
        lengths[-1] = 0 if B > 1 else S
        lengths = guarded((B,), np.int32, fill=lengths)
        extra.append(lengths)
    if case.offset:
        extra.append(guarded((), np.int32, fill=offset))
    if case.append:
        cache, row = [k.copy(), v.copy()], slice(offset, offset + 1)
        key, value = (array(x[:, row].shape, n in case.narrow, exact(x[:, row])) for n, x in (("k", k), ("v", v)))
        for x in (k, v):
            x[:, row] = bf16(np.float32(np.nan)) if x.dtype == np.uint16 else np.nan
        program.same_bits(name, q, key, value, *extra, o, k, v)
        check_guards(key, value)
        for x, wanted in zip((k, v), cache):
            assert (x.view(np.uint8) == wanted.view(np.uint8)).all(), what + " the cache"
    else:
        program.same_bits(name, q, k, v, *extra, o, *([lse] if case.lse else []))
    check_guards(*whole_guards, lse, *extra)
    seen = slice(0, min(S, offset + T)) if case.offset else slice(None)
    wanted = reference(case, exact(q), exact(k)[:, seen], exact(v)[:, seen], mask, lengths, offset, exact(g), exact(o))
    size = np.abs(np.asarray(exact(v)[:, seen], np.float64)).max(initial=1)
    check_close(what + " o", exact(o), wanted[0], 3e-6 * size + rounding(o, wanted[0]))
    if case.lse:
        empty = np.isneginf(wanted[1])
        assert (np.isneginf(lse) == empty).all(), what + " log-sum-exp of rows without a key"
        check_close(what + " log-sum-exp", np.where(empty, 0, lse), np.where(empty, 0, wanted[1]),
                    2e-6 * (1 + np.abs(np.where(empty, 0, wanted[1]))))
    if not case.backward:
        return
    program.same_bits(name + "_backward", q, k, v, o, lse, g, *extra, dq, dk, dv, d)
    check_guards(*whole_guards, lse, d, *extra)
    for label, got, want in zip(("dq", "dk", "dv", "d"), (dq, dk, dv, d), wanted[2:]):
        bound = 1e-5 * (1 + np.abs(want)) * max(1, T / 256) ** 0.5
        check_close("%s %s" % (what, label), exact(got), want, bound + rounding(got, want))


def cases():
    yield Case([(1, 1, 1, 0), (2, 3, 3, 0), (1, 33, 33, 0), (2, 64, 64, 0), (1, 131, 131, 0)], D=64, causal=True)
    yield Case([(1, 5, 9, 0), (2, 70, 45, 0), (1, 16, 130, 0)], H=3, D=16)
    yield Case([(2, 67, 67, 0)], H=3, D=64, causal=True, fused=True)
    yield Case([(1, 96, 96, 0)], H=2, D=32, causal=True, fused=True, static=True)
    yield Case([(1, 40, 40, 0), (1, 7, 7, 0)], H=8, G=4, D=8, causal=True)
    yield Case([(2, 21, 21, 0)], H=6, G=2, D=20, E=12, causal=True)
    yield Case([(1, 18, 18, 0)], H=1, D=1, E=3)
    yield Case([(1, 41, 77, 0)], H=1, D=100, E=72)
    yield Case([(1, 35, 35, 0)], H=2, G=1, D=256, causal=True)
    yield Case([(3, 37, 70, 0)], H=2, D=24, lengths=True)
    yield Case([(5, 37, 37, 0)], H=2, D=24, lengths=True, causal=True)
    for mask in ("TS", "1S", "HTS", "B11S", "BHTS", "1HT1"):
        yield Case([(2, 19, 35, 0)], H=2, D=16, mask=mask)
    yield Case([(2, 35, 35, 0)], H=4, G=2, D=16, mask="BHTS", lengths=True, causal=True)
    yield Case([(1, 5, 40, 0), (1, 5, 40, 30), (2, 70, 300, 100)], H=2, D=32, causal=True, offset=True)
    yield Case([(1, 9, 9, 0)], H=2, D=32, causal=True, lse=False)
    # Blocks of queries: one row less and more than one; units of 256 queries, and of 64 where there are few heads.
    yield Case([(1, 255, 255, 0), (1, 257, 257, 0), (1, 530, 530, 0)], H=1, D=64, causal=True)
    yield Case([(2, 513, 513, 0)], H=8, G=2, D=8, causal=True, static=True)
    yield Case([(1, 129, 129, 0)], H=2, D=128, causal=True, fused=True, static=True)
    yield Case([(2, 1, 1, 0), (2, 1, 64, 63), (1, 1, 300, 200)], H=6, G=2, D=64, causal=True, offset=True, lse=False)
    # Decoding: pieces of keys, more sequences than one round takes, no key at all.
    yield Case([(2, 1, 1, 0), (2, 1, 64, 63), (1, 1, 1000, 999), (1, 1, 1000, 770)], H=6, G=2, D=64, causal=True,
               offset=True, lse=False, decode=True)
    yield Case([(35, 1, 40, 20), (1, 1, 500, 400)], H=4, G=4, D=8, causal=True, offset=True, lse=False, decode=True)
    yield Case([(3, 1, 400, 0), (1, 1, 17, 0)], H=6, G=3, D=20, E=36, decode=True)
    yield Case([(9, 1, 300, 0)], H=2, G=1, D=160, lengths=True, decode=True)
    yield Case([(2, 1, 290, 0)], H=4, G=2, D=16, mask="BHTS", lengths=True, decode=True)
    # What is appended is in the last piece of keys, or in one before it, or hidden by lengths.
    yield Case([(2, 1, 1, 0), (2, 1, 64, 63), (1, 1, 1000, 999), (1, 1, 2200, 2099), (35, 1, 140, 128)], H=6, G=2, D=64,
               causal=True, offset=True, lse=False, decode=True, append=True)
    yield Case([(1, 1, 700, 512)], H=3, G=3, D=20, E=36, causal=True, offset=True, lse=False, decode=True, append=True)
    yield Case([(5, 1, 300, 200)], H=2, G=1, D=24, causal=True, offset=True, lengths=True, lse=False, decode=True, append=True)
    yield Case([(1, 1, 500, 499)], H=4, G=4, D=8, causal=True, offset=True, lse=False, decode=True, append=True, static=True)
    yield Case([(3, 1, 300, 129)], H=4, G=2, D=32, causal=True, offset=True, lse=False, decode=True, append=True, narrow="kv")
    # A cache of bf16, which is widened exactly.
    yield Case([(1, 5, 40, 30), (2, 70, 300, 100)], H=4, G=2, D=32, causal=True, offset=True, narrow="kv")
    yield Case([(1, 1, 1000, 770), (2, 1, 64, 63)], H=6, G=2, D=64, causal=True, offset=True, lse=False, decode=True, narrow="kv")
    yield Case([(3, 1, 400, 0)], H=6, G=3, D=20, E=36, decode=True, narrow="kv")
    # All of bf16: each number of a result is rounded once, also where its sum runs over several windows of keys.
    yield Case([(2, 67, 67, 0)], H=3, D=64, causal=True, fused=True, narrow="qkvo")
    yield Case([(1, 96, 96, 0)], H=2, D=32, causal=True, fused=True, static=True, narrow="qkvo")
    yield Case([(1, 40, 40, 0), (1, 300, 300, 0), (1, 7, 7, 0)], H=4, G=2, D=256, causal=True, narrow="qkvo")
    yield Case([(1, 70, 300, 0)], H=2, D=200, E=256, lengths=True, static=True, narrow="qkvo")
    yield Case([(2, 21, 21, 0)], H=6, G=2, D=20, E=12, causal=True, mask="BHTS", narrow="ko")
    yield Case([(3, 1, 400, 0)], H=6, G=3, D=20, E=36, decode=True, narrow="qkvo")


def main():
    chosen = list(cases())
    for cpu in runnable_cpus():
        these = chosen if cpu == "native" else chosen[:2] + chosen[4:6] + [c for c in chosen if c.append][:2] + chosen[-13:-11] + chosen[-8:-6] + chosen[-3:]
        program = Program("".join(case.text("f%d" % i) for i, case in enumerate(these)), cpu=cpu)
        if "-v" in sys.argv:
            print(cpu, "emit %.2f s, LLVM %.2f s, %d functions" % (
                program.emit_seconds, program.compile_seconds, 2 * len(these)), flush=True)
        for i, case in enumerate(these):
            for size in case.sizes:
                check(program, "f%d" % i, case, *size)


main()
