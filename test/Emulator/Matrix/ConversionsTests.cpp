//===- ConversionsTests.cpp - Floating-point formats and their rounding -----------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "lib/Emulator/Matrix/Conversions.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <random>
#include <vector>

using namespace quern::emulator::matrix;

namespace {
constexpr double infinity = std::numeric_limits<double>::infinity();
const double notANumber = std::numeric_limits<double>::quiet_NaN();

/// Formats small enough to look at every value.
const FloatFormat small[] = {FloatFormat::F16, FloatFormat::BF16, FloatFormat::E4M3,
                             FloatFormat::E5M2};

uint32_t patterns(FloatFormat format) { return 1U << formatBits(format); }

/// All finite values from the lowest to the highest, without -0, with the even ones marked.
struct Value {
  double value;
  bool even;
};
std::vector<Value> finiteValues(FloatFormat format) {
  std::vector<Value> values;
  for (uint32_t bits = 0; bits < patterns(format); ++bits) {
    double value = decodeFloat(format, bits);
    if (std::isfinite(value) && !(value == 0 && std::signbit(value)))
      values.push_back({value, bits % 2 == 0});
  }
  std::sort(values.begin(), values.end(),
            [](const Value &a, const Value &b) { return a.value < b.value; });
  return values;
}

/// Rounds by looking for the neighbours of `x` among all values; `x` lies between two of them.
double roundBySearch(const std::vector<Value> &values, double x, Rounding rounding) {
  auto above = std::lower_bound(values.begin(), values.end(), x,
                                [](const Value &a, double b) { return a.value < b; });
  if (above->value == x)
    return x;
  auto below = above - 1;
  switch (rounding) {
  case Rounding::Down:
    return below->value;
  case Rounding::Up:
    return above->value;
  case Rounding::TowardZero:
    return x > 0 ? below->value : above->value;
  case Rounding::NearestEven:
  case Rounding::NearestAway:
    break;
  }
  double down = x - below->value, up = above->value - x;
  if (down != up)
    return down < up ? below->value : above->value;
  if (rounding == Rounding::NearestAway)
    return x > 0 ? above->value : below->value;
  return below->even ? below->value : above->value;
}
} // namespace

TEST(Conversions, EveryPatternSurvivesARoundTrip) {
  for (FloatFormat format : small)
    for (uint32_t bits = 0; bits < patterns(format); ++bits) {
      double value = decodeFloat(format, bits);
      if (!std::isnan(value)) {
        EXPECT_EQ(encodeFloat(format, value), bits) << int(format);
      }
    }
}

TEST(Conversions, KnownValues) {
  EXPECT_EQ(decodeFloat(FloatFormat::F16, 0x3c00), 1.0);
  EXPECT_EQ(decodeFloat(FloatFormat::F16, 0x7bff), 65504.0);
  EXPECT_EQ(decodeFloat(FloatFormat::F16, 0x0001), 0x1p-24);
  EXPECT_EQ(decodeFloat(FloatFormat::F16, 0xfc00), -infinity);
  EXPECT_EQ(decodeFloat(FloatFormat::BF16, 0x3f80), 1.0);
  EXPECT_EQ(decodeFloat(FloatFormat::BF16, 0xc2c8), -100.0);
  EXPECT_EQ(decodeFloat(FloatFormat::E4M3, 0x7e), 448.0);
  EXPECT_EQ(decodeFloat(FloatFormat::E4M3, 0x01), 0x1p-9);
  EXPECT_TRUE(std::isnan(decodeFloat(FloatFormat::E4M3, 0xff)));
  EXPECT_EQ(decodeFloat(FloatFormat::E5M2, 0x7b), 57344.0);
  EXPECT_EQ(decodeFloat(FloatFormat::E5M2, 0x7c), infinity);
  EXPECT_EQ(decodeFloat(FloatFormat::TF32, bitsOfFloat(1.5F)), 1.5);
  // The lower 13 bits of a tf32 register do not count.
  EXPECT_EQ(decodeFloat(FloatFormat::TF32, bitsOfFloat(1.5F) | 0x1fff), 1.5);
}

TEST(Conversions, RoundsToTheRightNeighbour) {
  std::mt19937 random(1);
  for (FloatFormat format : small) {
    std::vector<Value> values = finiteValues(format);
    std::uniform_int_distribution<size_t> choose(0, values.size() - 2);
    std::uniform_real_distribution<double> within(0, 1);
    for (int i = 0; i < 20000; ++i) {
      size_t at = choose(random);
      double low = values[at].value, high = values[at + 1].value;
      // Ties often, and points beside them.
      double x = i % 3 == 0 ? (low + high) / 2 : low + (high - low) * within(random);
      for (Rounding rounding : {Rounding::NearestEven, Rounding::NearestAway, Rounding::TowardZero,
                                Rounding::Down, Rounding::Up})
        EXPECT_EQ(decodeFloat(format, encodeFloat(format, x, {rounding, false, false})),
                  roundBySearch(values, x, rounding))
            << int(format) << " " << x << " " << int(rounding);
    }
  }
}

TEST(Conversions, SingleAndTF32) {
  std::mt19937 random(2);
  for (int i = 0; i < 100000; ++i) {
    uint64_t bits = uint64_t(random()) << 32 | random();
    double x;
    std::memcpy(&x, &bits, sizeof x);
    if (std::isnan(x))
      continue;
    // The compiler's own conversion rounds to nearest even.
    EXPECT_EQ(encodeFloat(FloatFormat::F32, x), bitsOfFloat(float(x)));
  }
  // 1 + 2^-11 lies between 1 and 1 + 2^-10.
  EXPECT_EQ(encodeFloat(FloatFormat::TF32, 1 + 0x1p-11, {Rounding::NearestAway, false, false}),
            bitsOfFloat(1 + 0x1p-10F));
  EXPECT_EQ(encodeFloat(FloatFormat::TF32, 1 + 0x1p-11), bitsOfFloat(1.0F));
  EXPECT_EQ(encodeFloat(FloatFormat::TF32, -3.14159, {Rounding::TowardZero, false, false}),
            bitsOfFloat(-3.14159F) & 0xffffe000);
}

TEST(Conversions, OverflowInfinityAndSaturation) {
  Conversion saturate{Rounding::NearestEven, true, false};
  // Half a unit beyond the largest number is a tie, which goes to the even neighbour: infinity.
  EXPECT_EQ(encodeFloat(FloatFormat::F16, 65519.99), 0x7bffU);
  EXPECT_EQ(encodeFloat(FloatFormat::F16, 65520), 0x7c00U);
  EXPECT_EQ(encodeFloat(FloatFormat::F16, 65520, saturate), 0x7bffU);
  EXPECT_EQ(encodeFloat(FloatFormat::F16, -infinity, saturate), 0xfbffU);
  EXPECT_EQ(encodeFloat(FloatFormat::BF16, 1e39), 0x7f80U);
  EXPECT_EQ(encodeFloat(FloatFormat::BF16, 1e39, {Rounding::TowardZero, false, false}), 0x7f7fU);
  EXPECT_EQ(encodeFloat(FloatFormat::BF16, -1e39, {Rounding::Up, false, false}), 0xff7fU);
  EXPECT_EQ(encodeFloat(FloatFormat::BF16, 1e39, {Rounding::Up, false, false}), 0x7f80U);
  // e4m3: 464 is the tie between 448 and the pattern that means NaN.
  EXPECT_EQ(encodeFloat(FloatFormat::E4M3, 464, saturate), 0x7eU);
  EXPECT_EQ(encodeFloat(FloatFormat::E4M3, 1e6, saturate), 0x7eU);
  EXPECT_EQ(encodeFloat(FloatFormat::E4M3, -1e6, saturate), 0xfeU);
  EXPECT_EQ(encodeFloat(FloatFormat::E4M3, 1e6), 0x7fU);
  EXPECT_EQ(encodeFloat(FloatFormat::E5M2, infinity, saturate), 0x7bU);
  EXPECT_EQ(encodeFloat(FloatFormat::TF32, infinity), 0x7f800000U);
}

TEST(Conversions, NaNAndNegativeNumbers) {
  EXPECT_EQ(encodeFloat(FloatFormat::F16, -notANumber), 0x7fffU);
  EXPECT_EQ(encodeFloat(FloatFormat::BF16, notANumber), 0x7fffU);
  EXPECT_EQ(encodeFloat(FloatFormat::E4M3, notANumber), 0x7fU);
  EXPECT_EQ(encodeFloat(FloatFormat::E5M2, notANumber), 0x7fU);
  EXPECT_EQ(encodeFloat(FloatFormat::F32, notANumber), 0x7fffffffU);
  Conversion relu{Rounding::NearestEven, false, true};
  EXPECT_EQ(encodeFloat(FloatFormat::F16, -3.0, relu), 0U);
  EXPECT_EQ(encodeFloat(FloatFormat::F16, -0.0, relu), 0U);
  EXPECT_EQ(encodeFloat(FloatFormat::F16, 3.0, relu), 0x4200U);
  EXPECT_EQ(encodeFloat(FloatFormat::F16, notANumber, relu), 0x7fffU);
  EXPECT_EQ(encodeFloat(FloatFormat::F16, -0.0), 0x8000U);
}

TEST(Conversions, Pairs) {
  EXPECT_EQ(encodePair(FloatFormat::BF16, 1.0, -2.0), 0x3f80c000U);
  EXPECT_EQ(encodePair(FloatFormat::E4M3, 1.0, -2.0, {Rounding::NearestEven, true, false}),
            0x38c0U);
  // e4m3x2 to f16x2 and back.
  EXPECT_EQ(convertPair(FloatFormat::F16, FloatFormat::E4M3, 0x38c0), 0x3c00c000U);
  EXPECT_EQ(convertPair(FloatFormat::E4M3, FloatFormat::F16, 0x3c00c000,
                        {Rounding::NearestEven, true, false}),
            0x38c0U);
  EXPECT_EQ(convertPair(FloatFormat::F16, FloatFormat::E5M2, 0x3cc0,
                        {Rounding::NearestEven, false, true}),
            0x3c000000U);
}

TEST(Conversions, ShortcutsAgree) {
  std::mt19937 random(3);
  for (int i = 0; i < 200000; ++i) {
    float x = floatOfBits(random());
    EXPECT_EQ(bf16OfFloat(x), encodeFloat(FloatFormat::BF16, double(x)));
  }
  EXPECT_EQ(bf16OfFloat(floatOfBits(0x7fffffff)), 0x7fff);
  EXPECT_EQ(bf16OfFloat(-INFINITY), 0xff80);
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    double half = decodeFloat(FloatFormat::F16, bits), single = double(floatOfF16(uint16_t(bits)));
    EXPECT_TRUE(half == single || (std::isnan(half) && std::isnan(single))) << bits;
    EXPECT_EQ(std::signbit(half), std::signbit(single) && !std::isnan(half)) << bits;
    double brain = decodeFloat(FloatFormat::BF16, bits);
    single = double(floatOfBF16(uint16_t(bits)));
    EXPECT_TRUE(brain == single || (std::isnan(brain) && std::isnan(single))) << bits;
  }
  EXPECT_EQ(bitsOfFloat(flushSubnormal(-1e-40F)), 0x80000000U);
  EXPECT_EQ(flushSubnormal(0x1p-126F), 0x1p-126F);
}
