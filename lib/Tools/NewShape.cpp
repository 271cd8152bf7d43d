//===- NewShape.cpp - Defaults and checks of quern new ---------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===-----------------------------------------------------------------------------------------===//

#include "quern/Tools/New.h"

#include "llvm/Support/FormatVariadic.h"

using llvm::formatv;

namespace quern::tools {

namespace {

template <typename T>
void setDefault(T &value, T otherwise) {
  if (value == T())
    value = otherwise;
}

/// GPT-2 of 124M parameters (Radford et al. 2019), in the conventions of its published weights.
std::string completeGPT(ModelShape &s) {
  if (!s.rotary.empty() || s.rotaryBase != 0)
    return "--rotary and --rotary-base do not apply to a gpt, whose positions are learned; use "
           "'quern new llama'";
  if (s.names == "llama2c")
    return "--names llama2c applies to llama alone";
  setDefault<int64_t>(s.layers, 12);
  setDefault<int64_t>(s.heads, 12);
  setDefault<int64_t>(s.width, 768);
  setDefault<int64_t>(s.hidden, 4 * s.width);
  setDefault<int64_t>(s.context, 1024);
  setDefault<int64_t>(s.vocabulary, 50257);
  setDefault<std::string>(s.storage, "in-out");
  setDefault<std::string>(s.gelu, "tanh");
  s.bias = !s.noBias;
  if (!s.prefix)
    s.prefix = "";
  return "";
}

/// A small Llama (Touvron et al. 2023).
std::string completeLlama(ModelShape &s) {
  if (!s.gelu.empty())
    return "--gelu does not apply to a llama, which uses SwiGLU";
  if (s.names == "llama2c" && s.bias)
    return "--bias does not go with --names llama2c, whose files hold no biases";
  if (s.names == "llama2c" && s.storage == "in-out")
    return "--linear-storage in-out does not go with --names llama2c, whose files are out-in";
  setDefault<int64_t>(s.layers, 8);
  setDefault<int64_t>(s.heads, 8);
  setDefault<int64_t>(s.width, 512);
  // Two thirds of 4 x width, as SwiGLU has three matrices; a multiple of 32.
  setDefault<int64_t>(s.hidden, (8 * s.width / 3 + 31) / 32 * 32);
  setDefault<int64_t>(s.context, 1024);
  setDefault<int64_t>(s.vocabulary, 32000);
  setDefault<std::string>(s.rotary, s.names == "llama2c" ? "interleaved" : "half");
  setDefault<double>(s.rotaryBase, 10000);
  setDefault<std::string>(s.storage, "out-in");
  if (!s.prefix)
    s.prefix = s.names == "llama2c" ? "" : "model.";
  return "";
}

} // namespace

std::string completeShape(ModelShape &s) {
  if (s.tied && s.untied)
    return "--tied and --untied contradict each other";
  if (s.bias && s.noBias)
    return "--bias and --no-bias contradict each other";
  setDefault<std::string>(s.names, "huggingface");
  std::string error = s.family == "gpt" ? completeGPT(s) : completeLlama(s);
  if (!error.empty())
    return error;
  setDefault<double>(s.epsilon, 1e-5);
  setDefault<int64_t>(s.kvHeads, s.heads);
  s.tied = !s.untied;
  if (s.width % s.heads)
    return formatv("--width {0} is not a multiple of --heads {1}", s.width, s.heads);
  if (s.heads % s.kvHeads)
    return formatv("--heads {0} is not a multiple of --kv-heads {1}", s.heads, s.kvHeads);
  if (s.family == "llama" && s.headDimension() % 2)
    return formatv(
        "rotary embedding needs an even head dimension; --width {0} / --heads {1} is {2}", s.width,
        s.heads, s.headDimension());
  return "";
}

} // namespace quern::tools
