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

/// What a barrier instruction asks for.
struct BarrierArrival {
  /// The path goes on when the barrier completes, else at once.
  bool waits;
  BarrierReduction reduction;
  /// Threads, 0 for all.
  uint32_t count;
  /// Lanes that contribute to the reduction, whose result goes into operand `result`.
  LaneMask predicate = 0;
  size_t result = 0;
  /// All lanes of a warp execute the same instruction.
  bool isAligned = false;
};

class Barrier {
public:
  /// `lanes` of the executing path of `warp` arrive.
  void arrive(Warp &warp, const Instruction &instruction, LaneMask lanes,
              const BarrierArrival &arrival);
  /// Threads have exited: the barrier may be complete now.
  void update(Block &block);

private:
  /// The lanes of one warp that have arrived, perhaps in several steps.
  struct Party {
    Warp *warp;
    LaneMask lanes;
    bool waits;
    const Instruction *instruction;
  };
  struct Waiting {
    Path *path;
    const Instruction *instruction;
    BarrierArrival arrival;
  };
  std::vector<Party> parties;
  std::vector<Waiting> waiting;
  /// What those who have arrived knew.
  checks::Knowledge knowledge;
  uint32_t expected = 0;
  /// Threads that have arrived for a reduction, and those of them whose predicate holds.
  uint32_t voters = 0, votes = 0;

  bool isComplete(const Block &block) const;
  void complete(Block &block);
  uint32_t reduce(BarrierReduction reduction) const;
};

} // namespace quern::emulator::machine

#endif // QUERN_EMULATOR_MACHINE_BARRIER_H
