#===- suite.py - The checks that need a GPU, and the folder that they run from --------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
#===-----------------------------------------------------------------------------------------------===#
"""Which checks there are, by name, and the manifest of a packed folder: its files with their digests."""

import glob
import hashlib
import json
import os
import re

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LIMIT = 60 << 20  # bytes of a packed folder


class Check:
    """One script; `folder` is where it is below test."""

    def __init__(self, name, folder, script, arguments=(), measures=False):
        self.name, self.folder, self.arguments = name, folder, list(arguments)
        self.measures = measures  # it runs alone, and what it prints is the result
        self.script = os.path.join(TESTS, folder, script)


def checks():
    """All of them, the kernels' first: every test in test/GPU that runs something."""
    for path in sorted(glob.glob(os.path.join(TESTS, "GPU", "*.py"))):
        with open(path, encoding="utf-8") as file:
            text = file.read()
        # (lit takes a file that holds its keyword as a whole for a test.)
        if re.search("^# RUN", text, re.MULTILINE) and "# REQUIRES: ptxas" not in text:
            name = os.path.basename(path)
            yield Check("kernels/" + name[:-3], "GPU", name)
    yield Check("memory", "Device", "memory.py")
    for name in ("goldens", "agree", "losses", "train"):
        yield Check("models/" + name, "Device", "whole_models.py", [name])
    yield Check("table", "Device", "table.py", measures=True)


def chosen(only):
    """The checks whose name contains one of `only`; all if it is empty."""
    return [check for check in checks() if not only or any(part in check.name for part in only)]


def _digest(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def _files(folder):
    for parent, _, names in os.walk(folder):
        if "__pycache__" not in parent:
            yield from (os.path.relpath(os.path.join(parent, name), folder) for name in names)


def write_manifest(folder, names, everything):
    """Describes what lies in `folder` now. Returns its size in bytes."""
    paths = sorted(path for path in _files(folder) if path != "manifest.json")
    files = {path: _digest(os.path.join(folder, path)) for path in paths}
    with open(os.path.join(folder, "manifest.json"), "w", encoding="utf-8") as file:
        json.dump({"checks": names, "everything": everything, "files": files}, file, indent=1)
    return sum(os.path.getsize(os.path.join(folder, path)) for path in [*paths, "manifest.json"])


def read_manifest(folder):
    """The manifest and what is wrong with the folder: lines, none if it is as it was packed."""
    try:
        with open(os.path.join(folder, "manifest.json"), encoding="utf-8") as file:
            manifest = json.load(file)
    except (OSError, ValueError):
        return None, ["manifest.json is missing or damaged"]
    problems = []
    for path, digest in manifest["files"].items():
        whole = os.path.join(folder, path)
        if not os.path.exists(whole):
            problems.append(path + " is missing")
        elif _digest(whole) != digest:
            problems.append(path + " was changed")
    return manifest, problems
