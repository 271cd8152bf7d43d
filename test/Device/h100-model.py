#===- h100-model.py - What the model of an H100 says of launches whose limit is known --------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
#===-----------------------------------------------------------------------------------------------===#
# RUN: %python %s
"""Launches made by hand, each with one thing that takes longest."""

import h100

SMALL = {"registers": 32, "shared": 0}


def launch(**counts):
    """132 blocks of 256 threads, of which one ran: an instruction a warp."""
    empty = dict(kernel="k", grid=[132, 1, 1], block=[256, 1, 1], cluster=[1, 1, 1], shared_bytes=0, blocks_run=1,
                 warp_instructions=8, global_sectors=0, global_bytes_read=0, global_bytes_written=0, shared_bytes_read=0,
                 shared_accesses=0, bank_conflicts=0, product_warps=0, product_instructions=0, covered_instructions=0,
                 product_stretches=0, by_opcode={"add.f32": 256})
    return {**empty, **counts}


def cycles(counts, kernel=SMALL, **options):
    found = h100.predict(launch(**counts), kernel, **options)
    return (found.seconds - h100.BETWEEN) * h100.CYCLES, found.limit


def expect(what, got, wanted, limit):
    assert abs(got[0] - wanted) <= 1e-6 * wanted and got[1] == limit, "%s: %s, not %s by %s" % (what, got, wanted, limit)


# Eight blocks beside each other hide what one waits for; then issue slots are the limit, and rounds count.
many = dict(grid=[132 * 8, 1, 1], warp_instructions=80000, by_opcode={"add.f32": 80000 * 32})
expect("issue slots", cycles(many), 8 * 80000 / 4, "issue slots")
alone = 2 * h100.LATENCY + h100.DEPENDENT * 80000 / 8
expect("one block more is a round more", cycles({**many, "grid": [132 * 8 + 1, 1, 1]}), 8 * 80000 / 4 + alone, "issue slots")
# 255 registers leave room for one block of 256 threads: each of the eight waits alone, and two warps of a scheduler still keep
# it busy. One warp does not.
expect("registers", cycles(many, {"registers": 255, "shared": 0}), 8 * alone, "issue slots")
few, alone = {**many, "block": [128, 1, 1]}, 2 * h100.LATENCY + h100.DEPENDENT * 80000 / 4
expect("shared memory", cycles({**few, "shared_bytes": 200 << 10}), 8 * alone, "occupancy")
expect("a single block", cycles({**few, "grid": [1, 1, 1]}), alone, "latency")
expect("moves cost nothing", cycles({**many, "by_opcode": {"add.f32": 40000 * 32, "mov.b32": 40000 * 32}}), 8 * 40000 / 4, "issue slots")
expect("exponentials", cycles({**many, "by_opcode": {"ex2.approx.ftz.f32": 80000 * 32}}), 8 * 80000 * 2, "special functions")
expect("bank conflicts", cycles({**many, "shared_accesses": 20000, "bank_conflicts": 20000}), 8 * 40000, "shared memory")
expect("the second-level cache", cycles({**many, "global_sectors": 4 << 20}), 132 * 8 * (4 << 20) * 32 / 5120, "L2")
assert h100.moved(launch(grid=[264, 1, 1], global_sectors=10)) == 264 * 320
expect("memory", cycles(many, memory_bytes=10**10), 10**10 / h100.MEMORY * h100.CYCLES, "memory")

# 4096 products of m64n256k16, 128 cycles each, by two warp groups of a block that has a multiprocessor for itself. What lies
# between the products of a tile costs nothing if they are under way meanwhile; what waits for them does, once if both groups
# wait together, and not if each has its own products to wait for.
products = dict(block=[384, 1, 1], shared_bytes=220 << 10, product_warps=8, product_instructions=8 * 3000, covered_instructions=8 * 2500,
                product_stretches=8, warp_instructions=8 * 3000, by_opcode={
                    "wgmma.mma_async.sync.aligned.m64n256k16.f32.bf16.bf16": 4096 * 128, "wgmma.commit_group.sync.aligned": 512 * 8 * 32})
tensor, start = 4096 * 128, 2 * h100.LATENCY
assert h100.tensor_cycles(launch(**products)) == tensor
expect("an epilogue", cycles(products, {"registers": 168, "shared": 0}), start + tensor + h100.DEPENDENT * 500, "tensor cores")
turns = {**products, "by_opcode": {**products["by_opcode"], "barrier.cta.arrive.a": 128}}
lead = tensor / 2 / 512
expect("an epilogue that the other group covers", cycles(turns, {"registers": 168, "shared": 0}),
       start + tensor + h100.DEPENDENT * 500 - lead, "tensor cores")
waits = {**products, "covered_instructions": 0, "product_stretches": 512 * 8, "product_instructions": 8 * 400000}
expect("waiting for each product", cycles(waits, {"registers": 168, "shared": 0}),
       start + tensor / 2 + h100.DEPENDENT * 400000, "latency")
# mma.sync of a warp and its other instructions follow each other; those of two blocks overlap.
some = dict(block=[128, 1, 1], by_opcode={"mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32": 4 * 1000 * 32},
            warp_instructions=4 * 2000)
own = 1000 * 4096 / (h100.MMA / 4)  # cycles of a scheduler's tensor core
expect("mma.sync alone", cycles(some), start + own + h100.DEPENDENT * 2000, "latency")
expect("mma.sync of two blocks", cycles({**some, "grid": [264, 1, 1]}), 2 * own, "tensor cores")
print("as computed by hand")
