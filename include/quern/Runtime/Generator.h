//===- Generator.h - Text, token by token, from a causal language model -----------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
///
/// \file
/// Drives `prefill`, `decode` and `generate` with their caches.
///
#ifndef QUERN_RUNTIME_GENERATOR_H
#define QUERN_RUNTIME_GENERATOR_H

#include "quern/Runtime/Call.h"
#include "quern/Runtime/Sampling.h"

#include <functional>
#include <memory>
#include <vector>

namespace quern::runtime {

/// One text and its caches. Past the context (or window), the last half of the tokens is kept and
/// read again from position 0, so that the model never sees a position that it was not made for.
class Generator {
public:
  /// Those of `module` that a generator runs: users of its weights.
  static std::vector<const Program *> programs(const Module &module);

  /// `tokens` is the length that the text may reach (prompt and what follows); the caches hold as
  /// many, or as many as the context or `window` (0: no window) if that is less. Throws UsageError
  /// if there is neither `prefill` nor `decode`.
  Generator(const Module &module, const ParameterBlock &weights, int64_t tokens,
            int64_t window = 0);

  /// Appends tokens (at least one) to the text; returns the logits after the last.
  const std::vector<double> &feed(const std::vector<int32_t> &tokens);
  /// Appends `prompt` (at least one token), and then tokens drawn from `sampling.seed`, up to
  /// `count` of them. Gives each to `take`, which returns whether to go on. With the program
  /// `generate` tokens are drawn where the model runs, which does not wait for `take`: up to one
  /// run less than the device has under way is for nothing when it says no.
  void generate(const std::vector<int32_t> &prompt, const SamplingSettings &sampling, int64_t count,
                const std::function<bool(int32_t)> &take);
  /// Tokens in the caches.
  int64_t position() const { return filled; }
  int64_t capacity() const { return limit; }

private:
  void read(const int32_t *tokens, int64_t count);
  void runCall(Call &call, const int32_t *tokens, int64_t count);
  Call &callFor(int64_t count);
  /// A call of a program with weights and caches, for `sequence` tokens.
  std::unique_ptr<Call> bindCall(const Program &program, int64_t sequence);
  /// The same that gives logits of the tokens that it is given.
  std::unique_ptr<Call> makeCall(const Program &program, int64_t sequence);
  Call &prepareDraws(int32_t token, const SamplingSettings &sampling, int64_t index);
  bool drawTokens(int32_t &token, const SamplingSettings &sampling, int64_t index, int64_t count,
                  const std::function<bool(int32_t)> &take);

  const Module &module;
  const ParameterBlock &weights;
  const Program *prefill = nullptr, *decode = nullptr;
  const Program *drawing = nullptr; // `generate`
  Arena arena;
  int64_t limit = 0, filled = 0, chunk = 0;
  std::map<std::string, DeviceBlock> caches;
  std::unique_ptr<Call> decodeCall, prefillCall, drawingCall;
  std::vector<int32_t> history;
  std::vector<double> logits;
};

} // namespace quern::runtime

#endif // QUERN_RUNTIME_GENERATOR_H
