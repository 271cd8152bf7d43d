//===- CausalLM.cpp - The commands of causal language models ----------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "CausalLM.h"

#include "quern/Runtime/Error.h"

#include <algorithm>

namespace quern::runtime {

Dimensions batchDimensions(const Module &module, const Program &program, int64_t batch,
                           int64_t sequence, int64_t defaultBatch) {
  int64_t usual = module.context ? std::min<int64_t>(module.context, 256) : 256;
  Dimensions fixed = program.fixedDimensions(), sizes;
  auto choose = [&](const char *name, int64_t given, int64_t otherwise) {
    auto compiled = fixed.find(name);
    if (compiled != fixed.end() && given && given != compiled->second)
      throw UsageError(concat("--", name, " ", given, " contradicts the program '", program.name,
                              "', which is compiled for ", name, " ", compiled->second,
                              "; leave --", name, " out, or compile the model with --shape ", name,
                              "=", given));
    sizes[name] = compiled != fixed.end() ? compiled->second : given ? given : otherwise;
  };
  choose("batch", batch, defaultBatch);
  choose("sequence", sequence, usual);
  if (module.context && sizes["sequence"] > module.context)
    throw UsageError(concat("--sequence ", sizes["sequence"], " exceeds the context of ",
                            module.context, " tokens of the model"));
  return sizes;
}

void addCausalLMCommands(CommandLine &commands) {
  addTrainCommand(commands);
  addGenerateCommand(commands);
  addEvalCommand(commands);
}

} // namespace quern::runtime
