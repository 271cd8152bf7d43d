//===- FuseResidualNorm.cpp - Residual additions and the norms of the sums -----------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------===//

#include "quern/Model/Passes.h"

#include "dialects/Quern/Quern.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Dominance.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/Transforms/RegionUtils.h"

namespace quern::model {
#define GEN_PASS_DEF_FUSERESIDUALNORM
#include "quern/Model/Passes.h.inc"
} // namespace quern::model

using namespace mlir;
using namespace quern;

namespace {

/// A norm, of either kind.
struct Norm {
  Operation *op;
  Value x, weight, bias;
  NormKind kind;
  llvm::APFloat epsilon;
};

struct FuseResidualNorm : quern::model::impl::FuseResidualNormBase<FuseResidualNorm> {
  void runOnOperation() override {
    SmallVector<Norm> norms;
    getOperation()->walk([&](Operation *op) {
      if (auto norm = dyn_cast<LayerNormOp>(op))
        norms.push_back({op, norm.getX(), norm.getWeight(), norm.getBias(), NormKind::Layer,
                         norm.getEpsilon()});
      else if (auto norm = dyn_cast<RmsNormOp>(op))
        norms.push_back(
            {op, norm.getX(), norm.getWeight(), Value(), NormKind::Rms, norm.getEpsilon()});
    });
    IRRewriter rewriter(&getContext());
    for (Norm &norm : norms)
      fuse(norm, rewriter);
  }

private:
  void fuse(Norm &norm, IRRewriter &rewriter) {
    // An earlier norm of the same sum may have taken the addition; then x is its second result.
    norm.x = norm.op->getOperand(0);
    auto add = norm.x.getDefiningOp<arith::AddFOp>();
    if (!add || add->getBlock() != norm.op->getBlock())
      return;
    // At the addition, where other readers of the sum find it; weight and bias move up there. If
    // they cannot, at the norm, provided that all readers come later.
    SmallVector<Value> needed;
    for (Value value : {norm.weight, norm.bias})
      if (value)
        needed.push_back(value);
    DominanceInfo dominance(norm.op->getParentOp());
    Operation *place = add;
    if (failed(moveValueDefinitions(rewriter, needed, add, dominance))) {
      place = norm.op;
      for (Operation *user : add->getUsers())
        if (user != norm.op && !dominance.properlyDominates(norm.op, user))
          return;
    }
    rewriter.setInsertionPoint(place);
    Location loc = rewriter.getFusedLoc({add.getLoc(), norm.op->getLoc()});
    auto fused = ResidualNormOp::create(rewriter, loc, add.getLhs(), add.getRhs(), norm.weight,
                                        norm.bias, norm.kind, norm.epsilon);
    rewriter.replaceOp(norm.op, fused.getResult());
    rewriter.replaceOp(add, fused.getSum());
    ++numFused;
  }
};

} // namespace
