//===- ApproximateMath.cpp - The special function unit, at its documented error ---------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "lib/Emulator/Matrix/ApproximateMath.h"

#include "lib/Emulator/Matrix/Conversions.h"

namespace quern::emulator::matrix {

namespace {
constexpr double pi = 3.14159265358979323846;

/// `value` with `bits` significant bits, rounded to nearest even: a relative error of 2^-bits. In
/// integers, for kernels spend much of their time here; a carry moves on into the exponent, as it
/// should.
double significant(double value, int bits) {
  uint64_t word;
  std::memcpy(&word, &value, sizeof word);
  int dropped = 53 - bits;
  if (std::isnan(value))
    return value;
  word += (uint64_t(1) << (dropped - 1)) - 1 + (word >> dropped & 1);
  word &= ~uint64_t(0) << dropped;
  std::memcpy(&value, &word, sizeof value);
  return value;
}

/// The multiple of 2^-bits next to `value`, which is below 2^(51 - bits): an absolute error of
/// 2^-(bits + 1). Keeps the sign.
double onGrid(double value, int bits) {
  // At this size the unit in the last place of a double is the grid.
  double shift = std::ldexp(1.5, 52 - bits);
  return std::copysign(value + shift - shift, value);
}

float finish(double value, bool flush) {
  if (std::isnan(value))
    return floatOfBits(0x7fffffff);
  float result = float(value);
  return flush ? flushSubnormal(result) : result;
}

double start(float a, bool flush) { return double(flush ? flushSubnormal(a) : a); }

/// Sine and cosine, whose documented error grows with the angle.
float circular(double a, double exact, bool flush) {
  if (!std::isfinite(a))
    return floatOfBits(0x7fffffff);
  return finish(onGrid(exact, std::fabs(a) <= 2 * pi ? 20 : 14), flush);
}
} // namespace

float approximateReciprocal(float a, bool flush) {
  return finish(significant(1.0 / start(a, flush), 23), flush);
}

float approximateSquareRoot(float a, bool flush) {
  return finish(significant(std::sqrt(start(a, flush)), 23), flush);
}

float approximateReciprocalSquareRoot(float a, bool flush) {
  return finish(significant(1.0 / std::sqrt(start(a, flush)), 23), flush);
}

float approximateExp2(float a, bool flush) {
  return finish(significant(std::exp2(start(a, flush)), 22), flush);
}

float approximateLog2(float a, bool flush) {
  double exact = std::log2(start(a, flush));
  return finish(a > 0.5F && a < 2.0F ? onGrid(exact, 21) : significant(exact, 22), flush);
}

float approximateSine(float a, bool flush) {
  double input = start(a, flush);
  return circular(input, std::sin(input), flush);
}

float approximateCosine(float a, bool flush) {
  double input = start(a, flush);
  return circular(input, std::cos(input), flush);
}

float approximateTanh(float a) {
  // Subnormal inputs pass through (section 9.7.3.22).
  if (std::fabs(a) < 0x1p-126F)
    return a;
  return finish(significant(std::tanh(double(a)), 11), false);
}

float approximateDivideFull(float a, float b, bool flush) {
  return finish(significant(start(a, flush) / start(b, flush), 22), flush);
}

float approximateDivide(float a, float b, bool flush) {
  if (std::fabs(b) > 0x1p126F && std::isfinite(b)) {
    if (std::isinf(a) || std::isnan(a))
      return floatOfBits(0x7fffffff);
    return std::copysign(0.0F, a) * std::copysign(1.0F, b);
  }
  return approximateDivideFull(a, b, flush);
}

uint16_t approximateTanhF16(uint16_t a) {
  return uint16_t(
      encodeFloat(FloatFormat::F16, onGrid(std::tanh(decodeFloat(FloatFormat::F16, a)), 10)));
}

uint16_t approximateTanhBF16(uint16_t a) {
  return uint16_t(
      encodeFloat(FloatFormat::BF16, onGrid(std::tanh(decodeFloat(FloatFormat::BF16, a)), 7)));
}

uint16_t approximateExp2F16(uint16_t a) {
  return uint16_t(
      encodeFloat(FloatFormat::F16, significant(std::exp2(decodeFloat(FloatFormat::F16, a)), 10)));
}

uint16_t approximateExp2BF16(uint16_t a) {
  double exact = std::exp2(start(floatOfBF16(a), true));
  return uint16_t(encodeFloat(FloatFormat::BF16, double(finish(significant(exact, 7), true))));
}

} // namespace quern::emulator::matrix
