//===- SharedRange.cpp - Shared memory as asynchronous work sees it ---------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "lib/Emulator/Async/SharedRange.h"

#include <cinttypes>
#include <cstdio>
#include <cstring>

namespace quern::emulator::machine {

static std::string hexadecimal(uint64_t value) {
  char text[32];
  std::snprintf(text, sizeof text, "0x%" PRIx64, value);
  return text;
}

static bool isMisaligned(Warp &warp, const Instruction &instruction, unsigned lane,
                         uint64_t address, uint32_t alignment, const char *what) {
  if (address % alignment == 0)
    return false;
  warp.report(FindingKind::Misaligned, instruction, lane, address,
              std::string(what) + " at " + hexadecimal(address) + " is not at a multiple of " +
                  std::to_string(alignment));
  return true;
}

SharedRange locateShared(Warp &warp, const Instruction &instruction, unsigned lane, Space space,
                         uint64_t address, uint64_t bytes, uint32_t alignment, const char *what) {
  if (space == Space::Generic) {
    if (address - sharedWindow >= windowBytes) {
      warp.report(FindingKind::OutOfBounds, instruction, lane, address,
                  std::string(what) + " at " + hexadecimal(address) + " is not in shared memory");
      return {};
    }
    address -= sharedWindow;
  }
  if (isMisaligned(warp, instruction, lane, address, alignment, what))
    return {};
  uint64_t rank = address >> sharedRankShift;
  uint64_t offset = address & ((uint64_t(1) << sharedRankShift) - 1);
  const Cluster &cluster = warp.block.cluster;
  if (rank >= cluster.blocks.size() || offset < sharedReserved ||
      offset > warp.block.shared.size() || bytes > warp.block.shared.size() - offset) {
    warp.report(FindingKind::OutOfBounds, instruction, lane, address,
                std::string(what) + " of " + std::to_string(bytes) + " bytes at " +
                    hexadecimal(address) + " in shared memory: a block has it from " +
                    hexadecimal(sharedReserved) + " to " + hexadecimal(warp.block.shared.size()) +
                    ", the cluster has " + std::to_string(cluster.blocks.size()) +
                    (cluster.blocks.size() == 1 ? " block" : " blocks"));
    return {};
  }
  return {cluster.blocks[rank].get(), uint32_t(offset)};
}

GlobalRange locateGlobal(Warp &warp, const Instruction &instruction, unsigned lane,
                         uint64_t address, uint64_t bytes, uint32_t alignment, bool writes,
                         const char *what) {
  if (isMisaligned(warp, instruction, lane, address, alignment, what))
    return {};
  Memory &memory = warp.block.grid.memory;
  Region *region = memory.find(address);
  uint64_t offset = region ? address - region->address : 0;
  if (region && bytes <= region->bytes.size() - offset) {
    if (!writes || !region->isReadOnly)
      return {region, offset};
    warp.report(FindingKind::ReadOnlyWrite, instruction, lane, address,
                std::string(what) + " at " + hexadecimal(address) + ": '" + region->name +
                    "' is read-only");
    return {};
  }
  std::string where = ": nothing is allocated there";
  if (const Region *near = region ? region : memory.nearest(address))
    where = ": the nearest allocation is '" + near->name + "' (" +
            std::to_string(near->bytes.size()) + " bytes at " + hexadecimal(near->address) + ")";
  warp.report(FindingKind::OutOfBounds, instruction, lane, address,
              std::string(what) + " of " + std::to_string(bytes) + " bytes at " +
                  hexadecimal(address) + " in global memory" + where);
  return {};
}

static void record(const Issue &issue, checks::AccessHistory &history, Space space,
                   uint64_t address, uint64_t offset, uint32_t bytes, bool writes) {
  const checks::Actor &actor = issue.warp.actor;
  checks::Accessor by = {actor.knowledge, issue.channel, issue.time, uint8_t(issue.lane)};
  by.proxy = issue.proxy;
  by.isAtomic = issue.isAtomic;
  by.instruction = &issue.instruction;
  by.issuer = actor.agent;
  checks::Conflict conflict;
  if (!(writes ? history.write(by, offset, bytes, conflict)
               : history.read(by, offset, bytes, conflict)))
    reportConflict(issue.warp, issue.instruction, issue.lane, space, address, writes, conflict);
}

void recordShared(const Issue &issue, const SharedRange &range, uint32_t bytes, bool writes) {
  if (issue.warp.block.grid.launch.checkRaces)
    record(issue, range.block->history(), Space::Shared, range.address(), range.offset, bytes,
           writes);
}

void recordGlobal(const Issue &issue, const GlobalRange &range, uint32_t bytes, bool writes) {
  const Grid &grid = issue.warp.block.grid;
  if (grid.launch.checkRaces && !range.region->isReadOnly)
    record(issue, range.region->historyOf(grid.number), Space::Global, range.address(),
           range.offset, bytes, writes);
}

static void requireInitialized(const Issue &issue, Bytes &memory, Space space, uint64_t address,
                               uint64_t offset, uint32_t bytes) {
  if (issue.warp.block.grid.launch.sample || memory.isInitialized(offset, bytes))
    return;
  issue.warp.report(FindingKind::UninitializedMemory, issue.instruction, issue.lane, address,
                    std::to_string(memory.countUninitialized(offset, bytes)) + " of the " +
                        std::to_string(bytes) + " bytes read at " + hexadecimal(address) + " in " +
                        std::string(name(space)) + " memory were never written");
  memory.setInitialized(offset, bytes);
}

void requireInitialized(const Issue &issue, const SharedRange &range, uint32_t bytes) {
  requireInitialized(issue, range.block->shared, Space::Shared, range.address(), range.offset,
                     bytes);
}

void requireInitialized(const Issue &issue, const GlobalRange &range, uint32_t bytes) {
  requireInitialized(issue, range.region->bytes, Space::Global, range.address(), range.offset,
                     bytes);
}

void copyBytes(Bytes &to, uint64_t toOffset, const Bytes &from, uint64_t fromOffset,
               uint64_t count) {
  std::memcpy(to.data() + toOffset, from.data() + fromOffset, count);
  if (from.isInitialized(fromOffset, count)) {
    to.setInitialized(toOffset, count);
    return;
  }
  for (uint64_t i = 0; i < count; ++i)
    to.setBit(toOffset + i, from.bit(fromOffset + i));
}

} // namespace quern::emulator::machine
