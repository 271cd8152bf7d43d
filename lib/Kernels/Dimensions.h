//===- Dimensions.h - Sizes of all tensors of a program, before it is converted ---------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
///
/// \file
/// Dynamic sizes come from a program's arguments alone. They are worked out for all values
/// beforehand, so that a destination can be made wherever it is needed, also before a loop whose
/// body computes it.
///
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_LIB_KERNELS_DIMENSIONS_H
#define QUERN_LIB_KERNELS_DIMENSIONS_H

#include "dialects/Quern/Quern.h"

#include "mlir/IR/Builders.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/SmallVector.h"

namespace quern::kernels {

using Dims = llvm::SmallVector<mlir::OpFoldResult>;

class Dimensions {
public:
  /// `builder` makes what arithmetic on sizes is needed, at its insertion point: the program's
  /// entry.
  explicit Dimensions(mlir::OpBuilder &builder) : builder(builder) {}

  /// The sizes of `value`, one attribute or index value a dimension. By value: an insertion, also
  /// one on the left of an assignment, moves what is in the map.
  Dims of(mlir::Value value) const { return dims.lookup(value); }
  void set(mlir::Value value, Dims sizes) { dims[value] = std::move(sizes); }

  /// Works out the results of all ops of the block. Fails with a diagnostic at an op whose sizes
  /// are not known.
  llvm::LogicalResult analyze(mlir::Block &block);

private:
  llvm::LogicalResult analyze(mlir::Operation &op);
  llvm::FailureOr<llvm::SmallVector<Dims>> results(mlir::Operation &op);

  mlir::OpBuilder &builder;
  llvm::DenseMap<mlir::Value, Dims> dims;
};

} // namespace quern::kernels

#endif // QUERN_LIB_KERNELS_DIMENSIONS_H
