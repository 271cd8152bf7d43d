//===- Loads.cpp - Issuing bulk copies --------------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "lib/Emulator/Async/Loads.h"

#include "lib/Emulator/Async/Mbarrier.h"

#include <cstring>

namespace quern::emulator::machine {

namespace {

void reduce(const ReductionPlan &plan, std::byte *target, const std::byte *source, uint32_t bytes) {
  auto element = uint32_t(matrix::reductionTypeBytes(plan.type));
  for (uint32_t at = 0; at < bytes; at += element)
    matrix::reduceElement(plan.operation, plan.type, reinterpret_cast<uint8_t *>(target + at),
                          reinterpret_cast<const uint8_t *>(source + at));
}

void arrive(const Load &load, Block &block) {
  for (const LoadPiece &piece : load.pieces) {
    Bytes &target = block.shared;
    const Bytes *source = piece.fromGlobal   ? &piece.fromGlobal.region->bytes
                          : piece.fromShared ? &piece.fromShared.block->shared
                                             : nullptr;
    uint64_t from = piece.fromGlobal ? piece.fromGlobal.offset : piece.fromShared.offset;
    if (load.reduction && source) {
      reduce(*load.reduction, target.data() + piece.offset, source->data() + from, piece.bytes);
    } else if (source) {
      copyBytes(target, piece.offset, *source, from, piece.bytes);
    } else {
      for (uint32_t at = piece.offset; at < piece.offset + piece.bytes; ++at)
        target.data()[at] = std::byte(load.fill[at % 16]);
      target.setInitialized(piece.offset, piece.bytes);
    }
  }
  ++block.grid.progress;
}

/// The mbarriers on which the load completes, one in each block that receives it; empty after a
/// report.
std::vector<Mbarrier *> barriersOf(Warp &warp, const Instruction &instruction, unsigned lane,
                                   const Load &load, Space space, uint64_t address,
                                   std::optional<uint16_t> mask) {
  SharedRange at = locateShared(warp, instruction, lane, space, address, Mbarrier::bytes,
                                Mbarrier::bytes, "the mbarrier of a bulk copy");
  if (!at)
    return {};
  std::vector<Block *> blocks;
  if (!mask) {
    if (at.block != load.to.block) {
      warp.report(FindingKind::InvalidOperand, instruction, lane, at.address(),
                  "the copy goes to block " + std::to_string(load.to.block->rank) +
                      " of the cluster, its mbarrier is in block " +
                      std::to_string(at.block->rank));
      return {};
    }
    blocks = {at.block};
  } else {
    auto &all = warp.block.cluster.blocks;
    for (unsigned rank = 0; rank < 16; ++rank)
      if (*mask >> rank & 1) {
        if (rank >= all.size()) {
          warp.report(FindingKind::InvalidOperand, instruction, lane, 0,
                      "the mask of a multicast names block " + std::to_string(rank) +
                          ", the cluster has " + std::to_string(all.size()));
          return {};
        }
        blocks.push_back(all[rank].get());
      }
  }
  std::vector<Mbarrier *> barriers;
  for (Block *block : blocks) {
    Mbarrier *barrier = findMbarrier(warp, instruction, lane, Space::Shared,
                                     at.in(*block).address(), /*isLocal=*/false);
    if (!barrier)
      return {};
    if (!barrier->isVisibleToCopies(warp))
      warp.report(FindingKind::MissingFence, instruction, lane, at.in(*block).address(),
                  "completes on an mbarrier that warp " +
                      std::to_string(barrier->initializingWarp()) + " of block " +
                      std::to_string(block->rank) +
                      " initialized without a fence.mbarrier_init or fence.proxy.async after it");
    barriers.push_back(barrier);
  }
  return barriers;
}

} // namespace

void issueLoad(Warp &warp, const Instruction &instruction, unsigned lane, Load load, Space space,
               uint64_t address, std::optional<uint16_t> mask) {
  std::vector<Mbarrier *> barriers =
      barriersOf(warp, instruction, lane, load, space, address, mask);
  std::vector<checks::Time> copies;
  for (Mbarrier *barrier : barriers) {
    Issue issue = {warp, instruction, lane, barrier->channel, barrier->beginCopy()};
    copies.push_back(issue.time);
    for (const LoadPiece &piece : load.pieces) {
      if (piece.fromShared) {
        requireInitialized(issue, piece.fromShared, piece.bytes);
        recordShared(issue, piece.fromShared, piece.bytes, /*writes=*/false);
      }
      if (piece.fromGlobal)
        recordGlobal(issue, piece.fromGlobal, piece.bytes, /*writes=*/false);
      recordShared(issue, {&barrier->block, piece.offset}, piece.bytes, /*writes=*/true);
    }
  }
  if (barriers.empty())
    return;
  Counters &counters = warp.block.grid.counters;
  for (const LoadPiece &piece : load.pieces) {
    counters.globalBytesRead += piece.fromGlobal ? piece.bytes : 0;
    counters.sharedBytesRead += piece.fromShared ? piece.bytes : 0;
    counters.sharedBytesWritten += piece.bytes * barriers.size();
  }
  auto complete = [&warp, &instruction, lane, load = std::move(load), barriers, copies] {
    for (size_t i = 0; i < barriers.size(); ++i) {
      arrive(load, barriers[i]->block);
      if (!barriers[i]->endCopy(copies[i], load.bytes))
        reportCount(warp, instruction, lane, *barriers[i],
                    "completing " + std::to_string(load.bytes) +
                        " bytes leaves the range of the transaction count (1048575)");
    }
  };
  warp.block.cluster.asynchronous.issue(std::move(complete));
}

void issueStore(Warp &warp, const Instruction &instruction, unsigned lane,
                std::vector<StorePiece> pieces, const std::optional<ReductionPlan> &reduction) {
  BulkStores &stores = warp.extensions.get<BulkStores>();
  auto store = std::make_shared<BulkStore>();
  store->time = stores.begin();
  store->lane = lane;
  store->instruction = &instruction;
  store->reduction = reduction;
  Issue reads = {warp, instruction, lane, stores.readChannel(warp), store->time};
  Issue writes = {warp, instruction, lane, stores.writeChannel(warp), store->time};
  writes.isAtomic = reduction.has_value();
  Counters &counters = warp.block.grid.counters;
  for (const StorePiece &piece : pieces) {
    counters.sharedBytesRead += piece.bytes;
    counters.globalBytesWritten += piece.bytes;
    counters.globalBytesRead += reduction ? piece.bytes : 0;
    requireInitialized(reads, piece.from, piece.bytes);
    recordShared(reads, piece.from, piece.bytes, /*writes=*/false);
    recordGlobal(writes, piece.to, piece.bytes, /*writes=*/true);
    if (reduction)
      requireInitialized(writes, piece.to, piece.bytes);
  }
  store->pieces = std::move(pieces);
  stores.add(warp, std::move(store));
}

} // namespace quern::emulator::machine
