//===- TensorArgument.cpp - Tensor maps on the command line -----------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "lib/Emulator/Tool/TensorArgument.h"

#include "quern/Emulator/Emulator.h"

#include <cstdlib>
#include <sstream>
#include <vector>

namespace quern::emulator {

using matrix::Swizzle;
using matrix::TensorMap;
using matrix::TensorType;

namespace {

std::vector<std::string> split(const std::string &text, char separator) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, separator);)
    parts.push_back(part);
  return parts;
}

[[noreturn]] void fail(const std::string &whole, const std::string &problem) {
  throw Error("--argument " + whole + ": " + problem);
}

/// "64x128"
std::vector<uint64_t> parseExtents(const std::string &text, const std::string &whole) {
  std::vector<uint64_t> extents;
  for (const std::string &part : split(text, 'x')) {
    char *end = nullptr;
    extents.push_back(std::strtoull(part.c_str(), &end, 10));
    if (part.empty() || part[0] == '-' || *end)
      fail(whole, "expected numbers like 64x128, not '" + text + "'");
  }
  return extents;
}

TensorType parseType(const std::string &text, const std::string &whole) {
  static constexpr struct {
    const char *name;
    TensorType type;
  } names[] = {{"u8", TensorType::U8},     {"u16", TensorType::U16},  {"u32", TensorType::U32},
               {"s32", TensorType::S32},   {"u64", TensorType::U64},  {"s64", TensorType::S64},
               {"f16", TensorType::F16},   {"f32", TensorType::F32},  {"f64", TensorType::F64},
               {"bf16", TensorType::BF16}, {"tf32", TensorType::TF32}};
  for (const auto &known : names)
    if (text == known.name)
      return known.type;
  fail(whole,
       "'" + text +
           "' is no type of tensor elements; u8, u16, u32, s32, u64, s64, f16, f32, f64, bf16 "
           "and tf32 are");
}

Swizzle parseSwizzle(const std::string &text, const std::string &whole) {
  for (Swizzle mode : {Swizzle::Bytes32, Swizzle::Bytes64, Swizzle::Bytes128})
    if (text == std::to_string(matrix::swizzleSpan(mode)))
      return mode;
  fail(whole, "'" + text + "' is no swizzle; 32, 64 and 128 bytes are");
}

} // namespace

TensorMap parseTensor(const std::string &text, const std::string &whole) {
  std::vector<std::string> parts = split(text, ',');
  if (parts.size() < 3 || parts.size() > 4)
    fail(whole, "expected tensor:TYPE,DIMENSIONS,BOX[,SWIZZLE]:FILE, like "
                "tensor:bf16,64x128,64x32,128:FILE, innermost dimension first");
  TensorMap map;
  map.type = parseType(parts[0], whole);
  std::vector<uint64_t> dimensions = parseExtents(parts[1], whole);
  std::vector<uint64_t> box = parseExtents(parts[2], whole);
  if (dimensions.empty() || dimensions.size() > size_t(TensorMap::maximalRank) ||
      box.size() != dimensions.size())
    fail(whole, "tensor and box have the same number of dimensions, 1 to 5");
  map.rank = int(dimensions.size());
  auto bytes = uint64_t(matrix::tensorTypeBytes(map.type));
  for (size_t i = 0; i < dimensions.size(); ++i) {
    map.dimensions[i] = dimensions[i];
    map.box[i] = uint32_t(box[i]);
    bytes *= dimensions[i];
    if (i + 1 < dimensions.size())
      map.strides[i] = bytes;
  }
  if (parts.size() == 4)
    map.swizzle = parseSwizzle(parts[3], whole);
  if (std::string problem = map.check(); !problem.empty())
    fail(whole, problem);
  return map;
}

} // namespace quern::emulator
