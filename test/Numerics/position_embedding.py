# ===- position_embedding.py - Gradient of quern.position_embedding ---------------------------===#
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
            "%y = quern.position_embedding %tokens, %table : {tokens}, {table}",
            {"y": f"{batch}x{length}x{width}"},
            integers={"tokens": f"{batch}x{length}"},
        )
        for batch, length, rows, width in [(1, 1, 1, 3), (2, 5, 9, 5), (3, 4, 4, 8)]
    ]
)
