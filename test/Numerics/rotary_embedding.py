# ===- rotary_embedding.py - Gradient of quern.rotary_embedding -------------------------------===#
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
            {"x": shape},
            f"%y = quern.rotary_embedding %x {options} : {{x}}",
            {"y": shape},
        )
        for shape in ["1x3x1x2", "2x5x3x6"]
        for options in ["", "interleaved", "inverse", "interleaved inverse base 100.0", "base 500.0"]
    ]
    + [
        Case(
            {"x": "2x3x1x4"},
            "%y = quern.rotary_embedding %x offset %offset interleaved : {x}, {offset}",
            {"y": "2x3x1x4"},
            integers={"offset": ""},
        )
    ],
    ranges={"offset": (3, 9)},
)
