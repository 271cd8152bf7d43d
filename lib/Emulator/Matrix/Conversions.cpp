//===- Conversions.cpp - Floating-point formats of PTX and their rounding ---------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "lib/Emulator/Matrix/Conversions.h"

#include <limits>

namespace quern::emulator::matrix {

namespace {
/// A format as sign, exponent and mantissa fields; `shift` is where its lowest bit lies in a
/// register.
struct Layout {
  int registerBits, shift, exponentBits, mantissaBits;
  /// Without sign and unshifted. A format without infinity has `infinity` equal to `nan`.
  uint32_t largestFinite, infinity, nan;
  int bias() const { return (1 << (exponentBits - 1)) - 1; }
  uint32_t signBit() const { return 1U << (exponentBits + mantissaBits); }
};

const Layout &layoutOf(FloatFormat format) {
  static constexpr Layout layouts[] = {
      /*F16*/ {16, 0, 5, 10, 0x7bff, 0x7c00, 0x7fff},
      /*BF16*/ {16, 0, 8, 7, 0x7f7f, 0x7f80, 0x7fff},
      /*TF32*/ {32, 13, 8, 10, 0x3fbff, 0x3fc00, 0x3ffff},
      /*E4M3*/ {8, 0, 4, 3, 0x7e, 0x7f, 0x7f},
      /*E5M2*/ {8, 0, 5, 2, 0x7b, 0x7c, 0x7f},
      /*F32*/ {32, 0, 8, 23, 0x7f7fffff, 0x7f800000, 0x7fffffff},
  };
  return layouts[size_t(format)];
}

/// Whether the magnitude `kept` + `rest`, 0 <= rest < 1, is rounded up to `kept` + 1.
bool roundsAway(Rounding rounding, bool negative, uint64_t kept, double rest) {
  switch (rounding) {
  case Rounding::NearestEven:
    return rest > 0.5 || (rest == 0.5 && (kept & 1));
  case Rounding::NearestAway:
    return rest >= 0.5;
  case Rounding::TowardZero:
    return false;
  case Rounding::Down:
    return negative && rest > 0;
  case Rounding::Up:
    return !negative && rest > 0;
  }
  return false;
}

/// Whether a magnitude beyond the largest finite number stays there rather than become infinite.
bool staysFinite(Rounding rounding, bool negative) {
  return rounding == Rounding::TowardZero || (rounding == Rounding::Down && !negative) ||
         (rounding == Rounding::Up && negative);
}

/// The fields of a finite magnitude above zero; may exceed `largestFinite`.
uint64_t roundMagnitude(const Layout &layout, double magnitude, Rounding rounding, bool negative) {
  int exponent; // magnitude = [0.5, 1) * 2^exponent
  std::frexp(magnitude, &exponent);
  int smallestNormal = 1 - layout.bias();
  int field = exponent - 1 < smallestNormal ? 0 : exponent - 1 - smallestNormal;
  // In units of the last place: below 2^mantissaBits for subnormal numbers, else below twice that.
  double scaled = std::ldexp(magnitude, layout.mantissaBits - smallestNormal - field);
  uint64_t kept = uint64_t(scaled);
  kept += roundsAway(rounding, negative, kept, scaled - double(kept));
  // A carry out of the mantissa moves on into the exponent, as it should.
  return kept + (uint64_t(field) << layout.mantissaBits);
}
} // namespace

int formatBits(FloatFormat format) { return layoutOf(format).registerBits; }

uint32_t encodeFloat(FloatFormat format, double value, Conversion conversion) {
  const Layout &layout = layoutOf(format);
  if (std::isnan(value))
    return layout.nan << layout.shift;
  bool negative = std::signbit(value);
  if (negative && conversion.clampNegative)
    return 0;
  uint32_t fields;
  if (std::isinf(value)) {
    fields = conversion.saturateFinite ? layout.largestFinite : layout.infinity;
  } else if (value == 0) {
    fields = 0;
  } else {
    uint64_t rounded = roundMagnitude(layout, std::fabs(value), conversion.rounding, negative);
    bool fits = rounded <= layout.largestFinite;
    bool clamps = conversion.saturateFinite || staysFinite(conversion.rounding, negative);
    fields = fits ? uint32_t(rounded) : clamps ? layout.largestFinite : layout.infinity;
  }
  return (fields | (negative ? layout.signBit() : 0)) << layout.shift;
}

double decodeFloat(FloatFormat format, uint32_t bits) {
  const Layout &layout = layoutOf(format);
  bits >>= layout.shift;
  bool negative = bits & layout.signBit();
  uint32_t fields = bits & (layout.signBit() - 1);
  double magnitude;
  if (fields == layout.infinity && layout.infinity != layout.nan) {
    magnitude = std::numeric_limits<double>::infinity();
  } else if (fields > layout.largestFinite) {
    return std::numeric_limits<double>::quiet_NaN();
  } else {
    uint32_t field = fields >> layout.mantissaBits;
    uint32_t mantissa = fields & ((1U << layout.mantissaBits) - 1);
    if (field)
      mantissa |= 1U << layout.mantissaBits;
    magnitude =
        std::ldexp(double(mantissa), int(field ? field : 1) - layout.bias() - layout.mantissaBits);
  }
  return negative ? -magnitude : magnitude;
}

uint32_t encodePair(FloatFormat format, double upper, double lower, Conversion conversion) {
  return encodeFloat(format, upper, conversion) << formatBits(format) |
         encodeFloat(format, lower, conversion);
}

uint32_t convertPair(FloatFormat to, FloatFormat from, uint32_t pair, Conversion conversion) {
  int bits = formatBits(from);
  uint32_t mask = (1U << bits) - 1;
  return encodePair(to, decodeFloat(from, pair >> bits & mask), decodeFloat(from, pair & mask),
                    conversion);
}

} // namespace quern::emulator::matrix
