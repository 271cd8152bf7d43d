//===- FuseSupport.h - What the patterns of the phase fuse share ---------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------===//
#ifndef QUERN_MODEL_FUSE_SUPPORT_H
#define QUERN_MODEL_FUSE_SUPPORT_H

#include "mlir/IR/PatternMatch.h"
#include "mlir/IR/Value.h"

#include <optional>

namespace quern::model {

/// The two values of a tensor [..., T, S] whose elements depend on nothing but s <= t.
struct MaskValues {
  double visible; ///< where s <= t
  double hidden;  ///< where s > t
};

/// Evaluates a tensor that is computed from constants and `quern.causal_mask` alone; nullopt for
/// any other. Booleans are 1 and 0.
std::optional<MaskValues> evaluateMask(mlir::Value value);

/// The value of all elements of a constant, however it is written: `quern.full`, a splat
/// `arith.constant`, `tensor.splat`, `linalg.fill`, broadcasts and arithmetic of these.
std::optional<double> getSplat(mlir::Value value);

/// Whether a constant of a text is the number `expected`: to a few roundings of f32, since texts
/// round their constants to it.
bool isAbout(double value, double expected);
inline bool isSplatOf(mlir::Value value, double expected) {
  std::optional<double> splat = getSplat(value);
  return splat && isAbout(*splat, expected);
}

/// Whether a use reads nothing but the shape of its value: `like` operands, `tensor.dim`.
bool readsShapeOnly(mlir::OpOperand &use);

/// Whether one operation alone reads elements of `value`, and reads them once.
bool hasOneReader(mlir::Value value);

/// A product, with its constant factors multiplied: factor * values[0] * values[1] * ...
struct Product {
  double factor = 1;
  llvm::SmallVector<mlir::Value> values;
};

/// Takes `value` apart into factors, through multiplications, divisions by constants and negations.
Product getProduct(mlir::Value value);

/// If `value` is `x + constant`: the other summand x. Both orders count.
mlir::Value getSummandBeside(mlir::Value value, double constant);

/// If `value` [..., N] repeats one number along its last dimension: the tensor [...] or [..., 1]
/// that it was broadcast from, without broadcasts and reshapes; null otherwise.
mlir::Value getBroadcastRow(mlir::Value value);

/// The tensor [...] that a row [..., 1] was reshaped from, or the row itself.
mlir::Value getRow(mlir::Value value);

/// A sum or maximum over the last dimension of x.
struct RowReduction {
  enum Kind { Sum, Max } kind;
  mlir::Value x;
};

/// The reduction that `row` is the result of: `quern.sum`, `linalg.reduce` or a `linalg.generic`.
std::optional<RowReduction> getRowReduction(mlir::Value row);

/// How many operations of these kinds there are in `root`.
template <typename... Ops>
int64_t countOps(mlir::Operation *root) {
  int64_t count = 0;
  root->walk([&](mlir::Operation *op) { count += mlir::isa<Ops...>(op); });
  return count;
}

/// Replaces `op` by a value of its type; casts where the types know different sizes.
void replaceWithCast(mlir::PatternRewriter &rewriter, mlir::Operation *op, mlir::Value value);

/// `silu` however it was written, as `quern.silu`.
void addSiluPatterns(mlir::RewritePatternSet &patterns);

} // namespace quern::model

#endif // QUERN_MODEL_FUSE_SUPPORT_H
