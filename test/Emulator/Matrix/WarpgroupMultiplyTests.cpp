//===- WarpgroupMultiplyTests.cpp - Descriptors and wgmma -------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "lib/Emulator/Matrix/Conversions.h"
#include "lib/Emulator/Matrix/TensorCopy.h"
#include "lib/Emulator/Matrix/WarpgroupMultiply.h"

#include <gtest/gtest.h>

#include <random>

using namespace quern::emulator::matrix;

namespace {
/// A mode of a CuTe layout: nested extents and strides, the first of them fastest.
using Mode = std::vector<std::pair<int, int>>;

int offsetIn(const Mode &mode, int index) {
  int offset = 0;
  for (auto [extent, stride] : mode) {
    offset += index % extent * stride;
    index /= extent;
  }
  return offset;
}

/// The canonical layouts as section 9.7.15.5.1.2.1.3 writes them, in elements: where element
/// (mn, k) of an operand lies, before the swizzle. `T` is 128 over the bits of an element.
int canonicalOffset(Major major, Swizzle swizzle, int T, int leading, int stride, int mn, int k) {
  int s = int(swizzleSpan(swizzle)) / 16, many = 1 << 20;
  if (major == Major::MN) {
    if (swizzle == Swizzle::None)
      return offsetIn({{T, 1}, {1, T}, {many, stride}}, mn) +
             offsetIn({{8, T}, {many, leading}}, k);
    return offsetIn({{T, 1}, {s, T}, {many, leading}}, mn) +
           offsetIn({{8, s * T}, {many, stride}}, k);
  }
  if (swizzle == Swizzle::None)
    return offsetIn({{8, T}, {many, stride}}, mn) + offsetIn({{T, 1}, {many, leading}}, k);
  return offsetIn({{8, s * T}, {many, stride}}, mn) + offsetIn({{T, 1}, {many, T}}, k);
}

/// CuTe's Swizzle<B, 4, 3> on bytes: bits 4 to 4 + B change with bits 7 to 7 + B.
uint32_t cuteSwizzle(Swizzle mode, uint32_t address) {
  uint32_t bits = uint32_t(mode), mask = ((1U << bits) - 1) << 7;
  return address ^ (address & mask) >> 3;
}

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

/// Shared memory with operands that are written through the canonical layouts.
struct Shared {
  std::vector<uint8_t> bytes = std::vector<uint8_t>(1 << 18);

  /// Offsets that leave no two chunks at one place: tight for what the layout needs.
  static MatrixDescriptor descriptorFor(const OperandShape &shape, Swizzle swizzle,
                                        uint32_t start) {
    MatrixDescriptor result;
    result.start = start;
    result.swizzle = swizzle;
    uint32_t span = swizzleSpan(swizzle);
    if (shape.major == Major::K) {
      result.strideOffset = 8 * span;
      if (swizzle == Swizzle::None) {
        result.leadingOffset = 128;
        result.strideOffset = 256;
      }
    } else if (swizzle == Swizzle::None) {
      result.strideOffset = 128;
      result.leadingOffset = uint32_t(shape.extent) / 8 * 128;
    } else {
      result.strideOffset = 8 * span;
      result.leadingOffset = 16 * span; // k 16 is two groups of 8 lines
    }
    return result;
  }

  void write(const MatrixDescriptor &descriptor, const OperandShape &shape, ElementType type,
             const std::vector<int> &values) {
    int size = shape.elementBytes;
    for (int mn = 0; mn < shape.extent; ++mn)
      for (int k = 0; k < shape.k(); ++k) {
        int offset = canonicalOffset(shape.major, descriptor.swizzle, 16 / size,
                                     int(descriptor.leadingOffset) / size,
                                     int(descriptor.strideOffset) / size, mn, k);
        uint32_t at = cuteSwizzle(descriptor.swizzle, descriptor.start + uint32_t(offset * size));
        uint32_t bits = encodeInteger(type, values[size_t(mn * shape.k() + k)]);
        std::memcpy(&bytes[at], &bits, size_t(size));
      }
  }

  std::vector<Chunk> read(const MatrixDescriptor &descriptor, const OperandShape &shape) const {
    std::vector<Chunk> chunks(size_t(shape.chunks()));
    for (int i = 0; i < shape.chunks(); ++i)
      std::memcpy(chunks[size_t(i)].byte, &bytes[chunkAddress(descriptor, shape, i)], 16);
    return chunks;
  }
};

std::vector<int> drawIntegers(int count, bool isSigned, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<int> values;
  for (int i = 0; i < count; ++i)
    values.push_back(int(random() % 8) - (isSigned ? 4 : 0));
  return values;
}

/// Runs one wgmma on integers and compares with the plain product.
void expectProduct(const WarpgroupMultiply &multiply, Swizzle swizzleA, Swizzle swizzleB) {
  ASSERT_EQ(multiply.check(), "");
  int n = multiply.n, k = multiply.k;
  bool isSigned = multiply.a != ElementType::U8 && multiply.b != ElementType::U8;
  std::vector<int> a = drawIntegers(64 * k, isSigned, 1), b = drawIntegers(n * k, isSigned, 2),
                   c = drawIntegers(64 * n, isSigned, 3);
  Shared shared;
  OperandShape shapeA = multiply.shapeOfA(), shapeB = multiply.shapeOfB();
  MatrixDescriptor descriptorA = Shared::descriptorFor(shapeA, swizzleA, 0x4000);
  MatrixDescriptor descriptorB = Shared::descriptorFor(shapeB, swizzleB, 0x20000);
  shared.write(descriptorA, shapeA, multiply.a, a);
  shared.write(descriptorB, shapeB, multiply.b, b);

  std::vector<Chunk> chunksOfA = shared.read(descriptorA, shapeA);
  std::vector<double> denseB = multiply.gatherB(shared.read(descriptorB, shapeB).data());
  int bits = elementBits(multiply.a);
  bool half = multiply.accumulator == AccumulatorType::F16;
  auto encode = [&](int value) {
    return multiply.accumulator == AccumulatorType::S32 ? uint32_t(value)
           : half                                       ? encodeFloat(FloatFormat::F16, value)
                                                        : bitsOfFloat(float(value));
  };
  for (int warp = 0; warp < warpgroupWarps; ++warp) {
    std::vector<double> denseA;
    if (multiply.registersHoldA) {
      WarpRegister registers[4] = {};
      for (int i = 0; i < 4; ++i)
        for (int lane = 0; lane < warpSize; ++lane)
          for (int part = 0; part < 32 / bits; ++part) {
            Position at = fragmentOfA(bits, lane, i, part);
            int value = a[size_t((16 * warp + at.row) * k + at.column)];
            registers[i].lane[lane] |= encodeInteger(multiply.a, value) << (bits * part % 32);
          }
      denseA = multiply.gatherA(registers);
    } else {
      denseA = multiply.gatherA(&chunksOfA[size_t(warp * WarpgroupMultiply::chunksOfWarp)]);
    }
    std::vector<WarpRegister> d(size_t(multiply.registersOfD()));
    auto forEachAccumulator = [&](auto visit) {
      for (int i = 0; i < n / 2; ++i)
        for (int lane = 0; lane < warpSize; ++lane) {
          Position at = fragmentOfD(lane, i);
          visit(16 * warp + at.row, at.column, d[size_t(half ? i / 2 : i)].lane[lane],
                half ? i % 2 * 16 : 0);
        }
    };
    forEachAccumulator([&](int row, int column, uint32_t &word, int shift) {
      word |= encode(c[size_t(row * n + column)]) << shift;
    });
    multiply.run(denseA, denseB, d.data());
    int sign = multiply.negateA == multiply.negateB ? 1 : -1;
    forEachAccumulator([&](int row, int column, uint32_t word, int shift) {
      int sum = 0;
      for (int step = 0; step < k; ++step)
        sum += a[size_t(row * k + step)] * b[size_t(column * k + step)];
      sum = sign * sum + (multiply.accumulate ? c[size_t(row * n + column)] : 0);
      uint32_t mask = half ? 0xffff : 0xffffffff;
      ASSERT_EQ(word >> shift & mask, encode(sum)) << row << " " << column;
    });
  }
}

WarpgroupMultiply bf16(int n) {
  return {n, 16, ElementType::BF16, ElementType::BF16, AccumulatorType::F32};
}
} // namespace

TEST(MatrixDescriptor, EncodesAsTheManualSays) {
  // 128-byte swizzle, stride offset 1024, start 0x400: what kernels use for K-major tiles.
  uint64_t bits = uint64_t(1) << 62 | uint64_t(1024 >> 4) << 32 | uint64_t(1) << 16 | 0x400 >> 4;
  MatrixDescriptor descriptor;
  std::string problem;
  ASSERT_TRUE(MatrixDescriptor::decode(bits, descriptor, problem)) << problem;
  EXPECT_EQ(descriptor.start, 0x400U);
  EXPECT_EQ(descriptor.leadingOffset, 16U);
  EXPECT_EQ(descriptor.strideOffset, 1024U);
  EXPECT_EQ(descriptor.swizzle, Swizzle::Bytes128);
  EXPECT_EQ(descriptor.encode(), bits);
  ASSERT_TRUE(MatrixDescriptor::decode(uint64_t(3) << 62 | uint64_t(5) << 49, descriptor, problem));
  EXPECT_EQ(descriptor.swizzle, Swizzle::Bytes32);
  EXPECT_EQ(descriptor.baseOffset, 5U);
  ASSERT_TRUE(MatrixDescriptor::decode(uint64_t(2) << 62, descriptor, problem));
  EXPECT_EQ(descriptor.swizzle, Swizzle::Bytes64);
}

TEST(MatrixDescriptor, RejectsWhatIsNone) {
  MatrixDescriptor descriptor;
  std::string problem;
  // Bit 46 is set in the descriptors of sm_100.
  EXPECT_FALSE(MatrixDescriptor::decode(uint64_t(1) << 46, descriptor, problem));
  EXPECT_EQ(problem, "matrix descriptor 0x0000400000000000 has bits set outside of the fields of "
                     "wgmma's descriptors (mask 0x0000400000000000)");
  EXPECT_FALSE(MatrixDescriptor::decode(uint64_t(2) << 49, descriptor, problem));
  EXPECT_EQ(problem,
            "matrix descriptor has base offset 2, which is valid with a swizzle mode alone");
}

TEST(MatrixDescriptor, BaseOffsetShiftsThePattern) {
  // A tile whose pattern starts 256 bytes after a multiple of 1024 is laid out as if it started
  // there.
  OperandShape shape = {64, 2, Major::K};
  MatrixDescriptor aligned = Shared::descriptorFor(shape, Swizzle::Bytes128, 0x400);
  MatrixDescriptor shifted = aligned;
  shifted.start = 0x500;
  shifted.baseOffset = 0x500 >> 7 & 7;
  for (int i = 0; i < shape.chunks(); ++i)
    EXPECT_EQ(chunkAddress(shifted, shape, i), chunkAddress(aligned, shape, i) + 0x100);
}

TEST(WarpgroupMultiply, EveryWidth) {
  for (int n = 8; n <= 256; n += 8)
    expectProduct(bf16(n), Swizzle::Bytes128, Swizzle::Bytes128);
}

TEST(WarpgroupMultiply, EveryLayoutOfBothOperands) {
  const Swizzle modes[] = {Swizzle::None, Swizzle::Bytes32, Swizzle::Bytes64, Swizzle::Bytes128};
  for (Swizzle mode : modes)
    for (bool transposeA : {false, true})
      for (bool transposeB : {false, true}) {
        WarpgroupMultiply multiply = bf16(128);
        multiply.transposeA = transposeA;
        multiply.transposeB = transposeB;
        SCOPED_TRACE(testing::Message() << int(mode) << transposeA << transposeB);
        expectProduct(multiply, mode, mode);
      }
  expectProduct(bf16(64), Swizzle::None, Swizzle::Bytes64);
}

TEST(WarpgroupMultiply, EveryType) {
  using E = ElementType;
  using A = AccumulatorType;
  const WarpgroupMultiply variants[] = {
      {64, 16, E::F16, E::F16, A::F32},   {64, 16, E::F16, E::F16, A::F16},
      {64, 8, E::TF32, E::TF32, A::F32},  {64, 32, E::E4M3, E::E5M2, A::F32},
      {64, 32, E::E5M2, E::E5M2, A::F16}, {64, 32, E::S8, E::S8, A::S32},
      {64, 32, E::U8, E::U8, A::S32},
  };
  for (WarpgroupMultiply variant : variants)
    for (bool registers : {false, true}) {
      variant.registersHoldA = registers;
      expectProduct(variant, Swizzle::Bytes64, Swizzle::Bytes128);
    }
}

TEST(WarpgroupMultiply, ScalesAndNegations) {
  for (bool accumulate : {false, true})
    for (bool negateA : {false, true})
      for (bool negateB : {false, true})
        for (bool registers : {false, true}) {
          WarpgroupMultiply multiply = bf16(16);
          multiply.accumulate = accumulate;
          multiply.negateA = negateA;
          multiply.negateB = negateB;
          multiply.registersHoldA = registers;
          expectProduct(multiply, Swizzle::None, Swizzle::None);
        }
}

TEST(WarpgroupMultiply, WhatTheManualDoesNotHave) {
  using E = ElementType;
  using A = AccumulatorType;
  WarpgroupMultiply multiply = bf16(12);
  EXPECT_EQ(multiply.check(), "N is a multiple of 8 from 8 to 256");
  multiply = bf16(264);
  EXPECT_EQ(multiply.check(), "N is a multiple of 8 from 8 to 256");
  multiply = bf16(8);
  multiply.k = 8;
  EXPECT_EQ(multiply.check(), "the shapes for elements of 16 bits are m64nNk16");
  multiply = bf16(8);
  multiply.transposeA = multiply.registersHoldA = true;
  EXPECT_EQ(multiply.check(), "A in registers cannot be transposed");
  multiply = {8, 8, E::TF32, E::TF32, A::F32};
  multiply.transposeB = true;
  EXPECT_EQ(multiply.check(), "f16 and bf16 alone can be transposed");
  EXPECT_EQ((WarpgroupMultiply{8, 16, E::BF16, E::BF16, A::F16}.check()),
            "bf16 and tf32 multiplicands have f32 accumulators");
  EXPECT_EQ((WarpgroupMultiply{8, 16, E::F16, E::BF16, A::F32}.check()),
            "the multiplicands of wgmma have types of one kind and size");
  EXPECT_EQ((WarpgroupMultiply{40, 32, E::S8, E::S8, A::S32}.check()),
            "for integers N beyond 32 is a multiple of 16");
  EXPECT_EQ((WarpgroupMultiply{8, 32, E::S8, E::S8, A::F32}.check()),
            "integer multiplicands have s32 accumulators, floating-point ones f32 or f16");
  multiply = {8, 32, E::S8, E::S8, A::S32};
  multiply.negateA = true;
  EXPECT_EQ(multiply.check(), "integers cannot be negated");
  multiply = bf16(8);
  multiply.saturate = true;
  EXPECT_EQ(multiply.check(), ".satfinite applies to integers alone");
}

// What TMA writes with a swizzle, wgmma reads with the same: a K-major tile of 128 x 64 bf16, whose
// four slices of k lie 32 bytes apart.
TEST(WarpgroupMultiply, ReadsWhatTMAWrites) {
  TensorMap map;
  map.type = TensorType::BF16;
  map.rank = 2;
  map.dimensions = {64, 128, 1, 1, 1};
  map.strides = {128, 0, 0, 0};
  map.box = {64, 128, 1, 1, 1};
  map.swizzle = Swizzle::Bytes128;
  int32_t origin[2] = {0, 0};
  // Each 16-byte chunk of the tensor, by the number that follows from its address.
  std::vector<uint32_t> owner(1 << 14, ~0U);
  for (const BoxChunk &chunk : chunksOfBox(map, origin, 0x2000))
    owner[chunk.shared / 16] = uint32_t(chunk.global / 16);
  OperandShape shape = {64, 2, Major::K};
  for (uint32_t slice = 0; slice < 4; ++slice)
    for (uint32_t half = 0; half < 2; ++half) {
      MatrixDescriptor descriptor;
      descriptor.start = 0x2000 + 32 * slice + half * 64 * 128;
      descriptor.strideOffset = 1024;
      descriptor.swizzle = Swizzle::Bytes128;
      for (int i = 0; i < shape.chunks(); ++i) {
        uint32_t row = half * 64 + uint32_t(shape.firstExtent(i));
        uint32_t k = 16 * slice + uint32_t(shape.firstK(i));
        EXPECT_EQ(owner[chunkAddress(descriptor, shape, i) / 16], row * 8 + k / 8);
      }
    }
}
