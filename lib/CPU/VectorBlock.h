//===- VectorBlock.h - Ops on numbers, written for vectors ------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_LIB_CPU_VECTORBLOCK_H
#define QUERN_LIB_CPU_VECTORBLOCK_H

#include "quern/CPU/Emission.h"

#include "llvm/ADT/DenseMap.h"

namespace quern::cpu {

/// Writes the ops of a block, which are elementwise and on numbers, for the lanes of vectors. What
/// is the same in all lanes stays a number and is written once.
class VectorBlock {
public:
  VectorBlock(Emission &emission, int64_t lanes) : emission(emission), lanes(lanes) {}

  void clear() {
    uniform.clear();
    varying.clear();
  }

  /// What a value of the block is: a number that all lanes share, or a vector.
  void set(mlir::Value inBlock, mlir::Value value);

  /// The number that all lanes share; null when there is none.
  mlir::Value uniformOf(mlir::Value inBlock) const { return uniform.lookup(inBlock); }

  /// Writes an op whose operands are numbers that all lanes share; its results are so too. Returns
  /// what it wrote, or null where some operand is not.
  mlir::Operation *writeUniform(mlir::Operation &op);

  /// Writes vectors of values of the block. `leaf` gives those of block arguments, and of ops that
  /// are not written on vectors as they are; null for all other values. What is written for one
  /// call is forgotten after it: it may stand in a loop that ends.
  llvm::SmallVector<mlir::Value> vectorsOf(mlir::ValueRange inBlock,
                                           llvm::function_ref<mlir::Value(mlir::Value)> leaf);

  /// A number in all lanes.
  mlir::Value broadcast(mlir::Value scalar);

private:
  mlir::Value vectorOf(mlir::Value inBlock, llvm::function_ref<mlir::Value(mlir::Value)> leaf);

  Emission &emission;
  int64_t lanes;
  llvm::DenseMap<mlir::Value, mlir::Value> uniform, varying;
};

} // namespace quern::cpu

#endif // QUERN_LIB_CPU_VECTORBLOCK_H
