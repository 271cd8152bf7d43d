//===- Converter.h - Converts the ops of one program to kernels -------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_LIB_KERNELS_CONVERTER_H
#define QUERN_LIB_KERNELS_CONVERTER_H

#include "Dimensions.h"
#include "dialects/Kernel/Kernel.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/IR/Builders.h"
#include "llvm/ADT/DenseSet.h"

namespace quern::kernels {

class Converter {
public:
  Converter(mlir::OpBuilder &builder, Dimensions &dims) : b(builder), dims(dims) {}

  /// Converts the ops of a block, at the builder's insertion point. The terminator is left to the
  /// caller.
  llvm::LogicalResult convert(mlir::Block &block);

  /// What stands for a value of the model in the converted program.
  mlir::Value get(mlir::Value value) { return value ? values.lookup(value) : mlir::Value(); }
  llvm::SmallVector<mlir::Value> get(mlir::ValueRange range);
  void set(mlir::Value value, mlir::Value converted) { values[value] = converted; }

  int64_t epilogues = 0;

private:
  llvm::LogicalResult convert(mlir::Operation *op);
  // ConvertTransformerOps.cpp
  llvm::LogicalResult convertTransformer(mlir::Operation *op, bool &known);
  void convertLinear(LinearOp op);
  void gemm(mlir::Location loc, mlir::Value a, mlir::Value weight, mlir::Value bias,
            bool transposed, mlir::Value result);
  // ConvertTensorOps.cpp
  llvm::LogicalResult convertTensor(mlir::Operation *op, bool &known);
  void convertSplit(SplitOp op);
  void convertConcatenate(ConcatenateOp op);
  void convertRepeat(mlir::Operation *op, mlir::Value x, int64_t dimension, int64_t times,
                     bool backward);
  mlir::Value reduce(mlir::Location loc, mlir::Value x, mlir::AffineMap result,
                     mlir::Value destination);
  // ConvertTrainingOps.cpp
  llvm::LogicalResult convertTraining(mlir::Operation *op, bool &known);
  void convertLossGradient(LinearCrossEntropyGradientOp op);
  // ConvertScan.cpp
  llvm::LogicalResult convertScan(ScanOp op);
  // ConvertElementwise.cpp
  llvm::LogicalResult convertElementwise(mlir::Operation *op, bool &known);

  /// An uninitialized tensor for `value` to be written into, unless its place is settled already.
  mlir::Value destination(mlir::Value value);
  mlir::Value empty(mlir::Location loc, const Dims &sizes, mlir::Type elementType);
  /// A tensor of `sizes` filled with a constant.
  mlir::Value filled(mlir::Location loc, const Dims &sizes, mlir::Type elementType, double value);

  using Body = llvm::function_ref<mlir::Value(mlir::OpBuilder &, mlir::Location, mlir::ValueRange)>;
  /// A linalg.generic over the shape of `into`, all of whose loops are parallel.
  mlir::Value generic(mlir::Location loc, mlir::ValueRange inputs,
                      llvm::ArrayRef<mlir::AffineMap> maps, mlir::Value into, Body body);
  /// The same with identity maps.
  mlir::Value elementwise(mlir::Location loc, mlir::ValueRange inputs, mlir::Value into, Body body);

  mlir::OpBuilder &b;
  Dimensions &dims;
  llvm::DenseMap<mlir::Value, mlir::Value> values;
  llvm::DenseMap<mlir::Value, mlir::Value> places; ///< destinations that are settled
  llvm::DenseSet<mlir::Operation *> done; ///< ops that became the epilogue of an earlier one
};

} // namespace quern::kernels

#endif // QUERN_LIB_KERNELS_CONVERTER_H
