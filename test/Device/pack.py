#===- pack.py - Fill a folder with all that a machine with a GPU needs ----------------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
#===-----------------------------------------------------------------------------------------------===#
"""See pack.sh."""

import argparse
import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

import results
import suite

sys.path.append(os.path.join(suite.TESTS, "Numerics"))
sys.path.insert(0, os.path.join(suite.TESTS, "Execution"))  # before its namesakes in Numerics
from goldens import MODELS  # noqa: E402


def stop(message):
    sys.exit("test/Device/pack.sh: " + message)


def copy_scripts(folder):
    for part in ("GPU", "CPU", "Execution", "Numerics", "Device"):
        target = os.path.join(folder, "test", part)
        os.makedirs(target, exist_ok=True)
        for name in sorted(os.listdir(os.path.join(suite.TESTS, part))):
            if name.endswith((".py", ".sh")):
                shutil.copy(os.path.join(suite.TESTS, part, name), target)
    shutil.copy(os.path.join(suite.TESTS, "Device", "run.sh"), folder)


def copy_data(folder, selected):
    """What the checks of whole models read."""
    text = os.path.join(suite.TESTS, "Runtime", "Inputs", "text.py")
    with open(os.path.join(folder, "data", "text"), "wb") as file:
        subprocess.run([sys.executable, text, "60000"], check=True, stdout=file)
    if "models/goldens" not in selected:
        return
    data = os.environ.get("QUERN_TEST_DATA") or os.path.join(suite.TESTS, os.pardir, os.pardir, "shared", "data")
    goldens = os.path.join(data, "training-goldens")
    if not os.path.isdir(goldens):
        stop("there are no goldens in %s; name the folder of reference data in QUERN_TEST_DATA" % data)
    for name in (model + ending for model in MODELS for ending in (".json", ".safetensors")):
        if not os.path.exists(os.path.join(goldens, name)):
            stop("there is no golden %s in %s" % (name, goldens))
        shutil.copyfile(os.path.join(goldens, name), os.path.join(folder, "data", name))


def copy_libraries(folder):
    """What packed programs load beside libc: OpenMP's and C++'s libraries."""
    programs = os.listdir(os.path.join(folder, "models"))
    if not programs:
        return
    text = subprocess.run(["ldd", os.path.join(folder, "models", programs[0])], check=True, capture_output=True, text=True).stdout
    for path in re.findall(r"=> (/\S+/lib(?:omp|stdc\+\+|gcc_s)\.so\S*)", text):
        shutil.copy(path, os.path.join(folder, "lib"))


def compile_check(check, folder, environment):
    """What `check` runs goes to `folder`; nothing runs, and asserts about results are left out. Returns what went wrong."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="quern-pack-") as scratch:
        done = subprocess.run([sys.executable, "-O", check.script, *check.arguments], env=environment, cwd=scratch,
                              capture_output=True, text=True, check=False)
    if done.returncode:
        return "%s cannot be packed:\n%s%s" % (check.name, done.stdout, done.stderr)
    print("packed %s in %.0f s" % (check.name, time.monotonic() - start), flush=True)
    return ""


def look(check, folder):
    """Whether `check` finds all that it needs in `folder`: it runs there without the compiler, and only looks."""
    script = os.path.join(folder, "test", check.folder, os.path.basename(check.script))
    environment = {"PATH": "/usr/bin:/bin", "QUERN_DEVICE_PACKED": folder, "QUERN_DEVICE_LOOK": "1", "PYTHONDONTWRITEBYTECODE": "1",
                   "PYTHONPATH": os.path.join(folder, "test", "Numerics")}
    with tempfile.TemporaryDirectory(prefix="quern-pack-") as scratch:
        done = subprocess.run([sys.executable, "-O", script, *check.arguments], env=environment, cwd=scratch,
                              capture_output=True, text=True, check=False)
    if done.returncode:
        stop("%s would not run from %s:\n%s%s" % (check.name, folder, done.stdout, done.stderr))


def add_predictions(folder, path, environment):
    """What the table says beside what is measured: from a file, or made here, which takes minutes."""
    target = os.path.join(folder, results.PREDICTIONS)
    if path:
        shutil.copy(path, target)
        return
    start = time.monotonic()
    without = {name: value for name, value in environment.items() if name != "QUERN_DEVICE_PACK"}
    done = subprocess.run([sys.executable, os.path.join(suite.TESTS, "Device", "predict.py"), "--json", target], env=without,
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        stop("the table's rows cannot be predicted (name a file that predict.py wrote by --predictions):\n" + done.stderr)
    print("predicted the table in %.0f s" % (time.monotonic() - start), flush=True)


def main():
    parser = argparse.ArgumentParser(prog="pack.sh", description="Fill FOLDER with programs, tests and data for run.sh.")
    parser.add_argument("folder", metavar="FOLDER")
    parser.add_argument("--build", default=os.environ.get("QUERN_BUILD") or os.path.join(suite.TESTS, os.pardir, "build"),
                        help="the build folder (default: build beside test)")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="only checks whose name contains it")
    parser.add_argument("--predictions", metavar="FILE", help="what predict.py --json wrote (default: it runs)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="compile so many at a time")
    options = parser.parse_args()
    build, folder = os.path.abspath(options.build), os.path.abspath(options.folder)
    device = os.path.join(build, "test", "Device", "libquern_cuda_device.so")
    for needed in (device, os.path.join(build, "bin", "quern"), os.path.join(build, "bin", "quern-opt")):
        if not os.path.exists(needed):
            stop("there is no %s; build it first, or name the build folder by --build" % needed)
    if os.path.exists(folder) and os.listdir(folder) and not os.path.exists(os.path.join(folder, "manifest.json")):
        stop("%s holds something else; name a new folder" % options.folder)
    selected = suite.chosen(options.only)
    if not selected:
        stop("there is no check called %s" % ", ".join(options.only))

    shutil.rmtree(folder, ignore_errors=True)
    for part in ("kernels", "models", "lib", "data"):
        os.makedirs(os.path.join(folder, part))
    # Before it is complete, so that a folder whose packing was interrupted is known as one.
    suite.write_manifest(folder, [], False)
    copy_scripts(folder)
    shutil.copy(device, os.path.join(folder, "lib"))
    copy_data(folder, [check.name for check in selected])
    environment = dict(os.environ, QUERN_DEVICE_PACK=folder, PYTHONDONTWRITEBYTECODE="1",
                       PYTHONPATH=os.path.join(suite.TESTS, "Numerics"),
                       PATH=os.path.join(build, "bin") + os.pathsep + os.environ["PATH"])
    with concurrent.futures.ThreadPoolExecutor(max(1, options.jobs)) as pool:
        problems = list(filter(None, pool.map(lambda check: compile_check(check, folder, environment), selected)))
        if problems:
            stop("\n".join(problems))
        if any(check.measures for check in selected):
            add_predictions(folder, options.predictions, environment)
    copy_libraries(folder)
    for check in selected:
        look(check, folder)
    size = suite.write_manifest(folder, [check.name for check in selected], not options.only)
    print("%s: %d checks, %.1f MiB" % (options.folder, len(selected), size / 2**20))
    if size > suite.LIMIT:
        stop("that is more than %d MiB" % (suite.LIMIT >> 20))


main()
