//===- Generator.cpp - Text, token by token, from a causal language model ---------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "quern/Runtime/Generator.h"

#include "quern/Runtime/Error.h"

#include <algorithm>

namespace quern::runtime {

std::vector<const Program *> Generator::programs(const Module &module) {
  std::vector<const Program *> found;
  for (const char *name : {"prefill", "decode", "generate"})
    if (const Program *program = module.find(name))
      found.push_back(program);
  return found;
}

Generator::Generator(const Module &module, const ParameterBlock &weights, int64_t tokens,
                     int64_t window)
    : module(module), weights(weights), prefill(module.find("prefill")),
      decode(module.find("decode")), drawing(module.find("generate")), arena(weights.device()) {
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
    chunk = compiled.count("sequence") ? compiled["sequence"] : std::min<int64_t>(limit, 512);
  }
}

std::unique_ptr<Call> Generator::bindCall(const Program &program, int64_t sequence) {
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
  return call;
}

std::unique_ptr<Call> Generator::makeCall(const Program &program, int64_t sequence) {
  std::unique_ptr<Call> call = bindCall(program, sequence);
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

/// The program `generate`, ready to go on from `token` with draw number `index`.
Call &Generator::prepareDraws(int32_t token, const SamplingSettings &sampling, int64_t index) {
  if (!drawingCall)
    drawingCall = bindCall(*drawing, 1);
  Call &call = *drawingCall;
  auto set = [&](const char *name, Role role, Type type, int64_t value) {
    Tensor *tensor = call.find(name, role);
    if (!tensor || tensor->type != type || tensor->elements() != 1)
      throw Error(concat("program 'generate' has no single ", nameOf(type), " '", name,
                         "'; compile the model again"));
    writeTensor(*tensor, [&](const Tensor &to) {
      if (type == Type::I32)
        *static_cast<int32_t *>(to.data) = int32_t(value);
      else
        *static_cast<int64_t *>(to.data) = value;
    });
  };
  set("tokens", Role::State, Type::I32, token);
  set("position", Role::State, Type::I32, filled);
  set("index", Role::State, Type::I64, index);
  set("seed", Role::Option, Type::I64, int64_t(sampling.seed));
  set("top_k", Role::Option, Type::I64, sampling.topK);
  const Tensor *drawn = call.find("drawn", Role::Output);
  if (!call.setOption("temperature", sampling.temperature) ||
      !call.setOption("top_p", sampling.topP) || !drawn || drawn->type != Type::I32 ||
      drawn->elements() != 1)
    throw Error("program 'generate' does not draw one token from temperature and top_p; compile "
                "the model again");
  return call;
}

/// Up to `count` tokens after `token`, which becomes the last one; whether to go on.
bool Generator::drawTokens(int32_t &token, const SamplingSettings &sampling, int64_t index,
                           int64_t count, const std::function<bool(int32_t)> &take) {
  Call &call = prepareDraws(token, sampling, index);
  int64_t started = 0;
  bool goesOn = true;
  for (int64_t finished = 0; finished < count && goesOn; ++finished) {
    for (; started < count && started - finished < call.depth(); ++started)
      call.start();
    call.finish();
    history.push_back(token);
    ++filled;
    token = *static_cast<const int32_t *>(call.find("drawn", Role::Output)->data);
    if (token < 0)
      throw Error(notNumbers);
    goesOn = take(token);
    for (; !goesOn && started > finished + 1; --started)
      call.finish();
  }
  return goesOn;
}

void Generator::generate(const std::vector<int32_t> &prompt, const SamplingSettings &sampling,
                         int64_t count, const std::function<bool(int32_t)> &take) {
  std::vector<int32_t> next = prompt;
  for (int64_t index = 0; index < count;) {
    int32_t token = sampleToken(feed(next), sampling, uint64_t(index++));
    if (!take(token))
      return;
    int64_t room = drawing ? std::min(count - index, limit - filled) : 0;
    if (room > 0 && !drawTokens(token, sampling, index, room, take))
      return;
    index += std::max<int64_t>(room, 0);
    next.assign(1, token);
  }
}

} // namespace quern::runtime
