//===- Barrier.cpp - The named barriers of a block --------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "lib/Emulator/Machine/Barrier.h"

#include "lib/Emulator/Machine/Block.h"

#include <algorithm>

namespace quern::emulator::machine {

void Barrier::arrive(Block &block, Warp &warp, const Instruction &instruction, LaneMask lanes,
                     bool waits, uint32_t count, LaneMask predicate) {
  auto found = std::find_if(arrivals.begin(), arrivals.end(),
                            [&](const Arrival &arrival) { return arrival.warp == &warp; });
  if (!arrivals.empty() && count != expected)
    warp.report(FindingKind::InvalidOperand, instruction, unsigned(__builtin_ctz(lanes)), 0,
                "this barrier is for " + (count ? std::to_string(count) : "all") +
                    " threads; others have arrived at it for " +
                    (expected ? std::to_string(expected) : "all"));
  expected = count;
  if (found == arrivals.end()) {
    arrivals.push_back({&warp, lanes, predicate, &instruction, waits});
  } else {
    if (found->lanes & lanes)
      warp.report(FindingKind::DivergentBarrier, instruction, unsigned(__builtin_ctz(lanes)), 0,
                  "these threads arrive at a barrier again before it has completed");
    found->lanes |= lanes;
    found->predicate |= predicate;
  }
  warp.actor.release(knowledge);
  if (waits)
    waiting.push_back(&warp.suspend(lanes));
  update(block);
}

bool Barrier::isComplete(const Block &block) const {
  uint32_t threads = 0;
  for (const Arrival &arrival : arrivals)
    if (!(arrival.warp->live() & ~arrival.lanes))
      threads += warpSize;
  if (expected)
    return threads >= expected;
  uint32_t needed = 0;
  for (const auto &warp : block.warps)
    if (warp->live())
      needed += warpSize;
  for (const Arrival &arrival : arrivals)
    if (!arrival.warp->live())
      needed += warpSize;
  return threads >= needed;
}

void Barrier::update(Block &block) {
  if (!arrivals.empty() && isComplete(block))
    complete(block);
}

void Barrier::complete(Block &block) {
  ++block.grid.progress;
  for (const Arrival &arrival : arrivals)
    if (arrival.waits)
      arrival.warp->actor.acquire(knowledge);
  knowledge = {};
  for (Path *path : waiting)
    path->state = PathState::Ready;
  waiting.clear();
  arrivals.clear();
}

} // namespace quern::emulator::machine
