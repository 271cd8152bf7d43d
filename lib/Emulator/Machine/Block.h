//===- Block.h - A block of threads, and the cluster that it belongs to -----------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#ifndef QUERN_EMULATOR_MACHINE_BLOCK_H
#define QUERN_EMULATOR_MACHINE_BLOCK_H

#include "lib/Emulator/Machine/Asynchronous.h"
#include "lib/Emulator/Machine/Barrier.h"
#include "lib/Emulator/Machine/Extensions.h"
#include "lib/Emulator/Machine/Grid.h"
#include "lib/Emulator/Machine/Order.h"
#include "lib/Emulator/Machine/Warp.h"

namespace quern::emulator::machine {

struct Cluster;

struct Block {
  Block(Cluster &cluster, Dim3 index, uint32_t rank);

  Grid &grid;
  Cluster &cluster;
  /// In the grid, and its place in the cluster.
  Dim3 index;
  uint32_t rank;
  Bytes shared;
  /// Who accessed shared memory; made when it is first accessed.
  std::unique_ptr<checks::AccessHistory> sharedHistory;
  std::vector<std::unique_ptr<Warp>> warps;
  Barrier barriers[16];
  /// State of other families of instructions.
  Extensions extensions;

  uint32_t threads() const { return uint32_t(grid.launch.block.count()); }
  bool isDone() const;
  checks::AccessHistory &history();
};

struct Cluster {
  Cluster(Grid &grid, Dim3 index);

  Grid &grid;
  Dim3 index;
  std::vector<std::unique_ptr<Block>> blocks;
  /// Copies and other work that goes on beside the threads.
  Asynchronous asynchronous;
  Order &order;
  Extensions extensions;

  bool isDone() const;
};

} // namespace quern::emulator::machine

#endif // QUERN_EMULATOR_MACHINE_BLOCK_H
