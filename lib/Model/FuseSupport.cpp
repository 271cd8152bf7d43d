//===- FuseSupport.cpp - What the patterns of the phase fuse share -------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------===//

#include "FuseSupport.h"

#include "dialects/Quern/Quern.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "llvm/ADT/TypeSwitch.h"

#include <cmath>

using namespace mlir;
using namespace quern;
using namespace quern::model;

//===- Constants and causal masks ----------------------------------------------------------===//

namespace {

using Values = std::optional<MaskValues>;

/// Far deeper than any mask that a person writes; expressions in a model are long chains.
constexpr int maxDepth = 16;

Values evaluate(Value value, int depth);

/// Evaluates an operation whose elements are `function` of its operands' elements.
template <typename Function>
Values apply(Operation *op, int depth, Function function) {
  SmallVector<MaskValues> operands;
  for (Value operand : op->getOperands()) {
    Values values = evaluate(operand, depth);
    if (!values)
      return std::nullopt;
    operands.push_back(*values);
  }
  auto of = [&](double MaskValues::*member) {
    SmallVector<double> x;
    for (const MaskValues &operand : operands)
      x.push_back(operand.*member);
    return static_cast<double>(function(x));
  };
  return MaskValues{of(&MaskValues::visible), of(&MaskValues::hidden)};
}

bool isBoolean(Value value) { return getElementTypeOrSelf(value.getType()).isInteger(1); }

/// A number of an attribute, as a double; booleans are 1 and 0.
Values evaluateAttribute(Attribute attribute) {
  if (auto elements = dyn_cast<DenseElementsAttr>(attribute)) {
    if (!elements.isSplat())
      return std::nullopt;
    attribute = elements.getSplatValue<Attribute>();
  }
  if (auto number = dyn_cast<FloatAttr>(attribute))
    return MaskValues{number.getValueAsDouble(), number.getValueAsDouble()};
  if (auto number = dyn_cast<IntegerAttr>(attribute)) {
    double x = number.getType().isInteger(1) ? number.getValue().getZExtValue()
                                             : number.getValue().getSExtValue();
    return MaskValues{x, x};
  }
  return std::nullopt;
}

/// Whether dimensions [..., T, S] of `result` are those of `source`, so that a mask stays one.
bool keepsQueriesAndKeys(Value source, Value result) {
  auto from = dyn_cast<RankedTensorType>(source.getType());
  auto to = dyn_cast<RankedTensorType>(result.getType());
  return from && to && from.getRank() >= 2 && to.getRank() >= 2 &&
         from.getShape().take_back(2) == to.getShape().take_back(2);
}

/// Reshapes and broadcasts: constants stay what they are, masks where [..., T, S] stays.
Values evaluateMoved(Value source, Value result, bool onesOnly, int depth) {
  Values values = evaluate(source, depth);
  if (!values || values->visible == values->hidden)
    return values;
  // Reshapes that only add or drop leading ones keep queries and keys apart.
  auto leadingOnes = [](Value value) {
    return llvm::all_of(cast<RankedTensorType>(value.getType()).getShape().drop_back(2),
                        [](int64_t size) { return size == 1; });
  };
  if (!keepsQueriesAndKeys(source, result) ||
      (onesOnly && !(leadingOnes(source) && leadingOnes(result))))
    return std::nullopt;
  return values;
}

Values evaluate(Value value, int depth) {
  Operation *op = value.getDefiningOp();
  if (!op || depth == 0)
    return std::nullopt;
  --depth;
  Attribute constant;
  if (matchPattern(value, m_Constant(&constant)))
    return evaluateAttribute(constant);
  using X = ArrayRef<double>;
  return llvm::TypeSwitch<Operation *, Values>(op)
      .Case([&](FullOp full) {
        double x = full.getValue().convertToDouble();
        return MaskValues{x, x};
      })
      .Case([](CausalMaskOp) { return MaskValues{1, 0}; })
      .Case([&](BroadcastOp broadcast) {
        return evaluateMoved(broadcast.getX(), value, false, depth);
      })
      .Case<tensor::ExpandShapeOp, tensor::CollapseShapeOp>(
          [&](auto reshape) { return evaluateMoved(reshape.getSrc(), value, true, depth); })
      .Case([&](tensor::CastOp cast) { return evaluate(cast.getSource(), depth); })
      .Case([&](tensor::SplatOp splat) { return evaluate(splat.getInput(), depth); })
      .Case([&](linalg::FillOp fill) { return evaluate(fill.value(), depth); })
      .Case<arith::AddFOp>([&](auto) { return apply(op, depth, [](X x) { return x[0] + x[1]; }); })
      .Case<arith::SubFOp>([&](auto) { return apply(op, depth, [](X x) { return x[0] - x[1]; }); })
      .Case<arith::MulFOp>([&](auto) { return apply(op, depth, [](X x) { return x[0] * x[1]; }); })
      .Case<arith::DivFOp>([&](auto) { return apply(op, depth, [](X x) { return x[0] / x[1]; }); })
      .Case<arith::NegFOp>([&](auto) { return apply(op, depth, [](X x) { return -x[0]; }); })
      .Case<math::SqrtOp>(
          [&](auto) { return apply(op, depth, [](X x) { return std::sqrt(x[0]); }); })
      .Case<math::RsqrtOp>(
          [&](auto) { return apply(op, depth, [](X x) { return 1 / std::sqrt(x[0]); }); })
      .Case<arith::ExtFOp, arith::TruncFOp, arith::ExtUIOp, arith::UIToFPOp>(
          [&](auto) { return apply(op, depth, [](X x) { return x[0]; }); })
      .Case([&](arith::SIToFPOp) -> Values {
        // A signed boolean is 0 or -1.
        double sign = isBoolean(op->getOperand(0)) ? -1 : 1;
        return apply(op, depth, [&](X x) { return sign * x[0]; });
      })
      .Case([&](arith::SelectOp) {
        return apply(op, depth, [](X x) { return x[0] != 0 ? x[1] : x[2]; });
      })
      .Case([&](arith::XOrIOp) -> Values {
        if (!isBoolean(value))
          return std::nullopt;
        return apply(op, depth, [](X x) { return x[0] != x[1]; });
      })
      .Default([](Operation *) { return std::nullopt; });
}

} // namespace

std::optional<MaskValues> quern::model::evaluateMask(Value value) {
  return evaluate(value, maxDepth);
}

std::optional<double> quern::model::getSplat(Value value) {
  Values values = evaluateMask(value);
  if (!values || !(values->visible == values->hidden))
    return std::nullopt;
  return values->visible;
}

bool quern::model::isAbout(double value, double expected) {
  return std::abs(value - expected) <= 0x1p-20 * std::abs(expected);
}

//===- Uses and products -------------------------------------------------------------------===//

bool quern::model::readsShapeOnly(OpOperand &use) {
  Operation *op = use.getOwner();
  return isa<tensor::DimOp, FullOp, CausalMaskOp>(op) ||
         (isa<BroadcastOp>(op) && use.getOperandNumber() == 1);
}

bool quern::model::hasOneReader(Value value) {
  return llvm::count_if(value.getUses(), [](OpOperand &use) { return !readsShapeOnly(use); }) == 1;
}

Product quern::model::getProduct(Value value) {
  Product product;
  SmallVector<Value> pending{value};
  while (!pending.empty()) {
    Value next = pending.pop_back_val();
    if (std::optional<double> splat = getSplat(next)) {
      product.factor *= *splat;
      continue;
    }
    if (auto mul = next.getDefiningOp<arith::MulFOp>()) {
      pending.push_back(mul.getRhs());
      pending.push_back(mul.getLhs());
      continue;
    }
    if (auto neg = next.getDefiningOp<arith::NegFOp>()) {
      product.factor = -product.factor;
      pending.push_back(neg.getOperand());
      continue;
    }
    auto div = next.getDefiningOp<arith::DivFOp>();
    if (std::optional<double> divisor = div ? getSplat(div.getRhs()) : std::nullopt) {
      product.factor /= *divisor;
      pending.push_back(div.getLhs());
      continue;
    }
    product.values.push_back(next);
  }
  return product;
}

Value quern::model::getSummandBeside(Value value, double constant) {
  auto add = value.getDefiningOp<arith::AddFOp>();
  if (!add)
    return {};
  if (isSplatOf(add.getLhs(), constant))
    return add.getRhs();
  return isSplatOf(add.getRhs(), constant) ? add.getLhs() : Value();
}

//===- Rows --------------------------------------------------------------------------------===//

Value quern::model::getRow(Value value) {
  auto expand = value.getDefiningOp<tensor::ExpandShapeOp>();
  if (!expand)
    return value;
  ArrayRef<int64_t> from = expand.getSrcType().getShape(), to = expand.getResultType().getShape();
  bool adds = !to.empty() && to.back() == 1 && from == to.drop_back();
  return adds ? expand.getSrc() : value;
}

Value quern::model::getBroadcastRow(Value value) {
  // Only a broadcast makes the last dimension longer than one; reshapes add or drop it.
  bool broadcast = false;
  while (Operation *op = value.getDefiningOp()) {
    auto type = dyn_cast<RankedTensorType>(value.getType());
    if (!type || type.getRank() == 0)
      break;
    int64_t last = type.getRank() - 1;
    if (auto b = dyn_cast<BroadcastOp>(op)) {
      ArrayRef<int64_t> from = cast<RankedTensorType>(b.getX().getType()).getShape();
      if (from.size() != type.getShape().size() || from.back() != 1 ||
          from.drop_back() != type.getShape().drop_back())
        break;
      broadcast = true;
      value = b.getX();
    } else if (auto b = dyn_cast<linalg::BroadcastOp>(op)) {
      if (b.getDimensions() != ArrayRef<int64_t>{last})
        break;
      broadcast = true;
      value = b.getInput();
    } else if (Value row = getRow(value); row != value) {
      value = row;
    } else {
      break;
    }
  }
  return broadcast ? value : Value();
}

std::optional<RowReduction> quern::model::getRowReduction(Value row) {
  if (auto sum = row.getDefiningOp<SumOp>()) {
    int64_t last = cast<RankedTensorType>(sum.getX().getType()).getRank() - 1;
    if (sum.getDimensions() != ArrayRef<int64_t>{last})
      return std::nullopt;
    return RowReduction{RowReduction::Sum, sum.getX()};
  }
  auto op = row.getDefiningOp<linalg::LinalgOp>();
  if (!op || !op.hasPureTensorSemantics() || op.getNumDpsInputs() != 1 ||
      op.getNumDpsInits() != 1 || op->getNumResults() != 1)
    return std::nullopt;
  AffineMap in = op.getMatchingIndexingMap(op.getDpsInputOperand(0));
  AffineMap out = op.getMatchingIndexingMap(op.getDpsInitOperand(0));
  if (!in.isIdentity() || in.getNumResults() < 1 || out != in.dropResult(in.getNumResults() - 1))
    return std::nullopt;
  Block *body = op.getBlock();
  if (!llvm::hasNItems(*body, 2) || body->front().getNumOperands() != 2 ||
      body->back().getOperand(0).getDefiningOp() != &body->front())
    return std::nullopt;
  // Both arguments, in either order.
  Value a = body->front().getOperand(0), b = body->front().getOperand(1);
  Value x = body->getArgument(0), all = body->getArgument(1);
  if (!((a == x && b == all) || (a == all && b == x)))
    return std::nullopt;
  std::optional<double> init = getSplat(op.getDpsInits()[0]);
  if (isa<arith::AddFOp>(body->front()) && init && *init == 0)
    return RowReduction{RowReduction::Sum, op.getDpsInputs()[0]};
  // The lowest float is as good a start as minus infinity.
  if (isa<arith::MaximumFOp, arith::MaxNumFOp>(body->front()) && init && *init <= -1e30)
    return RowReduction{RowReduction::Max, op.getDpsInputs()[0]};
  return std::nullopt;
}

void quern::model::replaceWithCast(PatternRewriter &rewriter, Operation *op, Value value) {
  if (value.getType() != op->getResult(0).getType())
    value = tensor::CastOp::create(rewriter, op->getLoc(), op->getResult(0).getType(), value);
  rewriter.replaceOp(op, value);
}
