//===- FuseLinearCrossEntropy.cpp - A linear map to logits and their cross-entropy ---------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------===//

#include "FuseSupport.h"
#include "quern/Model/Passes.h"

#include "dialects/Quern/Quern.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/PatternMatch.h"

namespace quern::model {
#define GEN_PASS_DEF_FUSELINEARCROSSENTROPY
#include "quern/Model/Passes.h.inc"
} // namespace quern::model

using namespace mlir;
using namespace quern;

namespace {

/// The reshape of [..., V] to [rows, V] that a text may do before it calls for the cross-entropy,
/// if it leaves the last dimension alone.
tensor::CollapseShapeOp getRowReshape(Value logits) {
  auto collapse = logits.getDefiningOp<tensor::CollapseShapeOp>();
  if (!collapse || collapse.getReassociationIndices().empty() ||
      collapse.getReassociationIndices().back().size() != 1)
    return {};
  return collapse;
}

struct FuseLinearCrossEntropy
    : quern::model::impl::FuseLinearCrossEntropyBase<FuseLinearCrossEntropy> {
  void runOnOperation() override {
    SmallVector<CrossEntropyOp> losses;
    getOperation()->walk([&](CrossEntropyOp loss) { losses.push_back(loss); });
    IRRewriter rewriter(&getContext());
    for (CrossEntropyOp loss : losses)
      fuse(loss, rewriter);
  }

private:
  void fuse(CrossEntropyOp loss, IRRewriter &rewriter) {
    Value logits = loss.getLogits();
    tensor::CollapseShapeOp reshape = getRowReshape(logits);
    if (reshape && !logits.hasOneUse())
      return;
    if (reshape)
      logits = reshape.getSrc();
    auto linear = logits.getDefiningOp<LinearOp>();
    if (!linear || !logits.hasOneUse())
      return;
    rewriter.setInsertionPoint(loss);
    Location loc = rewriter.getFusedLoc({linear.getLoc(), loss.getLoc()});
    Value x = linear.getX();
    if (reshape)
      x = tensor::CollapseShapeOp::create(rewriter, reshape.getLoc(), x,
                                          reshape.getReassociationIndices());
    auto fused = LinearCrossEntropyOp::create(rewriter, loc, x, linear.getWeight(),
                                              loss.getTargets(), linear.getBias(),
                                              linear.getTransposed(), loss.getIgnoreIndex());
    rewriter.replaceOp(loss, fused.getLoss());
    if (reshape)
      rewriter.eraseOp(reshape);
    rewriter.eraseOp(linear);
    ++numFused;
  }
};

} // namespace
