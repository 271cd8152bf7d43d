#===- dot_product_assembly.py - Products of bf16 in the instructions of AVX512-BF16 ---------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
#===---------------------------------------------------------------------------------------------===#
# RUN: %python %s %t
"""The innermost loop of products of bf16, in assembly, for processors that multiply pairs of them: little stands beside the
dot products, and no accumulator goes to memory. No such processor is needed to look."""

import os
import re
import subprocess
import sys

TEXT = """
func.func @nn(%a: memref<256x768xbf16>, %b: memref<768x2304xbf16>, %c: memref<256x2304xbf16>) {
  kernel.gemm %a, %b into %c : (memref<256x768xbf16>, memref<768x2304xbf16>, memref<256x2304xbf16>) -> ()
  return
}
func.func @nt(%a: memref<?x2304xbf16>, %b: memref<768x2304xbf16>, %c: memref<?x768xbf16>) {
  kernel.gemm %a, %b into %c {transpose_b} : (memref<?x2304xbf16>, memref<768x2304xbf16>, memref<?x768xbf16>) -> ()
  return
}
func.func @tn(%a: memref<?x768xbf16>, %b: memref<?x2304xbf16>, %c: memref<768x2304xf32>) {
  kernel.gemm %a, %b into %c {transpose_a} : (memref<?x768xbf16>, memref<?x2304xbf16>, memref<768x2304xf32>) -> ()
  return
}
func.func @batch(%a: memref<?x256x64xbf16>, %b: memref<?x64x256xbf16>, %c: memref<?x256x256xbf16>) {
  kernel.batch_gemm %a, %b into %c : (memref<?x256x64xbf16>, memref<?x64x256xbf16>, memref<?x256x256xbf16>) -> ()
  return
}
"""
folder = sys.argv[1]
os.makedirs(folder, exist_ok=True)


def assembly(cpu, *options):
    text, path = os.path.join(folder, "products.mlir"), os.path.join(folder, cpu + ".s")
    with open(text, "w", encoding="utf-8") as file:
        file.write(TEXT)
    subprocess.run(["quern", "compile", text, "--emit=asm", "--cpu=" + cpu, "-o", path, *options], check=True,
                   stderr=subprocess.DEVNULL)
    with open(path, encoding="utf-8") as file:
        return file.read()


def loops(text):
    """The instructions of each innermost loop that is one block: from a label to the jump back to it."""
    for block in re.split(r"^(?=\.L\w+:)", text, flags=re.M):
        lines = [line.split("#")[0].strip() for line in block.splitlines()]
        label = lines[0].rstrip(": ")
        body = [line for line in lines[1:] if line and not line.startswith(".")]
        back = [i for i, line in enumerate(body) if re.match(r"j\w+\s+" + re.escape(label) + "$", line)]
        if back:
            yield body[:back[0] + 1]


for cpu in ("znver4", "znver5", "cooperlake", "sapphirerapids"):
    text = assembly(cpu)
    # Tiles of 8 x 3 vectors; whole panels alone, as all of these columns are, or of any width.
    products = [loop for loop in loops(text) if sum("vdpbf16ps" in line for line in loop) % 24 == 0
                and any("vdpbf16ps" in line for line in loop)]
    assert len(products) >= 4, "%s: %d loops of 24 dot products or twice as many" % (cpu, len(products))
    for loop in products:
        dots = sum(line.startswith("vdpbf16ps") for line in loop)
        # 3 vectors of B and 8 broadcasts of A for 24 of them; counting and jumping.
        assert len(loop) - dots <= dots * 17 // 24, "%s: %d instructions around %d dot products:\n%s" % (
            cpu, len(loop) - dots, dots, "\n".join(loop))
        stores = [line for line in loop if re.match(r"vmov\w+\s+%[xyz]mm\d+, [^%]*\(", line)]
        assert not stores, "%s: registers go to memory: %s" % (cpu, stores)
    print("%s: %d loops" % (cpu, len(products)))
    assert "vdpbf16ps" not in assembly(cpu, "--machine=dot=none")
assert "vdpbf16ps" not in assembly("x86-64-v4", "--machine=dot=bf16")
