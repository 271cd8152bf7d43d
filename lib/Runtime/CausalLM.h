//===- CausalLM.h - What the files of the kind `causal_lm` share ------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#ifndef QUERN_LIB_RUNTIME_CAUSALLM_H
#define QUERN_LIB_RUNTIME_CAUSALLM_H

#include "quern/Runtime/Call.h"
#include "quern/Runtime/CommandLine.h"

namespace quern::runtime {

void addTrainCommand(CommandLine &commands);
void addEvalCommand(CommandLine &commands);
void addGenerateCommand(CommandLine &commands);

/// Sizes of the batches of `program`: those compiled in, else as given, else the defaults.
/// Throws UsageError if a given one (not 0) contradicts the program or exceeds the context.
Dimensions batchDimensions(const Module &module, const Program &program, int64_t batch,
                           int64_t sequence, int64_t defaultBatch);

} // namespace quern::runtime

#endif // QUERN_LIB_RUNTIME_CAUSALLM_H
