//===- Elementwise.h - The loops and the body of a linalg.generic -----------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_LIB_CPU_ELEMENTWISE_H
#define QUERN_LIB_CPU_ELEMENTWISE_H

#include "Rows.h"
#include "VectorBlock.h"
#include "quern/Emission/LoopNest.h"

namespace quern::cpu {

/// Writes the body of a linalg.generic for one iteration, or for `lanes` consecutive iterations of
/// one loop. What does not depend on that loop stays scalar and is written once, by `setRow`.
class Body {
public:
  /// Scalars only when `loop` is -1.
  Body(const LoopNest &nest, Emission &emission, int64_t loop, int64_t lanes)
      : nest(nest), op(nest.op), emission(emission), vectorLoop(loop), lanes(lanes),
        block(emission, lanes) {}

  /// Fixes the indices of all loops (that of the vector loop is ignored) and writes what depends on
  /// them alone. `carried` replaces what the outputs hold, when a reduction keeps it in registers.
  void setRow(llvm::ArrayRef<mlir::Value> indices, mlir::ValueRange carried = {});

  /// Fixes the indices only: for `loadOutput` and `store`.
  void setIndices(llvm::ArrayRef<mlir::Value> newIndices) {
    indices.assign(newIndices.begin(), newIndices.end());
  }

  /// Writes the rest for the lanes from `column` on; `mask` may be null. Returns what the body
  /// yields: vectors, or scalars without a vector loop.
  llvm::SmallVector<mlir::Value> yield(mlir::Value column = {}, mlir::Value mask = {});

  /// The same for one value of the body.
  mlir::Value term(mlir::Value inBody, mlir::Value column, mlir::Value mask);

  /// Stores values for the outputs, in the row that was set.
  void store(mlir::ValueRange values, mlir::Value column = {}, mlir::Value mask = {});

  /// Reads an output's old value.
  mlir::Value loadOutput(unsigned number, mlir::Value column, mlir::Value mask);

private:
  llvm::SmallVector<mlir::Value> indicesOf(const Access &access, mlir::Value column) const;
  mlir::Value load(const Access &access, mlir::Value column, mlir::Value mask);
  bool isVector(const Access &access) const { return vectorLoop >= 0 && access.uses(vectorLoop); }
  llvm::SmallVector<mlir::Value> valuesOf(mlir::ValueRange inBody, mlir::Value column,
                                          mlir::Value mask);

  const LoopNest &nest;
  mlir::linalg::GenericOp op;
  Emission &emission;
  int64_t vectorLoop, lanes;
  llvm::SmallVector<mlir::Value> indices;
  VectorBlock block;
};

/// Emits a nest that has reductions.
llvm::LogicalResult emitReduction(const LoopNest &nest, Emission &emission);

} // namespace quern::cpu

#endif // QUERN_LIB_CPU_ELEMENTWISE_H
