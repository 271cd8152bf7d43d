#===- attention-assembly.py - Attention in registers ----------------------------------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
#===-----------------------------------------------------------------------------------------------===#
# REQUIRES: ptxas
# RUN: %python %s
"""Attention of bf16 and its gradients for the head dimensions that models have, assembled: no register goes to memory,
and ptxas warns of nothing, also not that wgmma was serialized, by which sm_90a computes both."""

import re

from attention import Case
from device import ALL_ARCHITECTURES, Program, check_assembly


def cases():
    sizes = [(2, 256, 256, 0)]
    for width in (64, 128):
        common = dict(D=width, H=4, causal=True, element="bf16")
        yield Case(sizes, **common)
        yield Case(sizes, G=2, lengths=True, **common)
        yield Case(sizes, fused=True, static=True, **common)
        yield Case(sizes, D=width, H=4, element="f16")


def main():
    text = "".join(case.text("f%d" % i) for i, case in enumerate(cases()))
    for architecture in ALL_ARCHITECTURES:
        program = Program(text, architecture)
        check_assembly(program)
        # Where only the host knows whether TMA can copy the operands there is code for both.
        # Gradients take two kernels each.
        for kind, kernels in (("attention", 1), ("attention_backward", 2)):
            by_groups = [name for name, ptx in program.kernels().items()
                         if re.match(kind + r"_\d", name) and "wgmma.mma_async" in ptx]
            assert len(by_groups) == (kernels * len(list(cases())) if architecture == "sm_90a" else 0), by_groups


main()
