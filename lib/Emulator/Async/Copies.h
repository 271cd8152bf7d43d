//===- Copies.h - cp.async of one warp --------------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#ifndef QUERN_EMULATOR_ASYNC_COPIES_H
#define QUERN_EMULATOR_ASYNC_COPIES_H

#include "lib/Emulator/Async/Groups.h"
#include "lib/Emulator/Async/SharedRange.h"

namespace quern::emulator::machine {

/// What one cp.async instruction copies: at most 16 bytes for each lane, zeros after `sourceBytes`.
struct Copy {
  checks::Time time;
  /// Lanes whose bytes have not arrived.
  LaneMask open = 0;
  uint32_t bytes;
  SharedRange targets[warpSize];
  GlobalRange sources[warpSize];
  uint32_t sourceBytes[warpSize];
};

/// The copies of a warp that have not arrived. Data arrive when a lane waits for them, or earlier
/// with a schedule; never later than that.
class Copies {
public:
  /// The channel of the warp's copies.
  checks::Agent channel(Warp &warp);
  checks::Time begin() { return ++issued; }
  checks::Time last() const { return issued; }
  void add(std::shared_ptr<Copy> copy) { queue.push_back(std::move(copy)); }
  /// Brings in what lanes wait for: their copies up to a time each.
  void complete(LaneMask lanes, const checks::Time (&until)[warpSize]);
  /// Up to this time the copies of all lanes have arrived.
  checks::Time done() const { return queue.empty() ? issued : queue.front()->time - 1; }

  Groups groups[warpSize];

private:
  bool hasChannel = false;
  checks::Agent copyChannel = 0;
  checks::Time issued = 0;
  std::deque<std::shared_ptr<Copy>> queue;
};

/// Moves the bytes of some lanes.
void perform(Copy &copy, LaneMask lanes);

} // namespace quern::emulator::machine

#endif // QUERN_EMULATOR_ASYNC_COPIES_H
