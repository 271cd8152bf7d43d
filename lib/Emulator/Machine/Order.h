//===- Order.h - Who of a grid knows of whose accesses -------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
///
/// \file
/// Connects warps, barriers and asynchronous work with the vector clocks of Checks (see its
/// README). Agents are the warps of all blocks of the grid, and channels of asynchronous work,
/// numbered as they come into being.
///
#ifndef QUERN_EMULATOR_MACHINE_ORDER_H
#define QUERN_EMULATOR_MACHINE_ORDER_H

#include "lib/Emulator/Assembly/Types.h"
#include "lib/Emulator/Checks/AccessHistory.h"

#include "quern/Emulator/Emulator.h"

#include <cstdint>
#include <vector>

namespace quern::emulator::machine {

class Warp;
struct Instruction;
enum class AccessKind : uint8_t;

/// What is asynchronous about a channel's work, and so how one waits for it.
enum class ChannelKind : uint8_t {
  /// Copies that complete on an mbarrier.
  Mbarrier,
  /// cp.async of one warp.
  Copies,
  /// What bulk copies of one warp read from shared memory, and write to global memory.
  BulkReads,
  BulkWrites,
  /// Operands of wgmma of one warp.
  Matrices,
};

class Order {
public:
  checks::Agent addWarp(const Dim3 &block, uint32_t warp);
  checks::Agent addChannel(ChannelKind kind);
  bool isWarp(checks::Agent agent) const { return agents[agent].isWarp; }
  ChannelKind kindOf(checks::Agent channel) const { return agents[channel].kind; }
  const Dim3 &blockOf(checks::Agent warp) const { return agents[warp].block; }
  uint32_t warpOf(checks::Agent warp) const { return agents[warp].warp; }

private:
  /// A warp, by the index of its block in the grid and its own in the block, or a channel.
  struct Origin {
    bool isWarp;
    ChannelKind kind;
    Dim3 block;
    uint32_t warp;
  };
  std::vector<Origin> agents;
};

/// Reports an access of a lane that collides with an earlier one.
void reportConflict(Warp &warp, const Instruction &instruction, unsigned lane, Space space,
                    uint64_t address, bool writes, const checks::Conflict &conflict);

} // namespace quern::emulator::machine

#endif // QUERN_EMULATOR_MACHINE_ORDER_H
