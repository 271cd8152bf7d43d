//===- FuseNorms.cpp - Layer and RMS norms, however written --------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------===//

#include "FuseSupport.h"
#include "quern/Model/Passes.h"

#include "dialects/Quern/Quern.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace quern::model {
#define GEN_PASS_DEF_FUSENORMS
#include "quern/Model/Passes.h.inc"
} // namespace quern::model

using namespace mlir;
using namespace quern;
using namespace quern::model;

namespace {

/// `value` without the broadcasts and reshapes that bring a row to full size.
Value peel(Value value) {
  Value row = getBroadcastRow(value);
  return getRow(row ? row : value);
}

/// If `value` is the mean over the last dimension of a tensor, as a row or broadcast: the tensor.
Value getMeaned(Value value) {
  Product mean = getProduct(peel(value));
  if (mean.values.size() != 1)
    return {};
  Value row = peel(mean.values[0]);
  std::optional<RowReduction> sum = getRowReduction(row);
  if (!sum || sum->kind != RowReduction::Sum)
    return {};
  int64_t size = cast<RankedTensorType>(sum->x.getType()).getShape().back();
  if (ShapedType::isDynamic(size) || !isAbout(mean.factor, 1.0 / static_cast<double>(size)))
    return {};
  return sum->x;
}

/// mean(x^2) + epsilon.
struct MeanSquare {
  Value x;
  double epsilon;
};
std::optional<MeanSquare> getMeanSquare(Value value) {
  auto add = peel(value).getDefiningOp<arith::AddFOp>();
  if (!add)
    return std::nullopt;
  for (auto [mean, epsilon] :
       {std::pair(add.getLhs(), add.getRhs()), std::pair(add.getRhs(), add.getLhs())}) {
    std::optional<double> number = getSplat(epsilon);
    Value squares = number && *number >= 0 ? getMeaned(mean) : Value();
    if (!squares)
      continue;
    if (auto square = squares.getDefiningOp<arith::MulFOp>();
        square && square.getLhs() == square.getRhs())
      return MeanSquare{square.getLhs(), *number};
    if (auto power = squares.getDefiningOp<math::PowFOp>(); power && isSplatOf(power.getRhs(), 2))
      return MeanSquare{power.getLhs(), *number};
  }
  return std::nullopt;
}

/// What `op` divides by the root of a mean square, and that: a * rsqrt(m), a / sqrt(m),
/// a * (1 / sqrt(m)).
std::optional<MeanSquare> getNormalized(Operation *op) {
  auto matches = [](Value dividend, Value root) -> std::optional<MeanSquare> {
    std::optional<MeanSquare> square = getMeanSquare(root);
    return square && square->x == dividend ? square : std::nullopt;
  };
  if (auto div = dyn_cast<arith::DivFOp>(op)) {
    auto sqrt = peel(div.getRhs()).getDefiningOp<math::SqrtOp>();
    return sqrt ? matches(div.getLhs(), sqrt.getOperand()) : std::nullopt;
  }
  for (auto [x, factor] : {std::pair(op->getOperand(0), op->getOperand(1)),
                           std::pair(op->getOperand(1), op->getOperand(0))}) {
    Value inverse = peel(factor), root;
    if (auto rsqrt = inverse.getDefiningOp<math::RsqrtOp>())
      root = rsqrt.getOperand();
    else if (auto div = inverse.getDefiningOp<arith::DivFOp>(); div && isSplatOf(div.getLhs(), 1))
      if (auto sqrt = peel(div.getRhs()).getDefiningOp<math::SqrtOp>())
        root = sqrt.getOperand();
    if (std::optional<MeanSquare> square = root ? matches(x, root) : std::nullopt)
      return square;
  }
  return std::nullopt;
}

/// A normalized tensor: a layer norm if its mean was subtracted, an RMS norm otherwise.
template <typename Op>
struct NormOfQuotient : OpRewritePattern<Op> {
  using OpRewritePattern<Op>::OpRewritePattern;
  LogicalResult matchAndRewrite(Op op, PatternRewriter &rewriter) const override {
    if (!isa<RankedTensorType>(op.getType()))
      return failure();
    std::optional<MeanSquare> square = getNormalized(op);
    if (!square)
      return failure();
    FloatAttr epsilon = rewriter.getF64FloatAttr(square->epsilon);
    if (auto centered = square->x.getDefiningOp<arith::SubFOp>();
        centered && getMeaned(centered.getRhs()) == centered.getLhs())
      rewriter.replaceOpWithNewOp<LayerNormOp>(op, centered.getLhs(), Value(), Value(), epsilon);
    else
      rewriter.replaceOpWithNewOp<RmsNormOp>(op, square->x, Value(), epsilon);
    return success();
  }
};

/// The vector [N] that `value` [..., N] repeats for each row.
Value getBroadcastVector(Value value) {
  auto broadcast = value.getDefiningOp<BroadcastOp>();
  if (!broadcast || !isa<RankedTensorType>(value.getType()))
    return {};
  auto from = cast<RankedTensorType>(broadcast.getX().getType());
  return from.getRank() == 1 &&
                 from.getDimSize(0) == cast<RankedTensorType>(value.getType()).getShape().back()
             ? broadcast.getX()
             : Value();
}

/// norm(x) * weight.
struct WeightOfProduct : OpRewritePattern<arith::MulFOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(arith::MulFOp op, PatternRewriter &rewriter) const override {
    for (auto [norm, factor] :
         {std::pair(op.getLhs(), op.getRhs()), std::pair(op.getRhs(), op.getLhs())}) {
      Value weight = getBroadcastVector(factor);
      if (!weight || !hasOneReader(norm))
        continue;
      if (auto rms = norm.getDefiningOp<RmsNormOp>(); rms && !rms.getWeight()) {
        rewriter.replaceOpWithNewOp<RmsNormOp>(op, rms.getX(), weight, rms.getEpsilonAttr());
        return success();
      }
      if (auto layer = norm.getDefiningOp<LayerNormOp>();
          layer && !layer.getWeight() && !layer.getBias()) {
        rewriter.replaceOpWithNewOp<LayerNormOp>(op, layer.getX(), weight, Value(),
                                                 layer.getEpsilonAttr());
        return success();
      }
    }
    return failure();
  }
};

/// layer_norm(x) + bias.
struct BiasOfSum : OpRewritePattern<arith::AddFOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(arith::AddFOp op, PatternRewriter &rewriter) const override {
    for (auto [norm, summand] :
         {std::pair(op.getLhs(), op.getRhs()), std::pair(op.getRhs(), op.getLhs())}) {
      auto layer = norm.getDefiningOp<LayerNormOp>();
      Value bias = getBroadcastVector(summand);
      if (!layer || layer.getBias() || !bias || !hasOneReader(norm))
        continue;
      rewriter.replaceOpWithNewOp<LayerNormOp>(op, layer.getX(), layer.getWeight(), bias,
                                               layer.getEpsilonAttr());
      return success();
    }
    return failure();
  }
};

struct FuseNorms : quern::model::impl::FuseNormsBase<FuseNorms> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<NormOfQuotient<arith::DivFOp>, NormOfQuotient<arith::MulFOp>, WeightOfProduct,
                 BiasOfSum>(&getContext());
    int64_t before = countOps<LayerNormOp, RmsNormOp>(getOperation());
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      return signalPassFailure();
    numFused += countOps<LayerNormOp, RmsNormOp>(getOperation()) - before;
  }
};

} // namespace
