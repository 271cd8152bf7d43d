//===- CausalLMGenerate.cpp - `generate`: text from a causal language model -------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "CausalLM.h"
#include "quern/Runtime/Checkpoint.h"
#include "quern/Runtime/Error.h"
#include "quern/Runtime/Generator.h"
#include "quern/Runtime/Tokenizer.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <unistd.h>

namespace quern::runtime {

namespace {

struct GenerateOptions {
  std::string weights, prompt, tokenizer;
  int64_t tokens = 256, window = 0, beginToken = -1, endToken = -1;
  bool ids = false, echo = false;
  SamplingSettings sampling;
};

/// The numbers in `text`, separated by spaces.
std::vector<int32_t> parseIds(const std::string &text, int64_t vocabulary) {
  std::vector<int32_t> ids;
  for (size_t at = text.find_first_not_of(" \t\n"); at != std::string::npos;) {
    size_t end = std::min(text.find_first_of(" \t\n", at), text.size());
    std::string word = text.substr(at, end - at);
    char *rest = nullptr;
    errno = 0;
    long long id = std::strtoll(word.c_str(), &rest, 10);
    if (*rest)
      throw UsageError(
          concat("--prompt: '", word,
                 "' is not a token id; with --ids the prompt is numbers separated by spaces"));
    if (errno || id < 0 || id >= vocabulary)
      throw UsageError(
          concat("--prompt: token ", word, " is not in the vocabulary of 0 to ", vocabulary - 1));
    ids.push_back(int32_t(id));
    at = text.find_first_not_of(" \t\n", end);
  }
  return ids;
}

std::vector<int32_t> parseBytes(const std::string &text, int64_t vocabulary) {
  std::vector<int32_t> ids;
  for (unsigned char byte : text) {
    if (byte >= vocabulary)
      throw UsageError(concat("--prompt: the byte ", int64_t(byte),
                              " is not in the model's vocabulary of ", vocabulary,
                              " tokens: this is no model of all bytes; give token ids with --ids"));
    ids.push_back(byte);
  }
  return ids;
}

class Writer {
public:
  Writer(const GenerateOptions &options, const Tokenizer *tokenizer)
      : options(options), tokenizer(tokenizer) {}

  /// Writes `token`, which follows `previous` (-1: nothing), at once.
  void write(int32_t previous, int32_t token) {
    if (options.ids) {
      std::printf(any ? " %d" : "%d", token);
    } else if (tokenizer) {
      std::string piece = tokenizer->decode(previous, token);
      std::fwrite(piece.data(), 1, piece.size(), stdout);
      last = piece.empty() ? last : piece.back();
    } else if (token > 255) {
      throw Error(concat("the model wrote token ", int64_t(token),
                         ", which is not a byte; use --ids to print token ids, or --tokenizer"));
    } else {
      std::putchar(token);
      last = char(token);
    }
    any = true;
    if (std::fflush(stdout) != 0)
      throw Error("cannot write to standard output: it is full or closed");
  }

  void end() {
    // A text is written as it is, but a prompt of the shell should not follow on the same line.
    if (options.ids || (isatty(STDOUT_FILENO) && last != '\n'))
      std::putchar('\n');
  }

private:
  const GenerateOptions &options;
  const Tokenizer *tokenizer;
  bool any = false;
  char last = '\n';
};

/// Positions that the model may see at once. Those that no training sequence had are noise in a
/// learned table of positions, and little better in a rotation.
int64_t chooseWindow(const Module &module, const GenerateOptions &options,
                     const SafetensorsFile &file, int64_t length) {
  if (module.context && options.window > module.context)
    throw UsageError(concat("--window ", options.window, " exceeds the context of ", module.context,
                            " tokens of the model"));
  int64_t trained = trainedSequence(file);
  if (options.window || !trained || trained >= length ||
      (module.context && trained >= module.context))
    return options.window;
  note(
      concat("the weights were trained on sequences of ", trained,
             " tokens: past these the last half is kept and read again; --window N reads further"));
  return trained;
}

void generate(const Module &module, GenerateOptions &options, Device &device) {
  if (options.ids && !options.tokenizer.empty())
    throw UsageError("--ids and --tokenizer contradict each other; leave one out");
  for (auto [name, token] :
       {std::pair("--begin-token", options.beginToken), std::pair("--end-token", options.endToken)})
    if (token >= module.vocabulary)
      throw UsageError(concat(name, ": token ", token, " is not in the vocabulary of 0 to ",
                              module.vocabulary - 1));
  std::unique_ptr<Tokenizer> tokenizer;
  if (!options.tokenizer.empty()) {
    tokenizer = std::make_unique<Tokenizer>(options.tokenizer, module.vocabulary);
    // llama2.c's texts begin with this token, and another text would follow it.
    if (options.beginToken < 0)
      options.beginToken = Tokenizer::beginToken;
    if (options.endToken < 0)
      options.endToken = Tokenizer::beginToken;
  }
  std::vector<int32_t> prompt = options.ids ? parseIds(options.prompt, module.vocabulary)
                                : tokenizer ? tokenizer->encode(options.prompt)
                                            : parseBytes(options.prompt, module.vocabulary);
  size_t silent = 0; // leading tokens that are no text
  if (options.beginToken >= 0) {
    prompt.insert(prompt.begin(), int32_t(options.beginToken));
    silent = 1;
  }
  if (prompt.empty())
    throw UsageError("the model needs a token to go on from; give --prompt or --begin-token");
  if (!options.ids && !tokenizer && module.vocabulary < 256)
    note(concat("the vocabulary has ", module.vocabulary,
                " tokens, so this is no model of all bytes; --ids prints token ids"));
  ParameterBlock weights(module, "the weights", device, Generator::programs(module));
  SafetensorsFile file(options.weights);
  weights.load(file);
  int64_t length = int64_t(prompt.size()) + options.tokens;
  Generator generator(module, weights, length, chooseWindow(module, options, file, length));
  Writer writer(options, tokenizer.get());
  if (options.echo)
    for (size_t i = silent; i < prompt.size(); ++i)
      writer.write(i ? prompt[i - 1] : -1, prompt[i]);
  int32_t previous = prompt.back();
  generator.generate(prompt, options.sampling, options.tokens, [&](int32_t token) {
    if (token == options.endToken)
      return false;
    writer.write(previous, token);
    previous = token;
    return true;
  });
  writer.end();
}

} // namespace

void addGenerateCommand(CommandLine &commands) {
  auto options = std::make_shared<GenerateOptions>();
  CLI::App &command =
      *commands.add("generate", "Write text that continues a prompt", [options, &commands] {
        generate(commands.module, *options, commands.device());
      });
  command.footer(
      "Past the model's context (or --window), its last half is kept and read again from the\n"
      "start, so that a text may be as long as you like.");
  command.add_option("--weights", options->weights, "Weights or a checkpoint, safetensors")
      ->type_name("FILE")
      ->required();
  command.add_option("--prompt", options->prompt, "The text to continue; token ids with --ids")
      ->type_name("TEXT");
  addInteger(command, "--tokens", options->tokens, 1, INT32_MAX, "Tokens to write (default 256)");
  addInteger(command, "--window", options->window, 2, INT32_MAX,
             "Tokens that the model sees at once (default: those of a training sequence, where the "
             "weights tell, or the context)");
  addNumber(
      command, "--temperature", options->sampling.temperature, [](double x) { return x >= 0; },
      "at least 0", "0 takes the most likely token, 1 draws as the model says (default 0.8)");
  addInteger(command, "--top-k", options->sampling.topK, 0, INT32_MAX,
             "Draw from the k most likely tokens only (default 0: from all)");
  addNumber(
      command, "--top-p", options->sampling.topP, [](double x) { return x > 0 && x <= 1; },
      "above 0, at most 1", "Draw from the most likely tokens that make up p together (default 1)");
  addSeed(command, options->sampling.seed);
  command.add_flag("--ids", options->ids,
                   "Take and print token ids, separated by spaces, instead of bytes");
  command.add_flag("--echo", options->echo, "Print the prompt first");
  command
      .add_option("--tokenizer", options->tokenizer,
                  "A vocabulary in llama2.c's format (tokenizer.bin)")
      ->type_name("FILE");
  addInteger(command, "--begin-token", options->beginToken, 0, INT32_MAX,
             "Put this token before the prompt (default: none; 1 with --tokenizer)");
  addInteger(command, "--end-token", options->endToken, 0, INT32_MAX,
             "Stop when the model writes this token (default: none; 1 with --tokenizer)");
}

} // namespace quern::runtime
