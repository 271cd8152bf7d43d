//===- DecoderSequence.h - Which dimension of a value is the sequence -------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_LIB_MODEL_DECODERSEQUENCE_H
#define QUERN_LIB_MODEL_DECODERSEQUENCE_H

#include "dialects/Quern/Quern.h"

#include "llvm/ADT/DenseMap.h"

namespace quern::model {

/// Follows the sequence through a program, to see whether it can be computed some positions at a
/// time: every op must treat positions alone, except causal self-attention, embeddings of positions
/// and rotary embeddings, which take an offset.
class SequenceAnalysis {
public:
  /// Starts at inputs with a dimension of this name. Reports the first op that looks across the
  /// sequence, or that no input has such a dimension.
  llvm::LogicalResult run(FunctionOp program, llvm::StringRef name);

  /// The dimension of `value` that is the sequence, if any.
  std::optional<int64_t> get(mlir::Value value) const;

private:
  llvm::LogicalResult visit(mlir::Block &block);
  llvm::LogicalResult visit(mlir::Operation *op);
  llvm::LogicalResult visitScan(ScanOp scan);
  llvm::LogicalResult visitElementwise(mlir::Operation *op);
  llvm::LogicalResult visitAttention(AttentionOp op);
  llvm::LogicalResult visitMatmul(MatmulOp op);
  llvm::LogicalResult visitBroadcast(BroadcastOp op);
  llvm::LogicalResult visitReshape(mlir::Operation *op, mlir::Value whole, mlir::Value parts,
                                   llvm::ArrayRef<mlir::ReassociationIndices> groups, bool expands);
  void set(mlir::Value value, std::optional<int64_t> dim);

  llvm::DenseMap<mlir::Value, int64_t> dims;
};

} // namespace quern::model

#endif // QUERN_LIB_MODEL_DECODERSEQUENCE_H
