//===- Scheduler.cpp - Whose turn it is -------------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "lib/Emulator/Machine/Scheduler.h"

#include "lib/Emulator/Async/Families.h"
#include "lib/Emulator/TensorCore/Families.h"

#include <algorithm>

namespace quern::emulator::machine {

/// Warp instructions that a warp executes before it is the next one's turn.
static constexpr uint32_t slice = 4096;

/// When nothing has happened for so many warp instructions, threads probably wait for others that
/// have not begun: one more cluster begins.
static constexpr uint64_t patienceForOthers = 50'000;

/// Clusters that are there at the same time. As many blocks would need a large device.
static constexpr size_t mostResident = 512;
/// With a seed.
static constexpr size_t residentAtRandom = 3;

Scheduler::Scheduler(Grid &grid) : grid(grid) {
  const Launch &launch = grid.launch;
  clusters = {launch.grid.x / launch.cluster.x, launch.grid.y / launch.cluster.y,
              launch.grid.z / launch.cluster.z};
}

/// Lets the next cluster begin; false when there is none.
bool Scheduler::admit() {
  uint64_t all = clusters.count(), sample = grid.launch.sample;
  uint64_t wanted = sample ? std::min(sample, all) : all;
  if (next == wanted || resident.size() == mostResident)
    return false;
  // Each sampled one stands somewhere among those that it stands for: at equal distances all could
  // be the first rows of a head, which see the fewest keys.
  uint64_t first = next * all / wanted, end = (next + 1) * all / wanted;
  constexpr uint64_t golden = 0x9E3779B97F4A7C15; // 2^64 over the golden ratio
  uint64_t index = first + ((2 * next + 1) * golden >> 32) % (end - first);
  ++next;
  grid.counters.blocks += grid.launch.cluster.count();
  Dim3 place{uint32_t(index % clusters.x), uint32_t(index / clusters.x % clusters.y),
             uint32_t(index / clusters.x / clusters.y)};
  resident.push_back(std::make_unique<Cluster>(grid, place));
  return true;
}

/// Takes away clusters that have ended, and lets others begin.
void Scheduler::retire() {
  auto isDone = [](const std::unique_ptr<Cluster> &cluster) {
    if (!cluster->isDone())
      return false;
    finishAsynchronous(*cluster);
    countProducts(*cluster);
    return true;
  };
  resident.erase(std::remove_if(resident.begin(), resident.end(), isDone), resident.end());
  size_t wanted = grid.launch.schedule ? residentAtRandom : 1;
  while (resident.size() < wanted && admit())
    ;
}

bool Scheduler::runInTurn() {
  bool any = false;
  for (auto &cluster : resident)
    for (auto &block : cluster->blocks)
      for (auto &warp : block->warps)
        if (!warp->isDone())
          any |= warp->run(slice);
  return any;
}

/// As many turns as there are warps, of random warps and lengths.
bool Scheduler::runAtRandom() {
  std::vector<Warp *> warps;
  for (auto &cluster : resident)
    for (auto &block : cluster->blocks)
      for (auto &warp : block->warps)
        if (!warp->isDone())
          warps.push_back(warp.get());
  std::shuffle(warps.begin(), warps.end(), grid.random);
  bool any = false;
  for (Warp *warp : warps)
    if (!warp->isDone())
      any |= warp->run(1 + uint32_t(grid.random() % 64));
  for (auto &cluster : resident)
    if (!cluster->asynchronous.isEmpty() && grid.random() % 4 == 0)
      cluster->asynchronous.completeRandom(grid.random);
  return any;
}

/// Ends a piece of asynchronous work; false when there is none.
bool Scheduler::completeWork() {
  for (auto &cluster : resident)
    if (!cluster->asynchronous.isEmpty()) {
      cluster->asynchronous.completeOldest();
      return true;
    }
  return false;
}

void Scheduler::run() {
  uint64_t progress = grid.progress, since = 0;
  for (retire(); !resident.empty(); retire()) {
    bool any = grid.launch.schedule ? runAtRandom() : runInTurn();
    if (grid.progress != progress) {
      progress = grid.progress;
      since = grid.executed;
      continue;
    }
    if (completeWork())
      continue;
    uint64_t idle = grid.executed - since;
    if (any && idle > patienceForOthers && admit()) {
      since = grid.executed;
      continue;
    }
    if (!any)
      reportStall(FindingKind::Deadlock);
    if (idle > grid.launch.patience)
      reportStall(FindingKind::Livelock);
  }
}

static std::string describe(PathState state) {
  switch (state) {
  case PathState::Blocked:
    return "wait at a barrier";
  case PathState::Gathering:
    return "wait for other lanes of their warp";
  case PathState::Polling:
    return "wait";
  case PathState::Ready:
    break;
  }
  return "go on";
}

/// Says which threads wait where; ends the launch.
void Scheduler::reportStall(FindingKind kind) {
  constexpr unsigned mostLines = 48;
  std::string text;
  unsigned lines = 0;
  const Instruction *first = nullptr;
  Dim3 where, thread;
  for (const auto &cluster : resident)
    for (const auto &block : cluster->blocks)
      for (const auto &warp : block->warps)
        for (const auto &path : warp->allPaths()) {
          const std::vector<Instruction> &code = path->frame->function->code;
          // Who is blocked goes on behind the instruction.
          bool isBehind = path->state == PathState::Blocked && path->place;
          const Instruction &at = code[path->place - isBehind];
          unsigned lane = unsigned(__builtin_ctz(path->lanes));
          if (!first) {
            first = &at;
            where = block->index;
            thread = warp->thread(lane);
          }
          if (++lines > mostLines)
            continue;
          text += "\n    block (" + std::to_string(block->index.x) + ", " +
                  std::to_string(block->index.y) + ", " + std::to_string(block->index.z) +
                  ") warp " + std::to_string(warp->index) + ": " +
                  std::to_string(__builtin_popcount(path->lanes)) + " threads from lane " +
                  std::to_string(lane) + " on " + describe(path->state) + " at line " +
                  (at.source ? std::to_string(at.source->position.line) + ": " +
                                   std::string(at.source->text)
                             : "after the last instruction");
        }
  if (lines > mostLines)
    text += "\n    and " + std::to_string(lines - mostLines) + " more";
  for (const auto &cluster : resident)
    text += describeMbarriers(*cluster);
  std::string message = kind == FindingKind::Deadlock
                            ? "no thread can go on; these wait:"
                            : "no thread has written memory, passed a barrier or ended for " +
                                  std::to_string(grid.launch.patience) +
                                  " warp instructions; these are left:";
  if (first)
    grid.report(kind, *first, where, thread, 0, message + text);
  throw Abandoned();
}

} // namespace quern::emulator::machine
