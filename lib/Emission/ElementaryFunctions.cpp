//===- ElementaryFunctions.cpp - exp, log, tanh, erf from arithmetic ------------------------ ===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "quern/Emission/ElementaryFunctions.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/X86Vector/X86VectorDialect.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinTypes.h"
#include "llvm/ADT/TypeSwitch.h"

#include <limits>

using namespace mlir;

namespace quern::emission {

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float log2E = 0x1.715476p+0f; // 1 / ln 2
constexpr float log2ELow = 0x1.4ae0bep-26f;
constexpr float ln2 = 0x1.62e430p-1f;
constexpr float ln2Low = -0x1.05c610p-29f;

ElementaryFunctions::ElementaryFunctions(OpBuilder &builder, Location loc, Type type,
                                         bool hasAvx512)
    : builder(builder), loc(loc), type(type), intType(builder.getI32Type()) {
  if (auto vector = dyn_cast<VectorType>(type)) {
    intType = vector.clone(builder.getI32Type());
    hasScalef = hasAvx512 && vector.getNumElements() == 16;
  }
}

using Functions = ElementaryFunctions;

Value Functions::constant(Type of, TypedAttr value) {
  if (auto vector = dyn_cast<VectorType>(of))
    value = DenseElementsAttr::get(vector, cast<Attribute>(value));
  return arith::ConstantOp::create(builder, loc, value);
}
Value Functions::splat(float value) { return constant(type, builder.getF32FloatAttr(value)); }
Value Functions::splatInt(int32_t value) {
  return constant(intType, builder.getI32IntegerAttr(value));
}
Value Functions::add(Value a, Value b) { return arith::AddFOp::create(builder, loc, a, b); }
Value Functions::sub(Value a, Value b) { return arith::SubFOp::create(builder, loc, a, b); }
Value Functions::mul(Value a, Value b) { return arith::MulFOp::create(builder, loc, a, b); }
Value Functions::div(Value a, Value b) { return arith::DivFOp::create(builder, loc, a, b); }
Value Functions::fma(Value a, Value b, Value c) {
  return math::FmaOp::create(builder, loc, a, b, c);
}
Value Functions::abs(Value a) { return math::AbsFOp::create(builder, loc, a); }
Value Functions::copySign(Value a, Value sign) {
  return math::CopySignOp::create(builder, loc, a, sign);
}
Value Functions::bits(Value a) { return arith::BitcastOp::create(builder, loc, intType, a); }
Value Functions::fromBits(Value a) { return arith::BitcastOp::create(builder, loc, type, a); }
Value Functions::subInt(Value a, Value b) { return arith::SubIOp::create(builder, loc, a, b); }
Value Functions::shiftLeft(Value a, int32_t n) {
  return arith::ShLIOp::create(builder, loc, a, splatInt(n));
}
Value Functions::less(Value a, Value b) {
  return arith::CmpFOp::create(builder, loc, arith::CmpFPredicate::OLT, a, b);
}
Value Functions::select(Value condition, Value a, Value b) {
  return arith::SelectOp::create(builder, loc, condition, a, b);
}
Value Functions::atLeast(Value x, float bound) {
  return select(less(x, splat(bound)), splat(bound), x);
}
Value Functions::atMost(Value x, float bound) {
  return select(less(splat(bound), x), splat(bound), x);
}
Value Functions::polynomial(Value x, ArrayRef<float> coefficients) {
  Value sum = splat(coefficients.front());
  for (float coefficient : coefficients.drop_front())
    sum = fma(sum, x, splat(coefficient));
  return sum;
}
Value Functions::reduceByLn2(Value x, Value n) {
  return fma(n, splat(-ln2Low), fma(n, splat(-ln2), x));
}
Value Functions::rsqrt(Value x) { return div(splat(1.0f), math::SqrtOp::create(builder, loc, x)); }

constexpr int32_t wideBias = 2 * 127; // for 2^n in two factors, each a normal number
constexpr int32_t narrowBias = 127;   // for 2^n in one factor

/// round(x * factor). Without scalef, |x * factor| < 2^22 is required.
Functions::Power Functions::roundToPower(Value x, Value factor, int32_t bias) {
  if (hasScalef) {
    Value product = factor ? mul(x, factor) : x;
    return {math::RoundEvenOp::create(builder, loc, product), {}};
  }
  // Floats around 1.5 x 2^23 lie 1 apart: adding it rounds, and leaves the integer in the low bits.
  Value shift = splat(12582912.0f + static_cast<float>(bias));
  Value shifted = factor ? fma(x, factor, shift) : add(x, shift);
  return {sub(shifted, shift), bits(shifted)};
}

/// p * 2^n, rounded once where the result is denormal. Needs wideBias.
Value Functions::scale(Value p, Power power) {
  if (hasScalef) {
    // The operands are (a, b, passthru, mask, rounding); 4: as the control register says.
    auto all = arith::ConstantOp::create(builder, loc, builder.getI16IntegerAttr(-1));
    auto rounding = arith::ConstantOp::create(builder, loc, builder.getI32IntegerAttr(4));
    return x86vector::MaskScaleFOp::create(builder, loc, type, p, power.n, p, all, rounding);
  }
  // 2^n as a product of two powers whose exponents differ by 1 at most: neither of them overflows.
  Value half = arith::ShRUIOp::create(builder, loc, power.biased, splatInt(1));
  Value first = fromBits(shiftLeft(half, 23));
  Value second = fromBits(shiftLeft(subInt(power.biased, half), 23));
  return mul(mul(p, first), second);
}

/// 2^f for |f| <= 1/2.
Value Functions::exponential2(Value f) {
  return polynomial(f, {1.535334159e-04f, 1.339890063e-03f, 9.618437849e-03f, 5.550332367e-02f,
                        2.402264774e-01f, 6.931471825e-01f, 1.0f});
}

Value Functions::exp2(Value x) {
  // scalef saturates by itself.
  if (!hasScalef)
    x = atMost(atLeast(x, -151.0f), 128.0f);
  Power power = roundToPower(x, nullptr, wideBias);
  return scale(exponential2(sub(x, power.n)), power);
}

/// p * 2^n for n >= -126; p * 0 for n = -127. Needs narrowBias.
Value Functions::scaleByNormal(Value p, Power power) {
  return mul(p, fromBits(shiftLeft(power.biased, 23)));
}

/// e^r for |r| <= ln(2) / 2.
Value Functions::exponential(Value r) {
  return polynomial(r, {1.381459879e-03f, 8.368716575e-03f, 4.166838899e-02f, 1.666652113e-01f,
                        4.999999404e-01f, 1.0f, 1.0f});
}

Value Functions::exp(Value x) {
  // e^-104 rounds to 0 and e^89 to infinity.
  x = atMost(atLeast(x, -104.0f), 89.0f);
  Power power = roundToPower(x, splat(log2E), wideBias);
  return scale(exponential(reduceByLn2(x, power.n)), power);
}

Value Functions::expNonPositive(Value x) {
  if (hasScalef)
    return exp(x); // which needs no second factor either
  // From -88 on down the factor is 2^-127, whose bits are those of 0.
  x = atLeast(x, -88.0f);
  Power power = roundToPower(x, splat(log2E), narrowBias);
  return scaleByNormal(exponential(reduceByLn2(x, power.n)), power);
}

Value Functions::exp2NonPositive(Value x) {
  if (hasScalef)
    return exp2(x);
  x = atLeast(x, -127.0f);
  Power power = roundToPower(x, nullptr, narrowBias);
  return scaleByNormal(exponential2(sub(x, power.n)), power);
}

Value Functions::tanh(Value x) {
  // tanh |x| = t / (t + 2) with t = e^(2 |x|) - 1, which keeps its digits near 0; 1 from 10 on.
  Value y = atMost(abs(x), 10.0f);
  y = add(y, y);
  Value shift = splat(12582912.0f + static_cast<float>(narrowBias));
  Value shifted = fma(y, splat(log2E), shift);
  Value r = reduceByLn2(y, sub(shifted, shift));
  Value p = polynomial(r, {1.388252131e-03f, 8.366520517e-03f, 4.166720062e-02f, 1.666654348e-01f,
                           4.999999702e-01f});
  Value expMinus1 = fma(mul(r, r), p, r);
  Value power = fromBits(shiftLeft(bits(shifted), 23));
  Value t = fma(power, expMinus1, sub(power, splat(1.0f)));
  return copySign(div(t, add(t, splat(2.0f))), x);
}

Value Functions::erf(Value x) {
  Value t = abs(x);
  Value square = mul(x, x);
  Value inner = polynomial(square, {-5.953741493e-04f, 4.985940643e-03f, -2.676171996e-02f,
                                    1.128168255e-01f, -3.761247993e-01f, 1.283791363e-01f});
  inner = fma(inner, x, x);
  // 1 - e^(t p(t) - t), where the exponential is erfc; 1 from 4 on.
  Value u = atMost(t, 4.0f);
  Value outer =
      polynomial(u, {-1.142328347e-05f, 3.247259301e-04f, -3.650276456e-03f, 2.377860248e-02f,
                     -1.062560901e-01f, -6.351397038e-01f, -1.286513358e-01f});
  outer = fma(outer, u, arith::NegFOp::create(builder, loc, u));
  outer = copySign(sub(splat(1.0f), exp(outer)), x);
  return select(less(t, splat(0.9277f)), inner, outer);
}

Value Functions::logarithm(Value x, bool base2) {
  // x = 2^e (1 + f) with sqrt(1/2) <= 1 + f < sqrt(2).
  Value smallestNormal = splat(0x1p-126f);
  Value denormal = less(x, smallestNormal);
  Value normal = select(denormal, mul(x, splat(0x1p23f)), x);
  Value e = select(denormal, splat(-23.0f), splat(0.0f));
  Value pattern = bits(normal);
  Value exponent = arith::AndIOp::create(builder, loc, subInt(pattern, splatInt(0x3f3504f3)),
                                         splatInt(static_cast<int32_t>(0xff800000)));
  Value f = sub(fromBits(subInt(pattern, exponent)), splat(1.0f));
  e = fma(arith::SIToFPOp::create(builder, loc, type, exponent), splat(0x1p-23f), e);
  // log(1 + f) = f + tail
  Value square = mul(f, f);
  Value tail =
      polynomial(f, {-7.635655254e-02f, 1.276332736e-01f, -1.316058189e-01f, 1.420155317e-01f,
                     -1.662329882e-01f, 2.000123411e-01f, -2.500082254e-01f, 3.333333135e-01f});
  tail = fma(square, splat(-0.5f), mul(mul(f, square), tail));
  Value result;
  if (base2)
    result = add(e, fma(f, splat(log2E), fma(tail, splat(log2E), mul(f, splat(log2ELow)))));
  else
    result = fma(e, splat(ln2), add(f, fma(e, splat(ln2Low), tail)));

  auto is = [&](arith::CmpFPredicate predicate, float value) -> Value {
    return arith::CmpFOp::create(builder, loc, predicate, x, splat(value));
  };
  result = select(is(arith::CmpFPredicate::OEQ, 0.0f), splat(-infinity), result);
  // infinity and NaN are their own logarithms; below 0 there is none.
  result = select(is(arith::CmpFPredicate::ULT, infinity), result, x);
  result = select(is(arith::CmpFPredicate::ULT, 0.0f),
                  splat(std::numeric_limits<float>::quiet_NaN()), result);
  return result;
}

bool expand(Operation *op, ElementaryFunctions &functions) {
  Value x = op->getOperand(0);
  Value result = llvm::TypeSwitch<Operation *, Value>(op)
                     .Case([&](math::ExpOp) {
                       return op->hasAttr(nonPositiveAttribute) ? functions.expNonPositive(x)
                                                                : functions.exp(x);
                     })
                     .Case([&](math::Exp2Op) {
                       return op->hasAttr(nonPositiveAttribute) ? functions.exp2NonPositive(x)
                                                                : functions.exp2(x);
                     })
                     .Case([&](math::LogOp) { return functions.log(x); })
                     .Case([&](math::Log2Op) { return functions.log2(x); })
                     .Case([&](math::TanhOp) { return functions.tanh(x); })
                     .Case([&](math::ErfOp) { return functions.erf(x); })
                     .Case([&](math::RsqrtOp) { return functions.rsqrt(x); })
                     .Default([](Operation *) { return Value(); });
  if (!result)
    return false;
  op->getResult(0).replaceAllUsesWith(result);
  op->erase();
  return true;
}

} // namespace quern::emission
