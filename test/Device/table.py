#===- table.py - How fast kernels and models are on a GPU, beside PyTorch --------------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
#===-----------------------------------------------------------------------------------------------===#
"""The table of speeds: each row measured here, beside PyTorch's time for the same work if there is a PyTorch, or beside
the memory's bandwidth, and what was predicted for an H100 (predict.py). What was not measured says so; nothing on the
emulated driver is a measurement.

QUERN_DEVICE_TABLE names a file for the rows as lines of JSON. Goals are shown, not enforced: it fails if something does
not run or computes wrongly."""

import json
import os
import re
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path += [os.path.join(HERE, os.pardir, "GPU"), os.path.join(HERE, os.pardir, "Execution")]
import results as table  # noqa: E402
import rows  # noqa: E402
import timed  # noqa: E402
from compiled import IDLE, PACKED, Model, check  # noqa: E402
from device import ARCHITECTURES, Program  # noqa: E402
from whole_models import GPU_BF16, QUICK, trained_models  # noqa: E402

# A quarter of a second each is hundreds of launches of what is short.
SECONDS = 0.0 if QUICK else 0.25


def gpt2():
    """The model that trains and writes; a small one stands in on the emulated driver."""
    if QUICK:
        return trained_models()[0]
    return Model("gpt2", rows.GPT2, [*GPU_BF16, "--programs=train_step,prefill,generate"])


def time_kernel(row):
    # The newest code that this GPU runs.
    return timed.measure(Program(rows.text(row), ARCHITECTURES[-1]), row, SECONDS)


def time_training(model, batch, sequence):
    steps = 2 if QUICK else 10
    text = model.execute("run", "train_step", "--device=gpu", "--random-inputs", "--batch", str(batch), "--sequence", str(sequence), "--steps", str(steps))
    found = re.search(r"train_step: ([0-9.]+) ms at best", text)
    check(found, "the program did not say how long a step takes: " + text)
    return float(found[1]) / 1e3


def time_decoding(model, short, long):
    """Of two texts: what the longer one takes more is decoding alone, with sampling and what the host does."""
    weights = model.path("weights")
    # A step of rate 0 leaves the weights as they were drawn.
    model.execute("run", "train_step", "--device=gpu", "--random-inputs", "--batch", "1", "--sequence", "8", "--learning-rate", "0",
                  "--outputs", weights)
    taken = []
    for count in (short, long):
        best = float("inf")
        for _ in range(1 if QUICK else 3):
            start = time.perf_counter()
            # One window for both, so that nothing is read twice.
            model.execute("generate", "--weights", weights, "--ids", "--prompt", "11 7 5 3", "--tokens", str(count), "--temperature", "0",
                          "--window", "64" if QUICK else "1024", "--device=gpu")
            best = min(best, time.perf_counter() - start)
        taken.append(best)
    os.remove(weights)
    return (taken[1] - taken[0]) / (long - short)


def ask_peers(results, seconds):
    """PyTorch's times, from a process of its own: {name: seconds}, and why there is none."""
    work = json.dumps([{"row": result.name, "peer": result.peer} for result in results])
    try:
        done = subprocess.run([sys.executable, os.path.join(HERE, "peers.py")], input=work, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, timeout=seconds, check=False)
        output, errors = done.stdout, done.stderr
    except subprocess.TimeoutExpired as late:
        output, errors = (late.stdout or b"").decode(), "it took longer than %.0f s" % seconds
    answers = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    problem = errors.strip().splitlines()[-1] if errors.strip() and len(answers) < len(results) else ""
    return {answer["row"]: answer for answer in answers}, problem


def measure():
    """All rows, and what failed."""
    model, sizes, results, failures = gpt2(), table.Models(QUICK), table.all_results(QUICK), []
    works = [lambda row=row: time_kernel(row) for row in rows.rows(QUICK)]
    works.append(lambda: time_training(model, sizes.batch, sizes.sequence))
    works.append(lambda: time_decoding(model, sizes.short, sizes.long))
    for result, work in zip(results, works, strict=True):
        try:
            result.seconds = work()
        except (Exception, SystemExit) as error:  # one row's failure is no reason to leave out the others
            failures.append("%s: %s" % (result.name, error))
    copied = timed.copy_rate(1 << 16 if QUICK else 1 << 31)
    left = float(os.environ.get("QUERN_DEVICE_DEADLINE", "inf")) - time.monotonic()
    answers, problem = ask_peers(results, max(1.0, min(left - 10, 240)))
    for result in results:
        answer = answers.get(result.name, {})
        result.peer_seconds = answer.get("seconds")
        result.note = answer.get("note") or answer.get("error", "")
        if result.seconds is None:
            result.note = "failed; " + result.note
        if QUICK:
            result.seconds = result.peer_seconds = None  # what an emulator takes is no figure
        elif result.seconds is None:
            continue
        elif result.unit == "B":
            result.ratio = result.amount / result.seconds / copied
        elif result.peer_seconds:
            result.ratio = result.peer_seconds / result.seconds
    return results, failures, copied, problem


def main():
    if IDLE:
        for quick in (False, True):
            for row in rows.rows(quick):
                for architecture in ARCHITECTURES:
                    Program(rows.text(row), architecture)
        gpt2()
        trained_models()
        return
    results, failures, copied, problem = measure()
    note = table.add_predictions(results, os.path.join(PACKED, table.PREDICTIONS))
    table.show(results, note)
    if QUICK:
        print("not measured: the emulated driver says nothing about speed")
    else:
        print("the memory's bandwidth, by copies of 2 GiB: %.0f GB/s; rows in bytes have their ratio to it" % (copied / 1e9))
    if problem:
        print("PyTorch not measured: " + problem)
    if os.environ.get("QUERN_DEVICE_TABLE"):
        with open(os.environ["QUERN_DEVICE_TABLE"], "w", encoding="utf-8") as file:
            for result in results:
                file.write(json.dumps(result.record()) + "\n")
    if failures:
        sys.exit("failed:\n" + "\n".join(failures))


main()
