//===- ClusterBarrier.h - barrier.cluster -----------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#ifndef QUERN_EMULATOR_ASYNC_CLUSTERBARRIER_H
#define QUERN_EMULATOR_ASYNC_CLUSTERBARRIER_H

#include "lib/Emulator/Machine/Block.h"

#include <map>

namespace quern::emulator::machine {

/// The one barrier of a cluster: complete when all threads that have not exited have arrived.
class ClusterBarrier {
public:
  /// Lanes of a warp arrive; returns those that had arrived already in this phase.
  LaneMask arrive(const Warp &warp, LaneMask lanes);
  /// Of `lanes`, those that have arrived and whose barrier is not complete: they wait on.
  LaneMask waiting(const Warp &warp, LaneMask lanes);
  /// Those that have not arrived since they last waited.
  LaneMask strangers(const Warp &warp, LaneMask lanes);

  /// What those who arrive in this phase know, and what was known when the last one ended.
  checks::Knowledge arriving, completed;

private:
  struct State {
    /// In the current phase.
    LaneMask arrived = 0;
    /// The last phase is complete and they have not waited for it.
    LaneMask released = 0;
  };
  std::map<const Warp *, State> warps;

  void completeIfAllArrived(const Cluster &cluster);
};

} // namespace quern::emulator::machine

#endif // QUERN_EMULATOR_ASYNC_CLUSTERBARRIER_H
