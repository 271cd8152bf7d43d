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
import shutil
import subprocess
import sys
import time

import suite


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


def compile_check(check, folder, environment):
    """What `check` runs goes to `folder`; nothing runs, and asserts about results are left out."""
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-O", check.script, *check.arguments], env=environment, cwd=folder,
                          capture_output=True, text=True, check=False)
    if done.returncode:
        stop("%s cannot be packed:\n%s%s" % (check.name, done.stdout, done.stderr))
    print("packed %s in %.0f s" % (check.name, time.monotonic() - start), flush=True)


def main():
    parser = argparse.ArgumentParser(prog="pack.sh", description="Fill FOLDER with programs, tests and data for run.sh.")
    parser.add_argument("folder", metavar="FOLDER")
    parser.add_argument("--build", default=os.environ.get("QUERN_BUILD") or os.path.join(suite.TESTS, os.pardir, "build"),
                        help="the build folder (default: build beside test)")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="only checks whose name contains it")
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
    for part in ("kernels", "lib"):
        os.makedirs(os.path.join(folder, part))
    # Before it is complete, so that a folder whose packing was interrupted is known as one.
    suite.write_manifest(folder, [], False)
    copy_scripts(folder)
    shutil.copy(device, os.path.join(folder, "lib"))
    environment = dict(os.environ, QUERN_DEVICE_PACK=folder, PYTHONDONTWRITEBYTECODE="1",
                       PYTHONPATH=os.path.join(suite.TESTS, "Numerics"),
                       PATH=os.path.join(build, "bin") + os.pathsep + os.environ["PATH"])
    with concurrent.futures.ThreadPoolExecutor(max(1, options.jobs)) as pool:
        list(pool.map(lambda check: compile_check(check, folder, environment), selected))
    size = suite.write_manifest(folder, [check.name for check in selected], not options.only)
    print("%s: %d checks, %.1f MiB" % (options.folder, len(selected), size / 2**20))
    if size > suite.LIMIT:
        stop("that is more than %d MiB" % (suite.LIMIT >> 20))


main()
