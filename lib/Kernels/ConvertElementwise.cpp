//===- ConvertElementwise.cpp - Elementwise ops to linalg.generic -----------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "Converter.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "llvm/ADT/TypeSwitch.h"

#include <cmath>

using namespace mlir;

namespace quern::kernels {

namespace {

/// Scalar formulas, written the way they are read.
struct Scalar {
  OpBuilder *b;
  Location loc;
  Value value;

  Scalar with(Value other) const { return {b, loc, other}; }
  Scalar constant(double c) const {
    return with(arith::ConstantOp::create(*b, loc, b->getFloatAttr(value.getType(), c)));
  }
  Scalar operator+(Scalar y) const { return with(arith::AddFOp::create(*b, loc, value, y.value)); }
  Scalar operator-(Scalar y) const { return with(arith::SubFOp::create(*b, loc, value, y.value)); }
  Scalar operator*(Scalar y) const { return with(arith::MulFOp::create(*b, loc, value, y.value)); }
  Scalar operator/(Scalar y) const { return with(arith::DivFOp::create(*b, loc, value, y.value)); }
  Scalar operator+(double c) const { return *this + constant(c); }
  Scalar operator*(double c) const { return *this * constant(c); }
  Scalar operator-() const { return with(arith::NegFOp::create(*b, loc, value)); }
};
Scalar operator/(double c, Scalar x) { return x.constant(c) / x; }
Scalar exp(Scalar x) { return x.with(math::ExpOp::create(*x.b, x.loc, x.value)); }
Scalar erf(Scalar x) { return x.with(math::ErfOp::create(*x.b, x.loc, x.value)); }

const double sqrt2OverPi = std::sqrt(2.0 / M_PI);

Scalar sigmoid(Scalar x) { return 1.0 / (exp(-x) + 1.0); }

/// s(v) = 1 / (1 + e) and 1 - s(v) = e s(v) with e = exp(-v): 1 - s would lose its digits where s
/// is near 1. Beyond 1e30, where s vanishes beside every sum, e stops, for inf * 0 is no number.
std::pair<Scalar, Scalar> sigmoidAndRest(Scalar e) {
  Value most = e.constant(1e30).value;
  Value less = arith::CmpFOp::create(*e.b, e.loc, arith::CmpFPredicate::OLT, e.value, most);
  e = e.with(arith::SelectOp::create(*e.b, e.loc, less, e.value, most));
  Scalar s = 1.0 / (e + 1.0);
  return {s, e * s};
}

// (1 + tanh(u)) / 2 = sigmoid(2u): cheaper than tanh, and exact where 1 + tanh(u) cancels.
Scalar geluTanhExponential(Scalar x) {
  return exp((x * x * (-2 * 0.044715 * sqrt2OverPi) + -2 * sqrt2OverPi) * x);
}
Scalar geluTanh(Scalar x) { return x / (geluTanhExponential(x) + 1.0); }
Scalar geluErf(Scalar x) { return x * 0.5 * (erf(x * M_SQRT1_2) + 1.0); }

Scalar relu(Scalar x) {
  return x.with(arith::MaximumFOp::create(*x.b, x.loc, x.value, x.constant(0.0).value));
}

/// The derivatives of the activations that `quern.activation_backward` names.
std::optional<Scalar> derivative(StringRef function, Scalar x) {
  if (function == "gelu_tanh") {
    // s + x s' with s' = s (1 - s) (2u)'
    auto [s, rest] = sigmoidAndRest(geluTanhExponential(x));
    Scalar slope = x * x * (6 * 0.044715 * sqrt2OverPi) + 2 * sqrt2OverPi;
    return s * (x * rest * slope + 1.0);
  }
  if (function == "gelu")
    return (erf(x * M_SQRT1_2) + 1.0) * 0.5 + x * exp(x * x * -0.5) * (1.0 / std::sqrt(2 * M_PI));
  if (function == "silu") {
    auto [s, rest] = sigmoidAndRest(exp(-x));
    return s * (x * rest + 1.0);
  }
  if (function == "relu") {
    Value zero = x.constant(0.0).value;
    Value positive = arith::CmpFOp::create(*x.b, x.loc, arith::CmpFPredicate::OGT, x.value, zero);
    return x.with(arith::SelectOp::create(*x.b, x.loc, positive, x.constant(1.0).value, zero));
  }
  return std::nullopt;
}

} // namespace

LogicalResult Converter::convertElementwise(Operation *op, bool &known) {
  Location loc = op->getLoc();
  using Formula = llvm::function_ref<Scalar(ArrayRef<Scalar>)>;
  auto formula = [&](ValueRange inputs, Value result, Formula f) {
    set(result, elementwise(loc, get(inputs), destination(result),
                            [&](OpBuilder &builder, Location loc, ValueRange arguments) {
                              SmallVector<Scalar> scalars;
                              for (Value argument : arguments)
                                scalars.push_back({&builder, loc, argument});
                              return f(scalars).value;
                            }));
  };

  LogicalResult result = success();
  TypeSwitch<Operation *>(op)
      .Case([&](GeluOp op) {
        formula(op.getX(), op.getResult(),
                [&](ArrayRef<Scalar> x) { return op.getTanh() ? geluTanh(x[0]) : geluErf(x[0]); });
      })
      .Case([&](SiluOp op) {
        formula(op.getX(), op.getResult(), [](ArrayRef<Scalar> x) { return x[0] * sigmoid(x[0]); });
      })
      .Case([&](ReluOp op) {
        formula(op.getX(), op.getResult(), [](ArrayRef<Scalar> x) { return relu(x[0]); });
      })
      .Case([&](SwigluOp op) {
        formula({op.getGate(), op.getUp()}, op.getResult(),
                [](ArrayRef<Scalar> x) { return x[0] * sigmoid(x[0]) * x[1]; });
      })
      .Case([&](ActivationBackwardOp op) {
        formula({op.getX(), op.getGradient()}, op.getResult(), [&](ArrayRef<Scalar> x) {
          std::optional<Scalar> slope = derivative(op.getFunction(), x[0]);
          if (!slope)
            result = op.emitError(
                         "quern.activation_backward knows gelu, gelu_tanh, silu and relu, not '")
                     << op.getFunction() << "'";
          return slope ? x[1] * *slope : x[1];
        });
      })
      .Case([&](SwigluBackwardOp op) {
        ValueRange inputs = op->getOperands();
        formula(inputs, op.getDgate(),
                [](ArrayRef<Scalar> x) { return x[2] * x[1] * *derivative("silu", x[0]); });
        formula(inputs, op.getDup(),
                [](ArrayRef<Scalar> x) { return x[2] * x[0] * sigmoid(x[0]); });
      })
      .Case([&](arith::ConstantOp op) {
        auto dense = dyn_cast<DenseElementsAttr>(op.getValue());
        auto type = dyn_cast<RankedTensorType>(op.getType());
        if (!type || !dense || !dense.isSplat() || type.getNumElements() <= 1) {
          set(op.getResult(), b.clone(*op)->getResult(0));
          return;
        }
        // A splat is filled in where it is used; as data it would swell the program.
        Value scalar =
            arith::ConstantOp::create(b, loc, cast<TypedAttr>(dense.getSplatValue<Attribute>()));
        set(op.getResult(),
            linalg::FillOp::create(b, loc, scalar, destination(op.getResult())).getResult(0));
      })
      .Default([&](Operation *op) {
        // arith and math on tensors: the same op on scalars, in a loop.
        known = isa_and_nonnull<arith::ArithDialect, math::MathDialect>(op->getDialect()) &&
                op->getNumResults() == 1 && OpTrait::hasElementwiseMappableTraits(op);
        if (!known)
          return;
        if (!isa<RankedTensorType>(op->getResult(0).getType())) {
          IRMapping mapping;
          for (Value operand : op->getOperands())
            mapping.map(operand, get(operand));
          set(op->getResult(0), b.clone(*op, mapping)->getResult(0));
          return;
        }
        SmallVector<Value> tensors;
        for (Value operand : op->getOperands())
          if (isa<RankedTensorType>(operand.getType()))
            tensors.push_back(get(operand));
        set(op->getResult(0),
            elementwise(loc, tensors, destination(op->getResult(0)),
                        [&](OpBuilder &builder, Location loc, ValueRange arguments) {
                          SmallVector<Value> operands;
                          unsigned next = 0;
                          for (Value operand : op->getOperands())
                            operands.push_back(isa<RankedTensorType>(operand.getType())
                                                   ? arguments[next++]
                                                   : get(operand));
                          Operation *scalar = builder.create(
                              loc, op->getName().getIdentifier(), operands,
                              TypeRange(getElementTypeOrSelf(op->getResult(0).getType())),
                              op->getAttrs());
                          return scalar->getResult(0);
                        }));
      });
  return result;
}

} // namespace quern::kernels
