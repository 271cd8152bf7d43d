//===- TensorCopy.cpp - From a box of a tensor to bytes in two memories -----------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "lib/Emulator/Matrix/TensorCopy.h"

#include "lib/Emulator/Matrix/Conversions.h"

#include <algorithm>

namespace quern::emulator::matrix {

namespace {
/// One row of a box along dimension 0: where it would begin in global memory and whether its other
/// coordinates lie inside.
struct Row {
  uint64_t global;
  bool inside;
};

Row locateRow(const TensorMap &map, const int32_t *coordinates,
              const std::array<uint32_t, TensorMap::maximalRank> &index) {
  Row row = {map.address, true};
  for (int i = 1; i < map.rank; ++i) {
    auto at = size_t(i);
    int64_t position = int64_t(coordinates[i]) + int64_t(index[at]) * map.elementStrides[at];
    row.inside &= position >= 0 && uint64_t(position) < map.dimensions[at];
    row.global += uint64_t(position) * map.strides[at - 1];
  }
  return row;
}

/// The value of type `Value` at `bytes`.
template <typename Value>
Value load(const uint8_t *bytes) {
  Value value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

template <typename Value>
Value reduceInteger(Reduction operation, Value a, Value b) {
  switch (operation) {
  case Reduction::Add:
    return Value(uint64_t(a) + uint64_t(b));
  case Reduction::Min:
    return std::min(a, b);
  case Reduction::Max:
    return std::max(a, b);
  case Reduction::Increment:
    return a >= b ? Value(0) : Value(a + 1);
  case Reduction::Decrement:
    return a == 0 || a > b ? b : Value(a - 1);
  case Reduction::And:
    return a & b;
  case Reduction::Or:
    return a | b;
  case Reduction::Xor:
    return a ^ b;
  }
  return a;
}

/// The minimum and maximum of PTX return the operand that is no NaN.
double reduceFloat(Reduction operation, double a, double b) {
  switch (operation) {
  case Reduction::Min:
    return std::fmin(a, b);
  case Reduction::Max:
    return std::fmax(a, b);
  default:
    return a + b;
  }
}

template <typename Value>
void reduceIntegers(Reduction operation, uint8_t *destination, const uint8_t *source) {
  Value result = reduceInteger(operation, load<Value>(destination), load<Value>(source));
  std::memcpy(destination, &result, sizeof result);
}

/// A sum of two f16 or bf16 numbers is exact in double, so that rounding it once is right.
void reduceHalves(FloatFormat format, Reduction operation, uint8_t *destination,
                  const uint8_t *source) {
  double value = reduceFloat(operation, decodeFloat(format, load<uint16_t>(destination)),
                             decodeFloat(format, load<uint16_t>(source)));
  auto bits = uint16_t(encodeFloat(format, value));
  std::memcpy(destination, &bits, sizeof bits);
}
} // namespace

std::vector<BoxChunk> chunksOfBox(const TensorMap &map, const int32_t *coordinates,
                                  uint32_t shared) {
  int64_t element = tensorTypeBytes(map.type);
  int64_t rowBytes = int64_t(map.box[0]) * element;
  // In bytes, the part of a row of the box that lies inside of the tensor.
  int64_t begin = std::max<int64_t>(0, -int64_t(coordinates[0]) * element);
  int64_t end =
      std::min<int64_t>(rowBytes, (int64_t(map.dimensions[0]) - int64_t(coordinates[0])) * element);
  // Of a box that is narrower than its swizzle the rows keep the distance of the span.
  uint32_t pitch = map.swizzle == Swizzle::None ? uint32_t(rowBytes) : swizzleSpan(map.swizzle);

  uint32_t rows = 1;
  for (int i = 1; i < map.rank; ++i)
    rows *= map.boxElements(i);
  std::vector<BoxChunk> chunks;
  chunks.reserve(size_t(rows) * size_t(rowBytes) / 16);
  std::array<uint32_t, TensorMap::maximalRank> index = {};
  for (uint32_t number = 0; number < rows; ++number) {
    Row row = locateRow(map, coordinates, index);
    for (int64_t offset = 0; offset < rowBytes; offset += 16) {
      BoxChunk chunk;
      chunk.shared = swizzleAddress(map.swizzle, shared + number * pitch + uint32_t(offset));
      int64_t first = std::clamp<int64_t>(begin - offset, 0, 16);
      int64_t last = row.inside ? std::clamp<int64_t>(end - offset, first, 16) : first;
      chunk.first = uint32_t(first);
      chunk.last = uint32_t(last);
      chunk.global = row.global + uint64_t(int64_t(coordinates[0]) * element + offset + first);
      chunks.push_back(chunk);
    }
    for (int i = 1; i < map.rank && ++index[size_t(i)] == map.boxElements(i); ++i)
      index[size_t(i)] = 0;
  }
  return chunks;
}

std::array<uint8_t, 16> fillPattern(const TensorMap &map) {
  std::array<uint8_t, 16> pattern = {};
  if (!map.fillNaN)
    return pattern;
  int bytes = tensorTypeBytes(map.type);
  // All ones but for the sign is a NaN in every format.
  for (int i = 0; i < 16; ++i)
    pattern[size_t(i)] = (i + 1) % bytes == 0 ? 0x7f : 0xff;
  return pattern;
}

int reductionTypeBytes(ReductionType type) {
  switch (type) {
  case ReductionType::F16:
  case ReductionType::BF16:
    return 2;
  case ReductionType::U64:
  case ReductionType::S64:
  case ReductionType::F64:
    return 8;
  default:
    return 4;
  }
}

bool reductionTypeOf(TensorType type, ReductionType &result) {
  switch (type) {
  case TensorType::U32:
    result = ReductionType::U32;
    return true;
  case TensorType::S32:
    result = ReductionType::S32;
    return true;
  case TensorType::U64:
    result = ReductionType::U64;
    return true;
  case TensorType::S64:
    result = ReductionType::S64;
    return true;
  case TensorType::F16:
    result = ReductionType::F16;
    return true;
  case TensorType::BF16:
    result = ReductionType::BF16;
    return true;
  case TensorType::F32:
  case TensorType::F32Flush:
    result = ReductionType::F32;
    return true;
  case TensorType::F64:
    result = ReductionType::F64;
    return true;
  default:
    return false;
  }
}

std::string checkReduction(Reduction operation, ReductionType type) {
  bool wide = type == ReductionType::F32 || type == ReductionType::F64;
  bool floating = wide || type == ReductionType::F16 || type == ReductionType::BF16;
  switch (operation) {
  case Reduction::Add:
    return type == ReductionType::S64 ? ".add takes .u64 rather than .s64" : "";
  case Reduction::Min:
  case Reduction::Max:
    return wide ? ".min and .max take integers, .f16 and .bf16" : "";
  case Reduction::Increment:
  case Reduction::Decrement:
    return type != ReductionType::U32 ? ".inc and .dec take .u32" : "";
  default:
    return floating ? ".and, .or and .xor take .b32 and .b64" : "";
  }
}

void reduceElement(Reduction operation, ReductionType type, uint8_t *destination,
                   const uint8_t *source) {
  switch (type) {
  case ReductionType::U32:
    return reduceIntegers<uint32_t>(operation, destination, source);
  case ReductionType::S32:
    return reduceIntegers<int32_t>(operation, destination, source);
  case ReductionType::U64:
    return reduceIntegers<uint64_t>(operation, destination, source);
  case ReductionType::S64:
    return reduceIntegers<int64_t>(operation, destination, source);
  case ReductionType::F16:
    return reduceHalves(FloatFormat::F16, operation, destination, source);
  case ReductionType::BF16:
    return reduceHalves(FloatFormat::BF16, operation, destination, source);
  case ReductionType::F32: {
    float sum = flushSubnormal(load<float>(destination)) + flushSubnormal(load<float>(source));
    sum = flushSubnormal(sum);
    std::memcpy(destination, &sum, sizeof sum);
    return;
  }
  case ReductionType::F64: {
    double sum = load<double>(destination) + load<double>(source);
    std::memcpy(destination, &sum, sizeof sum);
    return;
  }
  }
}

} // namespace quern::emulator::matrix
