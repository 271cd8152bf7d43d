//===- RoundedResult.cpp - Arithmetic in a rounding mode of the host --------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
///
/// \file
/// This file is compiled with -frounding-math: the compiler must not compute or move anything
/// across a change of the mode.
///
#include "lib/Emulator/Machine/Instructions/RoundedArithmetic.h"

#include <cfenv>
#include <cmath>

namespace quern::emulator::machine {

namespace {

class RoundingMode {
public:
  explicit RoundingMode(matrix::Rounding rounding) : before(std::fegetround()) {
    switch (rounding) {
    case matrix::Rounding::TowardZero:
      std::fesetround(FE_TOWARDZERO);
      break;
    case matrix::Rounding::Down:
      std::fesetround(FE_DOWNWARD);
      break;
    case matrix::Rounding::Up:
      std::fesetround(FE_UPWARD);
      break;
    default:
      std::fesetround(FE_TONEAREST);
      break;
    }
  }
  ~RoundingMode() { std::fesetround(before); }
  RoundingMode(const RoundingMode &) = delete;
  RoundingMode &operator=(const RoundingMode &) = delete;

private:
  int before;
};

template <typename T>
T compute(RoundedOperation operation, matrix::Rounding rounding, T a, T b, T c) {
  RoundingMode mode(rounding);
  volatile T x = a, y = b, z = c, result = 0;
  switch (operation) {
  case RoundedOperation::Add:
    result = x + y;
    break;
  case RoundedOperation::Sub:
    result = x - y;
    break;
  case RoundedOperation::Mul:
    result = x * y;
    break;
  case RoundedOperation::Fma:
    result = std::fma(x, y, z);
    break;
  case RoundedOperation::Div:
    result = x / y;
    break;
  case RoundedOperation::Sqrt:
    result = std::sqrt(x);
    break;
  case RoundedOperation::Rcp:
    result = T(1) / x;
    break;
  }
  return result;
}

} // namespace

float roundedResult(RoundedOperation operation, matrix::Rounding rounding, float a, float b,
                    float c) {
  return compute(operation, rounding, a, b, c);
}

double roundedResult(RoundedOperation operation, matrix::Rounding rounding, double a, double b,
                     double c) {
  return compute(operation, rounding, a, b, c);
}

} // namespace quern::emulator::machine
