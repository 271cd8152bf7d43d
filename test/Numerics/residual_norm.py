# ===- residual_norm.py - Gradient of quern.residual_norm -------------------------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# ===----------------------------------------------------------------------------------------------===#
# RUN: %python %s

from gradient import Case, check

cases = []
for rows, width in [("", 5), ("2x5x", 8), ("3x2x", 7)]:
    x, w = f"{rows}{width}", str(width)
    for uses in [{"y": x, "s": x}, {"y": x}, {"s": x}]:
        cases += [
            Case(
                {"x": x, "r": x, "w": w, "b": w},
                "%y, %s = quern.residual_norm layer %x, %r weight %w bias %b epsilon 1.0e-5 "
                ": {x}, {r}, {w}, {b}",
                uses,
            ),
            Case(
                {"x": x, "r": x, "w": w},
                "%y, %s = quern.residual_norm rms %x, %r weight %w epsilon 1.0e-3 : {x}, {r}, {w}",
                uses,
            ),
            Case({"x": x, "r": x}, "%y, %s = quern.residual_norm layer %x, %r epsilon 1.0e-5 : {x}, {r}", uses),
        ]
check(cases)
