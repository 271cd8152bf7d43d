#===- memory.py - What is written wrongly shows on a real GPU -------------------------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
#===-----------------------------------------------------------------------------------------------===#
"""The checks of memory that stand in for the emulator's: an output that is not written to its end, one that is written
beyond it, and a kernel that does neither."""

import os
import sys

import numpy as np

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "GPU"))
from device import IDLE, Program, function, output  # noqa: E402

ROWS = """%%rows = %s
  kernel.softmax %%x into %%rows : (memref<3x8xf32>, memref<3x8xf32, strided<[8, 1]>>) -> ()"""
PART = ROWS % "memref.subview %y[0, 0] [3, 8] [1, 1] : memref<4x8xf32> to memref<3x8xf32, strided<[8, 1]>>"
BEYOND = ROWS % ("memref.reinterpret_cast %y to offset: [0], sizes: [3, 8], strides: [8, 1] "
                 ": memref<2x8xf32> to memref<3x8xf32, strided<[8, 1]>>")
TEXT = "".join(function(name, {"x": "memref<3x8xf32>", "y": y}, body) for name, y, body in (
    ("part", "memref<4x8xf32>", PART), ("beyond", "memref<2x8xf32>", BEYOND),
    ("whole", "memref<3x8xf32>", "kernel.softmax %x into %y : (memref<3x8xf32>, memref<3x8xf32>) -> ()")))


def problem(program, name, rows):
    try:
        program(name, np.zeros((3, 8), np.float32), output((rows, 8)))
    except AssertionError as error:
        return str(error)
    return ""


program = Program(TEXT)
if not IDLE:
    for name, rows, wanted in (("part", 4, "nobody wrote 32 of 128 bytes of argument 1"),
                               ("beyond", 2, "memory after argument 1 was overwritten at 16 places"), ("whole", 3, "")):
        text = problem(program, name, rows)
        if wanted not in text or (text and not wanted):
            sys.exit("%s: %r" % (name, text))
    print("what is missing and what is too much is found")
