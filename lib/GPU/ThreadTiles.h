//===- ThreadTiles.h - Products of small matrices by the threads of a block -------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
///
/// \file
/// A block of 16 x 16 threads multiplies matrices in shared memory with multiply-adds in f32. What
/// it computes is a tile in registers: thread (y, x) holds rows y, y + 16, ... of it. The 16
/// threads of a row are half a warp, so that sums over a row are shuffles.
///
/// Rows in shared memory are 16 bytes longer than what they hold, an odd number of 16-byte words:
/// threads that read the same words of neighbouring rows then read different banks.
///
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_LIB_GPU_THREADTILES_H
#define QUERN_LIB_GPU_THREADTILES_H

#include "Rows.h"

namespace quern::nvidia {

/// A tile of f32 in registers: `rows` x `columns` values of each thread, row-major. Which columns
/// of the matrix these are depends on the product that made them.
struct RegisterTile {
  int64_t rows, columns;
  llvm::SmallVector<mlir::Value> values;

  mlir::Value &at(int64_t row, int64_t column) { return values[row * columns + column]; }
};

class ThreadTiles {
public:
  static constexpr int64_t side = 16;
  static constexpr int64_t threads = side * side;

  explicit ThreadTiles(Thread &thread);

  Thread &t;
  mlir::Value x, y; ///< of this thread

  /// Bytes of shared memory that `matrix` and `weights` take.
  static int64_t matrixBytes(int64_t rows, int64_t width);
  static int64_t weightsBytes(int64_t rows, int64_t columns);

  /// A matrix of `rows` (a multiple of 16) rows of `width` columns, filled up with columns of zeros
  /// to what a product computes.
  mlir::Value matrix(int64_t rows, int64_t width);
  /// A matrix of which a row is written and read by the same half warp.
  mlir::Value weights(int64_t rows, int64_t columns);

  /// Copies rows [first, end) of `source` (rank 2, `width` columns, not empty), as many as fit,
  /// times `factor` (may be null), into a matrix; the rest of it becomes 0.
  void load(mlir::Value matrix, mlir::Value source, mlir::Value first, mlir::Value end,
            int64_t width, mlir::Value factor = {});

  /// Which row of its matrix row `i` of a tile is.
  mlir::Value row(int64_t i);
  /// Which column of a x b^T column `j` is, and of weights x b.
  mlir::Value productColumn(int64_t j);
  mlir::Value accumulatorColumn(int64_t j, int64_t width);

  /// a b^T: products of the rows of two matrices of `width` columns.
  RegisterTile rowProducts(mlir::Value a, mlir::Value b, int64_t width);

  /// Zeros to which products with a matrix of `width` columns are added.
  RegisterTile accumulator(int64_t rows, int64_t width);
  /// accumulator + weights b, in the order of the rows of `b`.
  RegisterTile accumulate(RegisterTile accumulator, mlir::Value weights, mlir::Value b);

  /// Writes a product of rows, for accumulate by the same half warp.
  void storeWeights(RegisterTile tile, mlir::Value weights);

  /// Writes rows of an accumulator to rows [first, end) of `target` (rank 2, `width` columns), each
  /// value times the factor of its row.
  void store(RegisterTile tile, mlir::Value target, mlir::Value first, mlir::Value end,
             int64_t width, mlir::ValueRange factors);

  /// The values of the 16 threads of a row combined, by halves, in each of them.
  mlir::Value overRow(mlir::Value value, Thread::Combine combine);

private:
  /// Columns that a thread reads at a time from a matrix that a product adds up: neighbours.
  static int64_t vectorOf(int64_t paddedWidth);
  static int64_t paddedWidth(int64_t width);

  mlir::Type f32;
};

} // namespace quern::nvidia

#endif // QUERN_LIB_GPU_THREADTILES_H
