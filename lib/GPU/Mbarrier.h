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
  /// Arrives, and `bytes` are to come in this phase by asynchronous copies.
  void arriveExpecting(Thread &thread, int64_t bytes) const;
  /// Waits until the phase of this parity (i32) is complete, where `parity` is that of the phase
  /// under way or of the one before it.
  void await(Thread &thread, mlir::Value parity) const;

  mlir::Value address(Thread &thread) const { return place.sharedAddress(thread); }

private:
  Pointer place;
};

/// Makes what this thread initialized known to asynchronous copies; a barrier of the block makes it
/// known to its threads.
void publishMbarriers(Thread &thread);

/// Stages of shared memory, filled and emptied one after the other, again and again.
class Ring {
public:
  /// `stages` of `stageBytes` each (a multiple of sharedAlignment). A stage is full when one thread
  /// has arrived and the bytes that it expects have come, and empty when `consumers` have arrived.
  Ring(Thread &thread, int64_t stages, int64_t stageBytes, int64_t consumers);

  /// All threads of the block make the ring ready.
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
  Mbarrier empty(Thread &thread, mlir::Value stage) const;
  /// Waits until consumers are done with what the stage held in the round before. At once in the
  /// first.
  void awaitEmpty(Thread &thread, const Place &place) const;
  void awaitFull(Thread &thread, const Place &place) const;

private:
  int64_t stages, stageBytes, consumers;
  Pointer bytes, barriers;
};

} // namespace quern::nvidia

#endif // QUERN_LIB_GPU_MBARRIER_H
