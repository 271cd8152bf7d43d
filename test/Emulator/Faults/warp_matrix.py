# RUN: %python %s %t
"""ldmatrix, stmatrix, movmatrix and mma.sync: one clean kernel, and what is found when one line of it changes."""

import sys

import numpy as np

from emulated import Kernel

# One warp. An 8 x 8 matrix of numbers 0 to 63 goes through ldmatrix.trans, movmatrix and stmatrix back to shared
# memory; the four sums of an mma.sync of ones, 16 each, follow. out: 32 words of pairs, then 128 floats.
TEXT = """
.version 8.3
.target sm_90
.address_size 64
.visible .entry kernel(.param .u64 out) {
  .reg .b32 %r<24>;
  .reg .f32 %f<12>;
  .reg .b64 %rd<12>;
  .reg .pred %p<4>;
  .shared .align 128 .b8 matrix[128];
  .shared .align 128 .b8 copy[128];
  mov.u32 %r1, %tid.x;
  // Lane i writes elements 2 i and 2 i + 1.
  shl.b32 %r2, %r1, 1;
  add.s32 %r3, %r2, 1;
  shl.b32 %r4, %r3, 16;
  or.b32 %r5, %r4, %r2;
  shl.b32 %r6, %r1, 2;
  mov.u32 %r7, matrix;
  add.s32 %r8, %r7, %r6;
  st.shared.u32 [%r8], %r5;
  bar.warp.sync -1;
  // Row addresses; ldmatrix .x1 takes those of lanes 0 to 7 alone.
  and.b32 %r9, %r1, 7;
  shl.b32 %r10, %r9, 4;
  add.s32 %r11, %r7, %r10;
  ldmatrix.sync.aligned.m8n8.x1.trans.shared.b16 {%r12}, [%r11];
  movmatrix.sync.aligned.m8n8.trans.b16 %r13, %r12;
  mov.u32 %r14, copy;
  add.s32 %r15, %r14, %r10;
  stmatrix.sync.aligned.m8n8.x1.shared.b16 [%r15], {%r13};
  bar.warp.sync -1;
  add.s32 %r16, %r14, %r6;
  ld.shared.u32 %r17, [%r16];
  mov.b32 %r18, 0x3f803f80;
  mov.f32 %f1, 0f00000000;
  mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%f2, %f3, %f4, %f5}, {%r18, %r18, %r18, %r18}, {%r18, %r18}, {%f1, %f1, %f1, %f1};
  ld.param.u64 %rd1, [out];
  mul.wide.u32 %rd2, %r1, 4;
  add.s64 %rd3, %rd1, %rd2;
  st.global.u32 [%rd3], %r17;
  mul.wide.u32 %rd4, %r1, 16;
  add.s64 %rd5, %rd1, %rd4;
  st.global.v4.f32 [%rd5+128], {%f2, %f3, %f4, %f5};
  ret;
}
"""

kernel = Kernel(sys.argv[1], TEXT, 160, ["--block", "32"])
finds = kernel.finds
LOAD = "ldmatrix.sync.aligned.m8n8.x1.trans.shared.b16 {%r12}, [%r11];"
STORE = "stmatrix.sync.aligned.m8n8.x1.shared.b16 [%r15], {%r13};"
MULTIPLY = "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
SUMS = "{%f2, %f3, %f4, %f5}, {%r18, %r18, %r18, %r18}, {%r18, %r18}, {%f1, %f1, %f1, %f1};"

numbers = np.arange(64, dtype=np.uint16).reshape(8, 8)
for name, changes, expected in (
        ("clean", (), numbers),
        ("transposed", ((LOAD, LOAD.replace(".trans", "")),), numbers.T),
        ("stored_transposed", ((STORE, STORE.replace(".x1", ".x1.trans")),), numbers.T)):
    result = kernel.clean(name, *changes)
    assert (result[:32].view(np.uint16).reshape(8, 8) == expected).all(), name
    assert (result[32:].view(np.float32) == 16).all(), name

finds("misaligned", ["misaligned: a read of 16 bytes at 0x", "is not at a multiple of 16", "ldmatrix"],
      ("add.s32 %r11, %r7, %r10;", "add.s32 %r11, %r8, 0;"))
finds("outside", ["out-of-bounds: a read of 16 bytes at 0x", "ldmatrix"],
      (LOAD, LOAD.replace("[%r11]", "[%r11+256]")))
finds("uninitialized", ["uninitialized-memory: 16 of the 16 bytes read at 0x", "ldmatrix"],
      (LOAD, LOAD.replace("[%r11]", "[%r11+128]")))
finds("race", ["shared-race: reads what thread (1, 0, 0) of block (0, 0, 0) wrote", "ldmatrix"],
      ("bar.warp.sync -1;\n  // Row", "// Row"))
finds("exited", ["inactive-lane: all 32 lanes of the warp have to execute this; 31 do, others have exited", "mma.sync"],
      (MULTIPLY, "setp.eq.u32 %p1, %r1, 9;\n@%p1 ret;\n" + MULTIPLY))
finds("uninitialized_register", ["uninitialized-register: %f1 is read, but nothing was written to it", "mma.sync"],
      ("mov.f32 %f1, 0f00000000;", ""))

# What is no instruction.
for change, message in (
        ((MULTIPLY, MULTIPLY.replace("m16n8k16", "m16n8k32")),
         "the shapes for elements of 16 bits are m16n8k8 and m16n8k16"),
        ((MULTIPLY, MULTIPLY.replace("m16n8k16", "m8n8k16")), "the known shapes are m16n8kK"),
        ((MULTIPLY, MULTIPLY.replace(".m16n8k16", "")), "has no shape like .m16n8k16"),
        ((MULTIPLY, MULTIPLY.replace("bf16.bf16.f32", "bf16.bf16.f16")), "C and D have one type"),
        ((MULTIPLY, MULTIPLY.replace("f32.bf16.bf16.f32", "f16.bf16.bf16.f16")),
         "bf16 and tf32 multiplicands have f32 accumulators"),
        ((MULTIPLY, MULTIPLY.replace(".row.col", ".col.col")), "needs the layout of A: one of .row"),
        ((MULTIPLY + SUMS, MULTIPLY + SUMS.replace("{%r18, %r18},", "%r18,")), "expected 2 elements, found 1"),
        ((LOAD, LOAD.replace(".m8n8", ".m16n16")), "needs a known shape: one of .m8n8"),
        ((LOAD, LOAD.replace(".x1", ".x3")), "needs a number of matrices: one of .x1, .x2, .x4"),
        ((LOAD, LOAD.replace("{%r12}", "{%r12, %r13}")), "expected 1 elements, found 2"),
        ((STORE, STORE.replace(".b16", ".b8")), "is not known for the type .b8")):
    finds("unknown", [message], change, code=2)
