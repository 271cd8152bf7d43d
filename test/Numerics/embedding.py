# ===- embedding.py - Gradient of quern.embedding ---------------------------------------------===#
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
            {"table": f"{rows}x{width}"},
            "%y = quern.embedding %tokens, %table : {tokens}, {table}",
            {"y": f"{batch}x{length}x{width}"},
            integers={"tokens": f"{batch}x{length}"},
        )
        for batch, length, rows, width in [(1, 1, 7, 1), (2, 9, 7, 5), (3, 4, 11, 8)]
    ]
    # The same table twice: as embedding and as head.
    + [
        Case(
            {"table": "7x4"},
            "%x = quern.embedding %tokens, %table : {tokens}, {table}\n"
            "%y = quern.linear %x, %table transposed : {x}, {table}".replace("{x}", "tensor<2x5x4xf32>"),
            {"y": "2x5x7"},
            integers={"tokens": "2x5"},
        )
    ],
    ranges={"tokens": (0, 7)},
)
