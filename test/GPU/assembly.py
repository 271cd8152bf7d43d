#===- assembly.py - Kernels of training and decoding in registers ---------------------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
#===-----------------------------------------------------------------------------------------------===#
# REQUIRES: ptxas
# RUN: %python %s
"""Every kernel but the large products and attention by tiles (gemm-assembly.py, attention-assembly.py), of the types and
shapes that models have, assembled for every architecture: no register goes to memory, ptxas warns of nothing, and as many
threads find registers as kernels that are bound by memory need. A kernel op that is in none of the three tests fails."""

import os
import re

from attention import Case as Attention
from device import ALL_ARCHITECTURES, Program, function, kernel
from gemm import Case as Product

ELEMENTS = ("f32", "bf16", "f16")
# Other tests assemble these; the last is made for processors alone.
ELSEWHERE = {"attention", "attention_backward", "batch_gemm", "cached_attention", "gemm_adamw"}
# A quarter of the threads of a multiprocessor, which has 65536 registers: with two loads of 16 bytes each they have twice as
# much under way as an H100's memory brings in the time that it takes to answer.
MOST_REGISTERS = 128
# Bound by arithmetic or by few rows, which hold more in registers; whole rows of two tensors.
MAY_HAVE_MORE = ("gemm", "attention", "norm_backward")


def norms(t):
    for kind, width in (("layer", 768), ("rms", 4096), ("layer", "?")):
        x, w = "memref<?x%sx%s>" % (width, t), "memref<%sx%s>" % (width, t)
        yield "kernel.norm %s %%x weight %%w into %%y {epsilon = 1.0e-5}" % kind, {"x": x, "w": w, "y": x}
        bias, operands = (" bias %b", {"b": w}) if kind == "layer" else ("", {})
        yield ("kernel.norm %s %%x residual %%r weight %%w%s into %%y, %%s {epsilon = 1.0e-5}" % (kind, bias),
               {"x": x, "r": x, "w": w, **operands, "y": x, "s": x})
        g, v = "memref<?x%sxf32>" % width, "memref<%sxf32>" % width
        outputs = "%dx" if width == "?" else "%dx, %dw"
        operands = {"x": x, "g": g, "w": w, "a": g, "dx": g, **({} if width == "?" else {"dw": v})}
        yield "kernel.norm_backward %s %%x, %%g weight %%w addend %%a into %s {epsilon = 1.0e-5}" % (kind, outputs), operands


def softmaxes(t):
    targets, one = "memref<?x?xi32>", "memref<f32>"
    for width in (1024, 50257):
        x = "memref<?x?x%sx%s>" % (width, t)
        yield "kernel.softmax %x into %y", {"x": x, "y": x}
        yield "kernel.softmax_backward %y, %g into %d", {"y": x, "g": x, "d": x}
        yield "kernel.cross_entropy %x, %t, %n into %l {ignore_index = -1}", {"x": x, "t": targets, "n": one, "l": one}
        yield ("kernel.cross_entropy_gradient %t, %n, %s into %l, %x {ignore_index = -1}",
               {"t": targets, "n": one, "s": one, "l": one, "x": x})
    yield "kernel.count_targets %t into %n {ignore_index = -1}", {"t": targets, "n": one}


def embeddings(t):
    tokens, offset = "memref<?x?xi32>", "memref<i32>"
    for width in (768, "?"):
        table, y = "memref<?x%sx%s>" % (width, t), "memref<?x?x%sx%s>" % (width, t)
        dtable, dy = table.replace(t, "f32"), y.replace(t, "f32")
        yield "kernel.embedding %t, %e positions %p offset %o into %y", {"t": tokens, "e": table, "p": table, "o": offset, "y": y}
        yield "kernel.position_embedding %p offset %o into %y", {"p": table, "o": offset, "y": y}
        yield "kernel.embedding_backward %t, %dy into %de {accumulate}", {"t": tokens, "dy": dy, "de": dtable}
        yield "kernel.position_embedding_backward %dy into %de", {"dy": dy, "de": dtable}


def sums(t):
    for width in (768, "?"):
        x = "memref<?x?x%sx%s>" % (width, t)
        yield "kernel.sum_rows %x into %y", {"x": x, "y": "memref<%sxf32>" % width}
        yield "kernel.squared_norm %x, %z into %y", {"x": x, "z": "memref<768x%s>" % t, "y": "memref<f32>"}


def updates(t):
    if t != "f32":
        return
    for shape in ("?x?", "12x768x2304"):
        types = {"g": "memref<%sxf32>" % shape, "scale": "memref<f32>"}
        types.update((name, "memref<f64>") for name in ("rate", "beta1", "beta2", "epsilon", "step", "decay"))
        types.update((name, types["g"]) for name in "pmv")
        yield "kernel.adamw %g scale %scale options %rate, %beta1, %beta2, %epsilon, %step decay %decay into %p, %m, %v", types


def draws(t):
    for vocabulary in (257, 50257):
        types = {"l": "memref<?x%dx%s>" % (vocabulary, t), "t": "memref<f64>", "k": "memref<i64>", "p": "memref<f64>",
                 "s": "memref<i64>", "i": "memref<i64>", "token": "memref<?xi32>", "next": "memref<?xi32>"}
        yield "kernel.sample %l temperature %t top_k %k top_p %p seed %s index %i into %token, %next", types


def rotations(t):
    for width in (64, 128):
        x = "memref<?x?x?x%dx%s>" % (width, t)
        yield "kernel.rotary %x offset %o into %y {base = 1.0e+4}", {"x": x, "o": "memref<i32>", "y": x}
        yield "kernel.rotary %x into %y {base = 5.0e+5, interleaved, inverse}", {"x": x, "y": x}
        yield "kernel.cache_append %x, %o into %c", {"x": x, "o": "memref<i32>", "c": x}


def elementwise(t):
    """linalg.generic: a residual with a bias, a gated product, heads that change places, sums of a column and of all."""
    def generic(iterators, operands, body):
        d = ", ".join("d%d" % i for i in range(len(iterators)))
        types, kinds = [type for type, _ in operands], {"p": "parallel", "r": "reduction"}
        names = ["%%x%d" % i for i in range(len(operands))]
        maps = ", ".join("affine_map<(%s) -> (%s)>" % (d, result) for _, result in operands)
        return """linalg.generic {indexing_maps = [%s], iterator_types = [%s]} ins(%s : %s) outs(%s : %s) {
    ^bb0(%s):
      %s
      linalg.yield %%r : %s
    }""" % (maps, ", ".join('"%s"' % kinds[i] for i in iterators), ", ".join(names[:-1]), ", ".join(types[:-1]), names[-1], types[-1],
            ", ".join("%%a%d: %s" % (i, t) for i in range(len(operands))), body, t), {name[1:]: type for name, type in zip(names, types)}

    x, row, heads = "memref<?x768x%s>" % t, "memref<768x%s>" % t, "memref<?x?x12x64x%s>" % t
    yield generic("pp", [(x, "d0, d1"), (x, "d0, d1"), (row, "d1"), (x, "d0, d1")],
                  "%%s = arith.addf %%a0, %%a1 : %s\n %%r = arith.addf %%s, %%a2 : %s" % (t, t))
    wide = "%%w = arith.%s" % ("mulf %a0, %a0 : f32" if t == "f32" else "extf %%a0 : %s to f32" % t)
    narrow = "%%r = arith.%s" % ("negf %y : f32" if t == "f32" else "truncf %%y : f32 to %s" % t)
    yield generic("pp", [(x, "d0, d1"), (x, "d0, d1"), (x, "d0, d1")], wide + """
      %n = arith.negf %w : f32
      %e = math.exp %n : f32
      %o = arith.constant 1.0 : f32
      %d = arith.addf %e, %o : f32
      %y = arith.divf %w, %d : f32
      """ + narrow)
    yield generic("pppp", [(heads, "d0, d2, d1, d3"), ("memref<?x12x?x64x%s>" % t, "d0, d1, d2, d3")], "%%r = arith.negf %%a0 : %s" % t)
    yield generic("pp", [("memref<?x?x%s>" % t, "d1, d0"), ("memref<?x?x%s>" % t, "d0, d1")], wide + "\n %y = math.tanh %w : f32\n" + narrow)
    add = "%%r = arith.addf %%a1, %%a0 : %s" % t
    yield generic("rp", [(x, "d0, d1"), (row, "d1")], add)
    yield generic("pr", [(x, "d0, d1"), ("memref<?x%s>" % t, "d0")], add)
    yield generic("rr", [(x, "d0, d1"), ("memref<%s>" % t, "")], add)


FAMILIES = (norms, softmaxes, embeddings, sums, updates, draws, rotations, elementwise)


def program(t):
    """All functions of an element type, and the ops that they have."""
    texts = []
    for family in FAMILIES:
        for number, (op, types) in enumerate(family(t)):
            name = "%s_%d_%s" % (family.__name__, number, t)
            texts.append(function(name, types, op) if op.startswith("linalg") else kernel(name, op, types))
    # Decoding: one query over a cache, products of few rows.
    for number, (heads, groups, width) in enumerate(((12, 12, 64), (32, 8, 128))):
        texts.append(Attention([(1, 1, 64, 0)], H=heads, G=groups, D=width, causal=True, offset=True, lse=False, decode=True,
                               element=t).text("attention_%d_%s" % (number, t)))
    for number, (m, n, k, options) in enumerate(((1, 2304, 768, {"bias": True}), (1, 50257, 768, {"b": True}), (8, 768, 3072, {"residual": True}),
                                                 (4, 3072, 768, {"bias": True, "activation": "gelu_tanh"}))):
        texts.append(Product(m, n, k, element=t, **options).text("gemm_%d_%s" % (number, t)))
    return "".join(texts)


def check_coverage(text):
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, os.pardir, "dialects", "Kernel", "KernelOps.td")
    with open(source, encoding="utf-8") as file:
        ops = set(re.findall(r': Kernel_Op<"(\w+)"', file.read()))
    assert len(ops) > 10, "no kernel ops in " + source
    missing = ops - ELSEWHERE - set(re.findall(r"kernel\.(\w+)", text))
    assert not missing, "no test assembles " + ", ".join(sorted(missing))


def main():
    text = "".join(map(program, ELEMENTS))
    check_coverage(text)
    for architecture in ALL_ARCHITECTURES:
        kernels = Program(text, architecture).assemble()
        for name, use in kernels.items():
            what = "%s (%s)" % (name, architecture)
            assert not use["spills"], "%s spills %d bytes" % (what, use["spills"])
            assert use["registers"] <= MOST_REGISTERS or name.startswith(MAY_HAVE_MORE), "%s has %d registers" % (what, use["registers"])
        print("%s: %d kernels, at most %d registers" % (architecture, len(kernels), max(use["registers"] for use in kernels.values())))


main()
