//===- Mbarrier.h - Barriers in shared memory -------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
///
/// \file
/// mbarrier objects (PTX ISA 9.1, section 9.7.13.15). Their 8 bytes of shared memory are opaque:
/// what they are lives beside the memory, where they count as uninitialized.
///
#ifndef QUERN_EMULATOR_ASYNC_MBARRIER_H
#define QUERN_EMULATOR_ASYNC_MBARRIER_H

#include "lib/Emulator/Machine/Block.h"

#include <map>

namespace quern::emulator::machine {

class Mbarrier {
public:
  static constexpr uint32_t bytes = 8;
  /// Of the counts of arrivals, and of the transaction count in both directions.
  static constexpr int64_t maximalCount = (1 << 20) - 1;

  Mbarrier(Block &block, uint32_t offset, checks::Agent channel)
      : block(block), offset(offset), channel(channel) {}

  Block &block;
  /// In the block's shared memory.
  const uint32_t offset;
  /// Of the copies that complete here; its time counts them.
  const checks::Agent channel;

  void initialize(uint32_t count, Warp &warp);
  void invalidate();
  bool isInitialized() const { return initialized; }

  /// The number of the current phase, from 0.
  uint64_t phase() const { return phases; }
  uint32_t pending() const { return pendingArrivals; }
  /// Phase and counts, for messages.
  std::string describe() const;

  // Each ends the phase if nothing is pending then, and does nothing but return false if a count
  // would leave its range.
  bool arrive(uint32_t count);
  bool drop(uint32_t count);
  bool expectTransactions(int64_t amount);
  bool completeTransactions(int64_t amount);
  /// cp.async.mbarrier.arrive without .noinc: one more arrival in this phase.
  bool addPending();

  /// A copy begins that will complete here; returns its time in the channel.
  checks::Time beginCopy();
  /// It has written `bytes` bytes. As completeTransactions.
  bool endCopy(checks::Time copy, int64_t bytes);

  /// What those who have arrived in the current phase know.
  checks::Knowledge arriving;
  /// What those know who have waited for the last complete phase.
  checks::Knowledge completed;

  /// Whether the warp knows of the initialization.
  bool isOrderedBefore(const Warp &warp) const;
  /// Whether copies that the warp issues can complete here: a fence.mbarrier_init or
  /// fence.proxy.async has followed the initialization. (The CUDA programming guide asks for it;
  /// PTX ISA 9.1, section 9.7.9.25.4.1, has copies access their mbarrier by the generic proxy.)
  bool isVisibleToCopies(const Warp &warp) const;
  /// fence.mbarrier_init by the warp.
  void fenceInitialization(const Warp &warp);
  /// In its block.
  uint32_t initializingWarp() const;
  /// Makes its bytes count as uninitialized.
  void hide();

private:
  bool initialized = false, initializationFenced = false;
  checks::Agent initializer = 0;
  checks::Time initializedAt = 0;
  uint32_t expectedArrivals = 0, pendingArrivals = 0;
  int64_t pendingTransactions = 0;
  uint64_t phases = 0;
  /// Copies, and those that have not ended.
  checks::Time copies = 0;
  std::vector<checks::Time> copiesInFlight;

  void endPhaseIfComplete();
};

/// What a warp knew at its last fence.mbarrier_init, which makes a relaxed arrival at the cluster's
/// barrier release it. (On a device that holds for initializations of mbarriers alone.)
struct InitializationFence {
  checks::Knowledge released;
};

/// The mbarriers of a block, by their offset in its shared memory.
class Mbarriers {
public:
  /// The object at `offset`, made if there was none yet.
  Mbarrier &at(Block &block, uint32_t offset);
  std::map<uint32_t, std::unique_ptr<Mbarrier>> objects;
};

/// The initialized object at an address of a lane, or null after a report. `isLocal` excludes those
/// of other blocks of the cluster.
Mbarrier *findMbarrier(Warp &warp, const Instruction &instruction, unsigned lane, Space space,
                       uint64_t address, bool isLocal);

/// Reports that an operation would bring a count out of its range.
void reportCount(Warp &warp, const Instruction &instruction, unsigned lane, const Mbarrier &barrier,
                 const std::string &what);

} // namespace quern::emulator::machine

#endif // QUERN_EMULATOR_ASYNC_MBARRIER_H
