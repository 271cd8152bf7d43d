//===- Mbarrier.h - Barriers in shared memory, and rings of stages that they guard -----------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
///
/// \file
/// One side of a kernel fills stages of shared memory, by asynchronous copies, while others work on
/// stages that are full (PTX ISA 8.3, section 9.7.12.15). For sm_90a.
///
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_LIB_GPU_MBARRIER_H
#define QUERN_LIB_GPU_MBARRIER_H

#include "Pointer.h"

namespace quern::nvidia {

/// A barrier in shared memory, 8 bytes. A phase is complete when as many threads have arrived as it
/// was initialized with, and all bytes that they said to expect have come; then the next begins.
class Mbarrier {
public:
  explicit Mbarrier(const Pointer &place) : place(place) {}

  void initialize(Thread &thread, int64_t arrivals) const;
  void arrive(Thread &thread) const;
  /// Arrives at the barrier that has this place in block `rank` (i32) of the cluster.
  void arriveAt(Thread &thread, mlir::Value rank) const;
  /// Arrives, and `bytes` are to come in this phase by asynchronous copies.
  void arriveExpecting(Thread &thread, int64_t bytes) const;
  /// Waits until the phase of this parity (i32) is complete, where `parity` is that of the phase
  /// under way or of the one before it. `ofCluster`: other blocks arrive here as well.
  void await(Thread &thread, mlir::Value parity, bool ofCluster = false) const;

  mlir::Value address(Thread &thread) const { return place.sharedAddress(thread); }

private:
  Pointer place;
};

/// i32: which block of its cluster this is.
mlir::Value clusterRank(Thread &thread);
/// All threads of the cluster's blocks wait for each other; what they wrote to shared memory before
/// is visible after.
void clusterBarrier(Thread &thread);

/// Makes what this thread initialized known to asynchronous copies; a barrier of the block makes it
/// known to its threads.
void publishMbarriers(Thread &thread);

/// Stages of shared memory, filled and emptied one after the other, again and again.
class Ring {
public:
  /// `stages` of `stageBytes` each (a multiple of sharedAlignment). A stage is full when
  /// `producers` threads have arrived and the bytes that they expect have come, and empty when
  /// `consumers` of each of the `blocks` of a cluster are done with it: their stages are filled
  /// together.
  Ring(Thread &thread, int64_t stages, int64_t stageBytes, int64_t consumers, int64_t blocks = 1,
       int64_t producers = 1);

  /// All threads of the cluster make their rings ready.
  void initialize(Thread &thread) const;

  /// A stage and the round in which it is its turn, as values that loops carry (i32).
  struct Place {
    mlir::Value stage, parity;
  };
  Place first(Thread &thread) const;
  Place next(Thread &thread, const Place &place) const;

  /// Where the stage's bytes lie.
  Pointer memory(Thread &thread, mlir::Value stage) const;
  Mbarrier full(Thread &thread, mlir::Value stage) const;
  /// A warp is one of the consumers: all its lanes say that they are done with the stage, where
  /// `isUsed` (i1, the same in all of them).
  void release(Thread &thread, mlir::Value stage, mlir::Value isUsed) const;
  /// Waits until consumers are done with what the stage held in the round before. At once in the
  /// first.
  void awaitEmpty(Thread &thread, const Place &place) const;
  void awaitFull(Thread &thread, const Place &place) const;

private:
  Mbarrier empty(Thread &thread, mlir::Value stage) const;

  int64_t stages, stageBytes, consumers, blocks, producers;
  Pointer bytes, barriers;
};

} // namespace quern::nvidia

#endif // QUERN_LIB_GPU_MBARRIER_H
