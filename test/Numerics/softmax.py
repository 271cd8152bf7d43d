# ===- softmax.py - Gradient of quern.softmax -------------------------------------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# ===----------------------------------------------------------------------------------------------===#
# RUN: %python %s

from gradient import Case, check

check([Case({"x": x}, "%y = quern.softmax %x : {x}", {"y": x}) for x in ["7", "3x1", "2x3x5", "1x2x3x9"]])
