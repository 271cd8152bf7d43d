# ===- linear.py - Gradient of quern.linear ---------------------------------------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# ===----------------------------------------------------------------------------------------------===#
# RUN: %python %s

from gradient import Case, check

cases = []
for rows, i, o in [("", 3, 5), ("4x", 1, 1), ("2x5x", 8, 3), ("2x1x3x", 7, 9)]:
    x, y = f"{rows}{i}", f"{rows}{o}"
    for weight, transposed in [(f"{i}x{o}", ""), (f"{o}x{i}", "transposed")]:
        cases += [
            Case({"x": x, "w": weight}, f"%y = quern.linear %x, %w {transposed} : {{x}}, {{w}}", {"y": y}),
            Case(
                {"x": x, "w": weight, "b": str(o)},
                f"%y = quern.linear %x, %w bias %b {transposed} : {{x}}, {{w}}, {{b}}",
                {"y": y},
            ),
        ]
# One weight twice.
cases.append(
    Case(
        {"x": "2x5x4", "w": "4x4"},
        "%h = quern.linear %x, %w : {x}, {w}\n%y = quern.linear %h, %w transposed : {x}, {w}",
        {"y": "2x5x4"},
    )
)
check(cases)
