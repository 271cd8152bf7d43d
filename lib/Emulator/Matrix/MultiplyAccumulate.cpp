//===- MultiplyAccumulate.cpp - The arithmetic of the tensor cores ----------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "lib/Emulator/Matrix/MultiplyAccumulate.h"

#include "lib/Emulator/Matrix/Conversions.h"

#include <algorithm>
#include <array>
#include <cassert>

namespace quern::emulator::matrix {

namespace {
/// The widest D: 256 columns of wgmma.
constexpr int maximalN = 256;

/// `value` with the 24 leading bits of its significand; exact for zeros and infinities, and a quiet
/// NaN stays one.
double cutSignificand(double value) {
  uint64_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  bits &= ~uint64_t(0) << 29;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

template <int bits>
std::array<double, 1 << bits> decodeAll(FloatFormat format) {
  std::array<double, 1 << bits> table;
  for (uint32_t i = 0; i < table.size(); ++i)
    table[i] = decodeFloat(format, i);
  return table;
}
} // namespace

int elementBits(ElementType type) {
  switch (type) {
  case ElementType::TF32:
    return 32;
  case ElementType::F16:
  case ElementType::BF16:
    return 16;
  default:
    return 8;
  }
}

bool isInteger(ElementType type) { return type == ElementType::S8 || type == ElementType::U8; }

double decodeElement(ElementType type, uint32_t bits) {
  switch (type) {
  case ElementType::F16:
    return double(floatOfF16(uint16_t(bits)));
  case ElementType::BF16:
    return double(floatOfBF16(uint16_t(bits)));
  case ElementType::TF32:
    return double(floatOfBits(bits & 0xffffe000));
  case ElementType::E4M3: {
    static const auto table = decodeAll<8>(FloatFormat::E4M3);
    return table[bits & 0xff];
  }
  case ElementType::E5M2: {
    static const auto table = decodeAll<8>(FloatFormat::E5M2);
    return table[bits & 0xff];
  }
  case ElementType::S8:
    return double(int8_t(bits));
  case ElementType::U8:
    return double(uint8_t(bits));
  }
  return 0;
}

float truncateToSingle(double value) {
  if (value != value)
    return floatOfBits(0x7fffffff);
  return float(cutSignificand(value));
}

void multiplyAccumulate(int m, int n, int k, int group, const double *a, const double *b,
                        float *d) {
  assert(n <= maximalN && "no tensor core instruction has more columns");
  double sums[maximalN];
  for (int i = 0; i < m; ++i) {
    std::copy(d + i * n, d + (i + 1) * n, sums);
    for (int first = 0; first < k; first += group) {
      int last = std::min(first + group, k);
      for (int step = first; step < last; ++step) {
        double factor = a[i * k + step];
        const double *row = b + step * n;
        for (int j = 0; j < n; ++j)
          sums[j] += factor * row[j];
      }
      for (int j = 0; j < n; ++j)
        sums[j] = cutSignificand(sums[j]);
    }
    for (int j = 0; j < n; ++j)
      d[i * n + j] = truncateToSingle(sums[j]);
  }
}

void multiplyAccumulate(int m, int n, int k, const double *a, const double *b, int32_t *d,
                        bool saturate) {
  for (int i = 0; i < m; ++i)
    for (int j = 0; j < n; ++j) {
      int64_t sum = d[i * n + j];
      for (int step = 0; step < k; ++step)
        sum += int64_t(a[i * k + step] * b[step * n + j]);
      if (saturate)
        sum = std::clamp<int64_t>(sum, INT32_MIN, INT32_MAX);
      d[i * n + j] = int32_t(uint32_t(sum));
    }
}

} // namespace quern::emulator::matrix
