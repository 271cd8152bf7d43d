//===- ClusterBarrier.cpp - barrier.cluster ---------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
///
/// \file
/// PTX ISA 9.1, section 9.7.13.3.
///
#include "lib/Emulator/Async/ClusterBarrier.h"

#include "lib/Emulator/Async/Families.h"
#include "lib/Emulator/Async/Mbarrier.h"
#include "lib/Emulator/Machine/Decoder.h"

namespace quern::emulator::machine {

LaneMask ClusterBarrier::arrive(const Warp &warp, LaneMask lanes) {
  State &state = warps[&warp];
  LaneMask again = state.arrived & lanes;
  state.arrived |= lanes;
  state.released &= ~lanes;
  completeIfAllArrived(warp.block.cluster);
  return again;
}

LaneMask ClusterBarrier::waiting(const Warp &warp, LaneMask lanes) {
  // Threads may have exited since the last arrival.
  completeIfAllArrived(warp.block.cluster);
  State &state = warps[&warp];
  LaneMask left = lanes & state.arrived;
  state.released &= ~(left ? 0 : lanes);
  return left;
}

LaneMask ClusterBarrier::strangers(const Warp &warp, LaneMask lanes) {
  const State &state = warps[&warp];
  return lanes & ~(state.arrived | state.released);
}

void ClusterBarrier::completeIfAllArrived(const Cluster &cluster) {
  for (const auto &block : cluster.blocks)
    for (const auto &warp : block->warps)
      if (warp->live() & ~warps[warp.get()].arrived)
        return;
  for (auto &[warp, state] : warps) {
    state.released = state.arrived;
    state.arrived = 0;
  }
  completed.join(arriving);
  ++cluster.grid.progress;
}

namespace {

/// data[0] is 1 for .relaxed.
Step arrive(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  ClusterBarrier &barrier = warp.block.cluster.extensions.get<ClusterBarrier>();
  if (instruction.data[0])
    barrier.arriving.join(warp.extensions.get<InitializationFence>().released);
  else
    warp.actor.release(barrier.arriving);
  if (LaneMask again = barrier.arrive(warp, lanes))
    warp.report(FindingKind::DivergentBarrier, instruction, unsigned(__builtin_ctz(again)), 0,
                "arrives at the barrier of the cluster again before it has completed");
  return Step::Next;
}

Step wait(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  ClusterBarrier &barrier = warp.block.cluster.extensions.get<ClusterBarrier>();
  if (LaneMask strangers = barrier.strangers(warp, lanes)) {
    warp.report(FindingKind::DivergentBarrier, instruction, unsigned(__builtin_ctz(strangers)), 0,
                "waits for the barrier of the cluster without having arrived at it");
    return Step::Next;
  }
  if (barrier.waiting(warp, lanes))
    return Step::Retry;
  warp.actor.acquire(barrier.completed);
  return Step::Next;
}

} // namespace

void decodeClusterBarrier(Decoder &decoder) {
  bool waits = decoder.modifiers.oneOf("an operation", {".arrive", ".wait"}) == 1;
  if (waits)
    decoder.modifiers.accept(".acquire");
  else
    decoder.result.data[0] = decoder.modifiers.acceptOneOf({".release", ".relaxed"}) == 1;
  // The barrier waits for the threads of the warp with or without .aligned.
  decoder.modifiers.accept(".aligned");
  decoder.requireWarp();
  decoder.operandCount(0);
  decoder.result.handler = waits ? wait : arrive;
}

} // namespace quern::emulator::machine
