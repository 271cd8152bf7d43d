//===- GradientRulesElementwise.cpp - Gradients of arith and math on tensors ------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "GradientRules.h"
#include "dialects/Quern/Quern.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

#include <cmath>

using namespace mlir;
using namespace quern;
using namespace quern::model;

namespace {

/// Arithmetic on tensors, written as formulas; the location is the differentiated op's.
class Formula {
public:
  Formula(OpBuilder &b, Operation *op) : b(b), loc(op->getLoc()) {}

  Value add(Value x, Value y) { return arith::AddFOp::create(b, loc, x, y); }
  Value sub(Value x, Value y) { return arith::SubFOp::create(b, loc, x, y); }
  Value mul(Value x, Value y) { return arith::MulFOp::create(b, loc, x, y); }
  Value div(Value x, Value y) { return arith::DivFOp::create(b, loc, x, y); }
  Value neg(Value x) { return arith::NegFOp::create(b, loc, x); }
  Value full(double value, Value like) { return createFull(b, loc, value, like); }
  Value times(double factor, Value x) { return mul(full(factor, x), x); }
  Value select(Value condition, Value x, Value y) {
    return arith::SelectOp::create(b, loc, condition, x, y);
  }
  Value compare(arith::CmpFPredicate predicate, Value x, Value y) {
    return arith::CmpFOp::create(b, loc, predicate, x, y);
  }
  template <typename OpTy>
  Value apply(Value x) {
    return OpTy::create(b, loc, x);
  }

private:
  OpBuilder &b;
  Location loc;
};

} // namespace

//===- arith
//-------------------------------------------------------------------------------------===//

static LogicalResult gradient(arith::AddFOp op, OpBuilder &b, Adjoints &a) {
  Value dy = a.get(op.getResult());
  a.add(b, op.getLhs(), dy);
  a.add(b, op.getRhs(), dy);
  return success();
}

static LogicalResult gradient(arith::SubFOp op, OpBuilder &b, Adjoints &a) {
  Value dy = a.get(op.getResult());
  a.add(b, op.getLhs(), dy);
  if (a.isActive(op.getRhs()))
    a.add(b, op.getRhs(), Formula(b, op).neg(dy));
  return success();
}

static LogicalResult gradient(arith::MulFOp op, OpBuilder &b, Adjoints &a) {
  Formula f(b, op);
  Value dy = a.get(op.getResult()), x = op.getLhs(), y = op.getRhs();
  if (a.isActive(x))
    a.add(b, x, f.mul(dy, y));
  if (a.isActive(y))
    a.add(b, y, f.mul(dy, x));
  return success();
}

static LogicalResult gradient(arith::DivFOp op, OpBuilder &b, Adjoints &a) {
  // d(x / y) = dx / y - (x / y) dy / y
  Formula f(b, op);
  Value scaled = f.div(a.get(op.getResult()), op.getRhs());
  a.add(b, op.getLhs(), scaled);
  if (a.isActive(op.getRhs()))
    a.add(b, op.getRhs(), f.neg(f.mul(scaled, op.getResult())));
  return success();
}

static LogicalResult gradient(arith::NegFOp op, OpBuilder &b, Adjoints &a) {
  a.add(b, op.getOperand(), Formula(b, op).neg(a.get(op.getResult())));
  return success();
}

static LogicalResult gradient(arith::SelectOp op, OpBuilder &b, Adjoints &a) {
  Formula f(b, op);
  Value dy = a.get(op.getResult()), zero = f.full(0, dy);
  if (a.isActive(op.getTrueValue()))
    a.add(b, op.getTrueValue(), f.select(op.getCondition(), dy, zero));
  if (a.isActive(op.getFalseValue()))
    a.add(b, op.getFalseValue(), f.select(op.getCondition(), zero, dy));
  return success();
}

/// max or min: the gradient goes to the first operand where it is strictly chosen, else to the
/// second, so that max(x, 0) has gradient 0 at 0, as quern.relu has.
template <typename OpTy>
static LogicalResult extremumGradient(OpTy op, OpBuilder &b, Adjoints &a,
                                      arith::CmpFPredicate predicate) {
  Formula f(b, op);
  Value dy = a.get(op.getResult()), zero = f.full(0, dy);
  Value first = f.compare(predicate, op.getLhs(), op.getRhs());
  if (a.isActive(op.getLhs()))
    a.add(b, op.getLhs(), f.select(first, dy, zero));
  if (a.isActive(op.getRhs()))
    a.add(b, op.getRhs(), f.select(first, zero, dy));
  return success();
}
static LogicalResult gradient(arith::MaximumFOp op, OpBuilder &b, Adjoints &a) {
  return extremumGradient(op, b, a, arith::CmpFPredicate::OGT);
}
static LogicalResult gradient(arith::MaxNumFOp op, OpBuilder &b, Adjoints &a) {
  return extremumGradient(op, b, a, arith::CmpFPredicate::OGT);
}
static LogicalResult gradient(arith::MinimumFOp op, OpBuilder &b, Adjoints &a) {
  return extremumGradient(op, b, a, arith::CmpFPredicate::OLT);
}
static LogicalResult gradient(arith::MinNumFOp op, OpBuilder &b, Adjoints &a) {
  return extremumGradient(op, b, a, arith::CmpFPredicate::OLT);
}

static LogicalResult gradient(arith::ExtFOp op, OpBuilder &b, Adjoints &a) {
  a.add(b, op.getIn(),
        arith::TruncFOp::create(b, op.getLoc(), op.getIn().getType(), a.get(op.getResult())));
  return success();
}
static LogicalResult gradient(arith::TruncFOp op, OpBuilder &b, Adjoints &a) {
  a.add(b, op.getIn(),
        arith::ExtFOp::create(b, op.getLoc(), op.getIn().getType(), a.get(op.getResult())));
  return success();
}

//===- math
//--------------------------------------------------------------------------------------===//

static LogicalResult gradient(math::ExpOp op, OpBuilder &b, Adjoints &a) {
  a.add(b, op.getOperand(), Formula(b, op).mul(a.get(op.getResult()), op.getResult()));
  return success();
}

static LogicalResult gradient(math::LogOp op, OpBuilder &b, Adjoints &a) {
  a.add(b, op.getOperand(), Formula(b, op).div(a.get(op.getResult()), op.getOperand()));
  return success();
}

static LogicalResult gradient(math::TanhOp op, OpBuilder &b, Adjoints &a) {
  // tanh' = 1 - tanh^2
  Formula f(b, op);
  Value y = op.getResult(), dy = a.get(y);
  a.add(b, op.getOperand(), f.mul(dy, f.sub(f.full(1, y), f.mul(y, y))));
  return success();
}

static LogicalResult gradient(math::SqrtOp op, OpBuilder &b, Adjoints &a) {
  // sqrt' = 1 / (2 sqrt)
  Formula f(b, op);
  a.add(b, op.getOperand(), f.div(f.times(0.5, a.get(op.getResult())), op.getResult()));
  return success();
}

static LogicalResult gradient(math::RsqrtOp op, OpBuilder &b, Adjoints &a) {
  // rsqrt' = -rsqrt^3 / 2
  Formula f(b, op);
  Value y = op.getResult();
  a.add(b, op.getOperand(), f.mul(f.times(-0.5, a.get(y)), f.mul(y, f.mul(y, y))));
  return success();
}

static LogicalResult gradient(math::SinOp op, OpBuilder &b, Adjoints &a) {
  Formula f(b, op);
  a.add(b, op.getOperand(), f.mul(a.get(op.getResult()), f.apply<math::CosOp>(op.getOperand())));
  return success();
}

static LogicalResult gradient(math::CosOp op, OpBuilder &b, Adjoints &a) {
  Formula f(b, op);
  a.add(b, op.getOperand(),
        f.neg(f.mul(a.get(op.getResult()), f.apply<math::SinOp>(op.getOperand()))));
  return success();
}

static LogicalResult gradient(math::ErfOp op, OpBuilder &b, Adjoints &a) {
  // erf' = 2 / sqrt(pi) exp(-x^2)
  Formula f(b, op);
  Value x = op.getOperand();
  Value bell = f.apply<math::ExpOp>(f.neg(f.mul(x, x)));
  a.add(b, x, f.mul(f.times(2 / std::sqrt(M_PI), a.get(op.getResult())), bell));
  return success();
}

static LogicalResult gradient(math::PowFOp op, OpBuilder &b, Adjoints &a) {
  // d(x^p) = p x^(p-1) dx + x^p log(x) dp
  Formula f(b, op);
  Value x = op.getLhs(), p = op.getRhs(), dy = a.get(op.getResult());
  if (a.isActive(x)) {
    Value power = math::PowFOp::create(b, op.getLoc(), x, f.sub(p, f.full(1, p)));
    a.add(b, x, f.mul(dy, f.mul(p, power)));
  }
  if (a.isActive(p))
    a.add(b, p, f.mul(dy, f.mul(op.getResult(), f.apply<math::LogOp>(x))));
  return success();
}

static LogicalResult gradient(math::AbsFOp op, OpBuilder &b, Adjoints &a) {
  Formula f(b, op);
  Value x = op.getOperand(), dy = a.get(op.getResult());
  // 0 at 0
  Value zero = f.full(0, x), negative = f.compare(arith::CmpFPredicate::OLT, x, zero);
  Value positive = f.compare(arith::CmpFPredicate::OGT, x, zero);
  a.add(b, x, f.select(negative, f.neg(dy), f.select(positive, dy, zero)));
  return success();
}

//===- The table
//---------------------------------------------------------------------------------===//

void model::registerElementwiseGradients(DialectRegistry &registry) {
  using Cost = RecomputeCost;
  registry.addExtension(+[](MLIRContext *context, arith::ArithDialect *) {
    attach<arith::AddFOp, gradient, Cost::Pointwise, 1>(context);
    attach<arith::SubFOp, gradient, Cost::Pointwise, 1>(context);
    attach<arith::MulFOp, gradient, Cost::Pointwise, 1>(context);
    attach<arith::DivFOp, gradient, Cost::Pointwise, 4>(context);
    attach<arith::NegFOp, gradient, Cost::Pointwise, 1>(context);
    attach<arith::SelectOp, gradient, Cost::Pointwise, 1>(context);
    attach<arith::MaximumFOp, gradient, Cost::Pointwise, 1>(context);
    attach<arith::MaxNumFOp, gradient, Cost::Pointwise, 1>(context);
    attach<arith::MinimumFOp, gradient, Cost::Pointwise, 1>(context);
    attach<arith::MinNumFOp, gradient, Cost::Pointwise, 1>(context);
    attach<arith::ExtFOp, gradient, Cost::Pointwise, 1>(context);
    attach<arith::TruncFOp, gradient, Cost::Pointwise, 1>(context);
  });
  registry.addExtension(+[](MLIRContext *context, math::MathDialect *) {
    attach<math::ExpOp, gradient, Cost::Pointwise, 15>(context);
    attach<math::LogOp, gradient, Cost::Pointwise, 15>(context);
    attach<math::TanhOp, gradient, Cost::Pointwise, 20>(context);
    attach<math::SqrtOp, gradient, Cost::Pointwise, 4>(context);
    attach<math::RsqrtOp, gradient, Cost::Pointwise, 6>(context);
    attach<math::SinOp, gradient, Cost::Pointwise, 20>(context);
    attach<math::CosOp, gradient, Cost::Pointwise, 20>(context);
    attach<math::ErfOp, gradient, Cost::Pointwise, 20>(context);
    attach<math::PowFOp, gradient, Cost::Pointwise, 40>(context);
    attach<math::AbsFOp, gradient, Cost::Pointwise, 1>(context);
  });
}
