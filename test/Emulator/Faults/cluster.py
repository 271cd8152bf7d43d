# RUN: %python %s %t
"""Clusters: one clean kernel, and what is found when one line of it changes."""

import sys

import numpy as np

from emulated import Kernel

# Clusters of two blocks of 64 threads. Each thread writes its number into the other block's shared memory; the first
# thread arrives there at an mbarrier; after the cluster's barrier each reads what it got. out[block][thread].
TEXT = """
.version 8.3
.target sm_90a
.address_size 64
.visible .entry kernel(.param .u64 out)
.reqnctapercluster 2, 1, 1
{
  .reg .b32 %r<16>;
  .reg .b64 %rd<12>;
  .reg .pred %p<4>;
  .shared .align 8 .b8 barrier[8];
  .shared .align 4 .b8 values[256];
  mov.u32 %r1, %tid.x;
  mov.u32 %r2, %cluster_ctarank;
  xor.b32 %r3, %r2, 1;
  mov.u32 %r4, values;
  shl.b32 %r5, %r1, 2;
  add.s32 %r6, %r4, %r5;
  mapa.shared::cluster.u32 %r7, %r6, %r3;
  mov.u32 %r8, barrier;
  mapa.shared::cluster.u32 %r9, %r8, %r3;
  setp.ne.u32 %p1, %r1, 0;
  @!%p1 mbarrier.init.shared.b64 [%r8], 1;
  fence.mbarrier_init.release.cluster;
  barrier.cluster.arrive.relaxed.aligned;
  barrier.cluster.wait.aligned;
  st.shared::cluster.u32 [%r7], %r1;
  @!%p1 mbarrier.arrive.release.cluster.shared::cluster.b64 _, [%r9];
  barrier.cluster.arrive.aligned;
  barrier.cluster.wait.aligned;
  ld.shared.u32 %r10, [%r6];
again:
  mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 %p2, [%r8], 0;
  @!%p2 bra again;
  getctarank.shared::cluster.u32 %r11, %r7;
  elect.sync %r12|%p3, -1;
  @!%p3 mov.u32 %r11, 0;
  mov.u32 %r13, %ctaid.x;
  shl.b32 %r13, %r13, 6;
  add.s32 %r13, %r13, %r1;
  mul.wide.u32 %rd1, %r13, 4;
  ld.param.u64 %rd2, [out];
  add.s64 %rd3, %rd2, %rd1;
  shl.b32 %r11, %r11, 8;
  add.s32 %r10, %r10, %r11;
  st.global.u32 [%rd3], %r10;
  griddepcontrol.launch_dependents;
  griddepcontrol.wait;
  ret;
}
"""

kernel = Kernel(sys.argv[1], TEXT, 256, ["--grid", "4", "--block", "64"])
finds = kernel.finds

# The elected lane of each warp adds 256 times the rank of the block that it wrote to.
expected = np.tile(np.arange(64), (4, 1))
expected[:, [0, 32]] += 256 * np.array([[1], [0], [1], [0]])
assert (kernel.clean("clean").reshape(4, 64) == expected).all()
assert (kernel.clean("seed", launch=["--grid", "4", "--block", "64", "--schedule", "7"]).reshape(4, 64) ==
        expected).all()
# Generic addresses serve as well.
assert (kernel.clean("generic",
                     ("mapa.shared::cluster.u32 %r7, %r6, %r3;",
                      "cvt.u64.u32 %rd4, %r6; cvta.shared.u64 %rd5, %rd4; mapa.u64 %rd6, %rd5, %r3;"),
                     ("st.shared::cluster.u32 [%r7], %r1;", "st.u32 [%rd6], %r1;"),
                     ("getctarank.shared::cluster.u32 %r11, %r7;", "getctarank.u64 %r11, %rd6;")
                     ).reshape(4, 64) == expected).all()

SECOND = "barrier.cluster.arrive.aligned;\n  barrier.cluster.wait.aligned;"
finds("no_barrier", ["shared-race: reads what thread", "ld.shared.u32"],
      (SECOND, "bar.sync 0;"), ("ld.shared.u32 %r10, [%r6];\n", ""),
      ("getctarank", "ld.shared.u32 %r10, [%r6];\ngetctarank"))
finds("relaxed", ["shared-race: reads what thread", "ld.shared.u32"],
      (SECOND, SECOND.replace("arrive.aligned", "arrive.relaxed.aligned")))
finds("unfenced_initialization",
      ["shared-race: uses an mbarrier whose initialization by warp 0 of block", "mbarrier.arrive.release.cluster"],
      ("fence.mbarrier_init.release.cluster;", ""))
finds("no_arrival", ["divergent-barrier: waits for the barrier of the cluster without having arrived at it"],
      (SECOND, "barrier.cluster.wait.aligned;"))
finds("arrived_twice", ["divergent-barrier: arrives at the barrier of the cluster again before it has completed"],
      (SECOND, "barrier.cluster.arrive.aligned;\n" + SECOND))
finds("one_block_waits", ["deadlock: no thread can go on; these wait:", "barrier.cluster.wait"],
      (SECOND, "setp.eq.u32 %p2, %r2, 0;\n@%p2 bra.uni skip;\nbarrier.cluster.arrive.aligned;\n"
       "barrier.cluster.wait.aligned;\nbra.uni join;\nskip:\n"
       # The other block arrives here once, so that the second phase never ends.
       "first:\nmbarrier.try_wait.parity.shared.b64 %p2, [%r8], 0;\n@!%p2 bra first;\n"
       "second:\nmbarrier.try_wait.parity.shared.b64 %p2, [%r8], 1;\n@!%p2 bra second;\njoin:"))
finds("other_block_ended", ["out-of-bounds: a read in shared memory of block 1 of the cluster, which has ended"],
      ("ld.shared.u32 %r10, [%r6];",
       "setp.eq.u32 %p2, %r2, 1;\n@%p2 ret;\nmov.u32 %r14, 0;\nbusy:\nadd.s32 %r14, %r14, 1;\n"
       "setp.lt.u32 %p2, %r14, 20000;\n@%p2 bra busy;\nld.shared::cluster.u32 %r10, [%r7];"))
finds("no_such_block", ["invalid-operand: block 3 of a cluster of 2"], ("xor.b32 %r3, %r2, 1;", "mov.u32 %r3, 3;"))
finds("remote_wait", ["invalid-operand: the mbarrier is that of block"],
      ("mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 %p2, [%r8], 0;",
       "mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 %p2, [%r9], 0;"))
finds("remote_initialization", ["invalid-operand: an mbarrier is initialized by its own block alone"],
      ("mbarrier.init.shared.b64 [%r8], 1;", "mbarrier.init.shared.b64 [%r9], 1;"))
finds("not_shared", ["invalid-operand: the address is not in shared memory"],
      ("getctarank.shared::cluster.u32 %r11, %r7;", "ld.param.u64 %rd7, [out]; getctarank.u64 %r11, %rd7;"))

# What is no instruction.
for change, message in (
        (("barrier.cluster.arrive.relaxed.aligned;", "barrier.cluster.sync.aligned;"), "one of .arrive, .wait"),
        (("elect.sync %r12|%p3, -1;", "elect.sync %r12, -1;"), "expected two results like %r0|%p0"),
        (("fence.mbarrier_init.release.cluster;", "fence.mbarrier_init.release.cta;"), "needs a scope"),
        (("fence.mbarrier_init.release.cluster;", "fence.proxy.alias;"), "needs a proxy that is emulated"),
        (("mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64", "mbarrier.try_wait.parity.shared::cluster.b64"),
         "this operation is for .shared::cta alone"),
        (("griddepcontrol.wait;", "griddepcontrol.stop;"), "one of .launch_dependents, .wait")):
    finds("unknown", [message], change, code=2)
