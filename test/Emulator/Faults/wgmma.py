# RUN: %python %s %t
"""wgmma: one clean kernel, and what is found when one line of it changes."""

import sys

import numpy as np

from emulated import Kernel

# Each warp multiplies 16 rows of ones (of 64 x 16) by 16 x 8 ones; threads write their four sums, 16 each, and 32
# after the second wgmma. A begins at 0x400, B at 0xc00; neither is swizzled: 128 bytes from core matrix to core
# matrix along k, 256 from 8 rows to the next.
TEXT = """
.version 8.3
.target sm_90a
.address_size 64
.visible .entry kernel(.param .u64 out) {
  .reg .b32 %r<8>;
  .reg .f32 %f<16>;
  .reg .b64 %rd<12>;
  .reg .pred %p<4>;
  .shared .align 1024 .b8 tiles[4096];
  mov.u32 %r1, %tid.x;
  mul.wide.u32 %rd1, %r1, 16;
  mov.u64 %rd2, tiles;
  add.s64 %rd3, %rd2, %rd1;
  mov.u32 %r2, 0x3f803f80;
  st.shared.v4.u32 [%rd3], {%r2, %r2, %r2, %r2};
  st.shared.v4.u32 [%rd3+2048], {%r2, %r2, %r2, %r2};
  fence.proxy.async.shared::cta;
  bar.sync 0;
  mov.u64 %rd4, 0x0000001000080040;
  mov.u64 %rd5, 0x00000010000800c0;
  mov.f32 %f1, 0f00000000;
  mov.f32 %f2, %f1;
  mov.f32 %f3, %f1;
  mov.f32 %f4, %f1;
  setp.eq.u32 %p1, %r1, %r1;
  wgmma.fence.sync.aligned;
  wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%f1, %f2, %f3, %f4}, %rd4, %rd5, 0, 1, 1, 0, 0;
  wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%f1, %f2, %f3, %f4}, %rd4, %rd5, %p1, 1, 1, 0, 0;
  wgmma.commit_group.sync.aligned;
  wgmma.wait_group.sync.aligned 0;
  st.shared.u32 [%rd3], %r1;
  ld.param.u64 %rd6, [out];
  add.s64 %rd7, %rd6, %rd1;
  st.global.v4.f32 [%rd7], {%f1, %f2, %f3, %f4};
  ret;
}
"""


kernel = Kernel(sys.argv[1], TEXT, 512, ["--block", "128"])
finds = kernel.finds


def clean(name, *changes, sums=32):
    assert (kernel.clean(name, *changes).view(np.float32) == sums).all(), name


WGMMA = "wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%f1, %f2, %f3, %f4}, %rd4, %rd5, "
FIRST, SECOND = WGMMA + "0, 1, 1, 0, 0;", WGMMA + "%p1, 1, 1, 0, 0;"
COMMIT, WAIT = "wgmma.commit_group.sync.aligned;", "wgmma.wait_group.sync.aligned 0;"
FENCE = "wgmma.fence.sync.aligned;"

clean("clean")
clean("negated", (SECOND, WGMMA + "%p1, -1, 1, 0, 0;"), sums=0)
clean("twice_negated", (SECOND, WGMMA + "%p1, -1, -1, 0, 0;"))
# Ones transposed are ones.
clean("transposed", (FIRST, WGMMA + "0, 1, 1, 1, 1;"))
# A new name for an accumulator in flight, as compilers write it.
clean("renamed", (SECOND, "mov.f32 %f9, %f1;\n" + SECOND.replace("%f1,", "%f9,")),
      ("st.global.v4.f32 [%rd7], {%f1,", "st.global.v4.f32 [%rd7], {%f9,"))

# Registers in flight.
finds("no_wait", ["register-in-flight: uses a register of wgmma (line 29) that is in flight: no "
                  "wgmma.wait_group lies between", "st.global.v4.f32"], (WAIT, ""))
finds("no_commit", ["register-in-flight: uses a register of wgmma", "st.global.v4.f32"], (COMMIT, ""))
finds("wait_too_early", ["register-in-flight", "st.global.v4.f32"],
      (WAIT, "wgmma.wait_group.sync.aligned 1;"))
finds("written_in_flight", ["register-in-flight", "add.f32"],
      (COMMIT, "add.f32 %f1, %f9, %f9;\n" + COMMIT), ("mov.f32 %f2, %f1;", "mov.f32 %f2, %f1; mov.f32 %f9, %f1;"))
finds("renamed_in_flight", ["register-in-flight", "add.f32"],
      (COMMIT, "mov.f32 %f9, %f1;\nadd.f32 %f10, %f9, %f9;\n" + COMMIT))

# Fences.
finds("never_fenced", ["missing-fence: no wgmma.fence has been executed before the first wgmma"], (FENCE, ""))
finds("register_set_behind_fence",
      ["missing-fence: uses registers that other instructions have accessed since the last wgmma.fence"],
      (FENCE, FENCE + "\nmov.f32 %f4, 0f00000000;"))
finds("register_read_behind_wait",
      ["missing-fence: uses registers that other instructions have accessed since the last wgmma.fence"],
      (SECOND, COMMIT + "\n" + WAIT + "\nadd.f32 %f9, %f1, %f2;\n" + SECOND))
finds("no_proxy_fence",
      ["missing-fence: reads what thread (96, 0, 0) of block (0, 0, 0) wrote", "no fence.proxy.async lies between"],
      ("fence.proxy.async.shared::cta;", ""))
finds("no_barrier", ["shared-race: reads what thread"], ("bar.sync 0;", ""))

# Tiles that are written while wgmma reads them.
finds("tile_reused", ["missing-wait: writes to what wgmma reads", "no wgmma.wait_group lies between", "st.shared.u32"],
      (WAIT, "st.shared.u32 [%rd3], %r1;\n" + WAIT), ("st.shared.u32 [%rd3], %r1;\n  ld.param", "ld.param"))

# Operands.
finds("uninitialized_tile", ["uninitialized-memory: 16 of the 16 bytes read"],
      ("st.shared.v4.u32 [%rd3+2048], {%r2, %r2, %r2, %r2};", ""))
finds("uninitialized_sum", ["uninitialized-register: %f4 is read"], ("mov.f32 %f4, %f1;", ""),
      (FIRST, ""))
finds("outside", ["out-of-bounds: a part of a wgmma operand of 16 bytes at 0x"],
      ("mov.u64 %rd5, 0x00000010000800c0;", "mov.u64 %rd5, 0x0000001000080140;"))
finds("bad_descriptor", ["invalid-operand: matrix descriptor 0x00004010000800c0 has bits set outside of the fields"],
      ("mov.u64 %rd5, 0x00000010000800c0;", "mov.u64 %rd5, 0x00004010000800c0;"))
finds("lanes_differ", ["invalid-operand: lanes of the warp have different matrix descriptors"],
      ("mov.u64 %rd5, 0x00000010000800c0;", "cvt.u64.u32 %rd5, %r1;"))
finds("warps_differ",
      ["invalid-operand: the warps of a warpgroup execute wgmma together, but another warp of it has other "
       "descriptors or another scale-d"],
      ("mov.u64 %rd5, 0x00000010000800c0;",
       "mov.u64 %rd5, 0x00000010000800c0;\nsetp.lt.u32 %p2, %r1, 32;\n@%p2 mov.u64 %rd5, 0x00000010000800c8;"))
finds("scale_differs", ["invalid-operand: lanes of the warp have different values of scale-d"],
      ("setp.eq.u32 %p1, %r1, %r1;", "setp.eq.u32 %p1, %r1, 0;"))
finds("instruction_differs", ["but another warp of it executes line"],
      (SECOND, "setp.lt.u32 %p2, %r1, 32;\n@%p2 bra.uni other;\n" + SECOND + "\nbra.uni both;\nother:\n" +
       SECOND + "\nboth:"))
finds("half_a_warpgroup", ["invalid-operand: warp 1 belongs to no whole warpgroup: the block has 64 threads"],
      launch=["--block", "64"])
finds("exited_lanes", ["inactive-lane: all 32 lanes of the warp have to execute this; 31 do, others have exited"],
      (FENCE, "setp.eq.u32 %p2, %r1, 5;\n@%p2 ret;\n" + FENCE))

# Each warp executes a wgmma, the commit and the wait after the first wgmma began, before its products are done; then
# nothing. With another wait between the two wgmmas it begins twice.
COUNTED = ["warps with wgmma             4\n", "of them beside wgmma         12\n", "stretches of wgmma           4\n"]
counting = ["--block", "128", "--counters"]
finds("counts", COUNTED, code=0, launch=counting)
finds("counts_again", ["of them beside wgmma         16\n", "stretches of wgmma           8\n"], code=0, launch=counting, *[
    (FIRST, FIRST + "\n  wgmma.commit_group.sync.aligned;\n  wgmma.wait_group.sync.aligned 0;")])
# A sampled launch counts the same, and computes nothing.
code, printed, sums = kernel.emulate("sampled", [], [*counting, "--sample", "1", "--no-races"])
assert code == 0 and all(line in printed for line in COUNTED) and not sums.any(), (printed, sums)

# What is no instruction.
for change, message in (
        ((FIRST, FIRST.replace("m64n8k16", "m64n12k16")), "N is a multiple of 8 from 8 to 256"),
        ((FIRST, FIRST.replace("m64n8k16", "m64n8k8")), "the shapes for elements of 16 bits are m64nNk16"),
        ((FIRST, FIRST.replace("m64n8k16", "m32n8k16")), "M is 64"),
        ((FIRST, FIRST.replace("f32.bf16.bf16", "f32.bf16.f16")), "types of one kind and size"),
        ((FIRST, FIRST.replace("f32.bf16.bf16", "f32.f64.f64")), "multiplicands of type .f64 are not known"),
        ((FIRST, FIRST.replace("f32.bf16.bf16", "f64.bf16.bf16")), "accumulators of type .f64 are not known"),
        ((FIRST, FIRST.replace("0, 1, 1, 0, 0;", "0, 2, 1, 0, 0;")), "the constant 2 is not in -1 to 1"),
        ((FIRST, FIRST.replace("0, 1, 1, 0, 0;", "0, 0, 1, 0, 0;")), "expected 1 or -1"),
        ((FIRST, FIRST.replace("0, 1, 1, 0, 0;", "0, 1, 1;")), "operands, not"),
        ((FIRST, FIRST.replace("{%f1, %f2, %f3, %f4}", "{%f1, %f2}")), "expected 4 elements, found 2"),
        ((FENCE, "wgmma.fence.aligned;"), "needs synchronization"),
        ((FENCE, "setmaxnreg.inc.sync.aligned.u32 100;"), "the number of registers is a multiple of 8"),
        ((FENCE, "setmaxnreg.inc.sync.aligned.u32 264;"), "the constant 264 is not in 24 to 256")):
    finds("unknown", [message], change, code=2)
