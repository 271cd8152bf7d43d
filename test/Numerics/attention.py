# ===- attention.py - Gradient of quern.attention ---------------------------------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# ===----------------------------------------------------------------------------------------------===#
# RUN: %python %s

from gradient import Case, check

cases = []
# batch, queries, keys, heads, groups, head dimension of K, of V
for b, t, s, h, g, d, e in [(1, 1, 1, 1, 1, 1, 1), (2, 5, 5, 4, 2, 3, 3), (2, 3, 7, 3, 1, 4, 5), (1, 9, 9, 2, 2, 8, 8)]:
    shapes = {"q": f"{b}x{t}x{h}x{d}", "k": f"{b}x{s}x{g}x{d}", "v": f"{b}x{s}x{g}x{e}"}
    for causal in ["", "causal"]:
        for scale in ["", "scale 0.3"]:
            cases.append(
                Case(
                    shapes,
                    f"%y = quern.attention %q, %k, %v {causal} {scale} : {{q}}, {{k}}, {{v}}",
                    {"y": f"{b}x{t}x{h}x{e}"},
                )
            )
        for mask in [f"{b}x{h}x{t}x{s}", f"{t}x{s}", f"{b}x1x1x{s}", "1"]:
            cases.append(
                Case(
                    shapes,
                    f"%y = quern.attention %q, %k, %v mask %mask {causal} : {{q}}, {{k}}, {{v}}, {{mask}}",
                    {"y": f"{b}x{t}x{h}x{e}"},
                    floats={"mask": mask},
                )
            )
        cases.append(
            Case(
                shapes,
                f"%y = quern.attention %q, %k, %v lengths %lengths {causal} : {{q}}, {{k}}, {{v}}, {{lengths}}",
                {"y": f"{b}x{t}x{h}x{e}"},
                integers={"lengths": str(b)},
            )
        )
cases.append(
    Case(
        {"q": "2x3x4x2", "k": "2x5x2x2", "v": "2x5x2x6"},
        "%y = quern.attention %q, %k, %v mask %mask lengths %lengths causal scale 0.7 "
        ": {q}, {k}, {v}, {mask}, {lengths}",
        {"y": "2x3x4x6"},
        floats={"mask": "4x3x5"},
        integers={"lengths": "2"},
    )
)
# Queries, keys and values from one tensor.
cases.append(
    Case({"x": "2x5x2x3"}, "%y = quern.attention %x, %x, %x causal : {x}, {x}, {x}", {"y": "2x5x2x3"})
)
check(cases, ranges={"lengths": (1, 5)})
