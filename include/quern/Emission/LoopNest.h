//===- LoopNest.h - The loops of a linalg.generic ---------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_EMISSION_LOOPNEST_H
#define QUERN_EMISSION_LOOPNEST_H

#include "quern/Emission/Code.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/IR/TypeUtilities.h"

namespace quern::emission {

/// How one operand is read or written: for each of its dimensions, the loop that indexes it, or -1
/// where the index is the constant 0.
struct Access {
  mlir::Value memref; ///< or a scalar, which no loop indexes
  llvm::SmallVector<int64_t> loops;
  bool output = false;

  mlir::Type element() const { return mlir::getElementTypeOrSelf(memref.getType()); }
  bool uses(int64_t loop) const { return llvm::is_contained(loops, loop); }
  /// Consecutive iterations of `loop` touch consecutive elements of the last dimension.
  bool isContiguous(int64_t loop) const;
};

/// The loops of a linalg.generic with adjacent ones merged wherever memory allows it, so that dense
/// operands leave one loop.
struct LoopNest {
  mutable mlir::linalg::GenericOp op;
  llvm::SmallVector<Access> accesses; ///< one for each operand
  llvm::SmallVector<mlir::Value> sizes;
  llvm::SmallVector<bool> reduces;      ///< for each loop: is it a reduction
  llvm::SmallVector<int64_t> loopOfDim; ///< the loop that a dimension of the op went into

  /// Fails on indexing maps that are more than a permutation of dimensions and zeros.
  static llvm::FailureOr<LoopNest> get(mlir::linalg::GenericOp op, mlir::ValueRange operands,
                                       Code &code);

  bool isParallel() const { return !llvm::is_contained(reduces, true); }

  /// The loop whose iterations can be lanes of vectors: each operand is contiguous in it or does
  /// not depend on it. -1 when there is none, or when the body has an op that has no vector form.
  int64_t vectorLoop(bool reduction) const;

  /// Bits of the widest element that vectors of `loop` hold.
  int64_t widestBits(int64_t loop) const;

  /// Bytes that one iteration of `loop` reads and writes.
  int64_t bytesPerIteration(int64_t loop) const;

private:
  void merge(Code &code);
};

/// Copies the constants that a generic uses from outside into its body, so that the body alone says
/// what it computes. Fails on other values from outside.
llvm::LogicalResult sinkConstants(mlir::linalg::GenericOp op);

} // namespace quern::emission

#endif // QUERN_EMISSION_LOOPNEST_H
