//===- DeriveDimensions.h - Which dimensions of values are equal ------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_LIB_MODEL_DERIVEDIMENSIONS_H
#define QUERN_LIB_MODEL_DERIVEDIMENSIONS_H

#include "dialects/Quern/Quern.h"

#include "llvm/ADT/DenseMap.h"

namespace quern::model {

/// Classes of dimensions that are equal whatever the sizes at run time, by what the ops between
/// them mean. Dimensions whose equality is not seen are in different classes.
class Dimensions {
public:
  /// Looks at all ops of the region, nested ones included.
  explicit Dimensions(mlir::Region &region);

  unsigned classOf(mlir::Value value, int64_t dim);
  /// Whether two tensors surely have the same shape.
  bool sameShape(mlir::Value a, mlir::Value b);
  /// Declares two dimensions equal.
  void unite(mlir::Value a, int64_t dimA, mlir::Value b, int64_t dimB);

private:
  void visit(mlir::Operation *op);
  void uniteAll(mlir::Value a, mlir::Value b);
  /// Dimensions [0, count) of both.
  void uniteLeading(mlir::Value a, mlir::Value b, int64_t count);
  unsigned find(unsigned id);

  llvm::DenseMap<std::pair<mlir::Value, int64_t>, unsigned> ids;
  llvm::SmallVector<unsigned> parents;
};

/// Whether the op reads nothing of this operand but its shape, as quern.full of `like`.
bool readsOnlyShape(mlir::OpOperand &operand);

} // namespace quern::model

#endif // QUERN_LIB_MODEL_DERIVEDIMENSIONS_H
