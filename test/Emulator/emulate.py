# ===- emulate.py - Runs quern-emulate on NumPy arrays ---------------------------------------------===//
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# ===----------------------------------------------------------------------------------------------===//
"""`emulate(path, kernel, grid, block, arguments)` for tests.

Arrays among the arguments are buffers, which the kernel may change in place; Python's and NumPy's scalars are
parameters of their type (int: i32, float: f32).
"""

import os
import subprocess
import tempfile

import numpy as np

programs = os.path.join(os.path.dirname(os.path.abspath(__file__)), "Programs")


def dimensions(sizes):
    return ",".join(map(str, sizes)) if isinstance(sizes, tuple) else str(sizes)


def scalar(value):
    kinds = {"int32": "i32", "uint32": "i32", "int64": "i64", "uint64": "i64", "float32": "f32", "float64": "f64"}
    default = {int: np.int32, float: np.float32}.get(type(value))
    value = default(value) if default else value
    number = repr(float(value)) if value.dtype.kind == "f" else str(int(value))
    return f"{kinds[value.dtype.name]}:{number}"


def emulate(path, kernel, grid, block, arguments, options=(), expected=0):
    """Runs one launch, copies results into the arrays, and returns what was printed. Fails when the exit code is not
    the expected one (0: clean, 1: with findings)."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["quern-emulate", path, "--kernel", kernel, "--grid", dimensions(grid), "--block", dimensions(block)]
        command += options
        for i, argument in enumerate(arguments):
            if isinstance(argument, np.ndarray):
                argument.tofile(f"{folder}/{i}")
                command += ["--argument", f"buffer:{folder}/{i}"]
            else:
                command += ["--argument", scalar(argument)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != expected:
            raise AssertionError(f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
        for i, argument in enumerate(arguments):
            if isinstance(argument, np.ndarray):
                argument[...] = np.fromfile(f"{folder}/{i}", argument.dtype).reshape(argument.shape)
        return done.stdout
