#===- h100.py - How long a launch would take on an H100, from what it executes ---------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
#===-----------------------------------------------------------------------------------------------===#
"""predict(launch, kernel): seconds, and what takes them. A model of one board, made of published figures and a few
assumptions; it is no measurement, and no measurement has been held against it yet.

A multiprocessor has as many blocks at a time as find room: registers (ptxas gives them out by 256 a warp), shared memory,
threads. Each block needs, in cycles of a multiprocessor,

    tensor cores       products of wgmma (4096 operations a cycle) or mma.sync (of which an H100 reaches 62% of that)
    issue slots        a warp instruction a cycle in each of four schedulers; `mov` counts nothing, ptxas renames
    special functions  exponentials, logarithms, roots, 16 lanes a cycle; f64, 64 lanes a cycle
    shared memory      a warp's access with each bank conflict, or 128 bytes that wgmma reads, a cycle

and the time of a round of blocks is the longest of their sums, or what one block takes alone if that is more: the start
(memory answers twice), its own products, and beside them its other instructions, each two cycles after the one before.
Products and other instructions of a warp follow each other; those of different warps overlap. wgmma is asynchronous: what
its warps execute while products of theirs are under way costs nothing beside the issue slots, and a kernel that waits for
each product has nothing there. Groups of a block that share stages reach the end of their tiles together, so that nothing
covers their epilogues, unless one of them begins each tile later, which it waits for at a named barrier: then what they
execute between tiles is covered as far as the stage that lies between them goes.

Rounds follow each other until the multiprocessor with the most blocks has none left. Over all multiprocessors the launch
takes no less than its bytes take through the second-level cache (32-byte sectors that warps touch, and what bulk copies
bring) and memory (of a row of the table, each operand once; of launches that follow one another, what those without
products move, if the cache does not hold all of it), and than warps with so many loads in flight can bring at memory's
latency; then comes the time between launches of a graph.

Ignored: the clock that falls under load, conflicts of memory's banks and of the L2's halves, instructions that ptxas adds or
saves, integer and conversion units, dependences that no second instruction hides, blocks that are longer than the average."""

import math
import re

# NVIDIA H100 Tensor Core GPU Architecture (white paper, 2022), table 3: the SXM5 board.
MULTIPROCESSORS, CYCLES, MEMORY = 132, 1.755e9, 3.35e12
REGISTERS, SHARED, THREADS, BLOCKS = 65536, 228 * 1024, 2048, 32
# Operations a cycle and multiprocessor. Luo et al., "Benchmarking and Dissecting the Nvidia Hopper GPU Architecture"
# (2024): mma.sync reaches 62% of the peak.
WGMMA, MMA = 4096, 0.62 * 4096
CACHE = 50 << 20  # bytes that the second-level cache holds
L2 = 5120 * CYCLES  # an A100's (NVIDIA A100 Tensor Core GPU Architecture, 2020, "L2 Cache"); of an H100 none is published
SPECIAL = ("ex2.", "lg2.", "rcp.", "rsqrt.", "sqrt.", "sin.", "cos.", "tanh.")

# Assumptions. Cycles until memory answers, from one instruction of a warp to the next that needs its result (half of them
# do), loads of a warp that are in flight together, and seconds between two launches of a graph.
LATENCY, DEPENDENT, TOGETHER, BETWEEN = 600, 2, 4, 1e-6
# A unit that is busy for so much of the time is said to be the limit.
MOSTLY = 0.8
# Stages that groups of a block can be apart in a ring of shared memory.
APART = 8


class Prediction:
    """`seconds` of a launch or of several, `limit` what takes most of them."""

    def __init__(self, seconds=0.0, limit="nothing"):
        self.seconds, self.limit, self.longest = seconds, limit, seconds

    def add(self, other):
        self.seconds += other.seconds
        if other.longest > self.longest or self.limit == "nothing":
            self.longest, self.limit = other.longest, other.limit


def _lanes(launch, wanted):
    """Lanes that executed such opcodes, of an average block."""
    return sum(lanes for opcode, lanes in launch["by_opcode"].items() if wanted(opcode)) / launch["blocks_run"]


def tensor_cycles(launch):
    """Of the tensor cores, for an average block."""
    cycles = 0.0
    for opcode, lanes in launch["by_opcode"].items():
        if match := re.search(r"\.m(\d+)n(\d+)k(\d+)", opcode):
            operations = 2 * math.prod(map(int, match.groups()))
            if opcode.startswith("wgmma.mma_async"):
                cycles += lanes / 128 * operations / WGMMA
            elif opcode.startswith("mma."):
                cycles += lanes / 32 * operations / MMA
    return cycles / max(launch["blocks_run"], 1)


def resident(launch, kernel):
    """Blocks that find room on a multiprocessor."""
    threads = math.prod(launch["block"])
    per_warp = -(-kernel["registers"] * 32 // 256) * 256
    shared = launch["shared_bytes"] + kernel["shared"] + 1024
    return max(1, min(BLOCKS, THREADS // threads, REGISTERS // (per_warp * -(-threads // 32)), SHARED // shared))


def _block(launch):
    """({unit: cycles of a multiprocessor that a block keeps it busy}, cycles that it takes alone)"""
    ran, warps = launch["blocks_run"], -(-math.prod(launch["block"]) // 32)
    all_lanes = max(_lanes(launch, lambda opcode: True), 1)
    moves = _lanes(launch, lambda opcode: opcode.startswith("mov.")) / all_lanes
    instructions = launch["warp_instructions"] / ran * (1 - moves)
    special = (_lanes(launch, lambda opcode: opcode.startswith(SPECIAL)) / 16 +
               _lanes(launch, lambda opcode: re.match(r"(add|sub|mul|fma|div|mad)\.", opcode) and ".f64" in opcode) / 64)
    isAsynchronous = launch["product_warps"] > 0
    shared = (launch["shared_accesses"] + launch["bank_conflicts"]) / ran
    if isAsynchronous:
        shared += launch["shared_bytes_read"] / ran / 128
    tensor = tensor_cycles(launch)
    busy = {"tensor cores": tensor, "issue slots": instructions / 4, "special functions": special, "shared memory": shared}
    start = 2 * LATENCY
    if not isAsynchronous:
        # A warp has one scheduler, with a quarter of each unit.
        share = 4 / warps
        return busy, start + tensor * share + max(DEPENDENT * instructions / warps, special * share)
    groups = max(1, launch["product_warps"] / ran / 4)
    exposed = (launch["product_instructions"] - launch["covered_instructions"]) / launch["product_warps"] * (1 - moves)
    commits = _lanes(launch, lambda opcode: opcode.startswith("wgmma.commit_group")) * ran / 32
    stretches = launch["product_stretches"]
    if commits <= APART * stretches:
        return busy, start + tensor / groups + max(DEPENDENT * exposed, special / groups)
    between = max(DEPENDENT, groups) * exposed
    if any(opcode.startswith("barrier.cta.arrive") for opcode in launch["by_opcode"]):
        # What a group multiplies of a stage, once for each of its tiles.
        between -= tensor / groups / commits * stretches
    return busy, start + tensor + max(between, 0)


def moved(launch):
    """Bytes between multiprocessors and the second-level cache."""
    count = max(launch["global_sectors"] * 32, launch["global_bytes_read"] + launch["global_bytes_written"])
    return count * math.prod(launch["grid"]) / max(launch["blocks_run"], 1)


def predict(launch, kernel, memory_bytes=None):
    """A launch, a line of QUERN_EMULATE_REPORT of which some blocks ran, of a kernel as ptxas sees it (test/GPU/ptxas.py).
    `memory_bytes` are those that memory must move, where that is known."""
    blocks, ran = math.prod(launch["grid"]), launch["blocks_run"]
    if not ran:
        return Prediction()
    busy, alone = _block(launch)
    room = resident(launch, kernel)
    share = math.ceil(blocks / MULTIPROCESSORS)
    beside = min(room, share)

    def round_of(count):
        unit = max(busy, key=busy.get)
        cycles = max(busy[unit] * count, alone)
        if busy[unit] * count >= MOSTLY * cycles:
            return cycles, unit
        return cycles, "occupancy" if room < share else "latency"

    rounds, rest = divmod(share, beside)
    cycles, limit = round_of(beside)
    cycles = cycles * rounds + (round_of(rest)[0] if rest else 0)
    bounds = {limit: cycles / CYCLES}

    def bound(what, seconds):
        bounds[what] = max(bounds.get(what, 0), seconds)

    bound("L2", moved(launch) / L2)
    if memory_bytes:
        bound("memory", memory_bytes / MEMORY)
    loads = _lanes(launch, lambda opcode: opcode.startswith("ld.global")) / 32
    isCopied = any(opcode.startswith("cp.async") for opcode in launch["by_opcode"])
    if loads and not isCopied:
        warps = -(-math.prod(launch["block"]) // 32)
        of_load = launch["global_bytes_read"] / ran / loads
        in_flight = beside * warps * min(TOGETHER, max(loads / warps, 1)) * of_load
        bound("occupancy", launch["global_bytes_read"] * blocks / ran / min(blocks, MULTIPROCESSORS) / in_flight * LATENCY / CYCLES)
    limit = max(bounds, key=bounds.get)
    seconds = bounds[limit]
    return Prediction(seconds + BETWEEN, limit if seconds > BETWEEN else "latency")
