//===- Barrier.h - The named barriers of a block ----------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
///
/// \file
/// PTX ISA 8.3, section 9.7.12.1: a barrier instruction waits for all threads of its warp that have
/// not exited, and then marks the arrival of the warp. Without a thread count it waits for all
/// warps of the block that have threads left; with one, for that many threads, counted in whole
/// warps.
///
#ifndef QUERN_EMULATOR_MACHINE_BARRIER_H
#define QUERN_EMULATOR_MACHINE_BARRIER_H

#include "lib/Emulator/Checks/Knowledge.h"
#include "lib/Emulator/Machine/Program.h"

#include <vector>

namespace quern::emulator::machine {

struct Path;
struct Block;

enum class BarrierReduction : uint8_t { None, Count, And, Or };

class Barrier {
public:
  /// The lanes of `path` arrive; `count` is the number of threads, 0 for all. They go on at once if
  /// `waits` is false, else when the barrier completes: the path is blocked until then. `predicate`
  /// has the lanes that contribute to the reduction.
  void arrive(Block &block, Warp &warp, const Instruction &instruction, LaneMask lanes, bool waits,
              uint32_t count, LaneMask predicate = 0);
  /// Threads have exited: the barrier may be complete now.
  void update(Block &block);

private:
  /// The lanes of one warp that have arrived, perhaps in several steps.
  struct Arrival {
    Warp *warp;
    LaneMask lanes;
    LaneMask predicate;
    const Instruction *instruction;
    bool waits;
  };
  std::vector<Arrival> arrivals;
  std::vector<Path *> waiting;
  /// What those who have arrived knew.
  checks::Knowledge knowledge;
  uint32_t expected = 0;

  bool isComplete(const Block &block) const;
  void complete(Block &block);
};

} // namespace quern::emulator::machine

#endif // QUERN_EMULATOR_MACHINE_BARRIER_H
