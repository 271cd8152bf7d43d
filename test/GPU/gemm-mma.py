#===- gemm-mma.py - Products of 16-bit matrices go to the tensor cores ----------------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
#===---------------------------------------------------------------------------------------------===#
# RUN: %python %s
"""Where rows of bf16 and f16 matrices begin at multiples of 16 bytes: which instructions multiply and copy, and that no
access of shared memory waits for another, by tiles of both sizes. That results are right is gemm.py's matter."""

import numpy as np

from device import Program, bf16, function, output

LAYOUTS = {"nn": "", "nt": "transpose_b", "tn": "transpose_a"}
SIZES = (128, 1024)  # rows and columns of C, for small tiles and for large ones
DEPTH = 96


def shapes(layout, size):
    a = (DEPTH, size) if layout == "tn" else (size, DEPTH)
    b = (size, DEPTH) if layout == "nt" else (DEPTH, size)
    return a, b, (size, size)


def kernels(element):
    for layout, flag in LAYOUTS.items():
        for size in SIZES:
            types = ["memref<%dx%dx%s>" % (*shape, "f32" if i == 2 else element)
                     for i, shape in enumerate(shapes(layout, size))]
            yield function("%s_%d" % (layout, size), dict(zip("abc", types)),
                           "kernel.gemm %%a, %%b into %%c {%s} : (%s) -> ()" % (flag, ", ".join(types)))


def check_instructions(program, element):
    bodies = program.kernels()
    if not bodies:
        return  # while packing, nothing is loaded
    assert len(bodies) == len(LAYOUTS) * len(SIZES)
    for body in bodies.values():
        product = "mma.sync.aligned.m16n8k16.row.col.f32.%s.%s.f32" % (element, element)
        for expected in (product, "ldmatrix.sync.aligned.m8n8.x4", "cp.async.cg.shared.global", "cp.async.wait_group"):
            assert expected in body, "%s is missing" % expected
        for other in ("fma.rn.f32", "ld.global"):
            assert other not in body, "%s in a product by tensor cores" % other


def check_banks(program):
    for layout in LAYOUTS:
        for size in SIZES:
            a, b, c = shapes(layout, size)
            program("%s_%d" % (layout, size), bf16(np.ones(a)), bf16(np.ones(b)), output(c))
            counters = program.counters()
            if counters is None:
                continue  # nobody counts on a real GPU
            assert counters["shared_accesses"] and not counters["bank_conflicts"], (layout, size, counters)


def main():
    check_instructions(Program("".join(kernels("f16"))), "f16")
    program = Program("".join(kernels("bf16")))
    check_instructions(program, "bf16")
    check_banks(program)


main()
