//===- BulkStores.cpp - Bulk copies out of shared memory --------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "lib/Emulator/Async/BulkStores.h"

#include "lib/Emulator/Async/Families.h"

#include <algorithm>

namespace quern::emulator::machine {

void BulkStore::readSource() {
  if (read)
    return;
  read = true;
  for (const StorePiece &piece : pieces) {
    contents.emplace_back(piece.bytes);
    copyBytes(contents.back(), 0, piece.from.block->shared, piece.from.offset, piece.bytes);
  }
}

void BulkStore::writeTarget() {
  readSource();
  if (written)
    return;
  written = true;
  for (size_t i = 0; i < pieces.size(); ++i) {
    const StorePiece &piece = pieces[i];
    Bytes &target = piece.to.region->bytes;
    if (!reduction) {
      copyBytes(target, piece.to.offset, contents[i], 0, piece.bytes);
    } else {
      auto element = uint32_t(matrix::reductionTypeBytes(reduction->type));
      auto *to = reinterpret_cast<uint8_t *>(target.data() + piece.to.offset);
      const auto *from = reinterpret_cast<const uint8_t *>(contents[i].data());
      for (uint32_t at = 0; at < piece.bytes; at += element)
        matrix::reduceElement(reduction->operation, reduction->type, to + at, from + at);
    }
    ++piece.from.block->grid.progress;
  }
  contents.clear();
}

void BulkStores::addChannels(Warp &warp) {
  if (hasChannels)
    return;
  hasChannels = true;
  reads = warp.block.cluster.order.addChannel(ChannelKind::BulkReads);
  writes = warp.block.cluster.order.addChannel(ChannelKind::BulkWrites);
}

checks::Agent BulkStores::readChannel(Warp &warp) {
  addChannels(warp);
  return reads;
}

checks::Agent BulkStores::writeChannel(Warp &warp) {
  addChannels(warp);
  return writes;
}

void BulkStores::add(Warp &warp, std::shared_ptr<BulkStore> store) {
  lanes[store->lane].last = store->time;
  lanes[store->lane].instruction = store->instruction;
  queue.push_back(store);
  warp.block.cluster.asynchronous.issue([store = std::move(store)] { store->writeTarget(); });
}

void BulkStores::wait(unsigned lane, size_t remaining, bool readsAlone) {
  Lane &own = lanes[lane];
  checks::Time time = own.groups.wait(remaining);
  own.waitedReads = std::max(own.waitedReads, time);
  if (!readsAlone)
    own.waitedWrites = std::max(own.waitedWrites, time);
  for (const std::shared_ptr<BulkStore> &store : queue)
    if (store->lane == lane && store->time <= time) {
      if (readsAlone)
        store->readSource();
      else
        store->writeTarget();
    }
  queue.erase(std::remove_if(queue.begin(), queue.end(),
                             [](const auto &store) { return store->hasWritten(); }),
              queue.end());
}

checks::Time BulkStores::until(checks::Time Lane::*waited) const {
  checks::Time time = issued;
  for (const Lane &lane : lanes)
    if (lane.*waited < lane.last)
      time = std::min(time, lane.*waited);
  return time;
}

const Instruction *BulkStores::unfinished(unsigned lane) const {
  return lanes[lane].waitedReads < lanes[lane].last ? lanes[lane].instruction : nullptr;
}

void finishAsynchronous(Cluster &cluster) {
  for (const auto &block : cluster.blocks)
    for (const auto &warp : block->warps)
      for (unsigned lane = 0; lane < warpSize; ++lane)
        if (const Instruction *store = warp->extensions.get<BulkStores>().unfinished(lane))
          warp->report(FindingKind::MissingWait, *store, lane, 0,
                       "the thread ends while this bulk copy may still read shared memory: no "
                       "cp.async.bulk.wait_group.read follows");
  while (!cluster.asynchronous.isEmpty())
    cluster.asynchronous.completeOldest();
}

} // namespace quern::emulator::machine
