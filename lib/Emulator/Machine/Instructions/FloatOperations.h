//===- FloatOperations.h - What f32 and f64 instructions compute in a lane --------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
///
/// \file
/// PTX ISA 8.3, section 9.7.3. Results of f32 that are NaN are the canonical one, 0x7fffffff; f64
/// keeps the payload of an operand. `.ftz` replaces subnormal operands and results by zeros of
/// their sign,
/// `.sat` clamps to [0, 1] and makes NaN +0.
///
#ifndef QUERN_EMULATOR_MACHINE_INSTRUCTIONS_FLOATOPERATIONS_H
#define QUERN_EMULATOR_MACHINE_INSTRUCTIONS_FLOATOPERATIONS_H

#include "lib/Emulator/Machine/Program.h"
#include "lib/Emulator/Matrix/Conversions.h"

#include <cmath>

namespace quern::emulator::machine {

inline float flushed(float value) { return std::fabs(value) < 0x1p-126f ? value * 0.0f : value; }
inline double flushed(double value) { return value; }

inline float canonical(float value) {
  return value == value ? value : matrix::floatOfBits(0x7fffffff);
}
inline double canonical(double value) { return value; }

/// A result with what is left to do for `.ftz` and `.sat`.
template <bool flush, bool saturate, typename T>
inline T finished(T value) {
  if (flush)
    value = flushed(value);
  if (saturate) // not true for NaN, nor for what is at most 0
    return value > T(0) ? (value < T(1) ? value : T(1)) : T(0);
  return canonical(value);
}

/// F with flushed operands and a finished result.
template <typename F, bool flush, bool saturate>
struct Float {
  template <typename T>
  static T operand(T value) {
    return flush ? flushed(value) : value;
  }
  template <typename T>
  static T apply(T a) {
    return F::apply(operand(a));
  }
  template <typename T>
  static T apply(T a, T b) {
    return finished<flush, saturate>(F::apply(operand(a), operand(b)));
  }
};

struct AddFloat {
  template <typename T>
  static T apply(T a, T b) {
    return a + b;
  }
};
struct SubFloat {
  template <typename T>
  static T apply(T a, T b) {
    return a - b;
  }
};
struct MulFloat {
  template <typename T>
  static T apply(T a, T b) {
    return a * b;
  }
};
/// The sign bit alone changes, that of a NaN too.
struct AbsFloat {
  template <typename T>
  static T apply(T a) {
    return std::fabs(a);
  }
};
struct NegFloat {
  template <typename T>
  static T apply(T a) {
    return -a;
  }
};

/// -0 is less than +0. With `propagate` (.NaN) a NaN operand wins, else the other operand does.
/// With `xorSign` (.xorsign.abs) magnitudes are compared and the sign is the product of both signs.
template <bool isMin, bool propagate, bool xorSign>
struct Extreme {
  template <typename T>
  static T apply(T a, T b) {
    bool negative = std::signbit(a) != std::signbit(b);
    T first = xorSign ? std::fabs(a) : a, second = xorSign ? std::fabs(b) : b;
    bool isLess = first < second || (first == second && std::signbit(first));
    T result = isLess == isMin ? first : second;
    bool isNaN = false;
    if (first != first || second != second) {
      isNaN = propagate || (first != first && second != second);
      result = first != first && !isNaN     ? second
               : second != second && !isNaN ? first
                                            : first + second;
    }
    return xorSign && !isNaN ? std::copysign(result, negative ? T(-1) : T(1)) : result;
  }
};
template <bool propagate, bool xorSign>
using MinFloat = Extreme<true, propagate, xorSign>;
template <bool propagate, bool xorSign>
using MaxFloat = Extreme<false, propagate, xorSign>;

/// results[lane] = a[lane] * b[lane] + c[lane], rounded once, for all lanes of a warp.
void fuseLanes(const float *a, const float *b, const float *c, float *results);
void fuseLanes(const double *a, const double *b, const double *c, double *results);

} // namespace quern::emulator::machine

#endif // QUERN_EMULATOR_MACHINE_INSTRUCTIONS_FLOATOPERATIONS_H
