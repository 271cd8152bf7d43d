#===- attention-backward-wgmma.py - Gradients of attention by warp groups of sm_90a --------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
#===---------------------------------------------------------------------------------------------===#
# RUN: %python %s
"""Gradients of attention by TMA and wgmma against float64: several tiles of keys and queries, sizes that are no multiple
of a tile, causal or not, more keys than queries and fewer, groups of heads, lengths, slices of a fused tensor, widths
between those of a box; and that what TMA cannot copy, or a mask, goes another way. ptxas, where there is one, neither
spills nor warns."""

import sys

from attention import Case, check
from device import Program, check_assembly


def cases():
    bf16 = {"element": "bf16"}
    # Causal: tiles that are whole, in part, and not visible; the last ones not full. Few rows go another way.
    yield Case([(1, 300, 300, 0), (1, 64, 64, 0)], H=1, D=64, causal=True, **bf16)
    yield Case([(1, 261, 261, 0)], H=1, D=128, causal=True, static=True, **bf16)
    # No query, no key; more keys than queries, which no query sees, and fewer.
    yield Case([(1, 70, 330, 0), (1, 330, 70, 0), (1, 3, 0, 0), (1, 0, 3, 0)], H=1, D=64, causal=True, **bf16)
    yield Case([(1, 140, 200, 0)], H=1, D=128, static=True, **bf16)
    yield Case([(2, 129, 65, 0)], H=2, D=64, static=True, element="f16")
    # Groups of heads, lengths (-1, 0, within a tile, beyond the end).
    yield Case([(2, 131, 131, 0)], H=4, G=2, D=64, causal=True, static=True, **bf16)
    yield Case([(1, 70, 70, 0)], H=3, G=1, D=128, causal=True, static=True, **bf16)
    yield Case([(5, 66, 200, 0)], H=1, D=64, lengths=True, static=True, **bf16)
    yield Case([(3, 150, 140, 0)], H=2, G=1, D=128, lengths=True, causal=True, static=True, **bf16)
    # Slices of a fused tensor: the types say that TMA can copy them, the host finds it, or finds that it cannot.
    yield Case([(2, 130, 130, 0)], H=2, D=64, causal=True, fused=True, static=True, **bf16)
    yield Case([(2, 67, 67, 0)], H=2, D=64, causal=True, fused=True, **bf16)
    yield Case([(1, 70, 70, 0)], H=1, D=64, causal=True, fused=True, static=True, shifted=True, **bf16)
    # Widths of part of a box and of two, one for keys and another for values.
    yield Case([(1, 70, 135, 0)], H=1, D=32, E=80, static=True, **bf16)
    yield Case([(1, 70, 70, 0)], H=2, D=96, E=16, causal=True, static=True, **bf16)
    yield Case([(1, 70, 70, 0)], H=1, D=144, E=64, causal=True, static=True, **bf16)
    yield Case([(1, 70, 70, 0)], H=1, D=64, mask="TS", static=True, **bf16)


def main():
    chosen = list(cases())
    program = Program("".join(case.text("f%d" % i) for i, case in enumerate(chosen)), "sm_90a")
    check_assembly(program)
    for i, case in enumerate(chosen):
        for size in case.sizes:
            if "-v" in sys.argv:
                print(case, size, flush=True)
            check(program, "f%d" % i, case, *size)
    print("%d gradients" % len(chosen))


if __name__ == "__main__":
    main()
