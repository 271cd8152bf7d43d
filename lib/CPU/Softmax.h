//===- Softmax.h - What softmax and cross-entropy share ---------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_LIB_CPU_SOFTMAX_H
#define QUERN_LIB_CPU_SOFTMAX_H

#include "Rows.h"

namespace quern::cpu {

/// The largest element of a 1-D row and the sum of exp(x - maximum), scalars of the compute type.
/// In a row of -infinity, or without elements, `maximum` is 0 and the sum is 0.
struct RowSum {
  mlir::Value maximum, sum;
};
RowSum rowSumOfExponentials(Vectors &v, mlir::Value row, mlir::Value columns);

/// The largest element in columns [from, to) of a row, a scalar; -infinity where there is none, and
/// a NaN may be passed over.
mlir::Value largestOf(Vectors &v, mlir::Value row, mlir::Value from, mlir::Value to);

/// The larger of two scalars or vectors; the second where one is a NaN.
mlir::Value maximum(Vectors &v, mlir::Value a, mlir::Value b);

/// What to subtract from elements of which `largest` is the largest: 0 if all are -infinity.
mlir::Value finiteShift(Vectors &v, mlir::Value largest);

/// Sums of exponentials of long rows (Milakov and Gimelshein 2018): block after block of columns,
/// so that a row is read from memory once and its exponentials are computed once, while the next
/// block is on its way. Rows have a known length. Exponentials of numbers in 16 bits wait for their
/// factor in a thread's own memory, so that they are rounded once.
///
/// e^x is 2^(x / ln 2), with shifts of that exponent: one multiply-add, rounded once, instead of a
/// subtraction and the reduction by ln 2. Numbers below -2.3e38 count as -infinity.
class BlockedExponentials {
public:
  /// For the rows of `matrix`. `replaces`: what is summed is kept for `scale`.
  BlockedExponentials(Vectors &v, mlir::Value matrix, bool replaces);
  static bool canTake(mlir::Value matrix);

  /// The sum of 2^(x / ln 2 - maximum), where `maximum` is that of x / ln 2. What is kept has the
  /// maximum of its block instead, and is in the place of x if it fits.
  RowSum sum(mlir::Value row);

  /// The log-sum-exp of a row, an f64.
  mlir::Value logarithm(const RowSum &total);

  /// The term of a number x in the sum.
  mlir::Value exponential(mlir::Value x, const RowSum &total);

  /// Makes of x the terms of the sum, times `factor`, from what `sum` left.
  void scale(mlir::Value row, const RowSum &total, mlir::Value factor);

private:
  Vectors &v;
  bool replaces;
  mlir::Value columns, maxima;
  mlir::Value unrounded; ///< a row in the type that is computed in; null: x has it, or none is kept
  int64_t size, count;
};

} // namespace quern::cpu

#endif // QUERN_LIB_CPU_SOFTMAX_H
