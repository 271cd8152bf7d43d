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
/// own room and waits for none of the others. Where C is rounded sums with their bias alone, the
/// tensor memory accelerator takes it from there while the warp goes on to its next tile.
class SumStore {
public:
  /// `mapOfC`, if not null, is that of boxMap.
  SumStore(Thread &thread, int64_t warps, mlir::Value mapOfC);
  /// The tensor map by which C of a product, seen on the host, can be stored; none if it cannot.
  static std::optional<TensorMap> boxMap(Code &code, const Problem &problem);

  /// Makes C of the sums of this warp, which is number `warp` (i32) of those that share a tile: it
  /// has 16 rows of it, and all of its columns, in the order of sumsOfThread.
  void finish(const Problem &problem, const TilePlace &tile, int64_t tileColumns, mlir::Value warp,
              mlir::ValueRange sums);
  /// Before the warp ends.
  void close();

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
  static bool isRoundedFirst(const Epilogue &epilogue);
  mlir::Value mayRound(const Epilogue &epilogue);
  llvm::SmallVector<mlir::Value> addBias(const Part &part, mlir::ValueRange sums);
  void takeRounded(const Part &part);
  void finishBoxes(const Part &part, mlir::Value layer, mlir::ValueRange sums);

  Thread &t;
  Pointer memory;
  mlir::Value mapOfC;
};

} // namespace quern::nvidia

#endif // QUERN_LIB_GPU_GEMMSUMSTORE_H
