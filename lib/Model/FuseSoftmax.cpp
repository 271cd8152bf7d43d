//===- FuseSoftmax.cpp - Softmax, however written ------------------------------------------===//
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
#define GEN_PASS_DEF_FUSESOFTMAX
#include "quern/Model/Passes.h.inc"
} // namespace quern::model

using namespace mlir;
using namespace quern;
using namespace quern::model;

namespace {

/// The exponentials and what softmax is taken of, if `rows` are the sums of exponentials.
struct Exponentials {
  math::ExpOp exp;
  Operation *sum = nullptr;
  Value x;
};

/// The exponentials that `row` sums up; x is what softmax is taken of: the exponent, without a
/// subtracted maximum.
std::optional<Exponentials> getSummed(Value row) {
  std::optional<RowReduction> sum = row ? getRowReduction(row) : std::nullopt;
  if (!sum || sum->kind != RowReduction::Sum)
    return std::nullopt;
  auto exp = sum->x.getDefiningOp<math::ExpOp>();
  if (!exp)
    return std::nullopt;
  Exponentials result{exp, row.getDefiningOp(), exp.getOperand()};
  if (auto sub = result.x.getDefiningOp<arith::SubFOp>()) {
    Value shift = getBroadcastRow(sub.getRhs());
    std::optional<RowReduction> max = shift ? getRowReduction(shift) : std::nullopt;
    if (max && max->kind == RowReduction::Max && max->x == sub.getLhs())
      result.x = sub.getLhs();
  }
  return result;
}

/// Whether the sum and `reader` are all that reads the exponentials.
bool onlyReadBy(Exponentials e, Operation *reader) {
  for (OpOperand &use : e.exp.getResult().getUses())
    if (use.getOwner() != e.sum && use.getOwner() != reader && !readsShapeOnly(use))
      return false;
  return true;
}

/// Dividends and the rows that divide them: a / b, or a * (1 / b) in either order.
SmallVector<std::pair<Value, Value>> getQuotients(Operation *op) {
  if (auto div = dyn_cast<arith::DivFOp>(op))
    return {{div.getLhs(), getBroadcastRow(div.getRhs())}};
  SmallVector<std::pair<Value, Value>> quotients;
  for (auto [a, inverse] : {std::pair(op->getOperand(0), op->getOperand(1)),
                            std::pair(op->getOperand(1), op->getOperand(0))}) {
    // The reciprocal may be taken before or after its row is broadcast.
    Value row = getBroadcastRow(inverse);
    auto div = (row ? row : inverse).getDefiningOp<arith::DivFOp>();
    if (div && isSplatOf(div.getLhs(), 1))
      quotients.push_back({a, row ? getRow(div.getRhs()) : getBroadcastRow(div.getRhs())});
  }
  return quotients;
}

template <typename Op>
struct SoftmaxOfQuotient : OpRewritePattern<Op> {
  using OpRewritePattern<Op>::OpRewritePattern;
  LogicalResult matchAndRewrite(Op op, PatternRewriter &rewriter) const override {
    if (!isa<RankedTensorType>(op.getType()))
      return failure();
    for (auto [dividend, row] : getQuotients(op)) {
      std::optional<Exponentials> e = getSummed(row);
      if (!e)
        continue;
      if (dividend == e->exp.getResult() && onlyReadBy(*e, op)) {
        rewriter.replaceOpWithNewOp<SoftmaxOp>(op, e->x);
        return success();
      }
      // The rows of a product may be divided as well as those of its first factor.
      auto product = dividend.template getDefiningOp<MatmulOp>();
      if (product && !product.getTransposeA() && product.getA() == e->exp.getResult() &&
          hasOneReader(dividend) && onlyReadBy(*e, product)) {
        Value p = SoftmaxOp::create(rewriter, op.getLoc(), e->x);
        Value result = MatmulOp::create(rewriter, product.getLoc(), p, product.getB(),
                                        /*transpose_a=*/false, product.getTransposeB());
        replaceWithCast(rewriter, op, result);
        return success();
      }
    }
    return failure();
  }
};

struct FuseSoftmax : quern::model::impl::FuseSoftmaxBase<FuseSoftmax> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<SoftmaxOfQuotient<arith::DivFOp>, SoftmaxOfQuotient<arith::MulFOp>>(&getContext());
    int64_t before = countOps<SoftmaxOp>(getOperation());
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      return signalPassFailure();
    numFused += countOps<SoftmaxOp>(getOperation()) - before;
  }
};

} // namespace
