//===- Mbarrier.cpp - Barriers in shared memory -----------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "lib/Emulator/Async/Mbarrier.h"

#include "lib/Emulator/Async/Families.h"
#include "lib/Emulator/Async/SharedRange.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace quern::emulator::machine {

void Mbarrier::initialize(uint32_t count, Warp &warp) {
  initialized = true;
  initializationFenced = false;
  initializer = warp.actor.agent;
  initializedAt = warp.actor.now();
  expectedArrivals = pendingArrivals = count;
  pendingTransactions = 0;
  phases = 0;
  // A fence covers what came before it, so the next one must not cover the same instant again.
  warp.actor.advance();
}

void Mbarrier::invalidate() { initialized = false; }

bool Mbarrier::isOrderedBefore(const Warp &warp) const {
  return warp.actor.knowledge.knows(initializer, initializedAt);
}

bool Mbarrier::isVisibleToCopies(const Warp &warp) const {
  return initializationFenced || warp.actor.knowledge.isFenced(initializer, initializedAt);
}

void Mbarrier::fenceInitialization(const Warp &warp) {
  initializationFenced |= initialized && initializer == warp.actor.agent;
}

bool Mbarrier::arrive(uint32_t count) {
  if (count == 0 || count > pendingArrivals)
    return false;
  pendingArrivals -= count;
  endPhaseIfComplete();
  return true;
}

bool Mbarrier::drop(uint32_t count) {
  if (count == 0 || count > pendingArrivals || count > expectedArrivals)
    return false;
  expectedArrivals -= count;
  return arrive(count);
}

bool Mbarrier::addPending() {
  if (pendingArrivals >= maximalCount)
    return false;
  ++pendingArrivals;
  return true;
}

bool Mbarrier::expectTransactions(int64_t amount) { return completeTransactions(-amount); }

bool Mbarrier::completeTransactions(int64_t amount) {
  if (std::abs(pendingTransactions - amount) > maximalCount)
    return false;
  pendingTransactions -= amount;
  endPhaseIfComplete();
  return true;
}

checks::Time Mbarrier::beginCopy() {
  copiesInFlight.push_back(++copies);
  return copies;
}

bool Mbarrier::endCopy(checks::Time copy, int64_t bytes) {
  copiesInFlight.erase(std::find(copiesInFlight.begin(), copiesInFlight.end(), copy));
  return completeTransactions(bytes);
}

void Mbarrier::endPhaseIfComplete() {
  if (pendingArrivals != 0 || pendingTransactions != 0)
    return;
  // A copy that the transaction count did not wait for is not known to be done.
  checks::Time done = copies;
  for (checks::Time copy : copiesInFlight)
    done = std::min(done, copy - 1);
  arriving.learn(channel, done);
  completed.join(arriving);
  ++phases;
  pendingArrivals = expectedArrivals;
  ++block.grid.progress;
}

std::string Mbarrier::describe() const {
  return "phase " + std::to_string(phases) + ", " + std::to_string(pendingArrivals) + " of " +
         std::to_string(expectedArrivals) + " arrivals pending, transaction count " +
         std::to_string(pendingTransactions);
}

Mbarrier &Mbarriers::at(Block &block, uint32_t offset) {
  std::unique_ptr<Mbarrier> &object = objects[offset];
  if (!object)
    object = std::make_unique<Mbarrier>(block, offset,
                                        block.cluster.order.addChannel(ChannelKind::Mbarrier));
  return *object;
}

Mbarrier *findMbarrier(Warp &warp, const Instruction &instruction, unsigned lane, Space space,
                       uint64_t address, bool isLocal) {
  SharedRange range = locateShared(warp, instruction, lane, space, address, Mbarrier::bytes,
                                   Mbarrier::bytes, "an mbarrier");
  if (!range)
    return nullptr;
  if (isLocal && range.block != &warp.block) {
    warp.report(FindingKind::InvalidOperand, instruction, lane, range.address(),
                "the mbarrier is that of block " + std::to_string(range.block->rank) +
                    " of the cluster; only arrivals and transaction counts reach other blocks");
    return nullptr;
  }
  auto &objects = range.block->extensions.get<Mbarriers>().objects;
  auto found = objects.find(range.offset);
  if (found == objects.end() || !found->second->isInitialized()) {
    warp.report(FindingKind::InvalidOperand, instruction, lane, range.address(),
                "there is no mbarrier: mbarrier.init has not been executed for this address");
    return nullptr;
  }
  Mbarrier &barrier = *found->second;
  if (!barrier.isOrderedBefore(warp))
    warp.report(FindingKind::SharedRace, instruction, lane, range.address(),
                "uses an mbarrier whose initialization by warp " +
                    std::to_string(barrier.initializingWarp()) + " of block " +
                    std::to_string(range.block->rank) +
                    " it is not ordered after: no barrier lies between");
  // Its bytes count as uninitialized, so that loads from it are found; a store shows here.
  if (range.block->shared.countUninitialized(range.offset, Mbarrier::bytes) != Mbarrier::bytes) {
    warp.report(FindingKind::InvalidOperand, instruction, lane, range.address(),
                "the mbarrier has been overwritten by something that is no mbarrier operation");
    barrier.hide();
  }
  return &barrier;
}

void Mbarrier::hide() {
  for (uint32_t i = 0; i < bytes; ++i)
    block.shared.setBit(offset + i, false);
}

uint32_t Mbarrier::initializingWarp() const { return initializer % uint32_t(block.warps.size()); }

std::string describeMbarriers(const Cluster &cluster) {
  std::string text;
  for (const auto &block : cluster.blocks)
    for (const auto &entry : block->extensions.get<Mbarriers>().objects)
      if (const Mbarrier &barrier = *entry.second; barrier.isInitialized()) {
        char address[16];
        std::snprintf(address, sizeof address, "0x%x",
                      block->rank << sharedRankShift | barrier.offset);
        text += std::string("\n  the mbarrier at ") + address + " is in " + barrier.describe();
      }
  return text;
}

void reportCount(Warp &warp, const Instruction &instruction, unsigned lane, const Mbarrier &barrier,
                 const std::string &what) {
  warp.report(FindingKind::InvalidOperand, instruction, lane,
              barrier.block.rank << sharedRankShift | barrier.offset,
              what + "; the mbarrier is in " + barrier.describe());
}

} // namespace quern::emulator::machine
