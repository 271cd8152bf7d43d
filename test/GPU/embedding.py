#===- embedding.py - Embeddings and their gradients on GPUs against NumPy ---------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
#===-----------------------------------------------------------------------------------------------===#
# RUN: %python %s
"""kernel.embedding, position_embedding, and their backward kernels: exact, in the order of positions."""

import numpy as np

from device import ARCHITECTURES, Program, bf16, check_assembly, check_close, from_bf16, function, kernel, output

random = np.random.default_rng(2)
TOKENS, OFFSET = "memref<?x?xi32>", "memref<i32>"


def functions(width):
    table, data = "memref<?x%sxf32>" % width, "memref<?x?x%sxf32>" % width
    return "".join([
        kernel("plain", "kernel.embedding %tokens, %table into %y", {"tokens": TOKENS, "table": table, "y": data}),
        kernel("positions", "kernel.embedding %tokens, %table positions %positions into %y",
               {"tokens": TOKENS, "table": table, "positions": table, "y": data}),
        kernel("offset", "kernel.embedding %tokens, %table positions %positions offset %offset into %y",
               {"tokens": TOKENS, "table": table, "positions": table, "offset": OFFSET, "y": data}),
        kernel("narrow", "kernel.embedding %tokens, %table positions %positions into %y",
               {"tokens": TOKENS, **{name: type.replace("f32", "bf16") for name, type in
                                     (("table", table), ("positions", table), ("y", data))}}),
        kernel("position", "kernel.position_embedding %table offset %offset into %y",
               {"table": table, "offset": OFFSET, "y": data}),
        kernel("position_start", "kernel.position_embedding %table into %y", {"table": table, "y": data}),
        kernel("backward", "kernel.embedding_backward %tokens, %dy into %dtable",
               {"tokens": TOKENS, "dy": data, "dtable": table}),
        kernel("backward_add", "kernel.embedding_backward %tokens, %dy into %dtable {accumulate}",
               {"tokens": TOKENS, "dy": data, "dtable": table}),
        kernel("position_backward", "kernel.position_embedding_backward %dy into %dtable", {"dy": data, "dtable": table}),
        kernel("position_backward_add", "kernel.position_embedding_backward %dy into %dtable {accumulate}",
               {"dy": data, "dtable": table})])


def normal(*shape):
    return random.standard_normal(shape).astype(np.float32)


def check(program, vocabulary, batch, length, width):
    context = length + 7
    tokens = random.integers(0, vocabulary, (batch, length)).astype(np.int32)
    tokens[0, 0] = vocabulary - 1
    table, positions, dy = normal(vocabulary, width), normal(context, width), normal(batch, length, width)
    what = "%d tokens of %d" % (batch * length, width)

    def lookup(name, wanted, *arguments):
        y = output((batch, length, width))
        program.same_bits(name, *arguments, y)
        check_close(name + " " + what, y, wanted, 0)

    lookup("plain", table[tokens], tokens, table)
    lookup("positions", table[tokens] + positions[:length], tokens, table, positions)
    lookup("offset", table[tokens] + positions[7:], tokens, table, positions, np.array(7, np.int32))
    narrow, y = (bf16(table), bf16(positions)), output((batch, length, width), np.uint16)
    program.same_bits("narrow", tokens, *narrow, y)
    # The sum is computed in f32 and rounded once.
    assert (y == bf16(from_bf16(narrow[0])[tokens] + from_bf16(narrow[1])[:length])).all(), "tables of bf16 " + what
    lookup("position", np.broadcast_to(positions[3:3 + length], dy.shape), positions, np.array(3, np.int32))
    lookup("position_start", np.broadcast_to(positions[:length], dy.shape), positions)

    for name, rows, arguments in (("backward", vocabulary, (tokens, dy)), ("position_backward", context, (dy,))):
        for adds in (False, True):
            dtable = normal(rows, width) if adds else output((rows, width))
            wanted = np.array(dtable)
            for row, gradient in enumerate(dy.reshape(-1, width)):  # in f32 and in order: the bits are known
                wanted[tokens.flat[row] if name == "backward" else row % length] += gradient
            program.same_bits(name + ("_add" if adds else ""), *arguments, dtable)
            check_close(name + " " + what, dtable, wanted, 0)


for architecture in ARCHITECTURES:
    program = Program(functions("?"), architecture)
    check_assembly(program)
    check(program, 50, 1, 1, 1)
    check(program, 4, 3, 17, 3)
    check(program, 20, 2, 9, 269)
    program = Program(functions(72), architecture)
    check_assembly(program)
    check(program, 5, 2, 33, 72)
# More positions than a block looks at in one go: tokens that repeat near and far, one that is everywhere.
program = Program(functions(4))
tokens, dy = random.integers(3, 2000, (2, 560)).astype(np.int32), normal(2, 560, 4)
tokens[1] = tokens[0, ::-1]
tokens[:, ::3] = 1
dtable, wanted = output((2000, 4)), np.zeros((2000, 4), np.float32)
for row, gradient in enumerate(dy.reshape(-1, 4)):
    wanted[tokens.flat[row]] += gradient
program("backward", tokens, dy, dtable, schedule=3)
check_close("backward of many positions", dtable, wanted, 0)

# Rows 24 of 40 wide, in the middle of a larger result.
view = "memref<2x5x24xf32, strided<[400, 40, 1], offset: 8>>"
program = Program(function("f", {"tokens": "memref<2x5xi32>", "table": "memref<50x24xf32>", "y": "memref<2x10x40xf32>"},
                           """%%view = memref.subview %%y[0, 0, 8] [2, 5, 24] [1, 1, 1] : memref<2x10x40xf32> to %s
  kernel.embedding %%tokens, %%table into %%view : (memref<2x5xi32>, memref<50x24xf32>, %s) -> ()""" % (view, view)))
tokens, table, y = random.integers(0, 50, (2, 5)).astype(np.int32), normal(50, 24), normal(2, 10, 40)
wanted = y.copy()
wanted[:, :5, 8:32] = table[tokens]
program.same_bits("f", tokens, table, y)
check_close("strided result", y, wanted, 0)
