//===- Sampling.h - Which token comes next ----------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#ifndef QUERN_RUNTIME_SAMPLING_H
#define QUERN_RUNTIME_SAMPLING_H

#include <cstdint>
#include <vector>

namespace quern::runtime {

/// How the next token is chosen from the logits.
struct SamplingSettings {
  double temperature = 0.8; // 0: the most likely (the lowest id among equals)
  int64_t topK = 0;         // only the k most likely; 0: all
  double topP = 1;          // only the most likely whose probabilities reach p together
  uint64_t seed = 1;
};

/// The token after `logits`, which are taken as f32; `index` counts the draws of one text. It is
/// the token that the op `kernel.sample` of compiled programs draws (dialects/Kernel/KernelOps.td).
/// Throws Error where a logit is a NaN.
int32_t sampleToken(const std::vector<double> &logits, const SamplingSettings &settings,
                    uint64_t index);

/// What is wrong with a model that has no token to draw.
extern const char *const notNumbers;

} // namespace quern::runtime

#endif // QUERN_RUNTIME_SAMPLING_H
