//===- Block.cpp - A block of threads, and the cluster that it belongs to ---------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "lib/Emulator/Machine/Block.h"

#include <algorithm>

namespace quern::emulator::machine {

Block::Block(Cluster &cluster, Dim3 index, uint32_t rank)
    : grid(cluster.grid), cluster(cluster), index(index), rank(rank), shared(grid.sharedBytes) {
  for (uint32_t i = 0; i * warpSize < threads(); ++i)
    warps.push_back(std::make_unique<Warp>(*this, i));
}

checks::AccessHistory &Block::history() {
  if (!sharedHistory)
    sharedHistory = std::make_unique<checks::AccessHistory>(shared.size());
  return *sharedHistory;
}

bool Block::isDone() const {
  return std::all_of(warps.begin(), warps.end(), [](const auto &warp) { return warp->isDone(); });
}

Cluster::Cluster(Grid &grid, Dim3 index) : grid(grid), index(index), order(grid.order) {
  const Dim3 &size = grid.launch.cluster;
  uint32_t rank = 0;
  for (uint32_t z = 0; z < size.z; ++z)
    for (uint32_t y = 0; y < size.y; ++y)
      for (uint32_t x = 0; x < size.x; ++x)
        blocks.push_back(std::make_unique<Block>(
            *this, Dim3{index.x * size.x + x, index.y * size.y + y, index.z * size.z + z}, rank++));
}

bool Cluster::isDone() const {
  return std::all_of(blocks.begin(), blocks.end(),
                     [](const auto &block) { return block->isDone(); });
}

} // namespace quern::emulator::machine
