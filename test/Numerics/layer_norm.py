# ===- layer_norm.py - Gradient of quern.layer_norm -------------------------------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# ===----------------------------------------------------------------------------------------------===#
# RUN: %python %s

from gradient import Case, check

cases = []
for rows, width in [("", 5), ("3x", 1), ("2x5x", 8), ("1x2x3x", 7)]:
    x, w = f"{rows}{width}", str(width)
    norm = "%y = quern.layer_norm %x"
    cases += [
        Case({"x": x}, f"{norm} : {{x}}", {"y": x}),
        Case({"x": x, "w": w}, f"{norm} weight %w epsilon 1.0e-2 : {{x}}, {{w}}", {"y": x}),
        Case({"x": x, "b": w}, f"{norm} bias %b : {{x}}, {{b}}", {"y": x}),
        Case({"x": x, "w": w, "b": w}, f"{norm} weight %w bias %b : {{x}}, {{w}}, {{b}}", {"y": x}),
    ]
# x goes past the norm as well, as in a residual stream.
cases.append(
    Case(
        {"x": "2x5x8", "w": "8"},
        "%n = quern.layer_norm %x weight %w : {x}, {w}\n%y = arith.addf %x, %n : {x}",
        {"y": "2x5x8"},
    )
)
check(cases)
