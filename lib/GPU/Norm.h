//===- Norm.h - What norms and their gradients share ------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_LIB_GPU_NORM_H
#define QUERN_LIB_GPU_NORM_H

#include "Rows.h"
#include "dialects/Kernel/Kernel.h"

namespace quern::nvidia {

/// What a row is normalized with: (x - mean) * scale.
struct RowStatistics {
  mlir::Value mean;  ///< null for RMS
  mlir::Value scale; ///< 1 / sqrt(variance + epsilon)
};

/// The statistics of a row; in every thread of the team.
RowStatistics rowStatistics(Team &team, const Team::Part &row, kernel::NormKind kind,
                            double epsilon);

mlir::Value normalize(Thread &thread, mlir::Value x, const RowStatistics &statistics);

} // namespace quern::nvidia

#endif // QUERN_LIB_GPU_NORM_H
