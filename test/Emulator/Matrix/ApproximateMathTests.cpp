//===- ApproximateMathTests.cpp - Documented errors, and that they occur ----------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "lib/Emulator/Matrix/ApproximateMath.h"
#include "lib/Emulator/Matrix/Conversions.h"

#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <random>

using namespace quern::emulator::matrix;

namespace {
constexpr float infinity = std::numeric_limits<float>::infinity();
const float notANumber = std::numeric_limits<float>::quiet_NaN();
constexpr double pi = 3.14159265358979323846;

/// The unit in the last place of an f32 of this size.
double ulp(double value) {
  int exponent;
  std::frexp(value, &exponent);
  return std::ldexp(1.0, std::max(exponent, -125) - 24);
}

using Function = std::function<float(float)>;
using Exact = std::function<double(double)>;
enum class Error { Relative, Absolute, Ulp };

/// Draws inputs from `low` to `high`, evenly in their bit patterns or in their values, and expects
/// the largest error to stay within `bound` and to come near it.
void expectError(const Function &function, const Exact &exact, float low, float high, Error kind,
                 double bound, bool evenBits) {
  std::mt19937 random(7);
  double worst = 0;
  for (int i = 0; i < 200000; ++i) {
    double part = double(random()) / 4294967296.0;
    float x = evenBits ? floatOfBits(uint32_t(double(bitsOfFloat(low)) +
                                              part * double(bitsOfFloat(high) - bitsOfFloat(low))))
                       : float(double(low) + part * (double(high) - double(low)));
    double truth = exact(double(x));
    double error = std::fabs(double(function(x)) - truth);
    if (kind == Error::Relative)
      error /= std::fabs(truth);
    if (kind == Error::Ulp)
      error /= ulp(truth);
    ASSERT_LE(error, bound) << x;
    worst = std::max(worst, error);
  }
  EXPECT_GT(worst, 0.3 * bound);
}

Function flushing(float (*function)(float, bool)) {
  return [function](float x) { return function(x, true); };
}
Function keeping(float (*function)(float, bool)) {
  return [function](float x) { return function(x, false); };
}
uint32_t bits(float value) { return bitsOfFloat(value); }
} // namespace

TEST(ApproximateMath, ErrorsAreTheDocumentedOnes) {
  expectError(
      flushing(approximateReciprocal), [](double x) { return 1 / x; }, 0x1p-126F, 0x1p125F,
      Error::Ulp, 1, true);
  expectError(
      keeping(approximateSquareRoot), [](double x) { return std::sqrt(x); }, 0x1p-126F, 3e38F,
      Error::Relative, 0x1p-23, true);
  expectError(
      keeping(approximateReciprocalSquareRoot), [](double x) { return 1 / std::sqrt(x); },
      0x1p-126F, 3e38F, Error::Relative, std::exp2(-22.9), true);
  expectError(
      flushing(approximateExp2), [](double x) { return std::exp2(x); }, -125.9F, 127.9F, Error::Ulp,
      2, false);
  expectError(
      flushing(approximateLog2), [](double x) { return std::log2(x); }, 0.50001F, 1.9999F,
      Error::Absolute, 0x1p-22, false);
  expectError(
      flushing(approximateLog2), [](double x) { return std::log2(x); }, 2.0F, 1e38F,
      Error::Relative, 0x1p-22, true);
  expectError(
      flushing(approximateLog2), [](double x) { return std::log2(x); }, 1e-37F, 0.5F,
      Error::Relative, 0x1p-22, true);
  float near = float(2 * pi) * 0.999999F, far = float(100 * pi);
  expectError(
      keeping(approximateSine), [](double x) { return std::sin(x); }, -near, near, Error::Absolute,
      std::exp2(-20.5), false);
  expectError(
      keeping(approximateCosine), [](double x) { return std::cos(x); }, -near, near,
      Error::Absolute, std::exp2(-20.5), false);
  expectError(
      keeping(approximateSine), [](double x) { return std::sin(x); }, near, far, Error::Absolute,
      std::exp2(-14.7), false);
  expectError(
      keeping(approximateCosine), [](double x) { return std::cos(x); }, -far, -near,
      Error::Absolute, std::exp2(-14.7), false);
  expectError(
      approximateTanh, [](double x) { return std::tanh(x); }, 1e-30F, 20, Error::Relative, 0x1p-11,
      true);
  expectError([](float x) { return approximateDivideFull(x, 3.0F, false); },
              [](double x) { return x / 3; }, 1e-30F, 1e30F, Error::Ulp, 2, true);
  expectError([](float x) { return approximateDivide(1.0F, x, true); },
              [](double x) { return 1 / x; }, 0x1p-126F, 0x1p125F, Error::Ulp, 2, true);
}

TEST(ApproximateMath, ErrorsOfHalfPrecision) {
  double worstTanh[2] = {}, worstExp[2] = {};
  for (uint32_t pattern = 0; pattern < 0x10000; ++pattern)
    for (int brain = 0; brain < 2; ++brain) {
      FloatFormat format = brain ? FloatFormat::BF16 : FloatFormat::F16;
      double x = decodeFloat(format, pattern);
      if (!std::isfinite(x))
        continue;
      auto input = uint16_t(pattern);
      double tanh =
          decodeFloat(format, brain ? approximateTanhBF16(input) : approximateTanhF16(input));
      worstTanh[brain] = std::max(worstTanh[brain], std::fabs(tanh - std::tanh(x)));
      double truth = std::exp2(x), limit = brain ? 0x1p-126 : 0x1p-14;
      if (truth < limit || truth > (brain ? 0x1p127 : 0x1p15))
        continue;
      double exp2 =
          decodeFloat(format, brain ? approximateExp2BF16(input) : approximateExp2F16(input));
      worstExp[brain] = std::max(worstExp[brain], std::fabs(exp2 - truth) / truth);
    }
  EXPECT_LE(worstTanh[0], std::exp2(-10.987));
  EXPECT_GT(worstTanh[0], std::exp2(-12));
  EXPECT_LE(worstTanh[1], 0x1p-8);
  EXPECT_GT(worstTanh[1], 0x1p-9);
  EXPECT_LE(worstExp[0], std::exp2(-9.9));
  EXPECT_GT(worstExp[0], 0x1p-11);
  EXPECT_LE(worstExp[1], 0x1p-7);
  EXPECT_GT(worstExp[1], 0x1p-8);
}

// The tables of corner cases in sections 9.7.3.13 to 9.7.3.22 and 9.7.4.9 to 9.7.4.10.
TEST(ApproximateMath, CornerCases) {
  struct Row {
    Function function;
    float minusInfinity, minusZero, zero, plusInfinity;
  };
  const Row rows[] = {
      {flushing(approximateReciprocal), -0.0F, -infinity, infinity, 0.0F},
      {flushing(approximateSquareRoot), notANumber, -0.0F, 0.0F, infinity},
      {flushing(approximateReciprocalSquareRoot), notANumber, -infinity, infinity, 0.0F},
      {flushing(approximateSine), notANumber, -0.0F, 0.0F, notANumber},
      {flushing(approximateCosine), notANumber, 1.0F, 1.0F, notANumber},
      {flushing(approximateLog2), notANumber, -infinity, -infinity, infinity},
      {flushing(approximateExp2), 0.0F, 1.0F, 1.0F, infinity},
      {approximateTanh, -1.0F, -0.0F, 0.0F, 1.0F},
  };
  for (const Row &row : rows) {
    auto expected = [](float value) { return std::isnan(value) ? 0x7fffffffU : bits(value); };
    size_t at = size_t(&row - rows);
    EXPECT_EQ(bits(row.function(-infinity)), expected(row.minusInfinity)) << at;
    EXPECT_EQ(bits(row.function(-0.0F)), expected(row.minusZero)) << at;
    EXPECT_EQ(bits(row.function(0.0F)), expected(row.zero)) << at;
    EXPECT_EQ(bits(row.function(infinity)), expected(row.plusInfinity)) << at;
    EXPECT_EQ(bits(row.function(notANumber)), 0x7fffffffU) << at;
  }
  EXPECT_EQ(bits(approximateSquareRoot(-1.0F, false)), 0x7fffffffU);
  EXPECT_EQ(bits(approximateLog2(-1.0F, false)), 0x7fffffffU);
  EXPECT_EQ(approximateTanhF16(0xfc00), 0xbc00);
  EXPECT_EQ(approximateTanhF16(0x8000), 0x8000);
  EXPECT_EQ(approximateTanhBF16(0x7f80), 0x3f80);
  EXPECT_EQ(approximateTanhBF16(0x7fc0), 0x7fff);
  EXPECT_EQ(approximateExp2F16(0xfc00), 0);
  EXPECT_EQ(approximateExp2F16(0x8000), 0x3c00);
  EXPECT_EQ(approximateExp2BF16(0x8001), 0x3f80);
  EXPECT_EQ(approximateExp2BF16(0x7f80), 0x7f80);
  EXPECT_EQ(approximateExp2BF16(0xff80), 0);
}

TEST(ApproximateMath, SubnormalNumbers) {
  EXPECT_EQ(approximateExp2(-149.0F, false), 0x1p-149F);
  EXPECT_EQ(approximateExp2(-149.0F, true), 0.0F);
  EXPECT_EQ(approximateReciprocal(0x1p-127F, false), 0x1p127F);
  EXPECT_EQ(approximateReciprocal(-0x1p-127F, true), -infinity);
  EXPECT_EQ(approximateLog2(0x1p-130F, false), -130.0F);
  EXPECT_EQ(approximateLog2(0x1p-130F, true), -infinity);
  EXPECT_EQ(approximateTanh(-0x1p-140F), -0x1p-140F);
  EXPECT_EQ(bits(approximateSine(-0x1p-130F, true)), bits(-0.0F));
}

TEST(ApproximateMath, DivisionByLargeNumbers) {
  EXPECT_EQ(bits(approximateDivide(-3.0F, 0x1.8p126F, false)), bits(-0.0F));
  EXPECT_EQ(bits(approximateDivide(infinity, 0x1.8p126F, false)), 0x7fffffffU);
  EXPECT_EQ(approximateDivide(0x1p126F, 0x1p126F, false), 1.0F);
  EXPECT_EQ(approximateDivideFull(0x1.8p127F, 0x1.8p126F, false), 2.0F);
  EXPECT_EQ(approximateDivide(1.0F, infinity, false), 0.0F);
  EXPECT_EQ(approximateDivide(1.0F, 0.0F, false), infinity);
}

TEST(ApproximateMath, ExactWhereDevicesAre) {
  for (int i = -126; i < 128; ++i) {
    EXPECT_EQ(approximateExp2(float(i), true), std::ldexp(1.0F, i));
    EXPECT_EQ(approximateLog2(std::ldexp(1.0F, i), true), float(i));
  }
  EXPECT_EQ(approximateReciprocal(4.0F, true), 0.25F);
  EXPECT_EQ(approximateReciprocalSquareRoot(16.0F, true), 0.25F);
  EXPECT_EQ(approximateSquareRoot(9.0F, true), 3.0F);
}
