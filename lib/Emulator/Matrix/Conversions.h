//===- Conversions.h - Floating-point formats of PTX and their rounding -----------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
///
/// \file
/// f16, bf16, tf32, e4m3, e5m2 and f32 as bit patterns, to and from double, which holds each of
/// them exactly. What `cvt` does (PTX ISA 9.1, section 9.7.9.21): rounding modes, `.satfinite`,
/// `.relu`, packed pairs. Subnormal numbers are kept; `.ftz` is `flushSubnormal` around a
/// conversion.
///
#ifndef QUERN_EMULATOR_MATRIX_CONVERSIONS_H
#define QUERN_EMULATOR_MATRIX_CONVERSIONS_H

#include <cmath>
#include <cstdint>
#include <cstring>

namespace quern::emulator::matrix {

enum class FloatFormat : uint8_t { F16, BF16, TF32, E4M3, E5M2, F32 };

/// `.rn`, `.rna`, `.rz`, `.rm`, `.rp`.
enum class Rounding : uint8_t { NearestEven, NearestAway, TowardZero, Down, Up };

/// What happens besides rounding.
struct Conversion {
  Rounding rounding = Rounding::NearestEven;
  /// `.satfinite`: what is too large, infinities too, becomes the largest finite number.
  bool saturateFinite = false;
  /// `.relu`: what is negative becomes +0.
  bool clampNegative = false;
};

/// Bits that a value of the format takes in a register: 8, 16 or 32 (tf32: the upper 19 of 32).
int formatBits(FloatFormat format);

/// `value` in `format`. NaN becomes the format's canonical one (f32 0x7fffffff, f16 and bf16
/// 0x7fff, e4m3 and e5m2 0x7f). Without `saturateFinite`, what is too large for e4m3, which has no
/// infinity, becomes NaN.
uint32_t encodeFloat(FloatFormat format, double value, Conversion conversion = {});

/// The number that the low bits of `bits` stand for. Of tf32 the lower 13 bits are ignored, as the
/// tensor cores do.
double decodeFloat(FloatFormat format, uint32_t bits);

/// Two values in one register, `upper` in the upper half: cvt.rn.bf16x2.f32 and its siblings.
uint32_t encodePair(FloatFormat format, double upper, double lower, Conversion conversion = {});

/// A packed pair of `from` (e4m3x2 or e5m2x2 in 16 bits, f16x2 in 32) as a packed pair of `to`.
uint32_t convertPair(FloatFormat to, FloatFormat from, uint32_t pair, Conversion conversion = {});

inline uint32_t bitsOfFloat(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

inline float floatOfBits(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

inline float floatOfBF16(uint16_t bits) { return floatOfBits(uint32_t(bits) << 16); }

/// cvt.rn.bf16.f32 without going through double, for what converts a lot.
inline uint16_t bf16OfFloat(float value) {
  uint32_t bits = bitsOfFloat(value);
  if ((bits & 0x7fffffff) > 0x7f800000)
    return 0x7fff;
  return uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/// f16 to f32, exactly.
inline float floatOfF16(uint16_t bits) {
  uint32_t sign = uint32_t(bits & 0x8000) << 16, rest = bits & 0x7fff;
  if (rest >= 0x7c00) // infinity and NaN
    return floatOfBits(sign | 0x7f800000 | (rest & 0x3ff) << 13);
  if (rest >= 0x400)
    return floatOfBits(sign | ((rest << 13) + ((127 - 15) << 23)));
  float magnitude = float(rest) * 0x1p-24F;
  return sign ? -magnitude : magnitude;
}

/// `.ftz`: a subnormal f32 becomes a zero of its sign.
inline float flushSubnormal(float value) {
  return std::fabs(value) < 0x1p-126F ? std::copysign(0.0F, value) : value;
}

} // namespace quern::emulator::matrix

#endif // QUERN_EMULATOR_MATRIX_CONVERSIONS_H
