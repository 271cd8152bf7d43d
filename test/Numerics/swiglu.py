# ===- swiglu.py - Gradient of quern.swiglu ---------------------------------------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# ===----------------------------------------------------------------------------------------------===#
# RUN: %python %s

from gradient import Case, check

check(
    [Case({"g": x, "u": x}, "%y = quern.swiglu %g, %u : {g}, {u}", {"y": x}) for x in ["", "7", "2x3x5"]]
    + [Case({"x": "2x3"}, "%y = quern.swiglu %x, %x : {x}, {x}", {"y": "2x3"})]
)
