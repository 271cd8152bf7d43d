#===- gemm-tf32.py - Products of f32 that may be rounded to TF32 ---------------------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
#===---------------------------------------------------------------------------------------------===#
# RUN: %python %s
"""Where TF32 was asked for, tensor cores multiply f32 matrices whose factors are rounded to 10 bits of mantissa, by half
a unit (2^-11) at most; everywhere else f32 is multiplied as it is. No access of shared memory waits for another."""

import re

import numpy as np

from device import ARCHITECTURES, Program, check_assembly, function, output
from gemm import Batch, Case

PRODUCT = "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32"


class Rounded(Case):
    rounding = 2.0**-11


class RoundedBatch(Batch):
    rounding = 2.0**-11


def cases():
    for flags in ({}, {"a": True}, {"b": True}):
        yield Rounded(66, 72, 40, **flags)
        yield Rounded(63, 131, 137, **flags)
        yield Rounded(9, 65, 1, **flags)
        yield Rounded([33, 130] if "a" not in flags else 130, 56, 84, dynamic="k" if "a" in flags else "m",
                      accumulate=True, **flags)
        yield Rounded(130, 136, 520, bias=True, activation="gelu_tanh", **flags)
    yield Rounded([66], 72, 48, dynamic="m", leading=3, gap=12, bias=True, second=True, residual=True)
    yield Rounded(65, 71, 41, dynamic="mnk", b=True)
    yield Rounded([1030], 1032, 20, dynamic="m", bias=True)
    for flags in ({}, {"a": True, "b": True}):
        yield RoundedBatch([3], 66, 40, 36, gap=8, **flags)


def exact():
    """Products that stay exact: of few rows, of f64, and of types that differ."""
    yield Case(8, 72, 40)
    yield Case(20, 24, 40, element="f64")
    yield Case(20, 24, 40, elements={"b": "bf16"})


def check_banks(architecture):
    size, depth = 128, 48
    shape = {"nn": ((size, depth), (depth, size)), "nt": ((size, depth), (size, depth)), "tn": ((depth, size), (depth, size))}
    flags = {"nn": "", "nt": "transpose_b", "tn": "transpose_a"}
    types = {name: ["memref<%dx%dxf32>" % s for s in (*shapes, (size, size))] for name, shapes in shape.items()}
    program = Program("".join(
        function(name, dict(zip("abc", types[name])), "kernel.gemm %%a, %%b into %%c {%s} : (%s) -> ()" % (
            flags[name], ", ".join(types[name]))) for name in shape), architecture, precision="tf32")
    for name, (a, b) in shape.items():
        program(name, np.ones(a, np.float32), np.ones(b, np.float32), output((size, size)))
        counters = program.counters()
        assert not counters or (counters["shared_accesses"] and not counters["bank_conflicts"]), (name, counters)
    for body in program.kernels().values():
        for expected in (PRODUCT, "cvt.rna.tf32.f32", "cp.async.cg.shared.global"):
            assert expected in body, "%s is missing" % expected
        assert "fma.rn.f32" not in body


for architecture in ARCHITECTURES:
    rounded, others = list(cases()), list(exact())
    text = "".join(case.text("f%d" % i) for i, case in enumerate(rounded + others))
    program = Program(text, architecture, precision="tf32")
    check_assembly(program)
    kernels = program.kernels()
    for i, case in enumerate(rounded + others):
        for m in case.sizes:
            case.check(program, "f%d" % i, m)
            if kernels:
                used = any(PRODUCT in kernels[name] for name in program.launched())
                assert used == (i < len(rounded)), "%s: %s" % (case.text("f"), program.launched())
    check_banks(architecture)
    # Unless it was asked for, nothing is rounded.
    for name, body in Program(text, architecture).kernels().items():
        assert not re.search(r"mma\.|tf32", body), name
