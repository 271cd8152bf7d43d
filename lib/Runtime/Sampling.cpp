//===- Sampling.cpp - Which token comes next --------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "quern/Runtime/Sampling.h"

#include "quern/Runtime/Error.h"
#include "quern/Runtime/Philox.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

namespace quern::runtime {

const char *const notNumbers = "the model's logits are not numbers; its weights are damaged";

static float fromBits(uint32_t bits) {
  float value = 0;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

/// e^x for x in [-27.75, 0] with the operations of lib/Emission/ElementaryFunctions.cpp: 2^n times
/// a polynomial of x - n ln 2.
static float exponential(float x) {
  constexpr float shift = 12582912.0f + 254.0f; // floats around 1.5 x 2^23 lie 1 apart
  float shifted = std::fma(x, 0x1.715476p+0f, shift), n = shifted - shift;
  float r = std::fma(n, 0x1.05c610p-29f, std::fma(n, -0x1.62e430p-1f, x));
  float p = 1.381459879e-03f;
  for (float coefficient :
       {8.368716575e-03f, 4.166838899e-02f, 1.666652113e-01f, 4.999999404e-01f, 1.0f, 1.0f})
    p = std::fma(p, r, coefficient);
  uint32_t biased = 0;
  std::memcpy(&biased, &shifted, sizeof biased);
  return p * fromBits((biased >> 1) << 23) * fromBits((biased - (biased >> 1)) << 23);
}

/// Multiples of 2^-40 of the weight of a logit `maximum`, rounded down.
static int64_t weightOf(float logit, float maximum, float inverse) {
  float x = logit == maximum ? 0.0f : (logit - maximum) * inverse;
  return x >= -27.75f ? int64_t(exponential(x) * 0x1p40f) : 0;
}

int32_t sampleToken(const std::vector<double> &logits, const SamplingSettings &settings,
                    uint64_t index) {
  for (double logit : logits)
    if (std::isnan(logit))
      throw Error(notNumbers);
  if (!(settings.temperature > 0))
    return int32_t(std::max_element(logits.begin(), logits.end()) - logits.begin());
  std::vector<int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  auto logit = [&](int32_t token) { return float(logits[size_t(token)]); };
  std::sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    return logit(a) != logit(b) ? logit(a) > logit(b) : a < b;
  });
  if (settings.topK > 0)
    order.resize(std::min(order.size(), size_t(settings.topK)));
  std::vector<int64_t> sums; // of the weights up to each token
  auto inverse = float(1.0 / settings.temperature);
  for (int32_t token : order)
    sums.push_back((sums.empty() ? 0 : sums.back()) +
                   weightOf(logit(token), logit(order[0]), inverse));
  // The first token at which the sums pass `target`.
  auto find = [&](int64_t target) {
    return std::upper_bound(sums.begin(), sums.end(),
                            std::clamp<int64_t>(target, 0, sums.back() - 1));
  };
  int64_t kept = sums.back();
  if (settings.topP < 1)
    kept = *find(int64_t(std::ceil(settings.topP * double(kept))) - 1);
  PhiloxCounter words = draw(settings.seed, Stream::Sampling, 0, index);
  return order[size_t(find(int64_t(uniform(words[0], words[1]) * double(kept))) - sums.begin())];
}

} // namespace quern::runtime
