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

} // namespace quern::cpu

#endif // QUERN_LIB_CPU_SOFTMAX_H
