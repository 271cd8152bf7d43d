# ===- cross_entropy.py - Gradient of quern.cross_entropy -------------------------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# ===----------------------------------------------------------------------------------------------===#
# RUN: %python %s

from gradient import Case, check

cases = []
for rows, v in [("", 7), ("4", 7), ("2x5", 9), ("2x3x2", 8)]:
    logits = f"{rows}x{v}" if rows else str(v)
    # Some targets are ignored: the range below begins at -1. The loss is one term of many.
    for ignore in ["", "ignore_index 2"]:
        targets = "targets" if not ignore else "other"
        cases += [
            Case(
                {"logits": logits},
                f"%loss = quern.cross_entropy %logits, %{targets} {ignore} : {{logits}}, {{{targets}}}",
                integers={targets: rows},
            ),
            Case(
                {"logits": logits},
                f"%y = quern.cross_entropy %logits, %{targets} {ignore} : {{logits}}, {{{targets}}}",
                {"y": ""},
                integers={targets: rows},
            ),
        ]
check(cases, ranges={"targets": (-1, 7), "other": (0, 7)}, seed=3)
