//===- Warp.cpp - Executes the paths of a warp ------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "lib/Emulator/Machine/Warp.h"

#include "lib/Emulator/Machine/Block.h"

#include <algorithm>
#include <cassert>

namespace quern::emulator::machine {

/// A path that has executed so many instructions while others wait to meet it is taken to wait for
/// them itself, say for a lock that one of them holds.
static constexpr uint64_t longAlone = 200'000;

Warp::Warp(Block &block, uint32_t index)
    : block(block), index(index), actor(block.grid.order.addWarp(block.index, index)) {
  uint32_t threads = block.threads();
  uint32_t first = index * warpSize;
  uint32_t count = std::min(warpSize, threads - first);
  liveLanes = count == warpSize ? allLanes : (LaneMask(1) << count) - 1;
  auto path = std::make_unique<Path>();
  path->lanes = liveLanes;
  path->frame = makeFrame(block.grid.entry, 0);
  paths.push_back(std::move(path));
}

Dim3 Warp::thread(unsigned lane) const { return threadOf(block.grid.launch.block, index, lane); }

void Warp::report(FindingKind kind, const Instruction &instruction, unsigned lane, uint64_t address,
                  const std::string &message) {
  block.grid.report(kind, instruction, block.index, thread(lane), address, message);
}

/// The name of the register that an operand is.
std::string Warp::nameOf(const Operand &operand) const {
  // Registers have the validity masks behind that of constants, in the order of their declaration.
  const std::vector<assembly::Register> &declared = current->frame->function->source->registers;
  size_t index = size_t(operand.index) - 1;
  return index < declared.size() ? declared[index].name : "a register";
}

void Warp::reportUninitialized(const Instruction &instruction, LaneMask lanes,
                               const Operand &operand) {
  LaneMask missing = lanes & ~validity[operand.index];
  if (!missing)
    return;
  validity[operand.index] |= missing;
  report(FindingKind::UninitializedRegister, instruction, unsigned(__builtin_ctz(missing)), 0,
         nameOf(operand) + " is read, but nothing was written to it");
}

void Warp::select(Path &path) {
  current = &path;
  registers = path.frame->registers.get();
  validity = path.frame->valid.data();
}

bool Warp::run(uint32_t budget) {
  if (runReady(budget) || runPolling(budget))
    return true;
  return releaseWaiting();
}

bool Warp::runReady(uint32_t budget) {
  for (size_t i = 0; i < paths.size(); ++i) {
    size_t at = (nextPath + i) % paths.size();
    Path *path = paths[at].get();
    if (path->state != PathState::Ready)
      continue;
    nextPath = at + 1;
    uint32_t done = execute(*path, budget);
    block.grid.executed += done;
    if (current == path)
      path->alone += done;
    // Otherwise the path has ended or met others.
    if (current == path && path->alone > longAlone) {
      path->alone = 0;
      releaseWaiting();
    }
    return true;
  }
  return false;
}

bool Warp::runPolling(uint32_t budget) {
  for (size_t i = 0; i < paths.size(); ++i) {
    Path *path = paths[i].get();
    if (path->state != PathState::Polling && path->state != PathState::Gathering)
      continue;
    path->state = PathState::Ready;
    uint32_t done = execute(*path, budget);
    block.grid.executed += done;
    if (done)
      return true;
  }
  return false;
}

/// Returns the number of instructions that were completed.
uint32_t Warp::execute(Path &path, uint32_t budget) {
  select(path);
  const Instruction *code = path.frame->function->code.data();
  ExecutionCount *counts = path.frame->counts;
  uint32_t done = 0;
  for (; done < budget; ++done) {
    if (path.place == path.stop) {
      arriveAtMeeting(path);
      return done + 1;
    }
    const Instruction &instruction = code[path.place];
    LaneMask lanes = path.lanes;
    if (instruction.guarded) {
      require(instruction, lanes, instruction.guard);
      LaneMask guard = *lanesOf<LaneMask>(instruction.guard);
      lanes &= instruction.guardNegated ? ~guard : guard;
      if (!lanes) {
        ++path.place;
        continue;
      }
    }
    if (instruction.convergence != Convergence::None && !gather(path, instruction, lanes))
      return done;
    bool isGathered = lanes & ~path.lanes;
    if (instruction.watch)
      instruction.watch->observe(*this, instruction);
    ExecutionCount &count = counts[path.place];
    ++instructions;
    ++count.warps;
    count.lanes += unsigned(__builtin_popcount(lanes));
    Step step = instruction.handler(*this, instruction, lanes);
    if (isGathered && step != Step::Retry)
      advanceGathered(path);
    switch (step) {
    case Step::Next:
      ++path.place;
      break;
    case Step::Retry:
      --instructions;
      --count.warps;
      count.lanes -= unsigned(__builtin_popcount(lanes));
      path.state = PathState::Polling;
      return done;
    case Step::Moved:
      if (current != &path || path.state != PathState::Ready || path.alone > longAlone)
        return done + 1;
      select(path);
      code = path.frame->function->code.data();
      counts = path.frame->counts;
      break;
    }
  }
  return done;
}

/// Whether the lanes that each of `lanes` has to wait for are all present.
bool Warp::isComplete(const Instruction &instruction, LaneMask lanes, LaneMask present) {
  if (instruction.convergence == Convergence::Warp)
    return !(liveLanes & ~present);
  const uint32_t *members = lanesOf<uint32_t>(instruction.members);
  for (LaneMask rest = lanes; rest; rest &= rest - 1)
    if (members[__builtin_ctz(rest)] & liveLanes & ~present)
      return false;
  return true;
}

/// Whether lanes of `other` execute the instruction of `path` together with it: they are at the
/// same one, or at another bar.warp.sync with the same members.
bool Warp::gathersWith(const Path &path, const Path &other) {
  if (&other == &path || other.state != PathState::Gathering)
    return false;
  if (other.frame == path.frame && other.place == path.place)
    return true;
  const Instruction &own = instructionAt(path), &theirs = instructionAt(other);
  if (!own.gathersAnywhere || !theirs.gathersAnywhere)
    return false;
  auto membersOf = [](const Path &one, const Instruction &instruction) {
    const auto *members =
        reinterpret_cast<const uint32_t *>(one.frame->registers.get() + instruction.members.offset);
    return members[__builtin_ctz(one.lanes)];
  };
  return membersOf(path, own) == membersOf(other, theirs);
}

/// Brings together lanes that execute an instruction together, whose paths may have come to it one
/// after the other. True when all are there: `lanes` has them then.
bool Warp::gather(Path &path, const Instruction &instruction, LaneMask &lanes) {
  if (instruction.convergence == Convergence::Members) {
    require(instruction, lanes, instruction.members);
    const uint32_t *members = lanesOf<uint32_t>(instruction.members);
    for (LaneMask rest = lanes; rest; rest &= rest - 1) {
      unsigned lane = unsigned(__builtin_ctz(rest));
      if (!(members[lane] >> lane & 1))
        report(FindingKind::InvalidOperand, instruction, lane, 0,
               "lane " + std::to_string(lane) + " is not in its own member mask");
    }
  }
  if (isComplete(instruction, lanes, lanes))
    return true;
  // Lanes whose predicate does not hold take no part.
  if (path.lanes != lanes)
    split(path, path.lanes & ~lanes, path.place + 1);
  path.state = PathState::Gathering;
  LaneMask own = lanes;
  for (const auto &other : paths)
    if (gathersWith(path, *other)) {
      lanes |= other->lanes;
      if (other->frame == path.frame && other->place == path.place)
        own |= other->lanes;
    }
  if (!isComplete(instruction, own, lanes))
    return false;
  path.state = PathState::Ready;
  return true;
}

/// The lanes of other paths have executed the instruction together with `path`: they go on too.
void Warp::advanceGathered(const Path &path) {
  for (const auto &other : paths)
    if (gathersWith(path, *other)) {
      other->state = PathState::Ready;
      ++other->place;
    }
}

/// Takes `lanes` out of a path; they go on at `place`.
void Warp::split(Path &path, LaneMask lanes, uint32_t place) {
  auto part = std::make_unique<Path>();
  part->place = place;
  part->lanes = lanes;
  part->meeting = path.meeting;
  part->frame = path.frame;
  updateStop(*part);
  path.lanes &= ~lanes;
  paths.push_back(std::move(part));
}

Step Warp::branch(const Instruction &instruction, LaneMask lanes, uint32_t target) {
  Path &path = *current;
  if (lanes != path.lanes) {
    path.meeting = meetingFor(path, instruction.reconvergence);
    updateStop(path);
    split(path, path.lanes & ~lanes, path.place + 1);
  }
  path.place = target;
  return Step::Moved;
}

Step Warp::branchIndexed(const Instruction &instruction, LaneMask lanes, const uint32_t *targets) {
  Path &path = *current;
  uint32_t first = targets[__builtin_ctz(lanes)];
  LaneMask same = 0;
  for (LaneMask rest = lanes; rest; rest &= rest - 1)
    if (targets[__builtin_ctz(rest)] == first)
      same |= rest & -rest;
  if (same == path.lanes) {
    path.place = first;
    return Step::Moved;
  }
  path.meeting = meetingFor(path, instruction.reconvergence);
  updateStop(path);
  if (path.lanes & ~lanes)
    split(path, path.lanes & ~lanes, path.place + 1);
  for (LaneMask rest = lanes & ~same; rest;) {
    uint32_t target = targets[__builtin_ctz(rest)];
    LaneMask group = 0;
    for (LaneMask others = rest; others; others &= others - 1)
      if (targets[__builtin_ctz(others)] == target)
        group |= others & -others;
    split(path, group, target);
    rest &= ~group;
  }
  path.place = first;
  return Step::Moved;
}

Step Warp::exit(LaneMask lanes) {
  Path &path = *current;
  ++block.grid.progress;
  liveLanes &= ~lanes;
  int32_t meeting = path.meeting;
  path.lanes &= ~lanes;
  ++path.place;
  if (!path.lanes)
    removePath(path);
  leaveMeetings(meeting, lanes);
  for (Barrier &barrier : block.barriers)
    barrier.update(block);
  return Step::Moved;
}

void Warp::enter(const Instruction &instruction, LaneMask lanes, const Function &callee) {
  Path &path = *current;
  uint32_t after = path.place + 1;
  if (lanes != path.lanes) {
    path.meeting = meetingFor(path, after);
    split(path, path.lanes & ~lanes, after);
  }
  const Frame &caller = *path.frame;
  uint32_t base = (caller.localBase + caller.function->localBytes + 15) / 16 * 16;
  std::shared_ptr<Frame> frame = makeFrame(callee, base);
  frame->caller = path.frame;
  frame->returnTo = after;
  frame->call = &instruction;
  path.frame = std::move(frame);
  path.place = 0;
  updateStop(path);
  select(path);
}

Step Warp::returnFrom(LaneMask lanes) {
  Path &path = *current;
  if (!path.frame->caller)
    return exit(lanes);
  if (lanes != path.lanes) {
    path.meeting = meetingFor(path, never);
    split(path, path.lanes & ~lanes, path.place + 1);
  }
  path.place = path.frame->returnTo;
  path.frame = std::shared_ptr<Frame>(path.frame->caller);
  updateStop(path);
  return Step::Moved;
}

Path &Warp::suspend(LaneMask lanes) {
  Path &path = *current;
  if (lanes != path.lanes)
    split(path, path.lanes & ~lanes, path.place + 1);
  ++path.place;
  path.state = PathState::Blocked;
  return path;
}

//===- Meetings -------------------------------------------------------------------------------===//

void Warp::updateStop(Path &path) {
  path.stop = never;
  if (path.meeting >= 0 && meetings[size_t(path.meeting)].frame == path.frame)
    path.stop = meetings[size_t(path.meeting)].place;
}

/// The meeting of the parts of `path` at `place` of its frame, or where it returns to for `never`.
int32_t Warp::meetingFor(const Path &path, uint32_t place) {
  std::shared_ptr<Frame> frame = path.frame;
  if (place == never) {
    if (!frame->caller)
      return path.meeting;
    place = frame->returnTo;
    frame = frame->caller;
  }
  if (path.meeting >= 0) {
    // A loop that lanes leave one by one has one meeting, not one for each iteration.
    const Meeting &outer = meetings[size_t(path.meeting)];
    if (outer.place == place && outer.frame == frame)
      return path.meeting;
  }
  int32_t index;
  if (freeMeetings.empty()) {
    index = int32_t(meetings.size());
    meetings.emplace_back();
  } else {
    index = freeMeetings.back();
    freeMeetings.pop_back();
  }
  meetings[size_t(index)] = {place, frame, path.lanes, 0, path.meeting};
  return index;
}

void Warp::arriveAtMeeting(Path &path) {
  int32_t index = path.meeting;
  meetings[size_t(index)].arrived |= path.lanes;
  removePath(path);
  if (meetings[size_t(index)].arrived == meetings[size_t(index)].expected)
    releaseMeeting(index);
}

/// Lanes have exited: nobody waits for them any more.
void Warp::leaveMeetings(int32_t index, LaneMask lanes) {
  while (index >= 0) {
    Meeting &meeting = meetings[size_t(index)];
    int32_t parent = meeting.parent;
    meeting.expected &= ~lanes;
    if (meeting.arrived == meeting.expected)
      releaseMeeting(index);
    index = parent;
  }
}

/// Lets the lanes that have arrived go on. The meeting ends when nobody else is expected.
void Warp::releaseMeeting(int32_t index) {
  Meeting &meeting = meetings[size_t(index)];
  if (meeting.arrived) {
    auto path = std::make_unique<Path>();
    path->place = meeting.place;
    path->lanes = meeting.arrived;
    path->frame = meeting.frame;
    path->meeting = meeting.parent;
    updateStop(*path);
    paths.push_back(std::move(path));
  }
  meeting.expected &= ~meeting.arrived;
  meeting.arrived = 0;
  if (!meeting.expected) {
    meeting.frame.reset();
    freeMeetings.push_back(index);
  }
}

/// Lets all lanes that wait at meetings go on without the others.
bool Warp::releaseWaiting() {
  bool any = false;
  for (size_t i = 0; i < meetings.size(); ++i)
    if (meetings[i].arrived) {
      releaseMeeting(int32_t(i));
      any = true;
    }
  return any;
}

void Warp::removePath(Path &path) {
  if (current == &path)
    current = nullptr;
  auto found = std::find_if(paths.begin(), paths.end(),
                            [&](const auto &other) { return other.get() == &path; });
  paths.erase(found);
}

} // namespace quern::emulator::machine
