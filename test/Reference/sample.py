# ===- sample.py - quern.sample as the interpreter evaluates it -------------------------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# ===----------------------------------------------------------------------------------------------===#
"""The definition of quern.sample against NumPy's: what tests of the kernel are compared with.

RUN: %python %s %t
"""

import os
import subprocess
import sys

import numpy as np

from safetensors_numpy import read, write

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "CPU"))
from sampling import check_cases, check_distribution  # noqa: E402

TEXT = """
quern.function @draw(%logits: tensor<?xCxf32>, %temperature: tensor<f64>, %top_k: tensor<i64>, %top_p: tensor<f64>, %seed: tensor<i64>,
                     %index: tensor<i64>) -> (tensor<?xi32> {quern.name = "token"}, tensor<?xi32> {quern.name = "next"}) {
  %token, %next = quern.sample %logits temperature %temperature top_k %top_k top_p %top_p seed %seed index %index
    : tensor<?xCxf32>, tensor<f64>, tensor<i64>, tensor<f64>, tensor<i64>, tensor<i64>
  quern.return %token, %next : tensor<?xi32>, tensor<?xi32>
}
"""


def runner(columns):
    folder = sys.argv[1]
    os.makedirs(folder, exist_ok=True)
    text, inputs, outputs = (os.path.join(folder, name) for name in ("text.mlir", "inputs.safetensors", "outputs.safetensors"))
    with open(text, "w", encoding="utf-8") as file:
        file.write(TEXT.replace("C", str(columns)))

    def run(logits, temperature, top_k, top_p, seed, index):
        write(inputs, {"logits": logits, "temperature": np.array(temperature, np.float64), "top_k": np.array(top_k, np.int64),
                       "top_p": np.array(top_p, np.float64), "seed": np.array(seed, np.uint64).astype(np.int64),
                       "index": np.array(index, np.int64)})
        subprocess.run(["quern-reference", text, "--function", "draw", "--inputs", inputs, "--outputs", outputs], check=True, capture_output=True)
        results = {name.split(".")[-1]: array for name, array in read(outputs).items()}
        return results["token"], results["next"]
    return run


check_cases(runner(9), 9, draws=1)
check_distribution(runner(6), 320)
