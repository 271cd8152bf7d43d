# ===- activations.py - Compiled activations and their derivatives -------------------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# ===----------------------------------------------------------------------------------------------===#
# RUN: %python %s %t

# Every activation and its derivative against float64, from where they vanish over where they cancel to where they are lines: within
# four units in the last place of the larger of the result and one (the derivative) or x (the activation).

import math
import os
import subprocess
import sys

import numpy as np

from compiled import check
from safetensors_numpy import read, write

OPS = {"gelu": "quern.gelu %x", "gelu_tanh": "quern.gelu %x tanh", "silu": "quern.silu %x", "relu": "quern.relu %x"}
TENSOR = "tensor<?xf32>"


def text():
    lines, results = [], []
    for name, op in OPS.items():
        lines += [f"%{name} = {op} : {TENSOR}", f'%d{name} = quern.activation_backward "{name}" %x, %dy : {TENSOR}, {TENSOR}']
        results += [name, "d" + name]
    returned = ", ".join(f'{TENSOR} {{quern.name = "{result}"}}' for result in results)
    values, types = ", ".join("%" + result for result in results), ", ".join([TENSOR] * len(results))
    arguments = ", ".join(f'%{name}: {TENSOR} {{quern.dims = ["n"]}}' for name in ("x", "dy"))
    lines.append(f"quern.return {values} : {types}")
    function = f"quern.function @forward({arguments}) -> ({returned}) {{\n" + "\n".join(lines) + "\n}\n"
    return 'quern.model @activations kind("functions") context(1) {\n' + function + "}\n"


def wanted(x):
    """The activations and their derivatives by name, in float64."""
    with np.errstate(over="ignore"):
        s, rest = 1 / (1 + np.exp(-x)), 1 / (1 + np.exp(x))
        u, slope = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3), math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x**2)
        t, trest = 1 / (1 + np.exp(-2 * u)), 1 / (1 + np.exp(2 * u))
    normal = np.array([math.erfc(-value / math.sqrt(2)) / 2 for value in x])
    density = np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)
    return {
        "gelu": (x * normal, normal + x * density),
        "gelu_tanh": (x * t, t + x * t * trest * 2 * slope),
        "silu": (x * s, s * (1 + x * rest)),
        "relu": (np.maximum(x, 0), (x > 0).astype(np.float64)),
    }


def main():
    folder = sys.argv[1]
    os.makedirs(folder, exist_ok=True)
    model, program = os.path.join(folder, "model.mlir"), os.path.join(folder, "program")
    given, outputs = os.path.join(folder, "x.safetensors"), os.path.join(folder, "y.safetensors")
    with open(model, "w", encoding="utf-8") as file:
        file.write(text())
    subprocess.run(["quern", "compile", model, "-o", program, "--programs=forward"], check=True)
    x = np.concatenate([np.linspace(-20, 20, 100001), [-3e4, -1000, -103, -88.8, -50, 0, 50, 88.8, 103, 1000, 3e4]]).astype(np.float32)
    dy = np.random.default_rng(1).standard_normal(x.shape).astype(np.float32)
    write(given, {"x": x, "dy": dy})
    subprocess.run([program, "run", "forward", "--inputs", given, "--outputs", outputs], check=True)
    results = read(outputs)
    for name, (y, slope) in wanted(x.astype(np.float64)).items():
        for result, expected, scale in ((name, y, np.abs(x)), ("d" + name, slope * dy, np.abs(dy))):
            error = np.abs(results[result] - expected) / (2.0**-24 * np.maximum(np.abs(expected), scale) + 1e-40)
            worst = np.nan_to_num(error, nan=np.inf).argmax()
            check(error[worst] <= 8, f"{result} of {x[worst]} is {results[result][worst]}, not {expected[worst]}")
            print(result, error[worst] / 2, "units at", x[worst])


main()
