//===- FuseAttention.cpp - Attention, however written, as one operation --------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------===//

#include "FuseAttention.h"
#include "FuseSupport.h"
#include "quern/Model/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

#include <cmath>

namespace quern::model {
#define GEN_PASS_DEF_FUSEATTENTION
#include "quern/Model/Passes.h.inc"
} // namespace quern::model

using namespace mlir;
using namespace quern;
using namespace quern::model;

namespace {

ArrayRef<int64_t> shapeOf(Value value) {
  return cast<RankedTensorType>(value.getType()).getShape();
}
int64_t rankOf(Value value) { return shapeOf(value).size(); }

//===- Layouts -----------------------------------------------------------------------------===//

/// `value` with its dimensions permuted. Looks through transposes, so that inverse ones cancel.
Value permute(Value value, ArrayRef<int64_t> permutation, PatternRewriter &rewriter) {
  SmallVector<int64_t> total(permutation);
  while (auto inner = value.getDefiningOp<TransposeOp>()) {
    for (int64_t &dim : total)
      dim = inner.getPermutation()[dim];
    value = inner.getX();
  }
  if (llvm::equal(total, llvm::seq<int64_t>(0, total.size())))
    return value;
  return TransposeOp::create(rewriter, value.getLoc(), value, total);
}

/// Queries, keys or values as a matrix product takes them: [..., sequence, features], or with these
/// two swapped.
struct Factor {
  Value value;
  bool swapped;

  int64_t features() const { return shapeOf(value).drop_back(swapped).back(); }
};

/// Factors of rank 4 have batch and heads first, in either order.
SmallVector<int64_t> toAttention(const Factor &factor, int64_t headsAt) {
  int64_t sequence = factor.swapped ? 3 : 2;
  return {1 - headsAt, sequence, headsAt, 5 - sequence};
}

/// Which of the first two dimensions are the heads: a static one, and where both are, the one that
/// lies as in [batch, sequence, heads, features] before it was transposed. Nullopt if neither is.
std::optional<int64_t> findHeads(ArrayRef<Factor> factors, Value mask) {
  std::optional<int64_t> found;
  for (int64_t headsAt : {1, 0}) {
    bool fits = llvm::all_of(factors, [&](const Factor &factor) {
      return !ShapedType::isDynamic(shapeOf(factor.value)[headsAt]);
    });
    // The attention's mask has the batch first.
    if (!fits || (headsAt == 0 && mask && rankOf(mask) > 2))
      continue;
    auto transpose = factors[0].value.getDefiningOp<TransposeOp>();
    SmallVector<int64_t> total = toAttention(factors[0], headsAt);
    if (transpose)
      for (int64_t &dim : total)
        dim = transpose.getPermutation()[dim];
    if (llvm::equal(total, llvm::seq<int64_t>(0, 4)))
      return headsAt;
    if (!found)
      found = headsAt;
  }
  return found;
}

/// The reshape that merged batch and heads: [B, H, T, D] -> [B x H, T, D].
tensor::CollapseShapeOp getMergedHeads(Value value) {
  auto collapse = value.getDefiningOp<tensor::CollapseShapeOp>();
  if (!collapse || collapse.getSrcType().getRank() != 4 || rankOf(value) != 3 ||
      collapse.getReassociationIndices()[0].size() != 2 ||
      ShapedType::isDynamic(collapse.getSrcType().getDimSize(1)))
    return {};
  return collapse;
}

//===- Factors -----------------------------------------------------------------------------===//

/// The number by which `value` is a multiple of another tensor.
std::optional<std::pair<Value, double>> getScaled(Value value) {
  if (auto div = value.getDefiningOp<arith::DivFOp>())
    if (std::optional<double> divisor = getSplat(div.getRhs()))
      return std::pair(div.getLhs(), 1 / *divisor);
  if (auto mul = value.getDefiningOp<arith::MulFOp>()) {
    if (std::optional<double> factor = getSplat(mul.getRhs()))
      return std::pair(mul.getLhs(), *factor);
    if (std::optional<double> factor = getSplat(mul.getLhs()))
      return std::pair(mul.getRhs(), *factor);
  }
  return std::nullopt;
}

/// Whether a constant factor can be taken out of the result of `op` as well as out of its operand
/// 0.
bool commutesWithScale(Operation *op) {
  if (isa<TransposeOp, SplitHeadsOp, MergeHeadsOp, RepeatOp, tensor::ExpandShapeOp,
          tensor::CollapseShapeOp>(op))
    return true;
  // A rotation costs something: it is not done twice.
  return isa<RotaryEmbeddingOp>(op) && hasOneReader(op->getResult(0));
}

/// `value` without the constant factors by which it was multiplied, before or after it was split
/// into heads and transposed; `scale` is multiplied by them.
Value takeScale(Value value, double &scale, PatternRewriter &rewriter) {
  SmallVector<Operation *> moved;
  Value source = value;
  double factor = 1;
  bool found = false;
  while (Operation *op = source.getDefiningOp()) {
    if (auto scaled = getScaled(source);
        scaled && std::isfinite(factor * scaled->second) && factor * scaled->second != 0) {
      source = scaled->first;
      factor *= scaled->second;
      found = true;
    } else if (commutesWithScale(op)) {
      moved.push_back(op);
      source = op->getOperand(0);
    } else {
      break;
    }
  }
  if (!found)
    return value;
  scale *= factor;
  for (Operation *op : llvm::reverse(moved)) {
    IRMapping mapping;
    mapping.map(op->getOperand(0), source);
    source = rewriter.clone(*op, mapping)->getResult(0);
  }
  return source;
}

/// Keys or values [B, S, G, D] that were repeated for the heads of their group, and the transposes
/// since.
struct Repeated {
  Value source;
  int64_t times;
  SmallVector<int64_t> permutation;
};

/// How `value`, whose heads are dimension `heads`, was repeated; sees through transposes.
std::optional<Repeated> findRepeat(Value value, int64_t heads) {
  SmallVector<int64_t> permutation = llvm::to_vector(llvm::seq<int64_t>(0, rankOf(value)));
  while (auto transpose = value.getDefiningOp<TransposeOp>()) {
    for (int64_t &dim : permutation)
      dim = transpose.getPermutation()[dim];
    heads = transpose.getPermutation()[heads];
    value = transpose.getX();
  }
  auto repeat = value.getDefiningOp<RepeatOp>();
  if (!repeat || static_cast<int64_t>(repeat.getDimension()) != heads || repeat.getTimes() == 1)
    return std::nullopt;
  return Repeated{repeat.getX(), static_cast<int64_t>(repeat.getTimes()), permutation};
}

//===- Patterns ----------------------------------------------------------------------------===//

/// softmax(scores) V.
struct AttentionOfProduct : OpRewritePattern<MatmulOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(MatmulOp op, PatternRewriter &rewriter) const override {
    auto softmax = op.getA().getDefiningOp<SoftmaxOp>();
    if (!softmax || op.getTransposeA() || !hasOneReader(op.getA()))
      return failure();
    std::optional<Scores> scores = matchScores(softmax.getX());
    if (!scores)
      return failure();
    MatmulOp product = scores->product;
    Factor q{product.getA(), product.getTransposeA()};
    Factor k{product.getB(), !product.getTransposeB()};
    if (scores->swapped)
      std::swap(q, k);
    Factor v{op.getB(), op.getTransposeB()};
    int64_t rank = rankOf(op);
    Value mask = scores->mask;
    if (rank > 4 || ShapedType::isDynamic(q.features()) || ShapedType::isDynamic(v.features()) ||
        ShapedType::isDynamic(k.features()) || (mask && rankOf(mask) > rank))
      return failure();
    std::optional<int64_t> headsAt;
    if (rank == 4) {
      headsAt = findHeads({q, k, v}, mask);
      if (!headsAt || !agreeOnGroups(k, v, *headsAt))
        return failure();
    }

    Location loc = rewriter.getFusedLoc({product.getLoc(), softmax.getLoc(), op.getLoc()});
    q.value = takeScale(q.value, scores->scale, rewriter);
    k.value = takeScale(k.value, scores->scale, rewriter);
    Value result;
    if (rank == 4)
      result = ofRank4({q, k, v}, *headsAt, *scores, loc, rewriter);
    else if (rank == 3)
      result = ofRank3({q, k, v}, *scores, loc, rewriter);
    else
      result = ofRank2({q, k, v}, *scores, loc, rewriter);
    replaceWithCast(rewriter, op, result);
    return success();
  }

private:
  /// Keys and values that are both repeated, but differently, have no groups in common.
  static bool agreeOnGroups(const Factor &k, const Factor &v, int64_t headsAt) {
    std::optional<Repeated> ofK = findRepeat(k.value, headsAt);
    std::optional<Repeated> ofV = findRepeat(v.value, headsAt);
    return !ofK || !ofV || ofK->times == ofV->times;
  }

  /// Attention of [B, T, H, D] tensors.
  static Value attention(ArrayRef<Value> qkv, Value mask, const Scores &scores, Location loc,
                         PatternRewriter &rewriter) {
    FloatAttr scale;
    if (!isAbout(scores.scale, 1 / std::sqrt(static_cast<double>(shapeOf(qkv[0]).back()))))
      scale = rewriter.getF64FloatAttr(scores.scale);
    return AttentionOp::create(rewriter, loc, qkv[0], qkv[1], qkv[2], mask, /*lengths=*/Value(),
                               /*offset=*/Value(), scores.causal, scale);
  }

  static Value ofRank4(ArrayRef<Factor> factors, int64_t headsAt, const Scores &scores,
                       Location loc, PatternRewriter &rewriter) {
    SmallVector<Value> qkv;
    for (const Factor &factor : factors)
      qkv.push_back(permute(factor.value, toAttention(factor, headsAt), rewriter));
    Value result = attention(qkv, scores.mask, scores, loc, rewriter);
    SmallVector<int64_t> back =
        headsAt == 1 ? SmallVector<int64_t>{0, 2, 1, 3} : SmallVector<int64_t>{2, 0, 1, 3};
    return TransposeOp::create(rewriter, loc, result, back);
  }

  /// [N, T, D] tensors: heads that were merged with the batch, or one head.
  static Value ofRank3(ArrayRef<Factor> factors, const Scores &scores, Location loc,
                       PatternRewriter &rewriter) {
    SmallVector<Value> values;
    SmallVector<Factor> apart;
    for (const Factor &factor : factors) {
      values.push_back(factor.swapped ? permute(factor.value, {0, 2, 1}, rewriter) : factor.value);
      if (auto merged = getMergedHeads(values.back()))
        apart.push_back({merged.getSrc(), false});
    }
    Value mask = scores.mask;
    bool maskFits = !mask || rankOf(mask) < 3 || shapeOf(mask)[0] == 1;
    bool sameHeads = apart.size() == 3 && llvm::all_of(apart, [&](const Factor &factor) {
                       return shapeOf(factor.value)[1] == shapeOf(apart[0].value)[1];
                     });
    if (sameHeads && maskFits) {
      Value result = ofRank4(apart, /*headsAt=*/1, scores, loc, rewriter);
      return tensor::CollapseShapeOp::create(rewriter, loc, result,
                                             ArrayRef<ReassociationIndices>{{0, 1}, {2}, {3}});
    }
    for (Value &value : values)
      value = SplitHeadsOp::create(rewriter, loc, value, /*heads=*/1);
    if (mask && rankOf(mask) == 3)
      mask = insertOnes(mask, {{0}, {1, 2}, {3}}, rewriter);
    return MergeHeadsOp::create(rewriter, loc, attention(values, mask, scores, loc, rewriter));
  }

  /// [T, D] tensors: one batch, one head.
  static Value ofRank2(ArrayRef<Factor> factors, const Scores &scores, Location loc,
                       PatternRewriter &rewriter) {
    SmallVector<ReassociationIndices> ones{{0, 1}, {2, 3}};
    SmallVector<Value> values;
    for (const Factor &factor : factors) {
      Value value = factor.swapped ? permute(factor.value, {1, 0}, rewriter) : factor.value;
      values.push_back(insertOnes(value, ones, rewriter));
    }
    return tensor::CollapseShapeOp::create(
        rewriter, loc, attention(values, scores.mask, scores, loc, rewriter), ones);
  }

  /// `value` with a dimension of size 1 before the last of each group of two.
  static Value insertOnes(Value value, ArrayRef<ReassociationIndices> groups,
                          PatternRewriter &rewriter) {
    SmallVector<int64_t> sizes;
    for (auto [size, group] : llvm::zip(shapeOf(value), groups)) {
      sizes.append(group.size() - 1, 1);
      sizes.push_back(size);
    }
    auto type = cast<RankedTensorType>(value.getType()).clone(sizes);
    return tensor::ExpandShapeOp::create(rewriter, value.getLoc(), type, value, groups);
  }
};

/// Keys and values that were repeated equally for the heads of a group.
struct GroupQueries : OpRewritePattern<AttentionOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(AttentionOp op, PatternRewriter &rewriter) const override {
    std::optional<Repeated> k = findRepeat(op.getK(), 2), v = findRepeat(op.getV(), 2);
    if (!k || !v || k->times != v->times)
      return failure();
    Value keys = permute(k->source, k->permutation, rewriter);
    Value values = permute(v->source, v->permutation, rewriter);
    rewriter.modifyOpInPlace(op, [&] {
      op.getKMutable().assign(keys);
      op.getVMutable().assign(values);
    });
    return success();
  }
};

int64_t countGrouped(Operation *root) {
  int64_t count = 0;
  root->walk([&](AttentionOp op) { count += shapeOf(op.getK())[2] != shapeOf(op.getQ())[2]; });
  return count;
}

struct FuseAttention : quern::model::impl::FuseAttentionBase<FuseAttention> {
  void runOnOperation() override {
    MLIRContext *context = &getContext();
    RewritePatternSet patterns(context);
    patterns.add<AttentionOfProduct, GroupQueries>(context);
    // Transposes and reshapes around the attention cancel.
    TransposeOp::getCanonicalizationPatterns(patterns, context);
    tensor::ExpandShapeOp::getCanonicalizationPatterns(patterns, context);
    tensor::CollapseShapeOp::getCanonicalizationPatterns(patterns, context);
    int64_t before = countOps<AttentionOp>(getOperation()), grouped = countGrouped(getOperation());
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      return signalPassFailure();
    numFused += countOps<AttentionOp>(getOperation()) - before;
    numGrouped += countGrouped(getOperation()) - grouped;
  }
};

} // namespace
