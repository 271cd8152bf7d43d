//===- MultiplyTests.cpp - mma.sync and the accumulation --------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "lib/Emulator/Matrix/Conversions.h"
#include "lib/Emulator/Matrix/WarpMultiply.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

using namespace quern::emulator::matrix;

namespace {
/// The bits of a small integer in an element type.
uint32_t encodeInteger(ElementType type, int value) {
  switch (type) {
  case ElementType::F16:
    return encodeFloat(FloatFormat::F16, value);
  case ElementType::BF16:
    return encodeFloat(FloatFormat::BF16, value);
  case ElementType::TF32:
    return encodeFloat(FloatFormat::TF32, value);
  case ElementType::E4M3:
    return encodeFloat(FloatFormat::E4M3, value);
  case ElementType::E5M2:
    return encodeFloat(FloatFormat::E5M2, value);
  default:
    return uint8_t(value);
  }
}

/// Random integers that every type holds, so that results are exact.
struct Problem {
  explicit Problem(const WarpMultiply &multiply) : multiply(multiply), k(multiply.k) {
    std::mt19937 random(5);
    bool isSigned = multiply.a != ElementType::U8 && multiply.b != ElementType::U8;
    auto draw = [&] { return int(random() % 8) - (isSigned ? 4 : 0); };
    for (int i = 0; i < 16 * k; ++i)
      a.push_back(draw());
    for (int i = 0; i < k * 8; ++i)
      b.push_back(draw());
    for (int i = 0; i < 16 * 8; ++i)
      c.push_back(draw());
  }

  void fill(WarpRegister *fragments, ElementType type, bool isA) const {
    int bits = elementBits(type), packed = 32 / bits;
    int count = isA ? multiply.registersOfA() : multiply.registersOfB();
    for (int i = 0; i < count; ++i)
      for (int lane = 0; lane < warpSize; ++lane) {
        uint32_t word = 0;
        for (int part = 0; part < packed; ++part) {
          Position at = isA ? fragmentOfA(bits, lane, i, part) : fragmentOfB(bits, lane, i, part);
          int value = isA ? a[size_t(at.row * k + at.column)] : b[size_t(at.row * 8 + at.column)];
          word |= encodeInteger(type, value) << (bits * part % 32);
        }
        fragments[i].lane[lane] = word;
      }
  }

  uint32_t encodeAccumulator(int value) const {
    return multiply.accumulator == AccumulatorType::S32   ? uint32_t(value)
           : multiply.accumulator == AccumulatorType::F16 ? encodeFloat(FloatFormat::F16, value)
                                                          : bitsOfFloat(float(value));
  }

  void expectProduct() const {
    WarpRegister fragmentsA[4], fragmentsB[2], d[4];
    fill(fragmentsA, multiply.a, true);
    fill(fragmentsB, multiply.b, false);
    bool half = multiply.accumulator == AccumulatorType::F16;
    auto word = [&](int lane, int i, auto valueAt) {
      Position at = fragmentOfD(lane, i);
      return encodeAccumulator(valueAt(at.row, at.column));
    };
    auto registers = [&](int lane, int i, auto valueAt) {
      return half ? word(lane, 2 * i + 1, valueAt) << 16 | word(lane, 2 * i, valueAt)
                  : word(lane, i, valueAt);
    };
    auto old = [&](int row, int column) { return c[size_t(row * 8 + column)]; };
    auto product = [&](int row, int column) {
      int sum = old(row, column);
      for (int step = 0; step < k; ++step)
        sum += a[size_t(row * k + step)] * b[size_t(step * 8 + column)];
      return sum;
    };
    for (int i = 0; i < multiply.registersOfD(); ++i)
      for (int lane = 0; lane < warpSize; ++lane)
        d[i].lane[lane] = registers(lane, i, old);
    multiply.run(fragmentsA, fragmentsB, d, d);
    for (int i = 0; i < multiply.registersOfD(); ++i)
      for (int lane = 0; lane < warpSize; ++lane)
        EXPECT_EQ(d[i].lane[lane], registers(lane, i, product)) << i << " " << lane;
  }

  WarpMultiply multiply;
  int k;
  std::vector<int> a, b, c;
};
} // namespace

TEST(WarpMultiply, EveryVariantMultiplies) {
  using E = ElementType;
  using A = AccumulatorType;
  const WarpMultiply variants[] = {
      {8, E::F16, E::F16, A::F32},    {16, E::F16, E::F16, A::F32},
      {8, E::F16, E::F16, A::F16},    {16, E::F16, E::F16, A::F16},
      {8, E::BF16, E::BF16, A::F32},  {16, E::BF16, E::BF16, A::F32},
      {4, E::TF32, E::TF32, A::F32},  {8, E::TF32, E::TF32, A::F32},
      {16, E::E4M3, E::E4M3, A::F32}, {32, E::E4M3, E::E5M2, A::F32},
      {32, E::E5M2, E::E4M3, A::F16}, {32, E::E5M2, E::E5M2, A::F32},
      {16, E::S8, E::S8, A::S32},     {32, E::S8, E::S8, A::S32},
      {32, E::U8, E::U8, A::S32},     {32, E::S8, E::U8, A::S32, true},
  };
  for (const WarpMultiply &variant : variants) {
    SCOPED_TRACE(&variant - variants);
    EXPECT_EQ(variant.check(), "");
    Problem(variant).expectProduct();
  }
}

TEST(WarpMultiply, WhatTheManualDoesNotHave) {
  using E = ElementType;
  using A = AccumulatorType;
  EXPECT_EQ((WarpMultiply{32, E::F16, E::F16, A::F32}.check()),
            "the shapes for elements of 16 bits are m16n8k8 and m16n8k16");
  EXPECT_EQ((WarpMultiply{16, E::TF32, E::TF32, A::F32}.check()),
            "the shapes for elements of 32 bits are m16n8k4 and m16n8k8");
  EXPECT_EQ((WarpMultiply{16, E::F16, E::BF16, A::F32}.check()),
            "the multiplicands of mma.sync have types of one kind and size");
  EXPECT_EQ((WarpMultiply{16, E::BF16, E::BF16, A::F16}.check()),
            "bf16 and tf32 multiplicands have f32 accumulators");
  EXPECT_EQ((WarpMultiply{32, E::S8, E::S8, A::F32}.check()),
            "integer multiplicands have s32 accumulators, floating-point ones f32 or f16");
  EXPECT_EQ((WarpMultiply{16, E::F16, E::F16, A::F32, true}.check()),
            ".satfinite applies to integers alone");
}

TEST(MultiplyAccumulate, IntegersWrapOrSaturate) {
  double a[] = {100, 100}, b[] = {100, 100};
  int32_t wraps = INT32_MAX - 5, saturates = wraps, low = INT32_MIN + 5;
  multiplyAccumulate(1, 1, 2, a, b, &wraps, false);
  multiplyAccumulate(1, 1, 2, a, b, &saturates, true);
  EXPECT_EQ(wraps, INT32_MIN + 20000 - 6);
  EXPECT_EQ(saturates, INT32_MAX);
  a[0] = a[1] = -100;
  multiplyAccumulate(1, 1, 2, a, b, &low, true);
  EXPECT_EQ(low, INT32_MIN);
}

TEST(MultiplyAccumulate, CutsTowardZeroAfterEachGroup) {
  EXPECT_EQ(truncateToSingle(1 + 0x1.8p-23), 1 + 0x1p-23F);
  EXPECT_EQ(truncateToSingle(-1 - 0x1.8p-23), -1 - 0x1p-23F);
  EXPECT_EQ(truncateToSingle(0x1.ffffffp127), 0x1.fffffep127F);
  EXPECT_EQ(truncateToSingle(0x1p128), std::numeric_limits<float>::infinity());
  EXPECT_EQ(bitsOfFloat(truncateToSingle(std::nan(""))), 0x7fffffffU);

  // Four times 2^-25 beside 1: exact within a group, lost one by one across groups.
  double a[] = {0x1p-25, 0x1p-25, 0x1p-25, 0x1p-25}, b[] = {1, 1, 1, 1};
  float together = 1, apart = 1;
  multiplyAccumulate(1, 1, 4, /*group=*/4, a, b, &together);
  multiplyAccumulate(1, 1, 4, /*group=*/2, a, b, &apart);
  EXPECT_EQ(together, 1 + 0x1p-23F);
  EXPECT_EQ(apart, 1.0F);
}

TEST(MultiplyAccumulate, InfinitiesAndNaN) {
  double infinite = std::numeric_limits<double>::infinity();
  double a[] = {infinite, 1}, b[] = {1, 2};
  float d = 1;
  multiplyAccumulate(1, 1, 2, 2, a, b, &d);
  EXPECT_EQ(d, std::numeric_limits<float>::infinity());
  a[1] = -infinite;
  multiplyAccumulate(1, 1, 2, 2, a, b, &d);
  EXPECT_EQ(bitsOfFloat(d), 0x7fffffffU);
}

TEST(ElementTypes, DecodeLowBits) {
  EXPECT_EQ(decodeElement(ElementType::F16, 0xabcd3c00), 1.0);
  EXPECT_EQ(decodeElement(ElementType::BF16, 0xabcd3f80), 1.0);
  EXPECT_EQ(decodeElement(ElementType::TF32, bitsOfFloat(1.0F) | 0x1fff), 1.0);
  EXPECT_EQ(decodeElement(ElementType::E4M3, 0xffffff38), 1.0);
  EXPECT_EQ(decodeElement(ElementType::E5M2, 0xffffffbc), -1.0);
  EXPECT_EQ(decodeElement(ElementType::S8, 0x80), -128.0);
  EXPECT_EQ(decodeElement(ElementType::U8, 0x80), 128.0);
}
