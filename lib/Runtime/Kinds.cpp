//===- Kinds.cpp - The kinds of models and their commands -------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "quern/Runtime/CommandLine.h"

namespace quern::runtime {

static const Kind kinds[] = {
    {"causal_lm", addCausalLMCommands},
};

const Kind *findKind(const std::string &name) {
  for (const Kind &kind : kinds)
    if (name == kind.name)
      return &kind;
  return nullptr;
}

} // namespace quern::runtime
