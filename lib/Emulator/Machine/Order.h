//===- Order.h - Who of a cluster knows of whose accesses -------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
///
/// \file
/// Connects warps, barriers and asynchronous work with the vector clocks of Checks (see its
/// README). Agents are the warps of all blocks of the cluster, numbered block after block, and then
/// channels of asynchronous work, as they are needed.
///
#ifndef QUERN_EMULATOR_MACHINE_ORDER_H
#define QUERN_EMULATOR_MACHINE_ORDER_H

#include "lib/Emulator/Checks/AccessHistory.h"

#include <cstdint>
#include <vector>

namespace quern::emulator::machine {

class Warp;
struct Cluster;
struct Instruction;
enum class AccessKind : uint8_t;

/// What is asynchronous about a channel's work, and so how one waits for it.
enum class ChannelKind : uint8_t {
  /// Copies that complete on an mbarrier.
  Mbarrier,
  /// cp.async of one warp.
  Copies,
  /// Bulk copies of one warp out of shared memory: what they read, what they write.
  BulkReads,
  BulkWrites,
  /// Operands of wgmma of one warp.
  Matrices,
};

class Order {
public:
  /// For a cluster of `warps` warps.
  explicit Order(uint32_t warps) : warps(warps) {}

  checks::Agent addChannel(ChannelKind kind);
  bool isWarp(checks::Agent agent) const { return agent < warps; }
  ChannelKind kindOf(checks::Agent channel) const { return channels[channel - warps]; }

private:
  uint32_t warps;
  std::vector<ChannelKind> channels;
};

/// Reports an access of a lane that collides with an earlier one.
void reportConflict(Warp &warp, const Instruction &instruction, unsigned lane, uint64_t address,
                    bool writes, const checks::Conflict &conflict);

} // namespace quern::emulator::machine

#endif // QUERN_EMULATOR_MACHINE_ORDER_H
