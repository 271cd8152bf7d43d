# RUN: %python %s %t
"""Copies between the blocks of a cluster, multicast, and cp.async on mbarriers: clean, and with one line changed."""

import sys

import numpy as np

from emulated import Kernel

# Two blocks of 32 threads. Each fills 128 bytes, and its first thread sends them to the other block, which waits for
# them on its own mbarrier. out[block][thread] = 100 * sender + thread.
SEND = """
.version 8.3
.target sm_90a
.address_size 64
.visible .entry kernel(.param .u64 out)
.reqnctapercluster 2, 1, 1
{
  .reg .b16 %rs<2>;
  .reg .b32 %r<24>;
  .reg .b64 %rd<8>;
  .reg .pred %p<4>;
  .shared .align 128 .b8 mine[128];
  .shared .align 128 .b8 theirs[128];
  .shared .align 8 .b8 barrier[8];
  mov.u32 %r1, %tid.x;
  mov.u32 %r2, %cluster_ctarank;
  xor.b32 %r3, %r2, 1;
  shl.b32 %r4, %r1, 2;
  mov.u32 %r5, mine;
  add.s32 %r6, %r5, %r4;
  mad.lo.u32 %r7, %r2, 100, %r1;
  mov.u32 %r8, theirs;
  add.s32 %r9, %r8, %r4;
  mov.u32 %r10, barrier;
  mapa.shared::cluster.u32 %r11, %r8, %r3;
  mapa.shared::cluster.u32 %r12, %r10, %r3;
  setp.eq.u32 %p1, %r1, 0;
  @%p1 mbarrier.init.shared.b64 [%r10], 1;
  @%p1 fence.mbarrier_init.release.cluster;
  st.shared.u32 [%r6], %r7;
  fence.proxy.async.shared::cta;
  barrier.cluster.arrive.aligned;
  barrier.cluster.wait.aligned;
  @%p1 mbarrier.arrive.expect_tx.shared.b64 _, [%r10], 128;
  @%p1 cp.async.bulk.shared::cluster.shared::cta.mbarrier::complete_tx::bytes [%r11], [%r5], 128, [%r12];
again:
  mbarrier.try_wait.parity.shared.b64 %p2, [%r10], 0;
  @!%p2 bra again;
  ld.shared.u32 %r13, [%r9];
  mov.u32 %r14, %ctaid.x;
  shl.b32 %r15, %r14, 5;
  add.s32 %r16, %r15, %r1;
  mul.wide.u32 %rd1, %r16, 4;
  ld.param.u64 %rd2, [out];
  add.s64 %rd3, %rd2, %rd1;
  st.global.u32 [%rd3], %r13;
  barrier.cluster.arrive.aligned;
  barrier.cluster.wait.aligned;
  ret;
}
"""
send = Kernel(sys.argv[1] + "/send", SEND, 64, ["--grid", "2", "--block", "32"])
numbers = np.arange(32)
for name, launch in (("clean", None), ("seed", ["--grid", "2", "--block", "32", "--schedule", "4"])):
    assert (send.clean(name, launch=launch).reshape(2, 32) == [numbers + 100, numbers]).all()

COPY = "cp.async.bulk.shared::cluster.shared::cta.mbarrier::complete_tx::bytes [%r11], [%r5], 128, [%r12];"
# Added to what is there.
assert (send.clean("adding", (COPY, COPY.replace("cp.async", "cp.reduce.async").replace("bytes [", "bytes.add.u32 [")),
                   ("st.shared.u32 [%r6], %r7;", "st.shared.u32 [%r6], %r7;\nst.shared.u32 [%r9], %r7;")
                   ).reshape(2, 32) == 2 * numbers + 100).all()
send.finds("other_barrier", ["invalid-operand: the copy goes to block 0 of the cluster, its mbarrier is in block 1"],
           (COPY, COPY.replace("[%r12]", "[%r10]")))
send.finds("to_itself", ["invalid-operand: a bulk copy from shared::cta to shared::cluster goes to another block"],
           (COPY, COPY.replace("[%r11]", "[%r8]").replace("[%r12]", "[%r10]")))
send.finds("source_changed", ["missing-wait: writes to what an asynchronous copy reads", "st.shared.u32"],
           ("again:", "@%p1 st.shared.u32 [%r6], %r7;\nagain:"))
send.finds("unfenced", ["missing-fence: reads what", "cp.async.bulk.shared::cluster.shared::cta"],
           ("fence.proxy.async.shared::cta;", ""))
send.finds("outside_of_cluster", ["out-of-bounds: the target of a bulk copy of 128 bytes at 0x",
                                  "the cluster has 2 blocks"],
           (COPY, COPY.replace("[%r11]", "[%r11+0x4000000]")))

# Two blocks of 32 threads; the first thread of the first one sends 128 bytes of `out` to both. out[32 + ...]: doubled.
MULTICAST = """
.version 8.3
.target sm_90a
.address_size 64
.visible .entry kernel(.param .u64 out)
.reqnctapercluster 2, 1, 1
{
  .reg .b16 %rs<2>;
  .reg .b32 %r<24>;
  .reg .b64 %rd<8>;
  .reg .pred %p<4>;
  .shared .align 128 .b8 values[128];
  .shared .align 8 .b8 barrier[8];
  mov.u32 %r1, %tid.x;
  mov.u32 %r2, %cluster_ctarank;
  shl.b32 %r4, %r1, 2;
  mov.u32 %r5, values;
  add.s32 %r6, %r5, %r4;
  ld.param.u64 %rd1, [out];
  mov.b16 %rs1, 3;
  setp.eq.u32 %p1, %r1, 0;
  @%p1 mbarrier.init.shared.b64 [barrier], 1;
  @%p1 fence.mbarrier_init.release.cluster;
  @%p1 mbarrier.arrive.expect_tx.shared.b64 _, [barrier], 128;
  barrier.cluster.arrive.aligned;
  barrier.cluster.wait.aligned;
  setp.eq.u32 %p3, %r2, 0;
  and.pred %p3, %p3, %p1;
  @%p3 cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster [values], [%rd1], 128, [barrier], %rs1;
again:
  mbarrier.try_wait.parity.shared.b64 %p2, [barrier], 0;
  @!%p2 bra again;
  ld.shared.u32 %r7, [%r6];
  add.s32 %r7, %r7, %r1;
  mov.u32 %r14, %ctaid.x;
  add.s32 %r14, %r14, 1;
  shl.b32 %r15, %r14, 5;
  add.s32 %r16, %r15, %r1;
  mul.wide.u32 %rd2, %r16, 4;
  add.s64 %rd3, %rd1, %rd2;
  st.global.u32 [%rd3], %r7;
  barrier.cluster.arrive.aligned;
  barrier.cluster.wait.aligned;
  ret;
}
"""
multicast = Kernel(sys.argv[1] + "/multicast", MULTICAST, 96, ["--grid", "2", "--block", "32"])
assert (multicast.clean("clean").reshape(3, 32)[1:] == numbers).all()
multicast.finds("no_such_block", ["invalid-operand: the mask of a multicast names block 2, the cluster has 2"],
                ("mov.b16 %rs1, 3;", "mov.b16 %rs1, 5;"))
multicast.finds("one_block_left_out", ["deadlock: no thread can go on", "the mbarrier at 0x1000480 is in phase 0, 0 of 1 "
                                       "arrivals pending, transaction count 128"],
                ("mov.b16 %rs1, 3;", "mov.b16 %rs1, 1;"))
multicast.finds("other_block_not_ready", ["invalid-operand: there is no mbarrier"],
                ("setp.eq.u32 %p1, %r1, 0;", "setp.eq.u32 %p1, %r1, 0;\nsetp.eq.u32 %p2, %r2, 0;\nand.pred %p1, %p1, %p2;"))

# 32 threads copy four bytes each and wait on an mbarrier for all of them; out[32 + thread] is the copy.
ARRIVE = """
.version 8.3
.target sm_80
.address_size 64
.visible .entry kernel(.param .u64 out) {
  .reg .b32 %r<24>;
  .reg .b64 %rd<8>;
  .reg .pred %p<4>;
  .shared .align 128 .b8 values[128];
  .shared .align 8 .b8 barrier[8];
  mov.u32 %r1, %tid.x;
  shl.b32 %r4, %r1, 2;
  mov.u32 %r5, values;
  add.s32 %r6, %r5, %r4;
  sub.s32 %r7, %r5, %r4;
  ld.param.u64 %rd1, [out];
  mul.wide.u32 %rd2, %r1, 4;
  add.s64 %rd3, %rd1, %rd2;
  setp.eq.u32 %p1, %r1, 0;
  @%p1 mbarrier.init.shared.b64 [barrier], 32;
  bar.sync 0;
  cp.async.ca.shared.global [%r6], [%rd3], 4;
  cp.async.mbarrier.arrive.noinc.shared.b64 [barrier];
again:
  mbarrier.test_wait.parity.shared.b64 %p2, [barrier], 0;
  @!%p2 bra again;
  ld.shared.u32 %r8, [%r7+124];
  add.s32 %r8, %r8, %r1;
  st.global.u32 [%rd3+128], %r8;
  ret;
}
"""
arrive = Kernel(sys.argv[1] + "/arrive", ARRIVE, 64, ["--block", "32"])
assert (arrive.clean("clean")[32:] == numbers).all()
# Without .noinc threads arrive themselves.
assert (arrive.clean("incremented", (".noinc", ""), ("again:", "mbarrier.arrive.shared.b64 _, [barrier];\nagain:"))[32:] ==
        numbers).all()
arrive.finds("no_wait", ["missing-wait: reads what an asynchronous copy writes", "ld.shared.u32"], ("@!%p2 bra again;", ""))
arrive.finds("copy_behind_arrival", ["missing-wait: reads what an asynchronous copy writes", "ld.shared.u32"],
             ("cp.async.mbarrier.arrive.noinc.shared.b64 [barrier];",
              "cp.async.mbarrier.arrive.noinc.shared.b64 [barrier];\ncp.async.ca.shared.global [%r6], [%rd3], 4;"),
             ("cp.async.ca.shared.global [%r6], [%rd3], 4;\n  cp", "cp"))
arrive.finds("too_many_arrivals", ["invalid-operand: no arrival is pending for the copies that have completed"],
             ("mbarrier.init.shared.b64 [barrier], 32;", "mbarrier.init.shared.b64 [barrier], 31;\n"
              "@%p1 mbarrier.expect_tx.relaxed.cta.shared.b64 [barrier], 16;"),
             launch=["--block", "32", "--patience", "100000"])
arrive.finds("no_room", ["invalid-operand: 1048575 arrivals are pending already"],
             ("mbarrier.init.shared.b64 [barrier], 32;", "mbarrier.init.shared.b64 [barrier], 1048575;"),
             (".noinc", ""), launch=["--block", "32", "--patience", "100000"])
