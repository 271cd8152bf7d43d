# ===- silu.py - Gradient of quern.silu -------------------------------------------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# ===----------------------------------------------------------------------------------------------===#
# RUN: %python %s

from gradient import Case, check

check([Case({"x": x}, "%y = quern.silu %x : {x}", {"y": x}) for x in ["", "7", "2x3x5"]])
