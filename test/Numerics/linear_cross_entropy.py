# ===- linear_cross_entropy.py - Gradient of quern.linear_cross_entropy -----------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# ===----------------------------------------------------------------------------------------------===#
# RUN: %python %s

from gradient import Case, check

cases = []
for rows, i, v in [("4", 3, 7), ("2x5", 6, 9)]:
    for weight, transposed in [(f"{i}x{v}", ""), (f"{v}x{i}", "transposed")]:
        for bias in [False, True]:
            parameters = {"x": f"{rows}x{i}", "w": weight} | ({"b": str(v)} if bias else {})
            body = (
                f"quern.linear_cross_entropy %x, %w, %targets {'bias %b' if bias else ''} {transposed} "
                f"ignore_index 3 : {{x}}, {{w}}, {{targets}}{', {b}' if bias else ''}"
            )
            integers = {"targets": rows}
            cases += [
                Case(parameters, "%loss = " + body, integers=integers),
                Case(parameters, "%y = " + body, {"y": ""}, integers=integers),
            ]
# A tied head: the weight is the table of the embedding.
cases.append(
    Case(
        {"w": "7x4"},
        "%x = quern.embedding %tokens, %w : {tokens}, {w}\n"
        "%loss = quern.linear_cross_entropy %x, %w, %targets transposed ignore_index 3 "
        ": tensor<2x5x4xf32>, {w}, {targets}",
        integers={"tokens": "2x5", "targets": "2x5"},
    )
)
check(cases, ranges={"targets": (0, 7), "tokens": (0, 7)}, seed=2)
