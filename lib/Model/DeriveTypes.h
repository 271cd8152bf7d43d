//===- DeriveTypes.h - Infer the types of a program anew --------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_LIB_MODEL_DERIVETYPES_H
#define QUERN_LIB_MODEL_DERIVETYPES_H

#include "dialects/Quern/Quern.h"

#include "mlir/IR/Builders.h"

namespace quern::model {

/// What is known of two shapes that are equal, with `a`'s element type. Nothing if they contradict.
std::optional<mlir::RankedTensorType> joinShapes(mlir::Type a, mlir::Type b);

/// `value` with the shape of `type`: itself, or a tensor.cast of it.
mlir::Value castTo(mlir::OpBuilder &b, mlir::Value value, mlir::Type type);

/// Infers the result types of `op`, and of the regions in it, from the types that its operands
/// have now. Casts are inserted only where operands of equal shapes know different sizes. Reports
/// at the op what does not fit.
llvm::LogicalResult inferTypes(mlir::Operation *op);

/// The same for all ops of a function, and for its type.
llvm::LogicalResult inferTypes(FunctionOp function);

} // namespace quern::model

#endif // QUERN_LIB_MODEL_DERIVETYPES_H
