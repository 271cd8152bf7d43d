//===- Groups.h - Asynchronous work that is committed and waited for in groups ----------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#ifndef QUERN_EMULATOR_ASYNC_GROUPS_H
#define QUERN_EMULATOR_ASYNC_GROUPS_H

#include "lib/Emulator/Checks/Knowledge.h"

#include <deque>

namespace quern::emulator::machine {

/// The groups of one thread, or of one warp for wgmma. Work is numbered by the time of its channel,
/// so a group is the time of its last piece of work, and waiting for a group is waiting for all
/// work up to then.
class Groups {
public:
  /// All work up to `last` that is in no group yet becomes a group.
  void commit(checks::Time last) { pending.push_back(last); }

  /// Until at most `remaining` groups are pending; returns the time up to which work is done then.
  checks::Time wait(size_t remaining) {
    while (pending.size() > remaining) {
      done = pending.front();
      pending.pop_front();
    }
    return done;
  }

private:
  std::deque<checks::Time> pending;
  checks::Time done = 0;
};

} // namespace quern::emulator::machine

#endif // QUERN_EMULATOR_ASYNC_GROUPS_H
