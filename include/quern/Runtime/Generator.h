//===- Generator.h - Text, token by token, from a causal language model -----------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
///
/// \file
/// Drives `prefill` and `decode` with their caches, and chooses tokens.
///
#ifndef QUERN_RUNTIME_GENERATOR_H
#define QUERN_RUNTIME_GENERATOR_H

#include "quern/Runtime/Call.h"

#include <memory>
#include <vector>

namespace quern::runtime {

/// How the next token is chosen from the logits.
struct SamplingSettings {
  double temperature = 0.8; // 0: the most likely (the lowest id among equals)
  int64_t topK = 0;         // only the k most likely; 0: all
  double topP = 1;          // only the most likely whose probabilities reach p together
  uint64_t seed = 1;
};

/// The token after `logits`; `index` counts the draws of one text.
int32_t sampleToken(const std::vector<double> &logits, const SamplingSettings &settings,
                    uint64_t index);

/// One text and its caches. Past the context (or window), the last half of the tokens is kept and
/// read again from position 0, so that the model never sees a position that it was not made for.
class Generator {
public:
  /// `tokens` is the length that the text may reach (prompt and what follows); the caches hold as
  /// many, or as many as the context or `window` (0: no window) if that is less. Throws UsageError
  /// if there is neither `prefill` nor `decode`.
  Generator(const Module &module, const ParameterBlock &weights, int64_t tokens,
            int64_t window = 0);

  /// Appends tokens (at least one) to the text; returns the logits after the last.
  const std::vector<double> &feed(const std::vector<int32_t> &tokens);
  /// Tokens in the caches.
  int64_t position() const { return filled; }
  int64_t capacity() const { return limit; }

private:
  void read(const int32_t *tokens, int64_t count);
  void runCall(Call &call, const int32_t *tokens, int64_t count);
  Call &callFor(int64_t count);
  std::unique_ptr<Call> makeCall(const Program &program, int64_t sequence);

  const Module &module;
  const ParameterBlock &weights;
  const Program *prefill = nullptr, *decode = nullptr;
  Arena arena;
  int64_t limit = 0, filled = 0, chunk = 0;
  std::map<std::string, DeviceBlock> caches;
  std::unique_ptr<Call> decodeCall, prefillCall;
  std::vector<int32_t> history;
  std::vector<double> logits;
};

} // namespace quern::runtime

#endif // QUERN_RUNTIME_GENERATOR_H
