#===- attention-assembly.py - Attention in registers ----------------------------------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
#===-----------------------------------------------------------------------------------------------===#
# REQUIRES: ptxas
# RUN: %python %s
"""Attention of bf16 and its gradients for the head dimensions that models have, assembled: no register goes to memory,
and ptxas warns of nothing."""

from attention import Case
from device import Program, check_assembly

ALL = ("sm_80", "sm_86", "sm_89", "sm_90", "sm_90a")


def cases():
    sizes = [(2, 256, 256, 0)]
    for width in (64, 128):
        common = dict(D=width, H=4, causal=True, element="bf16")
        yield Case(sizes, **common)
        yield Case(sizes, G=2, lengths=True, **common)
        yield Case(sizes, fused=True, static=True, **common)


def main():
    text = "".join(case.text("f%d" % i) for i, case in enumerate(cases()))
    for architecture in ALL:
        check_assembly(Program(text, architecture))


main()
