//===- FuseActivations.cpp - Activation functions, however written -------------------------===//
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

#include <cmath>

namespace quern::model {
#define GEN_PASS_DEF_FUSEACTIVATIONS
#define GEN_PASS_DEF_FUSESWIGLU
#include "quern/Model/Passes.h.inc"
} // namespace quern::model

using namespace mlir;
using namespace quern;
using namespace quern::model;

namespace {

/// If `value` is `1 + exp(-x)`: x.
Value getLogisticDenominator(Value value) {
  Value e = getSummandBeside(value, 1);
  auto exp = e ? e.getDefiningOp<math::ExpOp>() : math::ExpOp();
  if (!exp)
    return {};
  if (auto neg = exp.getOperand().getDefiningOp<arith::NegFOp>())
    return neg.getOperand();
  if (auto sub = exp.getOperand().getDefiningOp<arith::SubFOp>())
    return isSplatOf(sub.getLhs(), 0) ? sub.getRhs() : Value();
  Product negated = getProduct(exp.getOperand());
  return negated.factor == -1 && negated.values.size() == 1 ? negated.values[0] : Value();
}

/// x / (1 + exp(-x)).
struct SiluOfQuotient : OpRewritePattern<arith::DivFOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(arith::DivFOp op, PatternRewriter &rewriter) const override {
    if (!isa<RankedTensorType>(op.getType()) || getLogisticDenominator(op.getRhs()) != op.getLhs())
      return failure();
    rewriter.replaceOpWithNewOp<SiluOp>(op, op.getLhs());
    return success();
  }
};

/// x * (1 / (1 + exp(-x))), in either order.
struct SiluOfProduct : OpRewritePattern<arith::MulFOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(arith::MulFOp op, PatternRewriter &rewriter) const override {
    if (!isa<RankedTensorType>(op.getType()))
      return failure();
    for (auto [x, sigmoid] :
         {std::pair(op.getLhs(), op.getRhs()), std::pair(op.getRhs(), op.getLhs())}) {
      auto div = sigmoid.getDefiningOp<arith::DivFOp>();
      // A sigmoid with other readers is computed anyway.
      if (!div || !hasOneReader(sigmoid) || !isSplatOf(div.getLhs(), 1) ||
          getLogisticDenominator(div.getRhs()) != x)
        continue;
      rewriter.replaceOpWithNewOp<SiluOp>(op, x);
      return success();
    }
    return failure();
  }
};

/// Whether `values` are `count` times x.
bool isPower(ArrayRef<Value> values, Value x, size_t count) {
  return values.size() == count && llvm::all_equal(values) && values.front() == x;
}

/// Whether `value` is `0.044715 x^3`.
bool isCubicTerm(Value value, Value x) {
  Product product = getProduct(value);
  if (!isAbout(product.factor, 0.044715))
    return false;
  if (product.values.size() == 1) {
    if (auto power = product.values[0].getDefiningOp<math::PowFOp>())
      return power.getLhs() == x && isSplatOf(power.getRhs(), 3);
    if (auto power = product.values[0].getDefiningOp<math::FPowIOp>())
      return power.getLhs() == x && isSplatOf(power.getRhs(), 3);
  }
  return isPower(product.values, x, 3);
}

/// Whether `value` is `sqrt(2 / pi) (x + 0.044715 x^3)`, or that with x factored out.
bool isTanhArgument(Value value, Value x) {
  Product product = getProduct(value);
  if (!isAbout(product.factor, std::sqrt(2 / M_PI)))
    return false;
  if (product.values.size() == 1) {
    auto add = product.values[0].getDefiningOp<arith::AddFOp>();
    return add && ((add.getLhs() == x && isCubicTerm(add.getRhs(), x)) ||
                   (add.getRhs() == x && isCubicTerm(add.getLhs(), x)));
  }
  if (product.values.size() != 2 || !llvm::is_contained(product.values, x))
    return false;
  Value other = product.values[0] == x ? product.values[1] : product.values[0];
  Value square = getSummandBeside(other, 1);
  if (!square)
    return false;
  Product term = getProduct(square);
  return isAbout(term.factor, 0.044715) && isPower(term.values, x, 2);
}

/// x/2 (1 + erf(x / sqrt(2))) and x/2 (1 + tanh(...)), multiplied in any order.
struct GeluOfProduct : OpRewritePattern<arith::MulFOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(arith::MulFOp op, PatternRewriter &rewriter) const override {
    if (!isa<RankedTensorType>(op.getType()))
      return failure();
    Product product = getProduct(op.getResult());
    if (!isAbout(product.factor, 0.5) || product.values.size() != 2)
      return failure();
    for (auto [x, gate] : {std::pair(product.values[0], product.values[1]),
                           std::pair(product.values[1], product.values[0])}) {
      Value curve = getSummandBeside(gate, 1);
      if (!curve)
        continue;
      if (auto erf = curve.getDefiningOp<math::ErfOp>()) {
        Product argument = getProduct(erf.getOperand());
        if (!isAbout(argument.factor, M_SQRT1_2) || !isPower(argument.values, x, 1))
          continue;
        rewriter.replaceOpWithNewOp<GeluOp>(op, x, /*tanh=*/false);
        return success();
      }
      if (auto tanh = curve.getDefiningOp<math::TanhOp>();
          tanh && isTanhArgument(tanh.getOperand(), x)) {
        rewriter.replaceOpWithNewOp<GeluOp>(op, x, /*tanh=*/true);
        return success();
      }
    }
    return failure();
  }
};

/// max(x, 0).
struct ReluOfMaximum : OpRewritePattern<arith::MaximumFOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(arith::MaximumFOp op, PatternRewriter &rewriter) const override {
    if (!isa<RankedTensorType>(op.getType()))
      return failure();
    bool zeroFirst = isSplatOf(op.getLhs(), 0);
    if (!zeroFirst && !isSplatOf(op.getRhs(), 0))
      return failure();
    rewriter.replaceOpWithNewOp<ReluOp>(op, zeroFirst ? op.getRhs() : op.getLhs());
    return success();
  }
};

/// silu(gate) * up, in either order.
struct SwigluOfProduct : OpRewritePattern<arith::MulFOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(arith::MulFOp op, PatternRewriter &rewriter) const override {
    for (auto [gated, up] :
         {std::pair(op.getLhs(), op.getRhs()), std::pair(op.getRhs(), op.getLhs())}) {
      // A silu that others read stays in memory; then the product is cheap as it is.
      auto silu = gated.getDefiningOp<SiluOp>();
      if (!silu || !hasOneReader(gated))
        continue;
      rewriter.replaceOpWithNewOp<SwigluOp>(op, silu.getX(), up);
      return success();
    }
    return failure();
  }
};

struct FuseActivations : quern::model::impl::FuseActivationsBase<FuseActivations> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    addSiluPatterns(patterns);
    patterns.add<GeluOfProduct, ReluOfMaximum>(&getContext());
    int64_t before = countOps<SiluOp, GeluOp, ReluOp>(getOperation());
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      return signalPassFailure();
    numFused += countOps<SiluOp, GeluOp, ReluOp>(getOperation()) - before;
  }
};

struct FuseSwiglu : quern::model::impl::FuseSwigluBase<FuseSwiglu> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    addSiluPatterns(patterns);
    patterns.add<SwigluOfProduct>(&getContext());
    int64_t before = countOps<SwigluOp>(getOperation());
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      return signalPassFailure();
    numFused += countOps<SwigluOp>(getOperation()) - before;
  }
};

} // namespace

void quern::model::addSiluPatterns(RewritePatternSet &patterns) {
  patterns.add<SiluOfQuotient, SiluOfProduct>(patterns.getContext());
}
