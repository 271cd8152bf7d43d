#===- predict.py - How long launches would take on an H100, from what they execute ----------------===//
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
#===---------------------------------------------------------------------------------------------===//
"""predict.py [--architecture sm_90a] [--sample N] MODEL.mlir -- PROGRAM run NAME ...

Where there is no GPU: runs a command of a program that was compiled from MODEL.mlir on the emulated driver, which
executes a few blocks of each launch and counts what they do, and says what an H100 would need at least: the longest of

    issue     warp instructions, one a cycle for each of four schedulers
    tensor    products of wgmma (4096 operations a cycle) or mma.sync (of which an H100 reaches 62% of that)
    special   exponentials, logarithms, roots, 16 lanes a cycle
    shared    accesses of shared memory with their bank conflicts, one a cycle
    L2        32-byte sectors that warps touch, and what bulk copies bring, 5120 bytes a cycle

over the multiprocessors that have blocks, in whole rounds of as many blocks as find room, as registers (ptxas), shared
memory and threads allow. It is a prediction and a bound: latencies that too few warps hide are not in it, nor is the time
between launches. Prints a line a kernel, the longest first, and the sum."""

import argparse
import collections
import json
import math
import os
import re
import shlex
import subprocess
import sys
import tempfile

# NVIDIA H100 Tensor Core GPU Architecture (white paper, 2022), table 3: the SXM5 board.
MULTIPROCESSORS, CYCLES = 132, 1.755e9
REGISTERS, SHARED, THREADS, BLOCKS = 65536, 228 * 1024, 2048, 32
WGMMA, MMA = 4096, 0.62 * 4096  # operations a cycle and multiprocessor
L2 = 5120 * CYCLES  # an A100's (NVIDIA A100 Tensor Core GPU Architecture, 2020, "L2 Cache"); of an H100 none is published
SPECIAL = ("ex2.", "lg2.", "rcp.", "rsqrt.", "sqrt.", "sin.", "cos.", "tanh.")


def registers(ptx, architecture):
    """{kernel: registers a thread}, from ptxas."""
    text = subprocess.run(["ptxas", "-v", "-arch=" + architecture, ptx, "-o", os.devnull], capture_output=True, text=True,
                          check=True).stderr
    kernels, name = {}, None
    for line in text.splitlines():
        if match := re.search(r"Compiling entry function '([^']+)'", line):
            name = match.group(1)
        elif match := re.search(r"Used (\d+) registers", line):
            kernels[name] = int(match.group(1))
    return kernels


def tensor_cycles(by_opcode):
    """Cycles of the tensor cores for what the lanes executed."""
    cycles = 0.0
    for opcode, lanes in by_opcode.items():
        if match := re.search(r"\.m(\d+)n(\d+)k(\d+)", opcode):
            operations = 2 * math.prod(map(int, match.groups()))
            if opcode.startswith("wgmma.mma_async"):
                cycles += lanes / 128 * operations / WGMMA
            elif opcode.startswith("mma."):
                cycles += lanes / 32 * operations / MMA
    return cycles


def resident(launch, count):
    """Blocks that find room on a multiprocessor."""
    threads = math.prod(launch["block"])
    warps = -(-threads // 32)
    # Registers are given out by 256 a warp.
    per_warp = -(-count * 32 // 256) * 256
    return max(1, min(BLOCKS, THREADS // threads, REGISTERS // (per_warp * warps),
                      SHARED // (launch["shared_bytes"] + 1024)))


def predict(launch, count):
    """(seconds, what takes them) of a launch with so many registers."""
    blocks, ran = math.prod(launch["grid"]), launch["blocks_run"]
    if not ran:
        return 0.0, "nothing"
    opcodes = launch["by_opcode"]
    special = sum(lanes for opcode, lanes in opcodes.items() if opcode.startswith(SPECIAL))
    of_block = {"issue": launch["warp_instructions"] / 4, "tensor": tensor_cycles(opcodes), "special": special / 16,
                "shared": launch["shared_accesses"] + launch["bank_conflicts"]}
    of_block = {what: cycles / ran for what, cycles in of_block.items()}
    limit = max(of_block, key=of_block.get)
    # Blocks that one multiprocessor gets: in rounds of as many as find room, of which the last may not be full.
    beside = resident(launch, count)
    rounds = math.ceil(blocks / (MULTIPROCESSORS * beside))
    share = rounds * beside if rounds > 1 else math.ceil(blocks / MULTIPROCESSORS)
    seconds = of_block[limit] * share / CYCLES
    moved = max(launch["global_sectors"] * 32, launch["global_bytes_read"] + launch["global_bytes_written"])
    memory = moved / ran * blocks / L2
    return (memory, "L2") if memory > seconds else (seconds, limit)


def main():
    at = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--architecture", default="sm_90a")
    parser.add_argument("--sample", type=int, default=2, help="blocks to execute of each launch")
    parser.add_argument("--driver", help="the emulated driver")
    parser.add_argument("--options", default="", help="of quern compile, those that PROGRAM was compiled with")
    options, command = parser.parse_args(sys.argv[1:at]), sys.argv[at + 1:]
    if not command:
        parser.error("give the command after --")
    with tempfile.TemporaryDirectory() as folder:
        ptx, report = os.path.join(folder, "code.ptx"), os.path.join(folder, "report")
        subprocess.run(["quern", "compile", options.model, "--target=nvidia", "--gpu=" + options.architecture, "--emit=ptx",
                        "-o", ptx] + shlex.split(options.options), check=True, stderr=subprocess.DEVNULL)
        count = registers(ptx, options.architecture)
        environment = dict(os.environ, QUERN_EMULATE_SAMPLE=str(options.sample), QUERN_EMULATE_REPORT=report,
                           QUERN_EMULATE_RACES="0", QUERN_EMULATE_MEMORY=str(80 << 30), QUERN_CUDA_GRAPHS="0")
        if options.driver:
            environment["QUERN_CUDA_DRIVER"] = options.driver
        subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
        with open(report) as file:
            launches = [json.loads(line) for line in file]
    times, limits, numbers = collections.Counter(), {}, collections.Counter()
    for launch in launches:
        seconds, limit = predict(launch, count[launch["kernel"]])
        times[launch["kernel"]] += seconds
        numbers[launch["kernel"]] += 1
        limits[launch["kernel"]] = limit
    print("predicted for an H100, not measured; at least")
    for kernel, seconds in times.most_common():
        print("  %10.1f us  %-32s %4d launches, limited by %s" % (seconds * 1e6, kernel, numbers[kernel], limits[kernel]))
    print("  %10.1f us  in all, without what lies between launches" % (sum(times.values()) * 1e6))


main()
