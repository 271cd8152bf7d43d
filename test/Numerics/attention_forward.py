# ===- attention_forward.py - Gradient of quern.attention_forward -----------------------------===#
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
            {"q": "2x3x4x2", "k": "2x5x2x2", "v": "2x5x2x6"},
            f"%y, %lse = quern.attention_forward %q, %k, %v {options} scale 0.7 : {{q}}, {{k}}, {{v}}{types}",
            {"y": "2x3x4x6"},
            floats={"mask": "4x3x5"},
            integers={"lengths": "2"},
        )
        for options, types in [
            ("", ""),
            ("causal", ""),
            ("mask %mask lengths %lengths causal", ", {mask}, {lengths}"),
        ]
    ],
    ranges={"lengths": (1, 5)},
)
