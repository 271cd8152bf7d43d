//===- CausalLMEval.cpp - `eval`: how well a causal language model predicts a text ------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "CausalLM.h"
#include "quern/Runtime/ByteText.h"
#include "quern/Runtime/Checkpoint.h"
#include "quern/Runtime/Error.h"

#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdio>

namespace quern::runtime {

namespace {

struct EvalOptions {
  std::string data, weights, part = "all";
  int64_t batch = 0, sequence = 0;
  uint64_t seed = 1;
};

void evaluate(const Module &module, const EvalOptions &options, Device &device) {
  const Program &program = module.get("loss");
  ByteText text(options.data, module.vocabulary);
  ByteSpan span = options.part == "all"          ? text.all()
                  : options.part == "validation" ? text.validation()
                                                 : text.training();
  if (span.size < 2)
    throw Error(concat("data file ", options.data, " has ", span.size,
                       " bytes to evaluate; at least 2 are needed"));
  int64_t sequence = options.sequence, trained = 0;
  ParameterBlock weights(module, "the weights", device, {&program});
  if (options.weights.empty()) {
    weights.initialize(options.seed);
    note(concat("no --weights: drew them from seed ", options.seed));
  } else {
    SafetensorsFile file(options.weights);
    weights.load(file);
    trained = trainedSequence(file);
  }
  // Longer windows would ask for positions that were never trained.
  if (!sequence && trained && !program.fixedDimensions().count("sequence"))
    sequence = trained;
  Dimensions sizes = batchDimensions(module, program, options.batch, sequence, 8);
  if (trained && sizes["sequence"] > trained)
    note(concat("the weights were trained on sequences of ", trained, " tokens, fewer than the ",
                sizes["sequence"], " of a window here"));
  Arena arena(device);
  Call call(program, sizes, arena);
  call.bind(Role::Parameter, weights);
  std::vector<int64_t> starts;
  for (int64_t start = 0; start + 1 < span.size; start += sizes["sequence"])
    starts.push_back(start);
  TextLoss loss = evaluateText(call, span, starts);
  std::printf("loss %.6f\nperplexity %.6f\nbits per byte %.6f\n", loss.mean(),
              std::exp(loss.mean()), loss.mean() / std::log(2.0));
  std::printf("bytes predicted %lld, in windows of %lld\n", static_cast<long long>(loss.count),
              static_cast<long long>(sizes["sequence"]));
}

} // namespace

void addEvalCommand(CommandLine &commands) {
  auto options = std::make_shared<EvalOptions>();
  CLI::App &command = *commands.add(
      "eval", "Print loss (nats a byte), perplexity and bits per byte of a text",
      [options, &commands] { evaluate(commands.module, *options, commands.device()); });
  command.add_option("--data", options->data, "The text file")->type_name("FILE")->required();
  command
      .add_option("--weights", options->weights,
                  "Weights, safetensors (default: drawn from --seed)")
      ->type_name("FILE");
  command
      .add_option("--part", options->part,
                  "all (default), training (first nine tenths) or validation (last tenth)")
      ->check(CLI::IsMember({"all", "training", "validation"}));
  addInteger(command, "--batch", options->batch, 1, INT32_MAX,
             "Windows at once (default: as compiled, or 8)");
  addInteger(command, "--sequence", options->sequence, 1, INT32_MAX,
             "Bytes of a window (default: as compiled, as trained where the weights tell, or the "
             "context up to 256)");
  addSeed(command, options->seed);
}

} // namespace quern::runtime
