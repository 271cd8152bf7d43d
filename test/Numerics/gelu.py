# ===- gelu.py - Gradient of quern.gelu -------------------------------------------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# ===----------------------------------------------------------------------------------------------===#
# RUN: %python %s

from gradient import Case, check

check(
    [
        Case({"x": x}, f"%h = arith.mulf %x, %scale : {{x}}\n%y = quern.gelu %h {kind} : {{x}}", {"y": x}, floats={"scale": x})
        for x in ["", "7", "2x3x5"]
        for kind in ["", "tanh"]
    ]
)
