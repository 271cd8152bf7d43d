//===- WarpgroupState.h - What wgmma of a warp has in flight ----------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
///
/// \file
/// Registers and order of `wgmma.mma_async` (PTX ISA 9.1, sections 9.7.15.5.2 and 9.7.15.7). A warp
/// computes its rows when it issues the instruction; that nobody sees them before wgmma.wait_group
/// is checked here rather than delayed.
///
/// The rules: registers of A and D belong to wgmma from its issue until a wait_group that covers
/// it; a register that something else has accessed belongs to wgmma again after a wgmma.fence
/// alone; the four warps of a warpgroup execute the same instructions with the same descriptors.
///
/// `mov` between registers is taken as renaming: compilers write it between wgmmas for values that
/// they know to be in flight, and ptxas removes it. The new name is in flight too.
///
#ifndef QUERN_EMULATOR_TENSORCORE_WARPGROUPSTATE_H
#define QUERN_EMULATOR_TENSORCORE_WARPGROUPSTATE_H

#include "lib/Emulator/Async/Groups.h"
#include "lib/Emulator/Machine/Block.h"

#include <map>
#include <unordered_map>

namespace quern::emulator::machine {

/// Of one warp.
class WarpgroupState {
public:
  checks::Agent channel(Warp &warp);
  checks::Time begin() { return ++issued; }
  checks::Time last() const { return issued; }
  /// A wgmma is issued.
  void beginProducts(const Warp &warp);
  void fence();
  void commit() { groups.commit(issued); }
  /// wgmma.wait_group: registers of what is complete are free again. Returns until when that is.
  checks::Time wait(const Warp &warp, size_t remaining);

  bool hasFenced() const { return fences; }
  // Registers by the index of their operands in the function that the warp executes.
  /// Whether something else has accessed the register since the last wgmma.fence.
  bool isTouched(Warp &warp, uint32_t index);
  /// The wgmma that the register belongs to, or null.
  const Instruction *ownerOf(Warp &warp, uint32_t index);
  void own(Warp &warp, uint32_t index, checks::Time time, const Instruction &instruction);
  void touch(Warp &warp, uint32_t index);
  /// `mov to, from`
  void rename(Warp &warp, uint32_t to, uint32_t from);

  /// How often products were under way, and instructions of the warp meanwhile.
  uint64_t stretches() const { return begun; }
  uint64_t covered() const { return meanwhile; }

private:
  struct Register {
    /// Of the last wgmma that used it, 0 for none.
    checks::Time time = 0;
    const Instruction *instruction = nullptr;
    /// 1 more than the wgmma.fences before something else accessed it last; 0 for never.
    uint64_t touched = 0;
  };
  Register &at(Warp &warp, uint32_t index);

  bool hasChannel = false;
  uint64_t fences = 0;
  checks::Agent matrices = 0;
  checks::Time issued = 0, done = 0;
  bool underWay = false;
  uint64_t begun = 0, since = 0, meanwhile = 0;
  Groups groups;
  /// Of each activation of a function, by their index; those of the one that was asked for last.
  std::map<const Frame *, std::vector<Register>> registers;
  const Frame *frame = nullptr;
  std::vector<Register> *ofFrame = nullptr;
};

/// What the four warps of each warpgroup have executed, to compare it.
class WarpgroupLog {
public:
  /// One wgmma of one warp.
  struct Entry {
    const Instruction *instruction;
    uint64_t a, b;
    bool accumulates;
    bool operator==(const Entry &other) const {
      return instruction == other.instruction && a == other.a && b == other.b &&
             accumulates == other.accumulates;
    }
  };
  /// Notes the next wgmma of a warp; returns what another warp of the warpgroup did instead, or
  /// null.
  const Entry *note(uint32_t warp, const Entry &entry);

private:
  struct Group {
    std::deque<Entry> entries;
    /// Of the first entry, and of the next one of each warp.
    uint64_t first = 0, next[4] = {};
  };
  std::unordered_map<uint32_t, Group> groups;
};

} // namespace quern::emulator::machine

#endif // QUERN_EMULATOR_TENSORCORE_WARPGROUPSTATE_H
