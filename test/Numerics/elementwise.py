# ===- elementwise.py - Gradients of arith and math on tensors --------------------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# ===----------------------------------------------------------------------------------------------===#
# RUN: %python %s

# Of arith.addf, arith.subf, arith.mulf, arith.divf, arith.negf, arith.maximumf, arith.maxnumf,
# arith.minimumf, arith.minnumf, arith.select, arith.extf, arith.truncf; math.exp, math.log, math.tanh,
# math.sqrt, math.rsqrt, math.sin, math.cos, math.erf, math.powf, math.absf.

from gradient import Case, check

cases = []
for shape in ["", "7", "2x3x5"]:
    ab = {"a": shape, "b": shape}
    y = {"y": shape}
    # For what needs positive numbers: x^2 + 1/2.
    like = "%half = quern.full 0.5 like %a : {a}\n%aa = arith.mulf %a, %a : {a}\n%p = arith.addf %aa, %half : {a}\n"
    for op in ["addf", "subf", "mulf", "maximumf", "maxnumf", "minimumf", "minnumf"]:
        cases.append(Case(ab, f"%y = arith.{op} %a, %b : {{a}}", y))
    cases += [
        Case(ab, like + "%y = arith.divf %b, %p : {a}", y),
        Case({"a": shape}, "%y = arith.mulf %a, %a : {a}", y),
        Case({"a": shape}, "%y = arith.negf %a : {a}", y),
        Case(ab, "%c = arith.cmpf ogt, %a, %b : {a}\n%y = arith.select %c, %a, %b : TYPE, {a}".replace(
            "TYPE", f"tensor<{shape}xi1>" if shape else "tensor<i1>"), y)
        if shape else Case(ab, "%c = arith.constant true\n%y = arith.select %c, %a, %b : {a}", y),
        Case({"a": shape}, "%d = arith.extf %a : {a} to TYPE\n%e = arith.mulf %d, %d : TYPE\n%y = arith.truncf %e : TYPE to {a}".replace(
            "TYPE", f"tensor<{shape}xf64>" if shape else "tensor<f64>"), y),
        Case(ab, like + "%y = math.powf %p, %b : {a}", y),
    ]
    for op in ["exp", "tanh", "sin", "cos", "erf", "absf"]:
        cases.append(Case({"a": shape}, f"%y = math.{op} %a : {{a}}", y))
    for op in ["log", "sqrt", "rsqrt"]:
        cases.append(Case({"a": shape}, f"{like}%y = math.{op} %p : {{a}}", y))
check(cases)
