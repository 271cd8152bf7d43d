//===- Rotary.cpp - Angles of rotary position embeddings --------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "quern/Emission/Rotary.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/BuiltinTypes.h"

#include <cmath>

using namespace mlir;

namespace quern::emission {

SmallVector<double> rotaryFrequencies(int64_t width, double base) {
  SmallVector<double> frequencies(width / 2);
  for (auto [i, frequency] : llvm::enumerate(frequencies))
    frequency = std::pow(base, -2.0 * static_cast<double>(i) / static_cast<double>(width));
  return frequencies;
}

std::pair<Value, Value> sineAndCosine(OpBuilder &b, Location loc, Value angle,
                                      MultiplyAdd multiplyAdd) {
  Type type = angle.getType(), intType = b.getI32Type();
  auto vector = dyn_cast<VectorType>(type);
  if (vector)
    intType = vector.clone(intType);
  auto constant = [&](Type of, TypedAttr value) -> Value {
    if (vector)
      value = DenseElementsAttr::get(cast<VectorType>(of), cast<Attribute>(value));
    return arith::ConstantOp::create(b, loc, value);
  };
  auto number = [&](double value) { return constant(type, b.getF64FloatAttr(value)); };
  auto integer = [&](int32_t value) { return constant(intType, b.getI32IntegerAttr(value)); };
  auto multiply = [&](Value x, Value y) -> Value { return arith::MulFOp::create(b, loc, x, y); };

  // pi/2, in parts of 33 bits: their products with up to 2^20 turns are exact, fused or not.
  constexpr double parts[] = {0x1.921fb544p+0, 0x1.0b4611a6p-34, 0x1.3198a2e037073p-69};
  Value turns = math::RoundEvenOp::create(b, loc, multiply(angle, number(2 / M_PI)));
  Value x = angle;
  for (double part : parts)
    x = multiplyAdd(turns, number(-part), x);
  Value square = multiply(x, x);
  auto series = [&](ArrayRef<double> coefficients) {
    Value sum = number(coefficients.front());
    for (double coefficient : coefficients.drop_front())
      sum = multiplyAdd(sum, square, number(coefficient));
    return sum;
  };
  // 1 / n! with alternating signs, from the highest down.
  Value sine = multiply(x, series({1.0 / 6227020800, -1.0 / 39916800, 1.0 / 362880, -1.0 / 5040,
                                   1.0 / 120, -1.0 / 6, 1.0}));
  Value cosine =
      series({1.0 / 479001600, -1.0 / 3628800, 1.0 / 40320, -1.0 / 720, 1.0 / 24, -0.5, 1.0});
  Value quarter = arith::FPToSIOp::create(b, loc, intType, turns);
  auto bit = [&](Value value, int32_t mask) -> Value {
    Value kept = arith::AndIOp::create(b, loc, value, integer(mask));
    return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ne, kept, integer(0));
  };
  // Quarters 1 and 3 swap the two; the sine is negative in 2 and 3, the cosine in 1 and 2.
  Value odd = bit(quarter, 1);
  Value newSine = arith::SelectOp::create(b, loc, odd, cosine, sine);
  Value newCosine = arith::SelectOp::create(b, loc, odd, sine, cosine);
  auto negateWhere = [&](Value condition, Value value) -> Value {
    Value negated = arith::NegFOp::create(b, loc, value);
    return arith::SelectOp::create(b, loc, condition, negated, value);
  };
  Value after = arith::AddIOp::create(b, loc, quarter, integer(1));
  return {negateWhere(bit(quarter, 2), newSine), negateWhere(bit(after, 2), newCosine)};
}

} // namespace quern::emission
