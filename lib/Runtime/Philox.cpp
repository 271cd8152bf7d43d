//===- Philox.cpp - Counter-based random numbers ----------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "quern/Runtime/Philox.h"

#include <cmath>

namespace quern::runtime {

PhiloxCounter philox(PhiloxCounter counter, PhiloxKey key) {
  for (int round = 0; round < 10; ++round) {
    if (round) {
      key[0] += 0x9E3779B9u; // golden ratio
      key[1] += 0xBB67AE85u; // sqrt(3) - 1
    }
    uint64_t a = uint64_t(0xD2511F53u) * counter[0];
    uint64_t b = uint64_t(0xCD9E8D57u) * counter[2];
    counter = {uint32_t(b >> 32) ^ counter[1] ^ key[0], uint32_t(b),
               uint32_t(a >> 32) ^ counter[3] ^ key[1], uint32_t(a)};
  }
  return counter;
}

PhiloxCounter draw(uint64_t seed, Stream stream, uint32_t sequence, uint64_t index) {
  return philox({uint32_t(index), uint32_t(index >> 32), sequence, uint32_t(stream)},
                {uint32_t(seed), uint32_t(seed >> 32)});
}

double uniform(uint32_t high, uint32_t low) {
  uint64_t bits = (uint64_t(high) << 32 | low) >> 11;
  return double(bits) * 0x1p-53;
}

std::array<double, 2> normal(const PhiloxCounter &words) {
  // 1 - u lies in (0, 1], where the logarithm is finite.
  double radius = std::sqrt(-2.0 * std::log(1.0 - uniform(words[0], words[1])));
  double angle = 6.283185307179586476925 * uniform(words[2], words[3]);
  return {radius * std::cos(angle), radius * std::sin(angle)};
}

uint64_t below(uint32_t high, uint32_t low, uint64_t range) {
  uint64_t bits = uint64_t(high) << 32 | low;
  return uint64_t((unsigned __int128)(bits)*range >> 64);
}

} // namespace quern::runtime
