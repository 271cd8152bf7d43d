//===- Scheduler.h - Whose turn it is ---------------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
///
/// \file
/// Without a seed, warps run in turn, each from barrier to barrier, clusters one after the other,
/// and asynchronous work ends when nobody can go on without it. With a seed, warps of several
/// clusters are interrupted at random places, and asynchronous work ends at random times. Both are
/// legal; what a kernel computes must not depend on it.
///
#ifndef QUERN_EMULATOR_MACHINE_SCHEDULER_H
#define QUERN_EMULATOR_MACHINE_SCHEDULER_H

#include "lib/Emulator/Machine/Block.h"

namespace quern::emulator::machine {

class Scheduler {
public:
  explicit Scheduler(Grid &grid);
  /// Runs all clusters to their end. Throws Abandoned when they do not get there.
  void run();

private:
  Grid &grid;
  Dim3 clusters;
  /// The next cluster that begins.
  uint64_t next = 0;
  std::vector<std::unique_ptr<Cluster>> resident;

  bool admit();
  void retire();
  bool runInTurn();
  bool runAtRandom();
  bool completeWork();
  [[noreturn]] void reportStall(FindingKind kind);
};

} // namespace quern::emulator::machine

#endif // QUERN_EMULATOR_MACHINE_SCHEDULER_H
