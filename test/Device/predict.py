#===- predict.py - How long launches would take on an H100, from what they execute ----------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
#===---------------------------------------------------------------------------------------------===#
"""Where there is no GPU: what an H100 would need, by the model of h100.py, from what the emulator counts in a few blocks of
each launch and what ptxas says of each kernel.

    predict.py [--all] [--only NAME]... [--sample N] [--json FILE]
        the table of test/Device/run.sh with its predictions; without --all not those that take minutes: whole models, and
        the product of GPT-2's logits
    predict.py [--options OPTIONS] MODEL.mlir -- PROGRAM run NAME ...
        a command of a program that was compiled from MODEL.mlir with OPTIONS: a line a kernel, the longest first

quern, quern-opt and ptxas are taken from PATH, the emulated driver from the build that they are in."""

import argparse
import collections
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path += [os.path.join(HERE, os.pardir, "GPU"), os.path.join(HERE, os.pardir, "Execution")]
import h100  # noqa: E402
import ptxas  # noqa: E402
import results as table  # noqa: E402
import rows  # noqa: E402

ARCHITECTURE = "sm_90a"
NOTE = "predicted from instruction counts, bytes and occupancy (test/Device/h100.py), never measured"


def predict(launches, kernels, memory_bytes=None, longer=1.0):
    """Of launches that follow one another, together and by kernel; together they move `memory_bytes`, and they take
    `longer` than the average block."""
    whole, by_kernel = h100.Prediction(), collections.defaultdict(h100.Prediction)
    # What passes over more than the second-level cache holds finds nothing of it there the next time.
    once = [launch for launch in launches if not h100.tensor_cycles(launch)]
    isLarge = not memory_bytes and sum(map(h100.moved, once)) > h100.CACHE
    for launch in launches:
        passes = isLarge and not h100.tensor_cycles(launch)
        one = h100.predict(launch, kernels[launch["kernel"]], h100.moved(launch) if passes else None)
        whole.add(one)
        by_kernel[launch["kernel"]].add(one)
    whole.seconds *= longer
    if memory_bytes and memory_bytes / h100.MEMORY > whole.seconds:
        whole.seconds, whole.limit = memory_bytes / h100.MEMORY + len(launches) * h100.BETWEEN, "memory"
    return whole, by_kernel


# Kernels ------------------------------------------------------------------------------------------


def unevenness(row, launches):
    """How much longer the multiprocessor with the most tiles of a product works than those that were sampled: blocks of
    products by warp groups take one tile after the other, and some of them one more."""
    tile = re.search(r"wgmma\.mma_async\S*\.m64n(\d+)k16", " ".join(launches[0]["by_opcode"]))
    if row.peer[0] != "gemm" or not tile or len(launches) > 1:
        return 1.0
    launch, columns, (_, m, n, k, _) = launches[0], int(tile[1]), row.peer
    cluster = launch["cluster"][0]
    tiles, clusters = -(-m // (128 * cluster)) * -(-n // columns), launch["grid"][0] // cluster
    of_tile = h100.tensor_cycles({**launch, "blocks_run": 1, "by_opcode": {
        tile[0]: 128 * 2 * cluster * -(-k // 64) * 4}})
    sampled = h100.tensor_cycles({**launch, "blocks_run": 1}) / of_tile / (launch["blocks_run"] / cluster)
    return -(-tiles // clusters) / sampled


def predict_kernel(row, sample):
    import device
    import timed
    program = device.Program(rows.text(row), ARCHITECTURE)
    device._device.device_sample(sample)
    memory = timed.Memory(program, row, fill=False)
    try:
        program.functions["f"][0](memory.pointers, memory.arena)
        memory.check()
        reports = device._device.device_reports().decode().splitlines()
    finally:
        memory.free()
        device._device.device_sample(0)
    launches = [json.loads(line) for line in reports]
    # Each operand comes from memory, and goes there, once at least.
    return predict(launches, program.assemble(), row.moved, unevenness(row, launches))[0]


# Whole models ---------------------------------------------------------------------------------------


def emulated_driver():
    build = os.path.dirname(os.path.dirname(shutil.which("quern")))
    return os.environ.get("QUERN_CUDA_DRIVER") or os.path.join(build, "lib", "libquern_cuda_emulator.so")


def run_sampled(command, sample, folder):
    """What the launches of a command counted."""
    report = os.path.join(folder, "report")
    if os.path.exists(report):
        os.remove(report)
    environment = dict(os.environ, QUERN_CUDA_DRIVER=emulated_driver(), QUERN_EMULATE_SAMPLE=str(sample),
                       QUERN_EMULATE_REPORT=report, QUERN_EMULATE_RACES="0", QUERN_EMULATE_MEMORY=str(80 << 30),
                       QUERN_CUDA_GRAPHS="0")
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError("%s ended with %d:\n%s" % (shlex.join(command), done.returncode, done.stderr))
    with open(report, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def second_half(launches):
    """Of a step of training, which without a program `loss` runs once more for the loss that it leads to."""
    half = len(launches) // 2
    if [launch["kernel"] for launch in launches[:half]] != [launch["kernel"] for launch in launches[half:]]:
        raise RuntimeError("the step of training did not run twice")
    return launches[half:]


def last_round(launches):
    """Those at the end that repeat the ones before them: of the last token of several."""
    names = [launch["kernel"] for launch in launches]
    for count in range(2, len(names) // 2 + 1):
        if names[-count:] == names[-2 * count:-count]:
            return launches[-count:]
    raise RuntimeError("no launches repeat themselves")


def assemble_model(text, options, folder):
    """What ptxas says of the kernels of a model."""
    path = os.path.join(folder, "code.ptx")
    subprocess.run(["quern", "compile", text, "--target=nvidia", "--gpu=" + ARCHITECTURE, "--emit=ptx", "-o", path, *options],
                   check=True, stderr=subprocess.DEVNULL)
    with open(path, encoding="utf-8") as file:
        return ptxas.assemble(file.read(), ARCHITECTURE)


class GPT2:
    """The model of the rows of training and decoding, compiled when one of them asks for it."""

    OPTIONS = ["--precision=bf16", "--programs=train_step,prefill,generate"]

    def __init__(self, folder):
        self.folder, self.kernels = folder, None
        self.program, self.weights = os.path.join(folder, "gpt2"), os.path.join(folder, "weights.safetensors")

    def build(self):
        if self.kernels:
            return
        text = os.path.join(self.folder, "gpt2.mlir")
        with open(text, "w", encoding="utf-8") as file:
            subprocess.run(["quern", "new", *rows.GPT2], check=True, stdout=file)
        subprocess.run(["quern", "compile", text, "-o", self.program, "--target=nvidia", "--gpu=" + ARCHITECTURE, *self.OPTIONS],
                       check=True, stderr=subprocess.DEVNULL)
        self.kernels = assemble_model(text, self.OPTIONS, self.folder)

    def step(self, batch, sequence, sample, *options):
        self.build()
        return run_sampled([self.program, "run", "train_step", "--device=gpu", "--random-inputs", "--batch", str(batch),
                            "--sequence", str(sequence), *options], sample, self.folder)

    def training(self, sample):
        sizes = table.Models(quick=False)
        return predict(second_half(self.step(sizes.batch, sizes.sequence, sample)), self.kernels)[0]

    def decoding(self, sample):
        """The last token of a text as long as those that are measured are on average."""
        sizes = table.Models(quick=False)
        self.step(1, 8, sample, "--learning-rate", "0", "--outputs", self.weights)
        length = (sizes.short + sizes.long) // 2
        launches = run_sampled([self.program, "generate", "--device=gpu", "--weights", self.weights, "--ids", "--prompt",
                                " ".join(["11"] * length), "--tokens", "4", "--temperature", "0", "--window", "1024"], sample, self.folder)
        return predict(last_round(launches), self.kernels)[0]


# The two commands -----------------------------------------------------------------------------------


def predict_table(options):
    everything, wanted = table.all_results(), []
    kernels = {row.name: row for row in rows.rows(quick=False)}
    record = {"note": NOTE, "rows": {}}
    with tempfile.TemporaryDirectory(prefix="quern-predict-") as folder:
        model = GPT2(folder)
        for result in everything:
            row = kernels.get(result.name)
            isChosen = any(part in result.name for part in options.only) if options.only else options.all or (row and not row.isCostly)
            if not isChosen:
                continue
            start = time.monotonic()
            if row:
                found = predict_kernel(row, options.sample * row.sample)
            else:
                found = model.training(options.sample) if result.peer[0] == "train" else model.decoding(options.sample)
            result.predicted, result.limit = found.seconds, found.limit
            record["rows"][result.name] = {"seconds": found.seconds, "limit": found.limit}
            wanted.append(result)
            if options.json:  # after each row: the last ones take minutes, and may be stopped
                with open(options.json, "w", encoding="utf-8") as file:
                    json.dump(record, file, indent=1)
            print("%6.1f s  %s" % (time.monotonic() - start, result.name), file=sys.stderr, flush=True)
    if not wanted:
        sys.exit("predict.py: no row is called " + " or ".join(options.only))
    table.show(wanted if options.only else everything, NOTE)


def predict_command(options, command):
    with tempfile.TemporaryDirectory(prefix="quern-predict-") as folder:
        kernels = assemble_model(options.model, shlex.split(options.options), folder)
        launches = run_sampled(command, options.sample, folder)
    whole, by_kernel = predict(launches, kernels)
    numbers = collections.Counter(launch["kernel"] for launch in launches)
    print(NOTE)
    for kernel, found in sorted(by_kernel.items(), key=lambda item: -item[1].seconds):
        print("  %10.1f us  %-32s %4d launches, limited by %s" % (found.seconds * 1e6, kernel, numbers[kernel], found.limit))
    print("  %10.1f us  in all" % (whole.seconds * 1e6))


def main():
    at = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    parser = argparse.ArgumentParser(prog="predict.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", metavar="MODEL.mlir")
    parser.add_argument("--sample", type=int, default=2, metavar="N", help="clusters of blocks to execute of each launch (default 2; of attention 16 times as many)")
    parser.add_argument("--options", default="", help="of quern compile, those that PROGRAM was compiled with")
    parser.add_argument("--all", action="store_true", help="all rows, also those that take minutes")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="only rows whose name contains it")
    parser.add_argument("--json", metavar="FILE", help="write the predictions there")
    options, command = parser.parse_args(sys.argv[1:at]), sys.argv[at + 1:]
    if not ptxas.find():
        sys.exit("predict.py: there is no ptxas, which says how many registers kernels use; put it on PATH")
    if bool(options.model) != bool(command):
        parser.error("give both a model and, after --, the command; or neither for the table")
    if options.model:
        predict_command(options, command)
    else:
        predict_table(options)


main()
