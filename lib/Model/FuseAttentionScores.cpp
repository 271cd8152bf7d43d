//===- FuseAttentionScores.cpp - Scores of attention, from softmax back to the product -----===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------===//

#include "FuseAttention.h"
#include "FuseSupport.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

#include <cmath>

using namespace mlir;
using namespace quern;
using namespace quern::model;

namespace {

/// Hidden keys get at most this. exp(-1e4 + x) is 0 in f32 and f64 for every x < 9000, and no sum
/// of probabilities is empty, because a query always sees the first key.
constexpr double hiddenAtMost = -1e4;

/// Whether `value` is computed from `op`'s result, or has its shape from there.
bool dependsOn(Value value, Operation *op) {
  llvm::SmallPtrSet<Operation *, 16> seen;
  SmallVector<Value> pending{value};
  while (!pending.empty()) {
    Operation *next = pending.pop_back_val().getDefiningOp();
    if (!next || !seen.insert(next).second)
      continue;
    if (next == op)
      return true;
    pending.append(next->operand_begin(), next->operand_end());
  }
  return false;
}

/// The tensor that a mask of full shape was broadcast from, or the mask.
Value getMaskSource(Value mask) {
  while (auto broadcast = mask.getDefiningOp<BroadcastOp>())
    mask = broadcast.getX();
  return mask;
}

/// One way back from the softmax. The factors met so far multiply whatever is met from here on.
/// Masks of swapped scores would hide queries from keys; they end the way.
class Walk {
public:
  std::optional<Scores> run(Value value);

private:
  std::optional<Scores> sum(arith::AddFOp add);
  std::optional<Scores> product(arith::MulFOp mul);
  std::optional<Scores> choice(arith::SelectOp select);
  std::optional<Scores> transpose(TransposeOp op);
  bool hides(double value) const {
    return scores.scale > 0 && scores.scale * value <= hiddenAtMost;
  }

  Scores scores;
};

std::optional<Scores> Walk::run(Value value) {
  if (!hasOneReader(value))
    return std::nullopt;
  Operation *op = value.getDefiningOp();
  if (auto matmul = dyn_cast_or_null<MatmulOp>(op)) {
    // A mask that has its shape from the scores would keep them alive.
    if (scores.mask && dependsOn(scores.mask, op))
      return std::nullopt;
    if (!std::isfinite(scores.scale) || scores.scale == 0)
      return std::nullopt;
    scores.product = matmul;
    return scores;
  }
  if (auto add = dyn_cast_or_null<arith::AddFOp>(op))
    return sum(add);
  if (auto mul = dyn_cast_or_null<arith::MulFOp>(op))
    return product(mul);
  if (auto select = dyn_cast_or_null<arith::SelectOp>(op))
    return choice(select);
  if (auto transposition = dyn_cast_or_null<TransposeOp>(op))
    return transpose(transposition);
  if (auto div = dyn_cast_or_null<arith::DivFOp>(op)) {
    std::optional<double> divisor = getSplat(div.getRhs());
    if (!divisor)
      return std::nullopt;
    scores.scale /= *divisor;
    return run(div.getLhs());
  }
  return std::nullopt;
}

std::optional<Scores> Walk::sum(arith::AddFOp add) {
  for (auto [rest, mask] :
       {std::pair(add.getLhs(), add.getRhs()), std::pair(add.getRhs(), add.getLhs())}) {
    Walk next = *this;
    std::optional<MaskValues> values = evaluateMask(mask);
    if (values && values->visible == 0 && hides(values->hidden) && !scores.swapped)
      next.scores.causal = true;
    else if (!scores.mask && scores.scale == 1 && !scores.swapped)
      next.scores.mask = getMaskSource(mask);
    else
      continue;
    if (std::optional<Scores> found = next.run(rest))
      return found;
  }
  return std::nullopt;
}

std::optional<Scores> Walk::product(arith::MulFOp mul) {
  for (auto [rest, factor] :
       {std::pair(mul.getLhs(), mul.getRhs()), std::pair(mul.getRhs(), mul.getLhs())}) {
    std::optional<MaskValues> values = evaluateMask(factor);
    if (!values)
      continue;
    if (values->visible == values->hidden)
      scores.scale *= values->visible;
    else if (!scores.causal || scores.swapped || values->visible != 1 || values->hidden != 0)
      return std::nullopt; // zeros hide nothing, unless a causal mask is added to them
    return run(rest);
  }
  return std::nullopt;
}

std::optional<Scores> Walk::choice(arith::SelectOp select) {
  std::optional<MaskValues> condition = evaluateMask(select.getCondition());
  if (!condition || condition->visible == condition->hidden || scores.swapped)
    return std::nullopt;
  bool seen = condition->visible != 0;
  Value rest = seen ? select.getTrueValue() : select.getFalseValue();
  std::optional<MaskValues> other =
      evaluateMask(seen ? select.getFalseValue() : select.getTrueValue());
  if (!other || !hides(other->hidden))
    return std::nullopt;
  scores.causal = true;
  return run(rest);
}

std::optional<Scores> Walk::transpose(TransposeOp op) {
  SmallVector<int64_t> swap = llvm::to_vector(llvm::seq<int64_t>(0, op.getPermutation().size()));
  if (swap.size() < 2)
    return std::nullopt;
  std::swap(swap[swap.size() - 1], swap[swap.size() - 2]);
  if (op.getPermutation() != ArrayRef<int64_t>(swap))
    return std::nullopt;
  scores.swapped = !scores.swapped;
  return run(op.getX());
}

} // namespace

std::optional<Scores> quern::model::matchScores(Value value) { return Walk().run(value); }
