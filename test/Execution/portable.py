# ===- portable.py - Code for other processors ---------------------------------------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# ===----------------------------------------------------------------------------------------------===#
# RUN: %python %s %t

# Code for the portable levels runs wherever the level is there, and agrees with code for this processor.

import os
import sys

import numpy as np

from compiled import SMALL_GPT, Model, check, tokens

with open("/proc/cpuinfo", encoding="utf-8") as file:
    flags = set(next(line for line in file if line.startswith("flags")).split())
levels = {"x86-64-v2": {"sse4_2"}, "x86-64-v3": {"avx2", "fma"}, "x86-64-v4": {"avx512f", "avx512bw", "avx512dq", "avx512vl"}}

given = tokens(61, 2, 33)
expected = Model(os.path.join(sys.argv[1], "native"), SMALL_GPT, ["--programs=gradients"]).run("gradients", given)
scale = max(np.abs(value).max() for name, value in expected.items() if name.startswith("gradient."))
for level, needed in levels.items():
    if not needed <= flags:
        print(level, "cannot run here")
        continue
    results = Model(os.path.join(sys.argv[1], level), SMALL_GPT, ["--programs=gradients", f"--cpu={level}"]).run("gradients", given)
    error = max(np.abs(results[name] - expected[name]).max() for name in expected if name != "loss") / scale
    check(error < 1e-5, f"{level}: gradients differ by {error} of the largest")
    check(abs(results["loss"] / expected["loss"] - 1) < 1e-5, f"{level}: loss {results['loss']}, not {expected['loss']}")
    print(level, "agrees")
