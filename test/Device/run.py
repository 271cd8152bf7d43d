#===- run.py - Everything that needs a GPU --------------------------------------------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
#===-----------------------------------------------------------------------------------------------===#
"""See run.sh."""

import argparse
import concurrent.futures
import os
import subprocess
import sys
import tempfile
import time

import results
import suite

PASSED, FAILED, WRONG, NO_GPU = 0, 1, 2, 3
SKIPPED = 77  # test/GPU/device.py
FOLDER = os.path.dirname(suite.TESTS)
DESCRIBE = """import ctypes, sys
library = ctypes.CDLL(sys.argv[1])
library.device_describe.restype = library.device_problems.restype = ctypes.c_char_p
text = library.device_describe()
print((text or library.device_problems()).decode().strip())
sys.exit(0 if text else 1)"""


def describe_gpu():
    """Whether there is a GPU, and what it is or why not. In a process of its own: a driver may fail in any way."""
    library = os.path.join(FOLDER, "lib", "libquern_cuda_device.so")
    done = subprocess.run([sys.executable, "-c", DESCRIBE, library], capture_output=True, text=True, check=False)
    return done.returncode == 0, (done.stdout or done.stderr).strip()


class Runner:
    def __init__(self, deadline, temporary, isEmulated, table):
        self.deadline, self.temporary = deadline, temporary
        self.environment = dict(os.environ, QUERN_DEVICE_PACKED=FOLDER, PYTHONDONTWRITEBYTECODE="1",
                                PYTHONPATH=os.path.join(FOLDER, "test", "Numerics"))
        self.environment["QUERN_DEVICE_DEADLINE"] = str(deadline)
        if table:
            self.environment["QUERN_DEVICE_TABLE"] = os.path.abspath(table)
        if isEmulated:
            self.environment["QUERN_DEVICE_QUICK"] = "1"
        self.counts = {"passed": 0, "failed": 0, "skipped": 0}

    def execute(self, check):
        """What became of `check`, and its output."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            return "failed", "there was no time left to run it\n", 0.0
        scratch = os.path.join(self.temporary, check.name.replace("/", "-"))
        os.makedirs(scratch)
        start = time.monotonic()
        try:
            done = subprocess.run([sys.executable, check.script, *check.arguments], env=self.environment, cwd=scratch,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=left, check=False)
        except subprocess.TimeoutExpired as late:
            output = late.stdout or b""
            return "failed", output.decode(errors="replace") + "it was stopped: no time was left\n", time.monotonic() - start
        outcome = {0: "passed", SKIPPED: "skipped"}.get(done.returncode, "failed")
        return outcome, done.stdout, time.monotonic() - start

    def report(self, check, result):
        outcome, output, seconds = result
        self.counts[outcome] += 1
        print("%-8s %-28s %6.1f s" % (outcome, check.name, seconds), flush=True)
        if check.measures:
            print(output.rstrip(), flush=True)
        elif outcome != "passed":
            print("    " + "\n    ".join(output.rstrip().splitlines()[-30:]), flush=True)

    def run(self, selected, jobs):
        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            started = [(check, pool.submit(self.execute, check)) for check in selected if not check.measures]
            for check, future in started:
                self.report(check, future.result())
        for check in selected:
            if check.measures:
                self.report(check, self.execute(check))


def main():
    parser = argparse.ArgumentParser(prog="run.sh", description="Everything that needs a GPU, from a folder that pack.sh filled.")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="only checks whose name contains it")
    parser.add_argument("--jobs", type=int, default=min(8, os.cpu_count() or 1), help="so many checks at a time")
    parser.add_argument("--seconds", type=float, default=470, help="what has not ended then fails (default 470)")
    parser.add_argument("--table", metavar="FILE", help="write the table's rows there, as lines of JSON")
    options = parser.parse_args()
    deadline = time.monotonic() + options.seconds
    manifest, problems = suite.read_manifest(FOLDER)
    if problems:
        more = " (and %d more)" % (len(problems) - 1) if len(problems) > 1 else ""
        print("run.sh: the folder %s is incomplete: %s%s; fill it again with test/Device/pack.sh" % (FOLDER, problems[0], more))
        return WRONG
    packed = set(manifest["checks"])
    selected = [check for check in suite.chosen(options.only) if check.name in packed]
    if not selected:
        print("run.sh: there is no check called %s in %s" % (" or ".join(options.only) or "anything", FOLDER))
        return WRONG
    found, text = describe_gpu()
    if not found:
        print("no GPU here, nothing was run: " + text)
        if any(check.measures for check in selected):
            unmeasured = results.all_results()
            results.show(unmeasured, results.add_predictions(unmeasured, os.path.join(FOLDER, results.PREDICTIONS)))
        return NO_GPU
    print("on " + text)
    isEmulated = text.startswith("Emulated GPU")
    if isEmulated:
        print("this is the emulated driver: it stands in for a GPU, with fewer steps, and proves nothing about one")
    if not manifest["everything"]:
        print("the folder holds a part of the checks: " + ", ".join(manifest["checks"]))
    with tempfile.TemporaryDirectory(prefix="quern-device-") as temporary:
        runner = Runner(deadline, temporary, isEmulated, options.table)
        runner.run(selected, max(1, options.jobs))
    counts = runner.counts
    print("%d passed, %d failed, %d skipped on %s in %.0f s" % (
        counts["passed"], counts["failed"], counts["skipped"], text, time.monotonic() - deadline + options.seconds))
    return FAILED if counts["failed"] or not counts["passed"] else PASSED


sys.exit(main())
