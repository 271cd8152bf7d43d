//===- Races.cpp - Races, and what is known through memory ------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "lib/Emulator/Machine/Block.h"

namespace quern::emulator::machine {

void Warp::checkRace(const Instruction &instruction, unsigned lane, Space space, uint64_t address,
                     checks::AccessHistory &history, uint64_t offset, unsigned bytes,
                     AccessKind kind, const AsynchronousAccess *engine) {
  bool isStrong = kind != AccessKind::Read && kind != AccessKind::Write;
  checks::Accessor by{actor.knowledge,
                      engine ? engine->channel : actor.agent,
                      engine ? engine->time : actor.now(),
                      uint8_t(lane),
                      engine ? engine->proxy : checks::Proxy::Generic,
                      isStrong,
                      &instruction,
                      actor.agent};
  checks::Conflict conflict;
  bool clean = writes(kind) ? history.write(by, offset, bytes, conflict)
                            : history.read(by, offset, bytes, conflict);
  if (!clean)
    reportConflict(*this, instruction, lane, space, address, writes(kind), conflict);
}

//===- Synchronization through memory ---------------------------------------------------------===//

std::pair<uint64_t, uint64_t> Warp::locationOf(Space space, uint64_t address) const {
  if (space == Space::Generic && address - sharedWindow < windowBytes) {
    space = Space::Shared;
    address -= sharedWindow;
  }
  if (space != Space::Shared)
    return {address, 0};
  // Shared addresses are those of a cluster; its first block stands for it.
  const Dim3 &index = block.cluster.index;
  const Dim3 &size = block.grid.launch.grid;
  return {sharedWindow + address, (uint64_t(index.z) * size.y + index.y) * size.x + index.x};
}

void Warp::fence() {
  actor.acquire(observed);
  observed = {};
  fenced = actor.knowledge;
  actor.advance();
}

void Warp::publish(Space space, uint64_t address, bool release) {
  if (!block.grid.launch.checkRaces)
    return;
  checks::Knowledge &location = block.grid.published[locationOf(space, address)];
  location.join(fenced);
  if (release)
    actor.release(location);
}

void Warp::observe(Space space, uint64_t address, bool acquire) {
  // Who waits for another thread reads strongly again and again.
  current->alone += 500;
  if (!block.grid.launch.checkRaces)
    return;
  auto found = block.grid.published.find(locationOf(space, address));
  if (found == block.grid.published.end())
    return;
  if (acquire)
    actor.acquire(found->second);
  else
    observed.join(found->second);
}

} // namespace quern::emulator::machine
