#===- ptxas.py - What NVIDIA's assembler says of PTX ----------------------------------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
#===-----------------------------------------------------------------------------------------------===#
"""assemble(text, architecture): what becomes of each kernel."""

import os
import re
import shutil
import subprocess
import tempfile


def find():
    """The path of ptxas, or None."""
    return shutil.which("ptxas") or shutil.which("ptxas", path="/usr/local/cuda/bin")


def assemble(text, architecture):
    """{kernel: {"registers" (of a thread), "spills" (bytes), "shared" (static bytes)}} of PTX; None where there is no
    ptxas. Raises AssertionError for what it warns of, and RuntimeError for what it does not take."""
    ptxas = find()
    if not ptxas:
        return None
    with tempfile.NamedTemporaryFile("w", suffix=".ptx") as file:
        file.write(text)
        file.flush()
        done = subprocess.run([ptxas, "-v", "-arch=" + architecture, file.name, "-o", os.devnull], capture_output=True, text=True,
                              check=False)
    lines = (done.stdout + done.stderr).splitlines()
    if done.returncode:
        raise RuntimeError("ptxas for %s:\n%s" % (architecture, "\n".join(lines)))
    # That wgmma was serialized or setmaxnreg ignored is information, by its words.
    warnings = [line for line in lines if any(word in line.lower() for word in ("warning", "performance loss", "ignored"))]
    if warnings:
        raise AssertionError("\n".join(warnings))
    kernels, name = {}, None
    for line in lines:
        if match := re.search(r"Compiling entry function '([^']+)'", line):
            name = match.group(1)
            kernels[name] = {"registers": 0, "spills": 0, "shared": 0}
        elif match := re.search(r"(\d+) bytes spill stores, (\d+) bytes spill loads", line):
            kernels[name]["spills"] += int(match.group(1)) + int(match.group(2))
        elif match := re.search(r"Used (\d+) registers", line):
            kernels[name]["registers"] = int(match.group(1))
            if match := re.search(r"(\d+) bytes smem", line):
                kernels[name]["shared"] = int(match.group(1))
    return kernels
