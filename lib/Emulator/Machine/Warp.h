//===- Warp.h - A warp: registers, paths of diverged lanes, and what handlers may do ----------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
///
/// \file
/// The lanes of a warp are on one or more paths, each at its own instruction. A branch that lanes
/// take differently splits a path in two; the parts meet again at the branch's immediate
/// post-dominator. Meeting is for speed and order, not for correctness: when nothing else can go
/// on, or a path loops for long, lanes that wait for others at such a place go on without them. So
/// lanes of a warp make progress independently of each other, as on sm_70 and later.
///
#ifndef QUERN_EMULATOR_MACHINE_WARP_H
#define QUERN_EMULATOR_MACHINE_WARP_H

#include "lib/Emulator/Checks/Knowledge.h"
#include "lib/Emulator/Machine/Extensions.h"
#include "lib/Emulator/Machine/Grid.h"

#include <memory>
#include <vector>

namespace quern::emulator::machine {

struct Block;

/// Registers of one activation of a function.
struct Frame {
  const Function *function = nullptr;
  std::unique_ptr<std::byte, void (*)(void *)> registers{nullptr, std::free};
  /// Initialized lanes of each register.
  std::vector<LaneMask> valid;
  std::shared_ptr<Frame> caller;
  uint32_t returnTo = 0;
  const Instruction *call = nullptr;
  /// Where its variables begin in each thread's local memory.
  uint32_t localBase = 0;
  /// By instruction of the function.
  ExecutionCount *counts = nullptr;
};

enum class PathState : uint8_t {
  Ready,
  /// Executes its instruction again and again until it succeeds.
  Polling,
  /// Waits for other lanes of the warp at an instruction that they execute together.
  Gathering,
  /// Until somebody sets it Ready: at a barrier.
  Blocked,
};

struct Path {
  uint32_t place = 0;
  /// Where it has to wait for others, or `never`.
  uint32_t stop = never;
  LaneMask lanes = 0;
  PathState state = PathState::Ready;
  int32_t meeting = -1;
  std::shared_ptr<Frame> frame;
  /// Instructions executed since it last met others; a strong read counts as many.
  uint64_t alone = 0;
};

/// Lanes that diverged and wait for each other at `place`.
struct Meeting {
  uint32_t place = never;
  std::shared_ptr<Frame> frame;
  LaneMask expected = 0;
  LaneMask arrived = 0;
  int32_t parent = -1;
};

enum class AccessKind : uint8_t {
  Read,
  Write,
  /// Accesses that do not race with each other: volatile and relaxed ones, atomic operations.
  StrongRead,
  StrongWrite,
  Atomic,
};

inline bool reads(AccessKind kind) {
  return kind != AccessKind::Write && kind != AccessKind::StrongWrite;
}
inline bool writes(AccessKind kind) {
  return kind != AccessKind::Read && kind != AccessKind::StrongRead;
}

/// An access that an engine makes on behalf of a warp: others learn of its end by the channel's
/// time.
struct AsynchronousAccess {
  checks::Agent channel;
  checks::Time time;
  checks::Proxy proxy;
};

/// Additional passes that shared memory takes for an access of `bytes` by `count` lanes.
unsigned bankConflicts(const uint64_t *addresses, unsigned count, unsigned bytes);

/// The thread of a block of `size` that a lane of a warp is.
inline Dim3 threadOf(const Dim3 &size, uint32_t warp, unsigned lane) {
  uint32_t linear = warp * warpSize + lane;
  return {linear % size.x, linear / size.x % size.y, linear / size.x / size.y};
}

class Warp {
public:
  Warp(Block &block, uint32_t index);

  Block &block;
  /// In the block.
  const uint32_t index;
  /// State of other families of instructions.
  Extensions extensions;
  /// That it has executed.
  uint64_t instructions = 0;
  /// What the threads of the warp know to have happened, in all memories.
  checks::Actor actor;

  //===- Registers of the executing path ------------------------------------------------------===//

  /// The 32 lanes of an operand; T is as wide as the operand.
  template <typename T>
  T *lanesOf(const Operand &operand) {
    return reinterpret_cast<T *>(registers + operand.offset);
  }
  /// The lanes for which a predicate holds, `!` applied.
  LaneMask predicate(const Operand &operand) {
    LaneMask value = *lanesOf<LaneMask>(operand);
    return operand.negated ? ~value : value;
  }
  /// Sets a predicate for `lanes` and marks it initialized.
  void setPredicate(const Operand &operand, LaneMask value, LaneMask lanes) {
    LaneMask *place = lanesOf<LaneMask>(operand);
    *place = (*place & ~lanes) | (value & lanes);
    setValid(operand, lanes);
  }
  /// The value of an address operand, displacement included.
  uint64_t address(const Operand &operand, unsigned lane) {
    uint64_t base = operand.bits == 64 ? lanesOf<uint64_t>(operand)[lane]
                                       : uint64_t(lanesOf<uint32_t>(operand)[lane]);
    uint64_t sum = base + uint64_t(operand.displacement);
    return operand.bits == 64 ? sum : uint64_t(uint32_t(sum));
  }
  LaneMask valid(const Operand &operand) const { return validity[operand.index]; }
  void setValid(const Operand &operand, LaneMask lanes) { validity[operand.index] |= lanes; }
  void setInvalid(const Operand &operand, LaneMask lanes) { validity[operand.index] &= ~lanes; }
  /// Reports the lanes in which one of the operands was never written.
  template <typename... Operands>
  void require(const Instruction &instruction, LaneMask lanes, const Operands &...operands) {
    if (lanes & ~(validity[operands.index] & ...))
      (reportUninitialized(instruction, lanes, operands), ...);
  }

  //===- Memory -------------------------------------------------------------------------------===//

  /// The bytes at an address for one lane, after all checks: bounds, alignment to `bytes`, whether
  /// what is read is initialized, races. Marks what is written initialized. Null when the access
  /// was wrong, which is then reported: a read yields zeros, a write nothing.
  std::byte *access(const Instruction &instruction, unsigned lane, Space space, uint64_t address,
                    unsigned bytes, AccessKind kind, const AsynchronousAccess *engine = nullptr);

  /// Counts an access of `lanes` at the addresses of an operand.
  void countAccess(Space space, LaneMask lanes, const Operand &address, unsigned bytes,
                   AccessKind kind);

  // Synchronization through memory (PTX ISA 8.3, section 8.10). A fence makes what was observed
  // before it known, and what is known then is published by strong writes behind it.
  void fence();
  /// A strong write: publishes what was known at the last fence; with `release`, all that is known.
  void publish(Space space, uint64_t address, bool release);
  /// A strong read: what was published there is known after the next fence; with `acquire`, now.
  void observe(Space space, uint64_t address, bool acquire);

  //===- Who and where ------------------------------------------------------------------------===//

  /// Lanes that have not exited.
  LaneMask live() const { return liveLanes; }
  Path &path() { return *current; }
  Dim3 thread(unsigned lane) const;
  void report(FindingKind kind, const Instruction &instruction, unsigned lane, uint64_t address,
              const std::string &message);
  const Instruction &instructionAt(const Path &path) const {
    return path.frame->function->code[path.place];
  }

  //===- Control flow -------------------------------------------------------------------------===//

  /// `lanes` of the executing path go on at `target`, the others behind the branch.
  Step branch(const Instruction &instruction, LaneMask lanes, uint32_t target);
  /// Several targets: targets[lane].
  Step branchIndexed(const Instruction &instruction, LaneMask lanes, const uint32_t *targets);
  Step exit(LaneMask lanes);
  /// Enters a function in a new frame, which `path().frame` is then; `returnFrom` goes back.
  void enter(const Instruction &instruction, LaneMask lanes, const Function &callee);
  Step returnFrom(LaneMask lanes);
  /// Copies bytes of the threads' local memory, with which of them are initialized.
  void copyLocal(LaneMask lanes, uint32_t to, uint32_t from, uint32_t bytes);
  /// `lanes` of the executing path wait behind the instruction until somebody sets the returned
  /// path Ready; its other lanes go on at once.
  Path &suspend(LaneMask lanes);

  //===- For the scheduler --------------------------------------------------------------------===//

  bool isDone() const { return paths.empty() && !liveLanes; }
  /// Executes up to `budget` instructions; false when no path could do anything.
  bool run(uint32_t budget);
  const std::vector<std::unique_ptr<Path>> &allPaths() const { return paths; }

private:
  std::byte *registers = nullptr;
  LaneMask *validity = nullptr;
  Path *current = nullptr;
  LaneMask liveLanes = 0;
  std::vector<std::unique_ptr<Path>> paths;
  std::vector<Meeting> meetings;
  std::vector<int32_t> freeMeetings;
  /// Of each thread, one after the other; `localStride` bytes each.
  Bytes local{0};
  uint32_t localStride = 0;
  size_t nextPath = 0;
  checks::Knowledge fenced, observed;
  /// The region of the last global access, likely that of the next.
  Region *lastRegion = nullptr;

  std::shared_ptr<Frame> makeFrame(const Function &function, uint32_t localBase);
  void growLocal(uint32_t bytes);
  void select(Path &path);
  uint32_t execute(Path &path, uint32_t budget);
  bool gather(Path &path, const Instruction &instruction, LaneMask &lanes);
  void advanceGathered(const Path &path);
  bool isComplete(const Instruction &instruction, LaneMask lanes, LaneMask present);
  bool gathersWith(const Path &path, const Path &other);
  void split(Path &path, LaneMask lanes, uint32_t place);
  int32_t meetingFor(const Path &path, uint32_t place);
  void arriveAtMeeting(Path &path);
  void leaveMeetings(int32_t meeting, LaneMask lanes);
  void releaseMeeting(int32_t meeting);
  bool releaseWaiting();
  bool runReady(uint32_t budget);
  bool runPolling(uint32_t budget);
  void updateStop(Path &path);
  void removePath(Path &path);
  void reportUninitialized(const Instruction &instruction, LaneMask lanes, const Operand &operand);
  std::string nameOf(const Operand &operand) const;
  /// Size of each thread's local memory, that of functions that were called deeper before not
  /// counted.
  uint32_t localEnd() const {
    return current->frame->localBase + current->frame->function->localBytes;
  }
  std::byte *badAccess(const Instruction &instruction, unsigned lane, Space space, uint64_t address,
                       unsigned bytes, AccessKind kind);
  void checkRace(const Instruction &instruction, unsigned lane, Space space, uint64_t address,
                 checks::AccessHistory &history, uint64_t offset, unsigned bytes, AccessKind kind,
                 const AsynchronousAccess *engine);
  std::pair<uint64_t, uint64_t> locationOf(Space space, uint64_t address) const;
};

} // namespace quern::emulator::machine

#endif // QUERN_EMULATOR_MACHINE_WARP_H
