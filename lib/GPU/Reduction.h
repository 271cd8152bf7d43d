//===- Reduction.h - Sums over rows -----------------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_LIB_GPU_REDUCTION_H
#define QUERN_LIB_GPU_REDUCTION_H

#include "Rows.h"

namespace quern::nvidia {

/// Launches a kernel that writes the sum of the first `rows` rows of `x` (its last dimension, all
/// others counted together) to `y`, 1-D, in a fixed order. There are few of them: one block takes
/// all rows of its columns.
void sumOverRows(Emission &emission, mlir::Value x, mlir::Value rows, mlir::Value y);

/// Launches one block that adds up the first `count` elements of `partials`, 1-D, in a fixed order;
/// one thread runs `finish(thread, sum, operands)`.
void sumPartials(
    Emission &emission, mlir::Value partials, mlir::Value count, mlir::ValueRange operands,
    llvm::function_ref<void(Thread &thread, mlir::Value sum, mlir::ValueRange operands)> finish);

} // namespace quern::nvidia

#endif // QUERN_LIB_GPU_REDUCTION_H
