//===- TensorMapTests.cpp - Tensor maps, boxes, swizzles, reductions --------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "lib/Emulator/Matrix/Conversions.h"
#include "lib/Emulator/Matrix/TensorCopy.h"

#include <gtest/gtest.h>

#include <random>

using namespace quern::emulator::matrix;

namespace {
/// A 3-D tensor of f32 that is valid as it is.
TensorMap example() {
  TensorMap map;
  map.type = TensorType::F32;
  map.rank = 3;
  map.address = 0x10000;
  map.dimensions = {20, 7, 5, 1, 1};
  map.strides = {96, 96 * 8, 0, 0};
  map.box = {8, 4, 2, 1, 1};
  return map;
}

std::string problemOf(const std::function<void(TensorMap &)> &change) {
  TensorMap map = example();
  change(map);
  return map.check();
}

/// Loads a box by its definition, element for element, into memory without swizzle.
std::vector<uint8_t> loadByElement(const TensorMap &map, const std::vector<uint8_t> &tensor,
                                   const int32_t *coordinates) {
  auto size = uint64_t(tensorTypeBytes(map.type));
  std::vector<uint8_t> box;
  uint32_t extents[5];
  for (int i = 0; i < 5; ++i)
    extents[i] = i < map.rank ? map.boxElements(i) : 1;
  for (uint32_t e = 0; e < extents[4]; ++e)
    for (uint32_t d = 0; d < extents[3]; ++d)
      for (uint32_t c = 0; c < extents[2]; ++c)
        for (uint32_t b = 0; b < extents[1]; ++b)
          for (uint32_t a = 0; a < extents[0]; ++a) {
            uint32_t index[5] = {a, b, c, d, e};
            bool inside = true;
            int64_t at = 0;
            for (int i = 0; i < map.rank; ++i) {
              int64_t step = i == 0 ? 1 : int64_t(map.elementStrides[size_t(i)]);
              int64_t position = coordinates[i] + int64_t(index[i]) * step;
              inside = inside && position >= 0 && position < int64_t(map.dimensions[size_t(i)]);
              at += position * int64_t(i == 0 ? size : map.strides[size_t(i) - 1]);
            }
            for (uint64_t byte = 0; byte < size; ++byte)
              box.push_back(inside ? tensor[size_t(at) + byte] : 0);
          }
  return box;
}

std::vector<uint8_t> loadByChunk(const TensorMap &map, const std::vector<uint8_t> &tensor,
                                 const int32_t *coordinates) {
  std::vector<uint8_t> box(map.boxBytes(), 0xcc);
  for (const BoxChunk &chunk : chunksOfBox(map, coordinates, 0)) {
    for (uint32_t i = 0; i < 16; ++i)
      box[chunk.shared + i] = i >= chunk.first && i < chunk.last
                                  ? tensor[chunk.global - map.address + i - chunk.first]
                                  : 0;
  }
  return box;
}
} // namespace

TEST(TensorMap, SurvivesEncoding) {
  TensorMap map = example();
  map.rank = 5;
  map.dimensions = {uint64_t(1) << 32, 2, 3, 4, 5};
  map.strides = {16, (uint64_t(1) << 40) - 16, 48, 64};
  map.box = {256, 2, 3, 4, 5};
  map.elementStrides = {1, 2, 3, 4, 8};
  map.swizzle = Swizzle::Bytes64;
  map.fillNaN = true;
  TensorMap decoded;
  ASSERT_TRUE(TensorMap::decode(map.encode(), decoded));
  EXPECT_EQ(decoded.type, map.type);
  EXPECT_EQ(decoded.rank, 5);
  EXPECT_EQ(decoded.address, map.address);
  EXPECT_EQ(decoded.dimensions, map.dimensions);
  EXPECT_EQ(decoded.strides, map.strides);
  EXPECT_EQ(decoded.box, map.box);
  EXPECT_EQ(decoded.elementStrides, map.elementStrides);
  EXPECT_EQ(decoded.swizzle, map.swizzle);
  EXPECT_TRUE(decoded.fillNaN);
}

TEST(TensorMap, AnyChangedByteIsNoticed) {
  TensorMap::Encoded bytes = example().encode();
  TensorMap decoded;
  for (uint8_t &byte : bytes) {
    byte ^= 0x10;
    EXPECT_FALSE(TensorMap::decode(bytes, decoded)) << &byte - bytes.data();
    byte ^= 0x10;
  }
  EXPECT_TRUE(TensorMap::decode(bytes, decoded));
  EXPECT_FALSE(TensorMap::decode(TensorMap::Encoded(), decoded));
}

TEST(TensorMap, RulesOfTheDriver) {
  EXPECT_EQ(example().check(), "");
  EXPECT_EQ(problemOf([](TensorMap &map) { map.rank = 6; }), "tensorRank is 6 and must be 1 to 5");
  EXPECT_EQ(problemOf([](TensorMap &map) { map.rank = 0; }), "tensorRank is 0 and must be 1 to 5");
  EXPECT_EQ(problemOf([](TensorMap &map) { map.address += 8; }),
            "globalAddress must be aligned to 16 bytes");
  EXPECT_EQ(problemOf([](TensorMap &map) { map.dimensions[2] = 0; }),
            "globalDim[2] is 0 and must be 1 to 2^32");
  EXPECT_EQ(problemOf([](TensorMap &map) { map.dimensions[1] = (uint64_t(1) << 32) + 1; }),
            "globalDim[1] is 4294967297 and must be 1 to 2^32");
  EXPECT_EQ(problemOf([](TensorMap &map) { map.strides[1] = 100; }),
            "globalStrides[1] is 100 bytes and must be a multiple of 16 below 2^40");
  EXPECT_EQ(problemOf([](TensorMap &map) { map.strides[0] = uint64_t(1) << 40; }),
            "globalStrides[0] is 1099511627776 bytes and must be a multiple of 16 below 2^40");
  EXPECT_EQ(problemOf([](TensorMap &map) { map.box[1] = 257; }),
            "boxDim[1] is 257 and must be 1 to 256");
  EXPECT_EQ(problemOf([](TensorMap &map) { map.box[0] = 0; }),
            "boxDim[0] is 0 and must be 1 to 256");
  EXPECT_EQ(problemOf([](TensorMap &map) { map.elementStrides[1] = 9; }),
            "elementStrides[1] is 9 and must be 1 to 8");
  EXPECT_EQ(problemOf([](TensorMap &map) { map.box[0] = 6; }),
            "the box is 24 bytes wide (boxDim[0] times the element size) and must be a multiple of "
            "16");
  EXPECT_EQ(problemOf([](TensorMap &map) {
              map.swizzle = Swizzle::Bytes64;
              map.box[0] = 20;
            }),
            "the box is 80 bytes wide, more than the 64 bytes of the swizzle");
  EXPECT_EQ(problemOf([](TensorMap &map) {
              map.type = TensorType::S32;
              map.fillNaN = true;
            }),
            "NaN can fill tensors of floating-point types alone");
}

TEST(TensorCopy, BoxesInsideAndAcrossEdges) {
  std::mt19937 random(11);
  const TensorType types[] = {TensorType::U8, TensorType::BF16, TensorType::F32, TensorType::F64};
  for (int trial = 0; trial < 500; ++trial) {
    TensorMap map;
    map.address = 0x1000;
    map.type = types[random() % 4];
    map.rank = 1 + int(random() % 5);
    auto size = uint64_t(tensorTypeBytes(map.type));
    uint64_t bytes = 0;
    int32_t coordinates[5];
    for (int i = 0; i < map.rank; ++i) {
      auto at = size_t(i);
      map.dimensions[at] = i == 0 ? 1 + random() % 40 : 1 + random() % 4;
      map.box[at] = i == 0 ? uint32_t(16 / size * (1 + random() % 2)) : 1 + random() % 3;
      map.elementStrides[at] = 1 + random() % 2;
      coordinates[i] = int32_t(random() % (map.dimensions[at] + 8)) - 4;
      if (i == 0)
        bytes = (map.dimensions[0] * size + 15) / 16 * 16 + 16 * (random() % 2);
      else
        bytes *= map.dimensions[at] + random() % 2;
      if (i + 1 < map.rank)
        map.strides[at] = bytes;
    }
    std::vector<uint8_t> tensor(bytes * 2);
    for (uint8_t &byte : tensor)
      byte = uint8_t(random() | 1);
    ASSERT_EQ(map.check(), "");
    EXPECT_EQ(loadByChunk(map, tensor, coordinates), loadByElement(map, tensor, coordinates));
  }
}

// The tables of section 5.5.7: which 16-byte cell of a line lies at each place.
TEST(TensorCopy, SwizzlesAsInTheManual) {
  const char *patterns[] = {
      "01234567",                                                                 // none
      "01234567 10325476",                                                        // 32 bytes
      "01234567 10325476 23016745 32107654",                                      // 64 bytes
      "01234567 10325476 23016745 32107654 45670123 54761032 67452301 76543210"}; // 128 bytes
  for (uint32_t mode = 0; mode < 4; ++mode) {
    std::string pattern = patterns[mode];
    uint32_t lines = uint32_t(pattern.size() + 1) / 9;
    for (uint32_t line = 0; line < 16; ++line)
      for (uint32_t cell = 0; cell < 8; ++cell) {
        uint32_t address = line * 128 + cell * 16;
        uint32_t landed = swizzleAddress(Swizzle(mode), address + 5);
        EXPECT_EQ(landed / 128, line);
        EXPECT_EQ(landed % 16, 5U);
        uint32_t place = landed % 128 / 16;
        EXPECT_EQ(pattern[line % lines * 9 + place], char('0' + cell)) << mode << " " << line;
      }
  }
}

TEST(TensorCopy, SwizzledRowsKeepTheSpan) {
  TensorMap map = example();
  map.swizzle = Swizzle::Bytes64; // the box is 32 bytes wide
  int32_t origin[3] = {0, 0, 0};
  std::vector<BoxChunk> chunks = chunksOfBox(map, origin, 0x400);
  ASSERT_EQ(chunks.size(), 16U);
  EXPECT_EQ(map.boxBytes(), 256U);
  EXPECT_EQ(chunks[2].shared, 0x440U);        // second row, line 0
  EXPECT_EQ(chunks[4].shared, 0x480U ^ 0x10); // third row, line 1
  EXPECT_EQ(chunks[4].global, map.address + 2 * 96);
}

TEST(TensorCopy, Fill) {
  TensorMap map = example();
  EXPECT_EQ(fillPattern(map), (std::array<uint8_t, 16>()));
  map.fillNaN = true;
  for (TensorType type : {TensorType::F32, TensorType::F64, TensorType::BF16, TensorType::F16}) {
    map.type = type;
    std::array<uint8_t, 16> pattern = fillPattern(map);
    float single;
    double wide;
    uint16_t half;
    std::memcpy(&single, &pattern[4], 4);
    std::memcpy(&wide, &pattern[8], 8);
    std::memcpy(&half, &pattern[14], 2);
    if (type == TensorType::F64)
      EXPECT_TRUE(std::isnan(wide));
    else if (type == TensorType::F32)
      EXPECT_TRUE(std::isnan(single));
    else
      EXPECT_EQ(half, 0x7fff);
  }
}

namespace {
template <typename Value>
Value reduced(Reduction operation, ReductionType type, Value a, Value b) {
  uint8_t destination[8], source[8];
  std::memcpy(destination, &a, sizeof a);
  std::memcpy(source, &b, sizeof b);
  reduceElement(operation, type, destination, source);
  std::memcpy(&a, destination, sizeof a);
  return a;
}
} // namespace

TEST(Reductions, Elements) {
  EXPECT_EQ(reduced(Reduction::Add, ReductionType::U32, ~0U, 2U), 1U);
  EXPECT_EQ(reduced(Reduction::Min, ReductionType::S32, -3, 2), -3);
  EXPECT_EQ(reduced(Reduction::Min, ReductionType::U32, uint32_t(-3), 2U), 2U);
  EXPECT_EQ(reduced(Reduction::Max, ReductionType::S64, int64_t(-3), int64_t(2)), 2);
  EXPECT_EQ(reduced(Reduction::Increment, ReductionType::U32, 4U, 5U), 5U);
  EXPECT_EQ(reduced(Reduction::Increment, ReductionType::U32, 5U, 5U), 0U);
  EXPECT_EQ(reduced(Reduction::Decrement, ReductionType::U32, 0U, 5U), 5U);
  EXPECT_EQ(reduced(Reduction::Decrement, ReductionType::U32, 7U, 5U), 5U);
  EXPECT_EQ(reduced(Reduction::Decrement, ReductionType::U32, 3U, 5U), 2U);
  EXPECT_EQ(reduced(Reduction::And, ReductionType::U64, uint64_t(12), uint64_t(10)), 8U);
  EXPECT_EQ(reduced(Reduction::Or, ReductionType::U32, 12U, 10U), 14U);
  EXPECT_EQ(reduced(Reduction::Xor, ReductionType::U32, 12U, 10U), 6U);
  EXPECT_EQ(reduced(Reduction::Add, ReductionType::F32, 1.5F, 2.25F), 3.75F);
  // f32 sums flush subnormal numbers, the others do not.
  EXPECT_EQ(reduced(Reduction::Add, ReductionType::F32, 0x1p-127F, 0x1p-127F), 0.0F);
  EXPECT_EQ(reduced(Reduction::Add, ReductionType::F64, 0x1p-1030, 0x1p-1030), 0x1p-1029);
  EXPECT_EQ(reduced(Reduction::Add, ReductionType::F16, uint16_t(1), uint16_t(1)), 2);
  EXPECT_EQ(reduced(Reduction::Add, ReductionType::BF16, uint16_t(0x3f80), uint16_t(0x3f80)),
            0x4000);
  EXPECT_EQ(reduced(Reduction::Max, ReductionType::F16, uint16_t(0x7fff), uint16_t(0x3c00)),
            0x3c00);
}

TEST(Reductions, WhatTheManualDoesNotHave) {
  EXPECT_EQ(checkReduction(Reduction::Add, ReductionType::F32), "");
  EXPECT_EQ(checkReduction(Reduction::Add, ReductionType::S64), ".add takes .u64 rather than .s64");
  EXPECT_EQ(checkReduction(Reduction::Min, ReductionType::F32),
            ".min and .max take integers, .f16 and .bf16");
  EXPECT_EQ(checkReduction(Reduction::Increment, ReductionType::S32), ".inc and .dec take .u32");
  EXPECT_EQ(checkReduction(Reduction::Xor, ReductionType::BF16),
            ".and, .or and .xor take .b32 and .b64");
  ReductionType type;
  EXPECT_FALSE(reductionTypeOf(TensorType::U8, type));
  EXPECT_FALSE(reductionTypeOf(TensorType::TF32, type));
  ASSERT_TRUE(reductionTypeOf(TensorType::BF16, type));
  EXPECT_EQ(type, ReductionType::BF16);
  EXPECT_EQ(reductionTypeBytes(type), 2);
}
