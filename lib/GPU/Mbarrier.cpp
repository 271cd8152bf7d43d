//===- Mbarrier.cpp - Barriers in shared memory, and rings of stages that they guard ---------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "Mbarrier.h"

#include "quern/Emission/Indices.h"

using namespace mlir;

namespace quern::nvidia {

using emission::addIndex;
using emission::mulIndex;

void Mbarrier::initialize(Thread &t, int64_t arrivals) const {
  t.assembly("mbarrier.init.shared::cta.b64 [$0], $1;", "r,r,~{memory}",
             {address(t), t.int32(arrivals)});
}

void Mbarrier::arrive(Thread &t) const {
  t.assembly("mbarrier.arrive.shared::cta.b64 _, [$0];", "r,~{memory}", address(t));
}

void Mbarrier::arriveAt(Thread &t, Value rank) const {
  t.assembly("{\n\t"
             ".reg .b32 there;\n\t"
             "mapa.shared::cluster.u32 there, $0, $1;\n\t"
             "mbarrier.arrive.release.cluster.shared::cluster.b64 _, [there];\n\t"
             "}",
             "r,r,~{memory}", {address(t), rank});
}

void Mbarrier::arriveExpecting(Thread &t, int64_t bytes) const {
  t.assembly("mbarrier.arrive.expect_tx.shared::cta.b64 _, [$0], $1;", "r,r,~{memory}",
             {address(t), t.int32(bytes)});
}

void Mbarrier::await(Thread &t, Value parity, bool ofCluster) const {
  // The instruction may give up before the phase is complete.
  t.assembly("{\n\t"
             ".reg .pred done;\n"
             "again:\n\t"
             "mbarrier.try_wait.parity" +
                 Twine(ofCluster ? ".acquire.cluster" : "") +
                 ".shared::cta.b64 done, [$0], $1;\n\t"
                 "@done bra finished;\n\t"
                 "bra again;\n"
                 "finished:\n\t"
                 "}",
             "r,r,~{memory}", {address(t), parity});
}

Value clusterRank(Thread &t) {
  return t.assembly("mov.u32 $0, %cluster_ctarank;", "=r", {}, t.builder.getI32Type());
}

void clusterBarrier(Thread &t) {
  t.assembly("barrier.cluster.arrive.release;\n\tbarrier.cluster.wait.acquire;", "~{memory}", {});
}

void publishMbarriers(Thread &t) {
  t.assembly("fence.mbarrier_init.release.cluster;", "~{memory}", {});
}

Ring::Ring(Thread &t, int64_t stages, int64_t stageBytes, int64_t consumers, int64_t blocks,
           int64_t producers)
    : stages(stages), stageBytes(stageBytes), consumers(consumers), blocks(blocks),
      producers(producers),
      bytes(t, t.shared({stages * stageBytes}, t.builder.getI8Type(), sharedAlignment)),
      barriers(t, t.shared({2 * stages}, t.builder.getI64Type())) {}

void Ring::initialize(Thread &t) const {
  t.when(t.equal(t.thread(), t.index(0)), [&] {
    for (int64_t stage = 0; stage < stages; ++stage) {
      full(t, t.int32(stage)).initialize(t, producers);
      empty(t, t.int32(stage)).initialize(t, consumers * blocks);
    }
    publishMbarriers(t);
  });
  if (blocks > 1)
    clusterBarrier(t);
  else
    t.barrier();
}

Ring::Place Ring::first(Thread &t) const { return {t.int32(0), t.int32(0)}; }

Ring::Place Ring::next(Thread &t, const Place &place) const {
  Value following = addIndex(t, place.stage, t.int32(1));
  Value wraps = t.equal(following, t.int32(stages));
  Value flipped = arith::XOrIOp::create(t.builder, t.loc, place.parity, t.int32(1));
  return {t.select(wraps, t.int32(0), following), t.select(wraps, flipped, place.parity)};
}

Pointer Ring::memory(Thread &t, Value stage) const {
  return bytes.at(t, mulIndex(t, stage, t.int32(stageBytes)));
}
Mbarrier Ring::full(Thread &t, Value stage) const { return Mbarrier(barriers.at(t, stage)); }
Mbarrier Ring::empty(Thread &t, Value stage) const {
  return Mbarrier(barriers.at(t, stages).at(t, stage));
}

void Ring::release(Thread &t, Value stage, Value isUsed) const {
  t.when(t.both(isUsed, t.less(t.lane(), t.index(blocks))), [&] {
    // Each of the first lanes tells one of the blocks.
    if (blocks > 1)
      empty(t, stage).arriveAt(t, t.int32(t.lane()));
    else
      empty(t, stage).arrive(t);
  });
}

void Ring::awaitEmpty(Thread &t, const Place &place) const {
  // The phase before the first counts as complete.
  Value before = arith::XOrIOp::create(t.builder, t.loc, place.parity, t.int32(1));
  empty(t, place.stage).await(t, before, /*ofCluster=*/blocks > 1);
}
void Ring::awaitFull(Thread &t, const Place &place) const {
  full(t, place.stage).await(t, place.parity);
}

} // namespace quern::nvidia
