//===- Indices.h - Index arithmetic -----------------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_EMISSION_INDICES_H
#define QUERN_EMISSION_INDICES_H

#include "quern/Emission/Code.h"

#include <optional>

namespace quern::emission {

/// The integer that `value` is known to be, or nothing.
std::optional<int64_t> constantOf(mlir::Value value);

/// Index arithmetic, folded where it can be.
mlir::Value addIndex(Code &code, mlir::Value a, mlir::Value b);
mlir::Value mulIndex(Code &code, mlir::Value a, mlir::Value b);
mlir::Value ceilDiv(Code &code, mlir::Value a, mlir::Value b);
mlir::Value minIndex(Code &code, mlir::Value a, mlir::Value b);

/// The indices of element `linear` of a space of `sizes`, the last dimension fastest.
llvm::SmallVector<mlir::Value> delinearize(Code &code, mlir::Value linear,
                                           llvm::ArrayRef<mlir::Value> sizes);

} // namespace quern::emission

#endif // QUERN_EMISSION_INDICES_H
