# ===- compiled.py - Compiled programs for tests -------------------------------------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# ===----------------------------------------------------------------------------------------------===#
"""Compiles models that `quern new` writes, and runs their programs on NumPy arrays."""

import os
import subprocess
import sys

import numpy as np

from safetensors_numpy import read, write


def check(condition, message):
    if not condition:
        sys.exit(message)


class Model:
    """A compiled model in a folder of its own."""

    def __init__(self, folder, new, compile_options=()):
        os.makedirs(folder, exist_ok=True)
        self.folder, self.text, self.program = folder, os.path.join(folder, "model.mlir"), os.path.join(folder, "model")
        with open(self.text, "w", encoding="utf-8") as file:
            subprocess.run(["quern", "new", *new], check=True, stdout=file)
        subprocess.run(["quern", "compile", self.text, "-o", self.program, *compile_options], check=True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def run(self, program, inputs, weights=None, options=(), threads=2, outputs="outputs.safetensors"):
        """Runs one program; `weights` are arrays by name, or drawn from seed 1."""
        write(self.path("inputs.safetensors"), inputs)
        command = [self.program, "run", program, "--inputs", self.path("inputs.safetensors"), "--outputs", self.path(outputs)]
        if weights is not None:
            write(self.path("weights.safetensors"), weights)
            command += ["--weights", self.path("weights.safetensors")]
        environment = dict(os.environ, OMP_NUM_THREADS=str(threads))
        done = subprocess.run([*command, *options], env=environment, capture_output=True, text=True, check=False)
        check(done.returncode == 0, f"{command} ended with {done.returncode}: {done.stderr}")
        return read(self.path(outputs))


def tokens(vocabulary, batch, sequence, seed=0):
    """Inputs of a language model: the targets are the tokens that follow, a few of them ignored."""
    draw = np.random.default_rng(seed)
    ids = draw.integers(0, vocabulary, (batch, sequence + 1), dtype=np.int32)
    targets = ids[:, 1:].copy()
    targets[draw.random(targets.shape) < 0.1] = -1
    return {"tokens": ids[:, :-1].copy(), "targets": targets}


SMALL_GPT = ["gpt", "--layers", "2", "--heads", "3", "--width", "48", "--context", "40", "--vocabulary", "61"]
SMALL_LLAMA = ["llama", "--layers", "2", "--heads", "4", "--kv-heads", "2", "--width", "40", "--hidden", "104", "--context", "40"]
SMALL_LLAMA += ["--vocabulary", "67"]
