#===- gemm-wgmma.py - Matrix products by warp groups of sm_90a -----------------------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
#===---------------------------------------------------------------------------------------------===#
# RUN: %python %s
"""Products of bf16 and f16 by TMA and wgmma against float64: which rows run along the depth, sizes that are no multiple
of a tile, epilogues, batches, depths in parts, clusters, more tiles than blocks; and that operands which TMA cannot copy, or of
few rows, are multiplied otherwise. ptxas, where there is one, neither spills nor warns."""

from device import Program, check_assembly
from gemm import ACTIVATIONS, Batch, Case

bf16 = {"element": "bf16"}
# How a product is computed: otherwise; by warp groups; by clusters of blocks of them; and with C copied in boxes.
NO, YES, CLUSTERS, BOXES, BOTH = "", "wgmma", "wgmma clusters", "wgmma boxes", "wgmma clusters boxes"


def way(ptx):
    if "wgmma.mma_async" not in ptx or "cp.async.bulk.tensor" not in ptx:
        return NO
    return YES + (" clusters" if ".multicast::cluster" in ptx else "") + (" boxes" if "cp.async.bulk.commit_group" in ptx else "")


def cases():
    """Products and, for each of their sizes, the way that they are computed."""
    yield Case(130, 72, 200, elements={"c": "f32"}, **bf16), [YES]
    yield Case(130, 57, 200, b=True, **bf16), [YES]
    yield Case(136, 72, 201, a=True, elements={"c": "f32"}, **bf16), [YES]
    # Where the host decides.
    yield Case([1, 8, 9, 0, 129], 136, 72, dynamic="m", bias=True, **bf16), [NO, NO, BOXES, NO, BOXES]
    yield Case([17, 70], 50, 72, b=True, dynamic="m", elements={"c": "f32"}, **bf16), [YES, YES]
    yield Case([64], 48, 8, a=True, dynamic="k", accumulate=True, elements={"c": "f32"}, **bf16), [YES]
    yield Case([40], 48, 0, dynamic="mnk", bias=True, **bf16), [NO]
    yield Case([40], 50, 24, b=True, dynamic="mnk", **bf16), [YES]
    yield Case([40], 50, 24, dynamic="mnk", **bf16), [NO]
    # Rows with gaps between them: of known lengths, of lengths that only the host sees, and not a multiple of 16 bytes.
    yield Case([66], 48, 80, dynamic="m", gap=16, bias=True, second=True, **bf16), [YES]
    yield Case([55], 71, 71, dynamic="m", gap=17, residual=True, **bf16), [YES]
    yield Case(39, 71, 66, a=True, gap=17, accumulate=True, **bf16), [YES]
    yield Case([55], 48, 72, dynamic="m", gap=8, **bf16), [NO]
    yield Case(55, 50, 69, b=True, gap=5, **bf16), [NO]
    # Epilogues.
    for activation in ACTIVATIONS:
        for columns, types in ((72, {"bias": "f32"}), (75, {"second": "f32"})):
            yield Case(70, columns, 64, b=True, bias=True, second=True, residual=True, activation=activation,
                       elements=types, **bf16), [YES]
    yield Case(70, 72, 64, accumulate=True, elements={"c": "f32"}, **bf16), [YES]
    yield Case(65, 130, 136, element="f16", bias=True, activation="relu"), [NO]
    yield Case(65, 130, 136, b=True, element="f16", bias=True, activation="relu"), [YES]
    # C in boxes: without and with a bias, of another type, in f16, beyond the end of rows and columns; more tiles than blocks,
    # so that room is used again.
    yield Case(129, 136, 72, **bf16), [BOXES]
    yield Case(70, 8, 64, b=True, bias=True, elements={"bias": "f32"}, **bf16), [BOXES]
    yield Case(130, 264, 40, b=True, element="f16"), [BOXES]
    yield Case(2300, 1032, 24, bias=True, **bf16), [BOXES]
    # Groups that take turns: as many stages as the ring has, and more; a stage less.
    yield Case(70, 136, 384, **bf16), [BOXES]
    yield Case(70, 136, 264, b=True, residual=True, **bf16), [YES]
    yield Case([1500], 2904, 200, dynamic="m", **bf16), [BOTH]
    # The depth in parts, some of which are empty; large tiles, by clusters, and more of them than clusters.
    yield Case(512, 520, 700, a=True, dynamic="k", elements={"c": "f32"}, **bf16), [CLUSTERS]
    yield Case(136, 264, 1100, a=True, accumulate=True, elements={"c": "f32"}, **bf16), [YES]
    yield Case(130, 300, 1088, b=True, bias=True, activation="silu", **bf16), [YES]
    yield Case([1100, 1500], 2904, 24, dynamic="m", bias=True, **bf16), [BOXES, BOTH]
    yield Case([1500], 2907, 24, dynamic="m", b=True, **bf16), [CLUSTERS]
    # Batches.
    for flags in ({}, {"a": True}, {"b": True}, {"a": True, "b": True}):
        yield Batch([2, 3], 72, 40, 88, **flags, **bf16), [BOXES]
        yield Batch([3], 40, 136, 48, gap=16, **flags, **bf16), [YES]
    yield Batch([5], [20, 130], 40, 72, dynamic="xm", b=True, **bf16), [YES, YES]


def main():
    chosen = list(cases())
    program = Program("".join(case.text("f%d" % i) for i, (case, _) in enumerate(chosen)), "sm_90a")
    check_assembly(program)
    kernels = program.kernels()
    for i, (case, expected) in enumerate(chosen):
        for m, wanted in zip(case.sizes, expected, strict=True):
            case.check(program, "f%d" % i, m)
            if kernels:  # and something ran
                ptx = "".join(kernels[name] for name in program.launched())
                assert way(ptx) == wanted, "%s with m=%d: %s by %r" % (case.text("f"), m, program.launched(), way(ptx))
    print("%d products" % len(chosen))


main()
