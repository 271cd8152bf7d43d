//===- FuseLinalg.cpp - linalg and tensor operations that are quern's, written out ---------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------===//

#include "FuseSupport.h"
#include "quern/Model/Passes.h"

#include "dialects/Quern/Quern.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace quern::model {
#define GEN_PASS_DEF_FUSELINALG
#include "quern/Model/Passes.h.inc"
} // namespace quern::model

using namespace mlir;
using namespace quern;
using namespace quern::model;

namespace {

bool isFloatTensor(Type type) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  return tensor && isa<FloatType>(tensor.getElementType());
}

/// Puts dimensions of `value` in the order in which `loops` lists the loops that run over them.
Value orderBy(ArrayRef<unsigned> loops, AffineMap map, Value value, PatternRewriter &rewriter) {
  SmallVector<int64_t> permutation;
  for (unsigned loop : loops)
    permutation.push_back(*map.getResultPosition(rewriter.getAffineDimExpr(loop)));
  if (llvm::equal(permutation, llvm::seq<int64_t>(0, permutation.size())))
    return value;
  return TransposeOp::create(rewriter, value.getLoc(), value, permutation);
}

/// Any contraction with one m, n and k into zeros (matmul, batch_matmul, contract, an einsum as a
/// generic): transposes around a matrix product.
struct MatmulOfContraction : OpInterfaceRewritePattern<linalg::LinalgOp> {
  using OpInterfaceRewritePattern::OpInterfaceRewritePattern;
  LogicalResult matchAndRewrite(linalg::LinalgOp op, PatternRewriter &rewriter) const override {
    if (!op.hasPureTensorSemantics() || !linalg::isaContractionOpInterface(op) ||
        op->getNumResults() != 1 || !isFloatTensor(op->getResult(0).getType()) ||
        !isSplatOf(op.getDpsInits()[0], 0))
      return failure();
    for (Value input : op.getDpsInputs())
      if (getElementTypeOrSelf(input) != getElementTypeOrSelf(op->getResult(0)))
        return failure();
    FailureOr<linalg::ContractionDimensions> dims = linalg::inferContractionDims(op);
    if (failed(dims) || dims->m.size() != 1 || dims->n.size() != 1 || dims->k.size() != 1 ||
        dims->batch.size() + 3 != op.getNumLoops())
      return failure();
    SmallVector<AffineMap> maps = op.getIndexingMapsArray();
    for (AffineMap map : maps)
      if (!map.isProjectedPermutation())
        return failure();

    // Batch dimensions in the order of the result, for then it is the least that must be moved.
    SmallVector<unsigned> batch;
    for (AffineExpr expr : maps[2].getResults())
      if (unsigned loop = cast<AffineDimExpr>(expr).getPosition();
          llvm::is_contained(dims->batch, loop))
        batch.push_back(loop);
    auto with = [&](unsigned row, unsigned column) {
      SmallVector<unsigned> loops(batch);
      loops.append({row, column});
      return loops;
    };
    unsigned m = dims->m[0], n = dims->n[0], k = dims->k[0];
    Value a = op.getDpsInputs()[0], b = op.getDpsInputs()[1];
    // Operands stay as they are when their last two dimensions only have to be swapped.
    auto operand = [&](Value value, AffineMap map, unsigned row, unsigned column, bool &swapped) {
      auto rowAt = map.getResultPosition(rewriter.getAffineDimExpr(row));
      auto columnAt = map.getResultPosition(rewriter.getAffineDimExpr(column));
      swapped = *rowAt > *columnAt;
      return orderBy(swapped ? with(column, row) : with(row, column), map, value, rewriter);
    };
    bool swapA = false, swapB = false;
    a = operand(a, maps[0], m, k, swapA);
    b = operand(b, maps[1], k, n, swapB);
    Value product = MatmulOp::create(rewriter, op.getLoc(), a, b, swapA, swapB);
    // From [batch, m, n] to the order of the result.
    SmallVector<unsigned> have = with(m, n);
    SmallVector<int64_t> permutation;
    for (AffineExpr expr : maps[2].getResults())
      permutation.push_back(llvm::find(have, cast<AffineDimExpr>(expr).getPosition()) -
                            have.begin());
    if (!llvm::equal(permutation, llvm::seq<int64_t>(0, permutation.size())))
      product = TransposeOp::create(rewriter, op.getLoc(), product, permutation);
    replaceWithCast(rewriter, op, product);
    return success();
  }
};

struct TransposeOfLinalg : OpRewritePattern<linalg::TransposeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(linalg::TransposeOp op, PatternRewriter &rewriter) const override {
    if (!op.hasPureTensorSemantics())
      return failure();
    Value result = TransposeOp::create(rewriter, op.getLoc(), op.getInput(), op.getPermutation());
    replaceWithCast(rewriter, op, result);
    return success();
  }
};

struct SoftmaxOfLinalg : OpRewritePattern<linalg::SoftmaxOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(linalg::SoftmaxOp op, PatternRewriter &rewriter) const override {
    auto type = dyn_cast<RankedTensorType>(op.getInput().getType());
    if (!type || op->getNumResults() != 1 ||
        static_cast<int64_t>(op.getDimension()) != type.getRank() - 1)
      return failure();
    Value result = SoftmaxOp::create(rewriter, op.getLoc(), op.getInput());
    replaceWithCast(rewriter, op, result);
    return success();
  }
};

/// The dimension that a reassociation splits or merges in two, if it does nothing else.
std::optional<int64_t> getOnlyPair(ArrayRef<ReassociationIndices> reassociation) {
  std::optional<int64_t> pair;
  for (auto [i, group] : llvm::enumerate(reassociation)) {
    if (group.size() == 1)
      continue;
    if (group.size() != 2 || pair)
      return std::nullopt;
    pair = i;
  }
  return pair;
}

/// [..., H x D] -> [..., H, D]; not [...] -> [..., 1], which rows of statistics do.
struct SplitHeadsOfExpand : OpRewritePattern<tensor::ExpandShapeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(tensor::ExpandShapeOp op,
                                PatternRewriter &rewriter) const override {
    RankedTensorType type = op.getResultType();
    SmallVector<ReassociationIndices> groups = op.getReassociationIndices();
    std::optional<int64_t> pair = getOnlyPair(groups);
    if (!pair || *pair + 1 != static_cast<int64_t>(groups.size()) ||
        ShapedType::isDynamicShape(type.getShape().take_back(2)) || type.getShape().back() == 1)
      return failure();
    Value result = SplitHeadsOp::create(rewriter, op.getLoc(), op.getSrc(),
                                        type.getDimSize(type.getRank() - 2));
    replaceWithCast(rewriter, op, result);
    return success();
  }
};

/// [..., H, D] -> [..., H x D].
struct MergeHeadsOfCollapse : OpRewritePattern<tensor::CollapseShapeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(tensor::CollapseShapeOp op,
                                PatternRewriter &rewriter) const override {
    SmallVector<ReassociationIndices> groups = op.getReassociationIndices();
    std::optional<int64_t> pair = getOnlyPair(groups);
    if (!pair || *pair + 1 != static_cast<int64_t>(groups.size()) ||
        ShapedType::isDynamicShape(op.getSrcType().getShape().take_back(2)) ||
        op.getSrcType().getShape().back() == 1)
      return failure();
    Value result = MergeHeadsOp::create(rewriter, op.getLoc(), op.getSrc());
    replaceWithCast(rewriter, op, result);
    return success();
  }
};

/// [..., G, ...] -> [..., G, times, ...] -> [..., G x times, ...]: groups of keys, one for each
/// head.
struct RepeatOfBroadcast : OpRewritePattern<tensor::CollapseShapeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(tensor::CollapseShapeOp op,
                                PatternRewriter &rewriter) const override {
    auto broadcast = op.getSrc().getDefiningOp<linalg::BroadcastOp>();
    std::optional<int64_t> pair = getOnlyPair(op.getReassociationIndices());
    if (!broadcast || !broadcast.hasPureTensorSemantics() || !pair ||
        broadcast.getDimensions().size() != 1 || broadcast.getDimensions()[0] != *pair + 1)
      return failure();
    int64_t times = op.getSrcType().getDimSize(*pair + 1);
    if (ShapedType::isDynamic(times) || ShapedType::isDynamic(op.getSrcType().getDimSize(*pair)))
      return failure();
    Value result = RepeatOp::create(rewriter, op.getLoc(), broadcast.getInput(), *pair, times);
    replaceWithCast(rewriter, op, result);
    return success();
  }
};

struct FuseLinalg : quern::model::impl::FuseLinalgBase<FuseLinalg> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    // A broadcast repeat is one collapse_shape; it goes before the merging of heads.
    patterns.add<RepeatOfBroadcast>(&getContext(), /*benefit=*/2);
    patterns.add<MatmulOfContraction, TransposeOfLinalg, SoftmaxOfLinalg, SplitHeadsOfExpand,
                 MergeHeadsOfCollapse>(&getContext());
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
