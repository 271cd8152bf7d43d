//===- Bfloat.h - bf16, the upper half of an f32 ----------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
///
/// \file
/// Conversions of single numbers. To bf16 they round to nearest, ties to even, as compiled code
/// does (Wang and Kanwar 2019, BFloat16: the secret to high performance on Cloud TPUs).
///
#ifndef QUERN_RUNTIME_BFLOAT_H
#define QUERN_RUNTIME_BFLOAT_H

#include <cmath>
#include <cstdint>
#include <cstring>

namespace quern::runtime {

/// Exact.
inline float fromBfloat(uint16_t half) {
  uint32_t bits = uint32_t(half) << 16;
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}

inline uint16_t toBfloat(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u) // a NaN stays one, whatever its fraction
    return uint16_t(bits >> 16 | 0x40);
  return uint16_t((bits + 0x7FFFu + (bits >> 16 & 1)) >> 16);
}

/// Rounds once: by way of an f32 that was rounded to odd (Boldo and Melquiond 2008).
inline uint16_t toBfloat(double value) {
  auto single = float(value);
  if (double(single) != value && !std::isnan(value)) {
    if (std::abs(double(single)) > std::abs(value))
      single = std::nextafter(single, 0.0f);
    uint32_t bits;
    std::memcpy(&bits, &single, 4);
    bits |= 1;
    std::memcpy(&single, &bits, 4);
  }
  return toBfloat(single);
}

} // namespace quern::runtime

#endif // QUERN_RUNTIME_BFLOAT_H
