//===- Order.cpp - Who of a grid knows of whose accesses -----------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "lib/Emulator/Machine/Order.h"

#include "lib/Emulator/Machine/Block.h"

namespace quern::emulator::machine {

checks::Agent Order::addWarp(const Dim3 &block, uint32_t warp) {
  agents.push_back({true, ChannelKind(), block, warp});
  return checks::Agent(agents.size() - 1);
}

checks::Agent Order::addChannel(ChannelKind kind) {
  agents.push_back({false, kind, {}, 0});
  return checks::Agent(agents.size() - 1);
}

namespace {

/// "line 12: st.shared.f32 ..."
std::string place(const checks::Access &access) {
  const auto *instruction = static_cast<const Instruction *>(access.instruction);
  return "line " + std::to_string(instruction->source->position.line) + ": " +
         std::string(instruction->source->text);
}

/// "thread (3, 0, 0) of block (1, 0, 0)", or the warp when several lanes took part.
std::string who(const Grid &grid, const checks::Access &access) {
  auto text = [](const Dim3 &at) {
    return "(" + std::to_string(at.x) + ", " + std::to_string(at.y) + ", " + std::to_string(at.z) +
           ")";
  };
  uint32_t warp = grid.order.warpOf(access.agent);
  std::string name = access.lane == checks::Access::severalLanes
                         ? "warp " + std::to_string(warp)
                         : "thread " + text(threadOf(grid.launch.block, warp, access.lane));
  return name + " of block " + text(grid.order.blockOf(access.agent));
}

/// What goes on in a channel, and what would have waited for it.
struct Explanation {
  const char *work, *wait;
};

Explanation explain(ChannelKind kind) {
  switch (kind) {
  case ChannelKind::Mbarrier:
    return {"an asynchronous copy", "no completed wait on its mbarrier"};
  case ChannelKind::Copies:
    return {"an asynchronous copy", "no cp.async.wait_group and barrier"};
  case ChannelKind::BulkReads:
    return {"a bulk copy", "no cp.async.bulk.wait_group.read"};
  case ChannelKind::BulkWrites:
    return {"a bulk copy", "no cp.async.bulk.wait_group"};
  case ChannelKind::Matrices:
    return {"wgmma", "no wgmma.wait_group"};
  }
  return {};
}

} // namespace

void reportConflict(Warp &warp, const Instruction &instruction, unsigned lane, Space space,
                    uint64_t address, bool writes, const checks::Conflict &conflict) {
  const Grid &grid = warp.block.grid;
  const checks::Access &previous = conflict.previous;
  std::string message = writes ? "writes to what " : "reads what ";
  FindingKind kind;
  if (!grid.order.isWarp(previous.agent)) {
    Explanation explanation = explain(grid.order.kindOf(previous.agent));
    kind = FindingKind::MissingWait;
    message += std::string(explanation.work) +
               (conflict.previousWrites ? " writes (" : " reads (") + place(previous) + "); " +
               explanation.wait + " lies between";
  } else {
    message += who(grid, previous) + (conflict.previousWrites ? " wrote (" : " read (") +
               place(previous) + "); ";
    kind = conflict.isUnfenced      ? FindingKind::MissingFence
           : space == Space::Shared ? FindingKind::SharedRace
                                    : FindingKind::GlobalRace;
    message += conflict.isUnfenced
                   ? "no fence.proxy.async lies between, which the async proxy needs to see it"
                   : "nothing orders the two";
  }
  warp.report(kind, instruction, lane, address, message);
}

} // namespace quern::emulator::machine
