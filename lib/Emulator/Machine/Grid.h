//===- Grid.h - One launch: what all its blocks share -----------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#ifndef QUERN_EMULATOR_MACHINE_GRID_H
#define QUERN_EMULATOR_MACHINE_GRID_H

#include "lib/Emulator/Checks/Findings.h"
#include "lib/Emulator/Checks/Knowledge.h"
#include "lib/Emulator/Machine/Memory.h"
#include "lib/Emulator/Machine/Order.h"
#include "lib/Emulator/Machine/Program.h"

#include <random>

namespace quern::emulator::machine {

/// Ends a launch at once; its report has the reason.
struct Abandoned {};

/// How often an instruction was executed.
struct ExecutionCount {
  uint64_t warps = 0;
  uint64_t lanes = 0;
};

struct Grid {
  Grid(Memory &memory, const Program &program, const Launch &launch, const Function &entry)
      : memory(memory), program(program), launch(launch), entry(entry),
        findings(launch.maximumFindings), random(launch.schedule) {}

  Memory &memory;
  const Program &program;
  const Launch &launch;
  const Function &entry;
  const InstalledModule *installed = nullptr;
  /// Of the launches on this device.
  uint64_t number = 0;
  const SharedLayout *layout = nullptr;
  /// Shared memory of a block from the start of its window, the system's part included.
  uint32_t sharedBytes = 0;
  /// Generic address of the parameters.
  uint64_t parameters = 0;
  checks::Findings findings;
  /// What the kernel prints.
  std::string output;
  Counters counters;
  std::unordered_map<const Function *, std::vector<ExecutionCount>> executions;
  std::mt19937_64 random;
  /// Grows with everything that shows that the launch gets on: memory written, a barrier passed, a
  /// thread ended.
  uint64_t progress = 0;
  /// Warp instructions so far.
  uint64_t executed = 0;
  /// What clocks and timers say; grows whenever one is read.
  uint64_t clock = 0;

  Order order;
  /// What was made known through memory: by an atomic operation or a store with release semantics
  /// at a generic address, and for shared memory the index of the block.
  std::map<std::pair<uint64_t, uint64_t>, checks::Knowledge> published;

  /// Records a finding of one thread at an instruction. Throws Abandoned when there are too many.
  void report(FindingKind kind, const Instruction &instruction, const Dim3 &block,
              const Dim3 &thread, uint64_t address, const std::string &message);
};

} // namespace quern::emulator::machine

#endif // QUERN_EMULATOR_MACHINE_GRID_H
