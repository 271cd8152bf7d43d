//===- WarpMatrix.h - Products of matrices by the tensor cores of a warp ----------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
///
/// \file
/// mma.sync m16n8k16 (PTX ISA 7.8, section 9.7.13.4.8): a warp adds the product of a 16 x 16 matrix
/// A and a 16 x 8 matrix B of bf16 or f16 to a 16 x 8 matrix of f32. Each lane holds some elements
/// of each, a fragment: with group = lane / 4 and place = lane % 4,
///
///   A     4 registers of two elements: rows group, group + 8, group, group + 8; columns
///         2 place, 2 place + 1, the last two registers 8 further
///   B     2 registers of two elements: column group; rows 2 place, 2 place + 1, then 8 further
///   sums  4 registers: row group, columns 2 place, 2 place + 1; then row group + 8
///
/// ldmatrix brings fragments of four 8 x 8 matrices from shared memory at once.
///
/// With f32 operands, rounded to TF32 (10 bits of mantissa), the depth is 8 (m16n8k8): a register
/// is one element, where there were two (columns place and place + 4 of A, rows of B likewise).
/// What ldmatrix takes for 8 x 8 elements of 16 bits is 8 x 4 of these; it cannot transpose them.
///
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_LIB_GPU_WARPMATRIX_H
#define QUERN_LIB_GPU_WARPMATRIX_H

#include "Pointer.h"

namespace quern::nvidia {

/// Whether mma.sync multiplies elements of this type as they are: bf16 or f16.
bool hasWarpProducts(mlir::Type element);

/// How deep a fragment of elements of this type is: 16, or 8 of f32.
int64_t fragmentDepth(mlir::Type element);

/// A matrix of 16-bit floats in shared memory. Its rows are 16 bytes longer than what they hold, an
/// odd number of 16-byte words: eight neighbouring rows have the same words in different banks.
class HalfMatrix {
public:
  HalfMatrix() = default;
  /// `columns` is a multiple of 16, `element` bf16 or f16. The memory is the block's.
  HalfMatrix(Thread &thread, int64_t rows, int64_t columns, mlir::Type element);
  /// In memory that there is: `bytes` bytes from `start` on, 16-byte aligned.
  HalfMatrix(const Pointer &start, int64_t rows, int64_t columns)
      : HalfMatrix(start, rows, columns, pitchOf(columns)) {}
  /// With rows `pitch` elements apart; elements may be f32 as well.
  HalfMatrix(const Pointer &start, int64_t rows, int64_t columns, int64_t pitch)
      : rows(rows), columns(columns), pitch(pitch), start(start) {}

  static int64_t bytes(int64_t rows, int64_t columns) { return rows * pitchOf(columns) * 2; }

  int64_t rows = 0, columns = 0;
  int64_t pitch = 0; ///< elements from one row to the next
  Pointer start;

  /// The `count` rows from `row` (i32) on.
  HalfMatrix part(Thread &thread, mlir::Value row, int64_t count) const;

  /// The element at a row (i32) and a column (i32).
  Pointer at(Thread &thread, mlir::Value row, mlir::Value column) const;

private:
  static int64_t pitchOf(int64_t columns) { return columns + 8; }
};

/// Rows in global memory, `stride` elements apart, for copies to and from HalfMatrix.
struct HalfRows {
  /// Of a memref of rank 2 whose last dimension is contiguous.
  HalfRows(Thread &thread, mlir::Value memref);

  Pointer start;
  mlir::Value stride;  ///< index
  mlir::Value aligned; ///< i1: every row begins at a multiple of 16 bytes
};

/// Starts the copy of the first `columns` columns of rows [first, end) (indices) into the first
/// rows of `to`, as many as it has; rows from `end` on become 0. The whole block takes part. Rows
/// that are not aligned are there when this returns; the others, when the group of copies is
/// awaited.
void startCopy(Thread &thread, const HalfMatrix &to, const HalfRows &from, mlir::Value first,
               mlir::Value end, int64_t columns);

/// Writes `count` rows of `from`, beginning with `row` (i32), to rows [first, end) (indices). A
/// warp writes what its lanes have written there.
void writeRows(Thread &thread, const HalfMatrix &from, mlir::Value row, int64_t count,
               const HalfRows &to, mlir::Value first, mlir::Value end, int64_t columns);

/// Reads fragments of a HalfMatrix, and rounds those of f32 to TF32. What its rows are to the
/// product:
enum class Role {
  A,           ///< rows of A
  TransposedA, ///< columns of A
  B,           ///< columns of B: the product is with the transposed matrix
  TransposedB  ///< rows of B
};
class FragmentReader {
public:
  /// Of the part of `matrix` that begins at row `row` and column `column` (i32; null: the first).
  FragmentReader(Thread &thread, const HalfMatrix &matrix, Role role, mlir::Value row = {},
                 mlir::Value column = {});

  /// Of the part that begins `rows` rows (i32) further down.
  FragmentReader below(Thread &thread, mlir::Value rows) const;

  /// Registers (i32) for rows and columns of the matrix from here on: of A 16 x 16 (four), of B 16
  /// x 16, which is two fragments side by side (two each). Where elements are f32, 8 takes the
  /// place of the 16 that is the depth.
  llvm::SmallVector<mlir::Value> load(Thread &thread, int64_t row, int64_t column) const;

private:
  llvm::SmallVector<mlir::Value> loadOneByOne(Thread &thread, const Pointer &first) const;

  Pointer start; ///< of this lane's row of the first 8 x 8 matrices, or of its first element
  int64_t pitch;
  Role role;
};

/// The f32 sums of a warp: `rowTiles` x 16 rows, `columnTiles` x 8 columns.
struct WarpSums {
  WarpSums() = default;
  WarpSums(Thread &thread, int64_t rowTiles, int64_t columnTiles);

  int64_t rowTiles = 0, columnTiles = 0;
  llvm::SmallVector<mlir::Value> values;

  /// Element `r` (0 to 3) of a tile's fragment.
  mlir::Value &at(int64_t row, int64_t column, int64_t r) {
    return values[(row * columnTiles + column) * 4 + r];
  }

  /// Calls `each(element, row, column)` in the order of the values: how many rows and columns
  /// behind a lane's first element it is.
  void
  forElements(llvm::function_ref<void(mlir::Value &element, int64_t row, int64_t column)> each) {
    for (int64_t i = 0; i < rowTiles; ++i)
      for (int64_t j = 0; j < columnTiles; ++j)
        for (int64_t r = 0; r < 4; ++r)
          each(at(i, j, r), 16 * i + 8 * (r / 2), 8 * j + r % 2);
  }
};

/// sums + A B for a depth of `depthTiles` fragments, in the order of the depth. `a(row, k)` is a
/// fragment of A, `b(k, column)` two of B: of column tiles `column` and `column + 1`.
void addProduct(Thread &thread, mlir::Type element, WarpSums &sums, int64_t depthTiles,
                llvm::function_ref<llvm::SmallVector<mlir::Value>(int64_t row, int64_t k)> a,
                llvm::function_ref<llvm::SmallVector<mlir::Value>(int64_t k, int64_t column)> b);

/// Sums, rounded, as a matrix A: fragments of all its tiles, row-major.
llvm::SmallVector<llvm::SmallVector<mlir::Value>> asFactor(Thread &thread, WarpSums &sums,
                                                           mlir::Type element);

/// Writes sums, rounded, to rows of `to` from `row` (i32) on.
void storeSums(Thread &thread, WarpSums &sums, const HalfMatrix &to, mlir::Value row);

/// Two numbers (f32), rounded to `element` (bf16 or f16), side by side in a register (i32).
mlir::Value packPair(Thread &thread, mlir::Value low, mlir::Value high, mlir::Type element);
/// Writes four 8 x 8 matrices of 16-bit elements to shared memory (stmatrix, of sm_90 and newer):
/// register i (i32) has this lane's two elements of matrix i, of row `lane / 4`, and `row` is where
/// row `lane % 8` of matrix `lane / 8` goes, 16 bytes.
void storeMatrices(Thread &thread, const Pointer &row, mlir::ValueRange registers);

/// lane / 4 and lane % 4 (i32).
mlir::Value fragmentGroup(Thread &thread);
mlir::Value fragmentPlace(Thread &thread);

} // namespace quern::nvidia

#endif // QUERN_LIB_GPU_WARPMATRIX_H
