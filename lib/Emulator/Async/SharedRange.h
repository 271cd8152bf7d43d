//===- SharedRange.h - Shared memory as asynchronous work sees it -----------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#ifndef QUERN_EMULATOR_ASYNC_SHAREDRANGE_H
#define QUERN_EMULATOR_ASYNC_SHAREDRANGE_H

#include "lib/Emulator/Machine/Block.h"

namespace quern::emulator::machine {

/// Bytes of the shared memory of a block of the cluster.
struct SharedRange {
  Block *block = nullptr;
  uint32_t offset = 0;

  explicit operator bool() const { return block != nullptr; }
  /// The same place in another block.
  SharedRange in(Block &other) const { return {&other, offset}; }
  /// As an address of the shared window.
  uint32_t address() const { return block->rank << sharedRankShift | offset; }
};

/// The range of `bytes` at an address of a lane, a multiple of `alignment`; an empty one after a
/// report if it is misaligned, no shared memory or not inside of it. `what` names it in the
/// message.
SharedRange locateShared(Warp &warp, const Instruction &instruction, unsigned lane, Space space,
                         uint64_t address, uint64_t bytes, uint32_t alignment, const char *what);

/// Global memory of the device.
struct GlobalRange {
  Region *region = nullptr;
  uint64_t offset = 0;
  explicit operator bool() const { return region != nullptr; }
  uint64_t address() const { return region->address + offset; }
};

/// The same for global memory; `writes` asks for memory that is not read-only.
GlobalRange locateGlobal(Warp &warp, const Instruction &instruction, unsigned lane,
                         uint64_t address, uint64_t bytes, uint32_t alignment, bool writes,
                         const char *what);

/// Asynchronous work on behalf of a lane: who issued it, and the channel and time by which others
/// learn that it is done.
struct Issue {
  Warp &warp;
  const Instruction &instruction;
  unsigned lane;
  checks::Agent channel;
  checks::Time time;
  checks::Proxy proxy = checks::Proxy::Async;
  /// Reductions do not race with each other.
  bool isAtomic = false;
};

/// Checks an access of asynchronous work against earlier accesses, and remembers it.
void recordShared(const Issue &issue, const SharedRange &range, uint32_t bytes, bool writes);
void recordGlobal(const Issue &issue, const GlobalRange &range, uint32_t bytes, bool writes);

/// Reports bytes of the range that were never written.
void requireInitialized(const Issue &issue, const SharedRange &range, uint32_t bytes);
void requireInitialized(const Issue &issue, const GlobalRange &range, uint32_t bytes);

/// Copies bytes with which of them are initialized.
void copyBytes(Bytes &to, uint64_t toOffset, const Bytes &from, uint64_t fromOffset,
               uint64_t count);

} // namespace quern::emulator::machine

#endif // QUERN_EMULATOR_ASYNC_SHAREDRANGE_H
