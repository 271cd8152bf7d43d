//===- Views.h - Rows and other views of memory -----------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_EMISSION_VIEWS_H
#define QUERN_EMISSION_VIEWS_H

#include "quern/Emission/Code.h"

#include "mlir/IR/Operation.h"

namespace quern::emission {

/// The type that elements of `storage` are computed in: f32 for the narrower floats.
mlir::Type computeType(mlir::Type storage);

/// Bytes of one element in memory.
int64_t elementBytes(mlir::Type type);

/// Fails, with the operand's number and what to do, when an operand's rows cannot be read as
/// vectors (last stride other than 1) or its elements are not floats. Operands of rank 0 and of i32
/// are read one by one and may be anything.
llvm::LogicalResult checkRows(mlir::Operation *op, mlir::ValueRange operands);

/// `memref` with its dimensions merged into [rows, last] where memory allows; otherwise as it is.
mlir::Value mergeRows(Code &code, mlir::Value memref);

/// `memref` with all dimensions merged into one where memory allows, a null value otherwise.
mlir::Value flatten(Code &code, mlir::Value memref);

/// Row number `row` of `memref` (all dimensions but the last counted together), as a 1-D memref.
mlir::Value rowOf(Code &code, mlir::Value memref, mlir::Value row);

/// The row at the given indices of all dimensions but the last, as a 1-D memref.
mlir::Value rowAt(Code &code, mlir::Value memref, mlir::ValueRange indices);

/// The value of a rank-0 i32 memref as an index; 0 when there is none.
mlir::Value loadOffset(Code &code, mlir::Value offset);

/// A rank-0 number in type `type` (a float).
mlir::Value loadScalar(Code &code, mlir::Value memref, mlir::Type type);

} // namespace quern::emission

#endif // QUERN_EMISSION_VIEWS_H
