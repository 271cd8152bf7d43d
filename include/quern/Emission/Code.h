//===- Code.h - Where emitters of all targets write -------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_EMISSION_CODE_H
#define QUERN_EMISSION_CODE_H

#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Value.h"
#include "llvm/ADT/STLFunctionalExtras.h"

namespace quern::emission {

/// A place in the code under construction and the location that it belongs to. What an emitter can
/// write there depends on the target: classes of the targets derive from this one.
class Code {
public:
  Code(mlir::OpBuilder &builder, mlir::Location loc) : builder(builder), loc(loc) {}

  mlir::OpBuilder &builder;
  mlir::Location loc;

  /// An index constant.
  mlir::Value index(int64_t value);

  /// Size of dimension `dim` of a memref: a constant where it is static.
  mlir::Value dim(mlir::Value memref, int64_t dim);

  /// The product of the sizes of the first `count` dimensions.
  mlir::Value leadingSize(mlir::Value memref, int64_t count);

  /// `for (i = from; i < to; i += step)`, with the builder inside the loop.
  void forLoop(mlir::Value from, mlir::Value to, int64_t step,
               llvm::function_ref<void(mlir::Value)> body);

  /// The same with values that are carried from one iteration to the next; returns the last ones.
  llvm::SmallVector<mlir::Value>
  forLoop(mlir::Value from, mlir::Value to, int64_t step, mlir::ValueRange carried,
          llvm::function_ref<llvm::SmallVector<mlir::Value>(mlir::Value, mlir::ValueRange)> body);

  /// Runs `body` where `condition` holds.
  void when(mlir::Value condition, llvm::function_ref<void()> body);
  /// The values that `body` returns where `condition` holds, `otherwise` elsewhere.
  llvm::SmallVector<mlir::Value> when(mlir::Value condition, mlir::ValueRange otherwise,
                                      llvm::function_ref<llvm::SmallVector<mlir::Value>()> body);

  /// The values of the one where `condition` holds, of the other elsewhere.
  llvm::SmallVector<mlir::Value> choose(mlir::Value condition,
                                        llvm::function_ref<llvm::SmallVector<mlir::Value>()> one,
                                        llvm::function_ref<llvm::SmallVector<mlir::Value>()> other);

  /// Runs `body(carried)` as long as `condition(carried)` holds; returns the values carried last.
  llvm::SmallVector<mlir::Value>
  repeatWhile(mlir::ValueRange initial, llvm::function_ref<mlir::Value(mlir::ValueRange)> condition,
              llvm::function_ref<llvm::SmallVector<mlir::Value>(mlir::ValueRange)> body);
};

} // namespace quern::emission

#endif // QUERN_EMISSION_CODE_H
