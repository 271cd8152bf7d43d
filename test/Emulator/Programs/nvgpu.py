# RUN: %python %s %S/Inputs/nvgpu.mlir %t
"""What MLIR's nvgpu dialect lowers to, with MLIR's own descriptors: a second opinion on layouts.

MLIR sets the sums behind wgmma.fence, where the manual does not allow it (ptxas mends that): that is found, and
nothing else.
"""

import re
import subprocess
import sys

import numpy as np

from launching import Launcher, random

source, folder = sys.argv[1:]
files = Launcher(folder)

lowered = subprocess.run(
    ["mlir-opt", source,
     "--gpu-lower-to-nvvm-pipeline=cubin-chip=sm_90a cubin-features=+ptx83 cubin-format=isa"],
    stdout=subprocess.PIPE, text=True, check=True).stdout
text = re.search(r'(?:assembly|bin) = "((?:[^"\\]|\\.)*)"', lowered).group(1)
text = re.sub(r"\\([0-9A-F]{2})", lambda code: chr(int(code.group(1), 16)), text).replace("\\\\", "\\").rstrip("\0")
# LLVM makes one byte of the dynamic shared memory of this pipeline, aligned to 16.
demoted = "\t.shared .align 16 .b8 __dynamic_shmem__0;\n"
assert text.count(demoted) == 1
text = text.replace(demoted, "").replace(
    ".visible .entry", ".extern .shared .align 1024 .b8 __dynamic_shmem__0[];\n.visible .entry", 1)
with open(files.path("nvgpu.ptx"), "w", encoding="utf-8") as file:
    file.write(text)

# Quarters of small integers: all products and sums are exact.
a = (random.integers(-8, 9, (256, 64)) / 4).astype(np.float16)
b = (random.integers(-8, 9, (64, 256)) / 4).astype(np.float16)
a.tofile(files.path("a"))
b.tofile(files.path("b"))
result = files.buffer("d", np.zeros((256, 256), np.float32))
arguments = ["tensor-address:f16,64x256,64x128,128:" + files.path("a"),
             "tensor-address:f16,256x64,64x64,128:" + files.path("b"),
             "i64:0", result, "i64:0", "i64:256", "i64:256", "i64:256", "i64:1"]
command = ["quern-emulate", files.path("nvgpu.ptx"), "--grid", "2,2", "--block", "128", "--shared", "32768"]
for argument in arguments:
    command += ["--argument", argument]
run = subprocess.run(command, stdout=subprocess.PIPE, text=True)
found = re.findall(r"ptx:\d+: ([a-z-]+: .*)", run.stdout)
expected = "missing-fence: uses registers that other instructions have accessed since the last wgmma.fence"
assert run.returncode == 1 and set(found) == {expected}, run.stdout
exact = a.astype(np.float64) @ b.astype(np.float64)
assert (files.result("d", (256, 256)) == exact).all()
