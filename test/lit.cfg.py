# ===- lit.cfg.py - How lit runs the tests of this folder ------------------------------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# ===----------------------------------------------------------------------------------------------===#
"""Tests are .mlir, .ptx, .test and .py files with RUN lines; README.md lists substitutions and features."""

import os
import platform
import shutil
import subprocess

import lit.formats

config.name = "Quern"
config.test_format = lit.formats.ShTest(execute_external=True)
config.suffixes = [".mlir", ".test", ".py", ".ptx"]
config.test_source_root = os.path.dirname(__file__)
config.test_exec_root = os.path.join(config.quern_build, "test")
config.excludes = ["Inputs", "lit.cfg.py", "unit.cfg.py"]

# A Python file without RUN lines is a module that tests import, such a PTX file is an input. lit knows both by name
# alone: it would leave out a test that shares it.
tests, modules = set(), set()
for folder, _, names in os.walk(config.test_source_root):
    for name in names:
        if name.endswith((".py", ".ptx")):
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                (tests if "RUN:" in file.read() else modules).add(name)
config.excludes += sorted(modules)
if tests & modules:
    lit_config.fatal("these are names of tests and of modules; rename the modules: " + ", ".join(sorted(tests & modules)))

# Tools: ours, then LLVM's, then those of the system (Debian's Python, which has its NumPy).
bin_folder = os.path.join(config.quern_build, "bin")
config.environment["PATH"] = os.pathsep.join(
    [bin_folder, config.llvm_tools, "/usr/bin", os.environ.get("PATH", "")]
)
config.environment["QUERN_LLVM_BIN"] = config.llvm_tools
config.environment["PYTHONDONTWRITEBYTECODE"] = "1"
config.environment["PYTHONPATH"] = os.path.join(config.test_source_root, "Numerics")
# Several tests run side by side: a thread that waits must not spin, and nobody takes all cores.
config.environment["OMP_NUM_THREADS"] = os.environ.get("OMP_NUM_THREADS", "2")
config.environment["OMP_WAIT_POLICY"] = "passive"
for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "CCACHE_DIR"):
    if name in os.environ:
        config.environment[name] = os.environ[name]

data = os.environ.get("QUERN_TEST_DATA") or os.path.join(config.quern_source, "..", "shared", "data")
data = os.path.realpath(data)
config.environment["QUERN_TEST_DATA"] = data

cuda = os.environ.get("CUDA_HOME", "/usr/local/cuda")
if os.path.isfile(os.path.join(cuda, "include", "cuda.h")):
    config.available_features.add("cuda")

# Loads libraries of ours. A sanitized one needs its runtime there before all others.
config.library_python = "/usr/bin/python3"
if config.sanitized:
    runtime = subprocess.run(
        [config.cxx_compiler, "-print-file-name=libclang_rt.asan-x86_64.so"],
        stdout=subprocess.PIPE, check=True, text=True).stdout.strip()
    config.library_python = "env LD_PRELOAD=" + runtime + " /usr/bin/python3"

config.substitutions += [
    ("%python", "/usr/bin/python3"),
    ("%library_python", config.library_python),
    ("%quern_src", config.quern_source),
    ("%quern_build", config.quern_build),
    ("%shared_data", data),
    ("%tiny_model", os.path.join(config.quern_build, "test", "Runtime", "tiny-model")),
    ("%cuda_driver", os.path.join(config.quern_build, "lib", "libquern_cuda_emulator.so")),
    ("%cuda", cuda),
    # What links a sanitized library must be sanitized itself.
    ("%cc", config.c_compiler + (" -fsanitize=address,undefined" if config.sanitized else "")),
    ("%cxx", config.cxx_compiler + (" -fsanitize=address,undefined" if config.sanitized else "")),
]

if os.path.isdir(data):
    config.available_features.add("data")
if shutil.which("ptxas") or shutil.which("ptxas", path="/usr/local/cuda/bin"):
    config.available_features.add("ptxas")
if config.sanitized:
    config.available_features.add("asan")
    # MLIR's shared libraries are not instrumented: what they keep until exit is not a leak of ours, and what our copies of their
    # inline functions poison (the slabs of allocators) they do not clear before use.
    config.environment.setdefault("ASAN_OPTIONS", "detect_leaks=0:detect_container_overflow=0:allow_user_poisoning=0")

# What compiled programs can use on this machine.
flags = set()
if platform.machine() == "x86_64":
    with open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith("flags"):
                flags = set(line.split(":", 1)[1].split())
                break
if {"avx2", "fma", "bmi2"} <= flags:
    config.available_features.add("avx2")
if {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"} <= flags:
    config.available_features.add("avx512")
for flag in ("avx512_bf16", "avx512_vnni"):
    if flag in flags:
        config.available_features.add(flag.replace("_", ""))
