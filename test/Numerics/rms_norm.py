# ===- rms_norm.py - Gradient of quern.rms_norm -----------------------------------------------===#
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
    cases += [
        Case({"x": x}, "%y = quern.rms_norm %x : {x}", {"y": x}),
        Case({"x": x, "w": w}, "%y = quern.rms_norm %x weight %w epsilon 0.1 : {x}, {w}", {"y": x}),
    ]
cases.append(
    Case(
        {"x": "2x5x8", "w": "8"},
        "%n = quern.rms_norm %x weight %w : {x}, {w}\n%y = arith.addf %x, %n : {x}",
        {"y": "2x5x8"},
    )
)
check(cases)
