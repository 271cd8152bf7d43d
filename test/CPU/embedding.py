#===- embedding.py - Embeddings and their gradients against NumPy --------------------------------------===//
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
#===---------------------------------------------------------------------------------------------===//
# RUN: %python %s
"""kernel.embedding, position_embedding, and their backward kernels: exact, whatever the number of threads."""

import numpy as np

from kernel_harness import Program, bf16, check_close, check_guards, from_bf16, guarded, runnable_cpus

random = np.random.default_rng(2)

TABLE, TOKENS, DATA = "memref<?x?xf32>", "memref<?x?xi32>", "memref<?x?x?xf32>"
NARROW, NARROW_DATA = "memref<?x?xbf16>", "memref<?x?x?xbf16>"
TEXT = """
func.func @plain(%tokens: {TOKENS}, %table: {TABLE}, %y: {DATA}) {{
  kernel.embedding %tokens, %table into %y : ({TOKENS}, {TABLE}, {DATA}) -> ()
  return
}}
func.func @positions(%tokens: {TOKENS}, %table: {TABLE}, %positions: {TABLE}, %y: {DATA}) {{
  kernel.embedding %tokens, %table positions %positions into %y : ({TOKENS}, {TABLE}, {TABLE}, {DATA}) -> ()
  return
}}
func.func @offset(%tokens: {TOKENS}, %table: {TABLE}, %positions: {TABLE}, %offset: memref<i32>, %y: {DATA}) {{
  kernel.embedding %tokens, %table positions %positions offset %offset into %y
    : ({TOKENS}, {TABLE}, {TABLE}, memref<i32>, {DATA}) -> ()
  return
}}
func.func @narrow(%tokens: {TOKENS}, %table: {NARROW}, %positions: {NARROW}, %y: {DATA}) {{
  kernel.embedding %tokens, %table positions %positions into %y : ({TOKENS}, {NARROW}, {NARROW}, {DATA}) -> ()
  return
}}
func.func @narrow_data(%tokens: {TOKENS}, %table: {TABLE}, %positions: {TABLE}, %y: {NARROW_DATA}, %x: {NARROW_DATA},
    %dtable: {TABLE}, %dpositions: {TABLE}) {{
  kernel.embedding %tokens, %table positions %positions into %y : ({TOKENS}, {TABLE}, {TABLE}, {NARROW_DATA}) -> ()
  kernel.position_embedding %positions into %x : ({TABLE}, {NARROW_DATA}) -> ()
  kernel.embedding_backward %tokens, %y into %dtable : ({TOKENS}, {NARROW_DATA}, {TABLE}) -> ()
  kernel.position_embedding_backward %y into %dpositions : ({NARROW_DATA}, {TABLE}) -> ()
  return
}}
func.func @fixed(%tokens: memref<2x5xi32>, %table: memref<50x24xf32>, %y: memref<2x5x24xf32, strided<[400, 40, 1]>>) {{
  kernel.embedding %tokens, %table into %y
    : (memref<2x5xi32>, memref<50x24xf32>, memref<2x5x24xf32, strided<[400, 40, 1]>>) -> ()
  return
}}
func.func @position(%table: {TABLE}, %offset: memref<i32>, %y: {DATA}) {{
  kernel.position_embedding %table offset %offset into %y : ({TABLE}, memref<i32>, {DATA}) -> ()
  return
}}
func.func @position_start(%table: {TABLE}, %y: {DATA}) {{
  kernel.position_embedding %table into %y : ({TABLE}, {DATA}) -> ()
  return
}}
func.func @backward(%tokens: {TOKENS}, %dy: {DATA}, %dtable: {TABLE}) {{
  kernel.embedding_backward %tokens, %dy into %dtable : ({TOKENS}, {DATA}, {TABLE}) -> ()
  return
}}
func.func @backward_add(%tokens: {TOKENS}, %dy: {DATA}, %dtable: {TABLE}) {{
  kernel.embedding_backward %tokens, %dy into %dtable {{accumulate}} : ({TOKENS}, {DATA}, {TABLE}) -> ()
  return
}}
func.func @position_backward(%dy: {DATA}, %dtable: {TABLE}) {{
  kernel.position_embedding_backward %dy into %dtable : ({DATA}, {TABLE}) -> ()
  return
}}
func.func @position_backward_add(%dy: {DATA}, %dtable: {TABLE}) {{
  kernel.position_embedding_backward %dy into %dtable {{accumulate}} : ({DATA}, {TABLE}) -> ()
  return
}}
""".format(TABLE=TABLE, TOKENS=TOKENS, DATA=DATA, NARROW=NARROW, NARROW_DATA=NARROW_DATA)


def normal(*shape):
    return random.standard_normal(shape).astype(np.float32)


def check(program, vocabulary, batch, length, width):
    context = length + 7
    tokens = random.integers(0, vocabulary, (batch, length)).astype(np.int32)
    tokens[0, 0] = vocabulary - 1
    table, positions, dy = normal(vocabulary, width), normal(context, width), normal(batch, length, width)
    what = "%d tokens of %d" % (batch * length, width)
    y = guarded((batch, length, width))

    program.same_bits("plain", tokens, table, y)
    check_close("embedding " + what, y, table[tokens], 0)
    program.same_bits("positions", tokens, table, positions, y)
    check_close("with positions " + what, y, table[tokens] + positions[:length], 0)
    program.same_bits("offset", tokens, table, positions, np.array(7, np.int32), y)
    check_close("with an offset " + what, y, table[tokens] + positions[7:], 0)
    narrow = bf16(table), bf16(positions)
    program.same_bits("narrow", tokens, *narrow, y)
    check_close("tables of bf16 " + what, y, from_bf16(narrow[0])[tokens] + from_bf16(narrow[1])[:length], 0)
    program.same_bits("position", positions, np.array(3, np.int32), y)
    check_close("positions " + what, y, np.broadcast_to(positions[3:3 + length], y.shape), 0)
    program.same_bits("position_start", positions, y)
    check_close("positions " + what, y, np.broadcast_to(positions[:length], y.shape), 0)
    check_guards(y)

    # Rows of bf16: rounded once where they are made, and widened where they are added up.
    x, z, dtable = guarded(y.shape, np.uint16), guarded(y.shape, np.uint16), guarded(table.shape)
    dpositions = guarded(positions.shape)
    program.same_bits("narrow_data", tokens, table, positions, z, x, dtable, dpositions)
    check_guards(x, z, dtable, dpositions)
    assert (z == bf16(table[tokens] + positions[:length])).all() and (x == bf16(positions[:length])).all(), what
    wanted, positions_wanted = np.zeros_like(table), np.zeros_like(positions)
    for row, token in enumerate(tokens.flat):
        wanted[token] += from_bf16(z).reshape(-1, width)[row]
    for b in range(batch):
        positions_wanted[:length] += from_bf16(z)[b]
    check_close("gradients of bf16 " + what, dtable, wanted, 0)
    check_close("gradients of bf16 for positions " + what, dpositions, positions_wanted, 0)

    for name, old in (("backward", 0), ("backward_add", 1)):
        dtable = guarded((vocabulary, width), fill=normal(vocabulary, width))
        wanted = np.array(dtable) * np.float32(old)
        program.same_bits(name, tokens, dy, dtable)
        check_guards(dtable)
        for row, token in enumerate(tokens.flat):  # in f32 and in order: the bits are known
            wanted[token] += dy.reshape(-1, width)[row]
        check_close(name + " " + what, dtable, wanted, 0)
    for name, old in (("position_backward", 0), ("position_backward_add", 1)):
        dtable = guarded((context, width), fill=normal(context, width))
        wanted = np.array(dtable) * np.float32(old)
        program.same_bits(name, dy, dtable)
        check_guards(dtable)
        for b in range(batch):
            wanted[:length] += dy[b]
        check_close(name + " " + what, dtable, wanted, 0)


for cpu in runnable_cpus():
    program = Program(TEXT, cpu=cpu)
    check(program, 50, 1, 1, 1)
    check(program, 4, 3, 17, 3)
    check(program, 300, 2, 9, 769)
    if cpu == "native":
        check(program, 50257, 2, 33, 64)
    tokens, table = random.integers(0, 50, (2, 5)).astype(np.int32), normal(50, 24)
    y = guarded((2, 10, 24), pitch=40)
    program.same_bits("fixed", tokens, table, y[:, :5])
    check_guards(y)
    check_close("strided result", y[:, :5], table[tokens], 0)
