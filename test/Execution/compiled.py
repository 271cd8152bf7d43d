# ===- compiled.py - Compiled programs for tests -------------------------------------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# ===----------------------------------------------------------------------------------------------===#
"""Compiles models that `quern new` writes, and runs their programs on NumPy arrays.

With QUERN_DEVICE_PACK=FOLDER in the environment models are compiled for any processor and go there; with
QUERN_DEVICE_PACKED=FOLDER they come from there, and nothing of the compiler is needed (test/Device); with
QUERN_DEVICE_LOOK=1 as well it is only looked whether they are there."""

import hashlib
import os
import subprocess
import sys

import numpy as np

from safetensors_numpy import read, write


PACK, PACKED = os.environ.get("QUERN_DEVICE_PACK"), os.environ.get("QUERN_DEVICE_PACKED")
IDLE = bool(PACK or os.environ.get("QUERN_DEVICE_LOOK"))  # nothing runs


def check(condition, message):
    if not condition:
        sys.exit(message)


class Model:
    """A compiled model in a folder of its own."""

    def __init__(self, folder, new, compile_options=()):
        os.makedirs(folder, exist_ok=True)
        self.folder, self.text, self.program = folder, os.path.join(folder, "model.mlir"), os.path.join(folder, "model")
        packed = hashlib.sha256("\n".join([*new, "", *compile_options]).encode()).hexdigest()[:20]
        if PACKED:
            self.program = os.path.join(PACKED, "models", packed)
            check(os.path.exists(self.program), f"there is no model {new} {compile_options} in {PACKED}; pack it again")
            return
        if PACK and os.path.exists(os.path.join(PACK, "models", packed)):
            return
        with open(self.text, "w", encoding="utf-8") as file:
            subprocess.run(["quern", "new", *new], check=True, stdout=file)
        portable = ["--cpu=x86-64-v3", "--strip"] if PACK else []
        subprocess.run(["quern", "compile", self.text, "-o", self.program, *compile_options, *portable], check=True)
        if PACK:
            os.replace(self.program, os.path.join(PACK, "models", packed))

    def path(self, name):
        return os.path.join(self.folder, name)

    def environment(self, threads=2):
        """What the program runs in. A packed one brings its libraries."""
        libraries = {"LD_LIBRARY_PATH": os.path.join(PACKED, "lib")} if PACKED else {}
        return dict(os.environ, OMP_NUM_THREADS=str(threads), **libraries)

    def execute(self, *arguments, threads=2):
        """What the program prints for a command line."""
        command = [self.program, *arguments]
        done = subprocess.run(command, env=self.environment(threads), capture_output=True, text=True, check=False)
        check(done.returncode == 0, f"{command} ended with {done.returncode}: {done.stderr}")
        return done.stdout

    def run(self, program, inputs, weights=None, options=(), threads=2, outputs="outputs.safetensors"):
        """Runs one program; `weights` are arrays by name, or drawn from seed 1."""
        write(self.path("inputs.safetensors"), inputs)
        command = ["run", program, "--inputs", self.path("inputs.safetensors"), "--outputs", self.path(outputs)]
        if weights is not None:
            write(self.path("weights.safetensors"), weights)
            command += ["--weights", self.path("weights.safetensors")]
        self.execute(*command, *options, threads=threads)
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
