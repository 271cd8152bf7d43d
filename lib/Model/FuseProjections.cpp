//===- FuseProjections.cpp - Linear maps of one tensor into one ----------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------===//

#include "quern/Model/Passes.h"

#include "dialects/Quern/Quern.h"

#include "mlir/IR/Dominance.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/Transforms/RegionUtils.h"
#include "llvm/ADT/MapVector.h"

namespace quern::model {
#define GEN_PASS_DEF_FUSEPROJECTIONS
#include "quern/Model/Passes.h.inc"
} // namespace quern::model

using namespace mlir;
using namespace quern;

namespace {

/// What linear maps must share to become one: block, x, and the form of the map.
using Key = std::tuple<Block *, Value, unsigned>;

Key keyOf(LinearOp linear) {
  unsigned form = 2 * linear.getTransposed() + (linear.getBias() ? 1 : 0);
  return {linear->getBlock(), linear.getX(), form};
}

struct FuseProjections : quern::model::impl::FuseProjectionsBase<FuseProjections> {
  void runOnOperation() override {
    // In the order of the text, so that the result does not depend on addresses.
    llvm::MapVector<Key, SmallVector<LinearOp>> groups;
    getOperation()->walk([&](LinearOp linear) { groups[keyOf(linear)].push_back(linear); });
    IRRewriter rewriter(&getContext());
    for (auto &[key, linears] : groups)
      fuse(linears, rewriter);
  }

private:
  /// Fuses `linears` at the place of the first. A linear map whose weight or bias cannot be had
  /// there (a weight that is computed from the first one's result, say) stays as it is.
  void fuse(ArrayRef<LinearOp> linears, IRRewriter &rewriter) {
    if (linears.size() < 2)
      return;
    LinearOp first = linears.front();
    DominanceInfo dominance(first->getParentOp());
    SmallVector<LinearOp> taken;
    SmallVector<Value> weights, biases;
    SmallVector<Location> places;
    for (LinearOp linear : linears) {
      SmallVector<Value> needed{linear.getWeight()};
      if (linear.getBias())
        needed.push_back(linear.getBias());
      if (linear != first && failed(moveValueDefinitions(rewriter, needed, first, dominance)))
        continue;
      taken.push_back(linear);
      places.push_back(linear.getLoc());
      weights.push_back(linear.getWeight());
      if (linear.getBias())
        biases.push_back(linear.getBias());
    }
    if (taken.size() < 2)
      return;
    rewriter.setInsertionPoint(first);
    auto fused = FusedLinearOp::create(rewriter, rewriter.getFusedLoc(places), first.getX(),
                                       weights, biases, first.getTransposed());
    for (auto [linear, result] : llvm::zip(taken, fused.getResults()))
      rewriter.replaceOp(linear, result);
    ++numFused;
    numLinears += taken.size();
  }
};

} // namespace
