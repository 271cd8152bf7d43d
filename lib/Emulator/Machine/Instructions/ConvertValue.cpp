//===- ConvertValue.cpp - One conversion of one value -----------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "lib/Emulator/Machine/Instructions/ConvertValue.h"

#include <algorithm>

namespace quern::emulator::machine {

using matrix::FloatFormat;
using matrix::Rounding;

namespace {

__int128 integerOf(Type type, uint64_t bits) {
  unsigned shift = 64 - bitsOf(type);
  return isSigned(type) ? __int128(int64_t(bits << shift) >> shift)
                        : __int128(bits << shift >> shift);
}

double doubleOf(Type type, uint64_t bits) {
  switch (type) {
  case Type::F16:
    return matrix::decodeFloat(FloatFormat::F16, uint16_t(bits));
  case Type::BF16:
    return matrix::decodeFloat(FloatFormat::BF16, uint16_t(bits));
  case Type::F32:
    return double(matrix::floatOfBits(uint32_t(bits)));
  default: {
    double value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
  }
  }
}

uint64_t bitsOfDouble(double value) {
  uint64_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

double roundToIntegral(double value, Rounding rounding) {
  switch (rounding) {
  case Rounding::TowardZero:
    return std::trunc(value);
  case Rounding::Down:
    return std::floor(value);
  case Rounding::Up:
    return std::ceil(value);
  default:
    return std::nearbyint(value);
  }
}

/// An integer of at most 65 bits as a double, rounded.
double roundToDouble(__int128 value, Rounding rounding) {
  double nearest = double(value);
  auto back = __int128(nearest);
  if (back == value || rounding == Rounding::NearestEven)
    return nearest;
  bool isAbove = back > value;
  bool wantsBelow = rounding == Rounding::Down || (rounding == Rounding::TowardZero && value > 0);
  if (isAbove == wantsBelow)
    return std::nextafter(nearest, wantsBelow ? -INFINITY : INFINITY);
  return nearest;
}

/// The same with the last bit set where something was cut off, so that a second rounding to fewer
/// bits gives what a single one would.
double roundToOdd(__int128 value) {
  double down = roundToDouble(value, Rounding::TowardZero);
  uint64_t bits = bitsOfDouble(down);
  if (__int128(down) != value)
    bits |= 1;
  std::memcpy(&down, &bits, sizeof bits);
  return down;
}

uint64_t encode(const ValueConversion &how, double value) {
  if (how.saturate)
    value = value > 0 ? std::min(value, 1.0) : 0.0;
  matrix::Conversion conversion{how.rounding, how.saturateFinite, how.clampNegative};
  switch (how.to) {
  case Type::F64:
    return bitsOfDouble(value);
  case Type::F32: {
    uint32_t bits = matrix::encodeFloat(FloatFormat::F32, value, conversion);
    return how.flush ? matrix::bitsOfFloat(matrix::flushSubnormal(matrix::floatOfBits(bits)))
                     : bits;
  }
  case Type::TF32:
    return matrix::encodeFloat(FloatFormat::TF32, value, conversion);
  case Type::F16:
    return matrix::encodeFloat(FloatFormat::F16, value, conversion);
  default:
    return matrix::encodeFloat(FloatFormat::BF16, value, conversion);
  }
}

/// Largest and smallest value of an integer type.
__int128 largest(Type type) {
  return (__int128(1) << (bitsOf(type) - (isSigned(type) ? 1 : 0))) - 1;
}
__int128 smallest(Type type) { return isSigned(type) ? -largest(type) - 1 : 0; }

uint64_t realToInteger(const ValueConversion &how, double value) {
  if (value != value) {
    // 0, but for 64 bits on either side the pattern with the top bit alone.
    bool wide = how.from == Type::F64 || bitsOf(how.to) == 64;
    return wide ? uint64_t(1) << (bitsOf(how.to) - 1) : 0;
  }
  value = roundToIntegral(value, how.rounding);
  // Results that do not fit are clamped, with or without .sat.
  if (value >= double(largest(how.to)))
    return uint64_t(largest(how.to));
  if (value <= double(smallest(how.to)))
    return uint64_t(smallest(how.to));
  return uint64_t(__int128(value));
}

} // namespace

bool canConvert(const ValueConversion &conversion) {
  auto isKnown = [](Type type) {
    return (isInteger(type) && type != Type::U16x2 && type != Type::S16x2) || type == Type::F16 ||
           type == Type::BF16 || type == Type::F32 || type == Type::F64;
  };
  if (conversion.to == Type::TF32)
    return conversion.from == Type::F32;
  return isKnown(conversion.to) && isKnown(conversion.from);
}

uint64_t convertValue(const ValueConversion &how, uint64_t bits) {
  if (isFloat(how.from)) {
    double value = doubleOf(how.from, bits);
    if (how.flush && how.from == Type::F32 && std::fabs(value) < 0x1p-126)
      value = std::copysign(0.0, value);
    if (!isFloat(how.to))
      return realToInteger(how, value);
    return encode(how, how.toIntegral ? roundToIntegral(value, how.rounding) : value);
  }
  __int128 value = integerOf(how.from, bits);
  if (!isFloat(how.to)) {
    if (how.saturate)
      value = std::min(std::max(value, smallest(how.to)), largest(how.to));
    return uint64_t(value);
  }
  if (how.to == Type::F64)
    return encode(how, roundToDouble(value, how.rounding));
  return encode(how, roundToOdd(value));
}

} // namespace quern::emulator::machine
