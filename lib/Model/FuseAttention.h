//===- FuseAttention.h - What attention is recognized by -----------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------===//
#ifndef QUERN_MODEL_FUSE_ATTENTION_H
#define QUERN_MODEL_FUSE_ATTENTION_H

#include "dialects/Quern/Quern.h"

#include <optional>

namespace quern::model {

/// What becomes of the product of queries and keys before it multiplies the values.
struct Scores {
  MatmulOp product;     ///< of queries and keys
  bool swapped = false; ///< the product is keys times queries, and transposed later
  double scale = 1;     ///< product of the constant factors
  bool causal = false;
  mlir::Value mask; ///< added to the scaled scores; null for none
};

/// Follows the scores back from the operand of a softmax. Nullopt when they are no scaled, masked
/// product, or when something else reads them on their way.
std::optional<Scores> matchScores(mlir::Value value);

} // namespace quern::model

#endif // QUERN_MODEL_FUSE_ATTENTION_H
