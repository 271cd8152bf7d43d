//===- Emission.h - Where an emitter writes the code of one kernel ----------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
///
/// \file
/// All threads of a program run the same code (one `omp.parallel` around the whole program). A
/// kernel becomes a function that each of them calls with its number; the function splits the work
/// by the *shape* of the problem into units, and hands out units to threads. What a unit computes,
/// and the order in which it does, never depends on the number of threads: that is what makes
/// results bitwise reproducible. Barriers stand between kernels where one of them waits for another
/// (lib/CPU/Turns.h); inside a kernel an emitter places its own.
///
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_CPU_EMISSION_H
#define QUERN_CPU_EMISSION_H

#include "quern/CPU/Machine.h"
#include "quern/Emission/Code.h"

namespace quern::cpu {

class Emission : public emission::Code {
public:
  Emission(mlir::OpBuilder &builder, mlir::Location loc, const Machine &machine, mlir::Value thread,
           mlir::Value threads, mlir::Value scratch)
      : Code(builder, loc), machine(machine), thread(thread), threads(threads),
        scratchBase(scratch) {}

  const Machine &machine;
  mlir::Value thread;  ///< index: the calling thread, 0 <= thread < threads
  mlir::Value threads; ///< index: how many threads there are
  /// i1: each thread has a first output of its own, and needs all of it. Null: they share it.
  mlir::Value ownResult;

  /// All threads wait for each other; memory written before is visible after.
  void barrier();

  /// Runs `body(unit)` for each of `count` units (an index), in contiguous ranges, one range a
  /// thread. Without a barrier at its end.
  void forUnits(mlir::Value count, llvm::function_ref<void(mlir::Value unit)> body);

  /// The same for what makes the first output: all units on each thread where `ownResult` holds.
  void forOwnUnits(mlir::Value count, llvm::function_ref<void(mlir::Value unit)> body);

  /// Runs `body` on thread 0 only. Without a barrier at its end.
  void onFirstThread(llvm::function_ref<void()> body);

  /// Scratch memory that all threads share, 64-byte aligned, uninitialized, valid for this kernel
  /// alone. Its size must be static, so that the size of the arena stays a closed formula.
  mlir::Value sharedScratch(mlir::MemRefType type);

  /// Memory of this thread alone, 64-byte aligned, on its stack: keep it under 1 MiB in all, a
  /// quarter of what OpenMP's threads have.
  mlir::Value privateScratch(mlir::MemRefType type);

  /// Bytes of shared scratch that this kernel has asked for.
  int64_t scratchBytes = 0;

private:
  mlir::Value scratchBase; ///< memref<?xi8>
};

} // namespace quern::cpu

#endif // QUERN_CPU_EMISSION_H
