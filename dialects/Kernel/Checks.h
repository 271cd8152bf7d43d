//===- Checks.h - What checks of kernels share ----------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_DIALECTS_KERNEL_CHECKS_H
#define QUERN_DIALECTS_KERNEL_CHECKS_H

#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Operation.h"
#include "mlir/IR/TypeUtilities.h"

namespace quern::kernel {

// Each reports on `op` what does not hold, naming the operand. Sizes that are not known fit.

inline mlir::ShapedType shaped(mlir::Value value) {
  return mlir::cast<mlir::ShapedType>(value.getType());
}
inline int64_t lastDim(mlir::Value value) { return shaped(value).getShape().back(); }
inline bool differ(int64_t a, int64_t b) {
  return !mlir::ShapedType::isDynamic(a) && !mlir::ShapedType::isDynamic(b) && a != b;
}

/// The number of outputs is from `least` to `most`.
llvm::LogicalResult outputsBetween(mlir::Operation *op, mlir::ValueRange outputs, size_t least,
                                   size_t most);

/// `what` names both.
llvm::LogicalResult sameShape(mlir::Operation *op, mlir::Value a, mlir::Value b,
                              llvm::StringRef what);

llvm::LogicalResult rankIs(mlir::Operation *op, mlir::Value value, int64_t rank,
                           llvm::StringRef name);

llvm::LogicalResult rankAtLeast(mlir::Operation *op, mlir::Value value, int64_t rank,
                                llvm::StringRef name);

/// An optional vector of the size of x's last dimension.
llvm::LogicalResult vectorFits(mlir::Operation *op, mlir::Value vector, mlir::Value x,
                               llvm::StringRef name);

/// An optional operand of rank 0.
llvm::LogicalResult scalarFits(mlir::Operation *op, mlir::Value scalar, llvm::StringRef name);
} // namespace quern::kernel

#endif // QUERN_DIALECTS_KERNEL_CHECKS_H
