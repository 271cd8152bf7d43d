//===- Norm.h - What a normalization and its gradient share -----------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_LIB_CPU_NORM_H
#define QUERN_LIB_CPU_NORM_H

#include "Rows.h"

#include "dialects/Kernel/Kernel.h"

namespace quern::cpu {

/// Statistics of one row, as vectors of equal lanes.
struct RowStatistics {
  mlir::Value mean;  ///< null for an RMS norm
  mlir::Value scale; ///< 1 / sqrt(variance + epsilon), of the mean square for an RMS norm
};

/// Statistics of a 1-D row of `columns` elements.
RowStatistics rowStatistics(Vectors &v, mlir::Value row, mlir::Value columns, kernel::NormKind kind,
                            double epsilon);

/// (x - mean) * scale.
mlir::Value normalize(Vectors &v, mlir::Value x, const RowStatistics &statistics);

} // namespace quern::cpu

#endif // QUERN_LIB_CPU_NORM_H
