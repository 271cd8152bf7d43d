//===- Generator.cpp - Text, token by token, from a causal language model ---------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "quern/Runtime/Generator.h"

#include "quern/Runtime/Error.h"
#include "quern/Runtime/Philox.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace quern::runtime {

int32_t sampleToken(const std::vector<double> &logits, const SamplingSettings &settings,
                    uint64_t index) {
  for (double logit : logits)
    if (std::isnan(logit))
      throw Error("the model's logits are not numbers; its weights are damaged");
  if (settings.temperature == 0)
    return int32_t(std::max_element(logits.begin(), logits.end()) - logits.begin());
  std::vector<int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    return logits[size_t(a)] != logits[size_t(b)] ? logits[size_t(a)] > logits[size_t(b)] : a < b;
  });
  if (settings.topK > 0)
    order.resize(std::min(order.size(), size_t(settings.topK)));
  std::vector<double> weight;
  double total = 0;
  for (int32_t token : order) {
    double difference = logits[size_t(token)] - logits[size_t(order[0])];
    weight.push_back(difference == 0 ? 1 : std::exp(difference / settings.temperature));
    total += weight.back();
  }
  double kept = 0;
  size_t count = 0;
  while (count < weight.size() && (count == 0 || kept < settings.topP * total))
    kept += weight[count++];
  PhiloxCounter words = draw(settings.seed, Stream::Sampling, 0, index);
  double target = uniform(words[0], words[1]) * kept;
  for (size_t i = 0; i + 1 < count; ++i) {
    target -= weight[i];
    if (target < 0)
      return order[i];
  }
  return order[count - 1];
}

Generator::Generator(const Module &module, const ParameterBlock &weights, int64_t tokens,
                     int64_t window)
    : module(module), weights(weights), prefill(module.find("prefill")),
      decode(module.find("decode")), arena(weights.device()) {
  if (!prefill && !decode)
    throw UsageError(
        "this executable has neither of the programs 'prefill' and 'decode', which generate "
        "text; compile the model with --programs=prefill,decode,...");
  Dimensions fixed = (decode ? decode : prefill)->fixedDimensions();
  if (fixed.count("batch") && fixed["batch"] != 1)
    throw UsageError(concat("this executable decodes ", fixed["batch"],
                            " texts at once, generate writes "
                            "one; compile the model without a fixed batch"));
  limit = std::max<int64_t>(1, tokens);
  if (module.context)
    limit = std::min(limit, module.context);
  if (window)
    limit = std::min(limit, window);
  if (fixed.count("capacity"))
    limit = module.context ? std::min(module.context, fixed["capacity"]) : fixed["capacity"];
  // A prompt is read in chunks, which bounds the memory of prefill whatever its length.
  if (prefill) {
    Dimensions compiled = prefill->fixedDimensions();
    chunk = compiled.count("sequence") ? compiled["sequence"] : std::min<int64_t>(limit, 128);
  }
}

std::unique_ptr<Call> Generator::makeCall(const Program &program, int64_t sequence) {
  Dimensions sizes = program.fixedDimensions();
  sizes.insert({"batch", 1});
  sizes.insert({"capacity", limit});
  sizes["sequence"] = sequence;
  auto call = std::make_unique<Call>(program, sizes, arena);
  call->bind(Role::Parameter, weights);
  for (size_t i = 0; i < program.arguments.size(); ++i) {
    if (program.arguments[i].role != Role::Cache)
      continue;
    DeviceBlock &block = caches[program.arguments[i].name];
    int64_t bytes = (*call)[i].bytes();
    if (!block.data())
      block = arena.device().allocate(bytes, "the cache of keys and values", Contents::Zeros);
    if (block.size() != bytes)
      throw Error(concat("the caches '", program.arguments[i].name,
                         "' of prefill and decode differ in size; compile the model again"));
    call->bind(i, block.data());
  }
  Tensor *tokens = call->find("tokens", Role::Input), *result = call->find("logits", Role::Output);
  if (!tokens || tokens->type != Type::I32 || tokens->elements() != sequence || !result ||
      result->elements() < module.vocabulary)
    throw Error(concat("program '", program.name,
                       "' does not turn tokens into logits as a causal language model's does"));
  return call;
}

Call &Generator::callFor(int64_t count) {
  if (count == 1 && decode) {
    if (!decodeCall)
      decodeCall = makeCall(*decode, 1);
    return *decodeCall;
  }
  // A chunk of another length than the one before needs other shapes.
  if (!prefillCall || prefillCall->find("tokens", Role::Input)->elements() != count)
    prefillCall = makeCall(*prefill, count);
  return *prefillCall;
}

void Generator::runCall(Call &call, const int32_t *tokens, int64_t count) {
  std::copy_n(tokens, count, static_cast<int32_t *>(call.find("tokens", Role::Input)->data));
  call.setOption("position", double(filled));
  call.run();
  filled += count;
  Tensor last = *call.find("logits", Role::Output); // only the last position matters
  int64_t skip = last.elements() - module.vocabulary;
  last.shape = {module.vocabulary};
  last.data = static_cast<char *>(last.data) + skip * sizeOf(last.type);
  logits.resize(size_t(module.vocabulary));
  readTensor(last, [&](const Tensor &result) {
    for (int64_t v = 0; v < module.vocabulary; ++v)
      logits[size_t(v)] = result.type == Type::F32 ? double(static_cast<float *>(result.data)[v])
                                                   : static_cast<double *>(result.data)[v];
  });
}

void Generator::read(const int32_t *tokens, int64_t count) {
  bool isFixed = prefill && prefill->fixedDimensions().count("sequence");
  while (count) {
    int64_t now = prefill ? std::min(count, chunk) : 1;
    if (isFixed && now < chunk) {
      if (!decode)
        throw UsageError(concat(
            "prefill is compiled for ", chunk,
            " tokens at once and this executable has "
            "no program 'decode' for the rest; compile the model with --programs=decode,..."));
      now = 1;
    }
    runCall(callFor(now), tokens, now);
    tokens += now;
    count -= now;
  }
}

const std::vector<double> &Generator::feed(const std::vector<int32_t> &tokens) {
  history.insert(history.end(), tokens.begin(), tokens.end());
  auto count = int64_t(tokens.size());
  if (filled + count > limit) {
    count = std::min<int64_t>(int64_t(history.size()), std::max<int64_t>(1, limit / 2));
    history.erase(history.begin(), history.end() - count);
    filled = 0;
  }
  read(history.data() + (int64_t(history.size()) - count), count);
  return logits;
}

} // namespace quern::runtime
