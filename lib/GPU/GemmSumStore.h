//===- GemmSumStore.h - From the sums of warp groups to C ------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_LIB_GPU_GEMMSUMSTORE_H
#define QUERN_LIB_GPU_GEMMSUMSTORE_H

#include "Gemm.h"

namespace quern::nvidia {

/// Takes the sums that a warp has by wgmma through shared memory, so that rows of C are read and
/// written as a whole and few copies of the epilogue's code serve all elements. Each warp has its
/// own room and waits for none of the others.
class SumStore {
public:
  SumStore(Thread &thread, int64_t warps);

  /// Makes C of the sums of this warp, which is number `warp` (i32) of those that share a tile: it
  /// has 16 rows of it, and all of its columns, in the order of sumsOfThread.
  void finish(const Problem &problem, const TilePlace &tile, int64_t tileColumns, mlir::Value warp,
              mlir::ValueRange sums);

private:
  /// What this warp has room for at a time.
  struct Part {
    const Problem &problem;
    Pointer memory;
    mlir::Value row, column; ///< of C, where it begins; index
  };
  void finishSums(const Part &part, mlir::ValueRange sums);
  void takeSums(const Part &part, int64_t count);
  void finishRounded(const Part &part, mlir::ValueRange sums);
  mlir::Value mayRound(const Problem &problem);
  llvm::SmallVector<mlir::Value> addBias(const Part &part, mlir::ValueRange sums);
  void takeRounded(const Part &part);

  Thread &t;
  Pointer memory;
};

} // namespace quern::nvidia

#endif // QUERN_LIB_GPU_GEMMSUMSTORE_H
