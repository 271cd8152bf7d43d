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

static std::string threads(uint32_t count) {
  return count ? std::to_string(count) + " threads" : "all threads";
}

void Barrier::arrive(Warp &warp, const Instruction &instruction, LaneMask lanes,
                     const BarrierArrival &arrival) {
  unsigned first = unsigned(__builtin_ctz(lanes));
  if (!parties.empty() && arrival.count != expected)
    warp.report(FindingKind::InvalidOperand, instruction, first, 0,
                "arrives at this barrier as one for " + threads(arrival.count) +
                    "; others have arrived at it as one for " + threads(expected));
  expected = arrival.count;
  auto party = std::find_if(parties.begin(), parties.end(),
                            [&](const Party &one) { return one.warp == &warp; });
  if (party == parties.end()) {
    parties.push_back({&warp, lanes, arrival.waits, &instruction});
  } else {
    if (party->lanes & lanes)
      warp.report(FindingKind::DivergentBarrier, instruction, first, 0,
                  "arrives at a barrier once more before it has completed");
    else if (arrival.isAligned && party->instruction != &instruction)
      warp.report(FindingKind::DivergentBarrier, instruction, first, 0,
                  "other lanes of the warp are at another barrier instruction (line " +
                      std::to_string(party->instruction->source->position.line) +
                      "): a warp must not diverge at bar and barrier.aligned");
    party->lanes |= lanes;
    party->waits |= arrival.waits;
  }
  if (arrival.reduction != BarrierReduction::None) {
    voters += unsigned(__builtin_popcount(lanes));
    votes += unsigned(__builtin_popcount(arrival.predicate & lanes));
  }
  warp.actor.release(knowledge);
  Block &block = warp.block;
  if (arrival.waits)
    waiting.push_back({&warp.suspend(lanes), &instruction, arrival});
  update(block);
}

bool Barrier::isComplete(const Block &block) const {
  uint32_t arrived = 0;
  for (const Party &party : parties)
    if (!(party.warp->live() & ~party.lanes))
      arrived += warpSize;
  if (expected)
    return arrived >= expected;
  // Those who arrived and exited, and all who are left.
  uint32_t needed = 0;
  for (const auto &warp : block.warps) {
    bool isParty = std::any_of(parties.begin(), parties.end(),
                               [&](const Party &party) { return party.warp == warp.get(); });
    if (warp->live() || isParty)
      needed += warpSize;
  }
  return arrived >= needed;
}

void Barrier::update(Block &block) {
  if (!parties.empty() && isComplete(block))
    complete(block);
}

uint32_t Barrier::reduce(BarrierReduction reduction) const {
  switch (reduction) {
  case BarrierReduction::And:
    return votes == voters;
  case BarrierReduction::Or:
    return votes != 0;
  default:
    return votes;
  }
}

void Barrier::complete(Block &block) {
  ++block.grid.progress;
  for (const Party &party : parties)
    if (party.waits)
      party.warp->actor.acquire(knowledge);
  for (const Waiting &one : waiting) {
    one.path->state = PathState::Ready;
    if (one.arrival.reduction == BarrierReduction::None)
      continue;
    const Operand &result = one.instruction->operands[one.arrival.result];
    uint32_t value = reduce(one.arrival.reduction);
    auto *lanes = reinterpret_cast<uint32_t *>(one.path->frame->registers.get() + result.offset);
    if (result.bits == 1)
      *lanes = (*lanes & ~one.path->lanes) | (value ? one.path->lanes : 0);
    else
      for (LaneMask rest = one.path->lanes; rest; rest &= rest - 1)
        lanes[__builtin_ctz(rest)] = value;
    one.path->frame->valid[result.index] |= one.path->lanes;
  }
  knowledge = {};
  parties.clear();
  waiting.clear();
  voters = votes = 0;
}

} // namespace quern::emulator::machine
