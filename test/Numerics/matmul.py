# ===- matmul.py - Gradient of quern.matmul ---------------------------------------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# ===----------------------------------------------------------------------------------------------===#
# RUN: %python %s

from gradient import Case, check

check(
    [
        Case(
            {
                "a": f"{batch}{k}x{m}" if ta else f"{batch}{m}x{k}",
                "b": f"{batch}{n}x{k}" if tb else f"{batch}{k}x{n}",
            },
            f"%y = quern.matmul %a, %b {ta} {tb} : {{a}}, {{b}}",
            {"y": f"{batch}{m}x{n}"},
        )
        for batch, m, k, n in [("", 1, 3, 1), ("2x", 5, 7, 3), ("2x3x", 4, 1, 2)]
        for ta in ["", "transpose_a"]
        for tb in ["", "transpose_b"]
    ]
    # A matrix with itself.
    + [Case({"a": "2x3x4"}, "%y = quern.matmul %a, %a transpose_b : {a}, {a}", {"y": "2x3x3"})]
)
