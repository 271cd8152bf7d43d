//===- TensorMap.cpp - What TMA knows of a tensor ---------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "lib/Emulator/Matrix/TensorMap.h"

#include <algorithm>
#include <cstring>

namespace quern::emulator::matrix {

namespace {
/// At the start of an encoded map, with the number of this encoding's version.
constexpr char signature[8] = {'Q', 'T', 'M', 'A', 'P', 0, 0, 1};

/// Writes and reads fields one after the other, little endian as all machines that we run on.
struct Cursor {
  uint8_t *position;
  template <typename Value>
  void put(const Value &value) {
    std::memcpy(position, &value, sizeof value);
    position += sizeof value;
  }
  template <typename Value>
  void take(Value &value) {
    std::memcpy(&value, position, sizeof value);
    position += sizeof value;
  }
};

/// FNV-1a over all but the last 8 bytes, which hold it: a map that was overwritten is not decoded.
uint64_t checksum(const TensorMap::Encoded &bytes) {
  uint64_t hash = 0xcbf29ce484222325;
  for (size_t i = 0; i + sizeof hash < bytes.size(); ++i)
    hash = (hash ^ bytes[i]) * 0x100000001b3;
  return hash;
}

std::string number(uint64_t value) { return std::to_string(value); }

std::string indexed(const char *name, int index) {
  return std::string(name) + "[" + std::to_string(index) + "]";
}

/// All dimensions, strides, boxes and steps, one rule of the driver API after the other.
std::string checkDimensions(const TensorMap &map) {
  for (int i = 0; i < map.rank; ++i) {
    auto at = size_t(i);
    if (map.dimensions[at] == 0 || map.dimensions[at] > uint64_t(1) << 32)
      return indexed("globalDim", i) + " is " + number(map.dimensions[at]) +
             " and must be 1 to 2^32";
    if (map.box[at] == 0 || map.box[at] > 256)
      return indexed("boxDim", i) + " is " + number(map.box[at]) + " and must be 1 to 256";
    if (map.elementStrides[at] == 0 || map.elementStrides[at] > 8)
      return indexed("elementStrides", i) + " is " + number(map.elementStrides[at]) +
             " and must be 1 to 8";
  }
  for (int i = 0; i + 1 < map.rank; ++i) {
    uint64_t stride = map.strides[size_t(i)];
    if (stride % 16 != 0 || stride >= uint64_t(1) << 40)
      return indexed("globalStrides", i) + " is " + number(stride) +
             " bytes and must be a multiple of 16 below 2^40";
  }
  return "";
}
} // namespace

int tensorTypeBytes(TensorType type) {
  switch (type) {
  case TensorType::U8:
    return 1;
  case TensorType::U16:
  case TensorType::F16:
  case TensorType::BF16:
    return 2;
  case TensorType::U64:
  case TensorType::S64:
  case TensorType::F64:
    return 8;
  default:
    return 4;
  }
}

bool isFloatingPoint(TensorType type) { return type >= TensorType::F16; }

std::string TensorMap::check() const {
  if (rank < 1 || rank > maximalRank)
    return "tensorRank is " + std::to_string(rank) + " and must be 1 to 5";
  if (address % 16 != 0)
    return "globalAddress must be aligned to 16 bytes";
  if (std::string problem = checkDimensions(*this); !problem.empty())
    return problem;
  uint64_t inner = uint64_t(box[0]) * uint64_t(tensorTypeBytes(type));
  if (inner % 16 != 0)
    return "the box is " + number(inner) +
           " bytes wide (boxDim[0] times the element size) and must be a multiple of 16";
  if (swizzle != Swizzle::None && inner > swizzleSpan(swizzle))
    return "the box is " + number(inner) + " bytes wide, more than the " +
           number(swizzleSpan(swizzle)) + " bytes of the swizzle";
  if (fillNaN && !isFloatingPoint(type))
    return "NaN can fill tensors of floating-point types alone";
  return "";
}

TensorMap::Encoded TensorMap::encode() const {
  Encoded bytes = {};
  Cursor cursor = {bytes.data()};
  cursor.put(signature);
  cursor.put(address);
  for (uint64_t dimension : dimensions)
    cursor.put(uint32_t(dimension - 1)); // 2^32 is allowed
  for (uint64_t stride : strides)
    cursor.put(stride);
  for (int i = 0; i < maximalRank; ++i) {
    cursor.put(uint16_t(box[size_t(i)]));
    cursor.put(uint8_t(elementStrides[size_t(i)]));
  }
  cursor.put(uint8_t(rank));
  cursor.put(uint8_t(type));
  cursor.put(uint8_t(swizzle));
  cursor.put(uint8_t(fillNaN));
  cursor.position = bytes.data() + bytes.size() - sizeof(uint64_t);
  cursor.put(checksum(bytes));
  return bytes;
}

bool TensorMap::decode(const Encoded &encoded, TensorMap &result) {
  Encoded bytes = encoded;
  Cursor cursor = {bytes.data() + bytes.size() - sizeof(uint64_t)};
  uint64_t sum;
  cursor.take(sum);
  if (std::memcmp(bytes.data(), signature, sizeof signature) != 0 || sum != checksum(bytes))
    return false;
  cursor.position = bytes.data() + sizeof signature;
  TensorMap map;
  cursor.take(map.address);
  for (uint64_t &dimension : map.dimensions) {
    uint32_t last;
    cursor.take(last);
    dimension = uint64_t(last) + 1;
  }
  for (uint64_t &stride : map.strides)
    cursor.take(stride);
  for (int i = 0; i < maximalRank; ++i) {
    uint16_t extent;
    uint8_t step;
    cursor.take(extent);
    cursor.take(step);
    map.box[size_t(i)] = extent;
    map.elementStrides[size_t(i)] = step;
  }
  uint8_t rank, type, swizzle, fillNaN;
  cursor.take(rank);
  cursor.take(type);
  cursor.take(swizzle);
  cursor.take(fillNaN);
  map.rank = rank;
  map.type = TensorType(type);
  map.swizzle = Swizzle(swizzle);
  map.fillNaN = fillNaN != 0;
  result = map;
  return true;
}

uint32_t TensorMap::boxElements(int dimension) const {
  // Without interleaving TMA ignores the step of the contiguous dimension.
  uint32_t step = dimension == 0 ? 1 : elementStrides[size_t(dimension)];
  return (box[size_t(dimension)] + step - 1) / step;
}

uint64_t TensorMap::boxBytes() const {
  uint64_t bytes = uint64_t(tensorTypeBytes(type));
  for (int i = 0; i < rank; ++i)
    bytes *= boxElements(i);
  return bytes;
}

} // namespace quern::emulator::matrix
