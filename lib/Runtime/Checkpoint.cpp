//===- Checkpoint.cpp - The state of a training run in one file -------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "quern/Runtime/Checkpoint.h"

#include "quern/Runtime/Error.h"

#include <cstdlib>

namespace quern::runtime {

static const char *const version = "1";
static const char *const trainedSequenceKey = "quern_trained_sequence";

void saveCheckpoint(const std::string &path, const Module &module, const TrainingState &state,
                    const std::string &settings) {
  std::vector<Tensor> tensors = state.weights.fileTensors();
  for (Tensor &tensor : state.first.fileTensors("first_moment."))
    tensors.push_back(std::move(tensor));
  for (Tensor &tensor : state.second.fileTensors("second_moment."))
    tensors.push_back(std::move(tensor));
  writeSafetensors(path, std::move(tensors),
                   {{"quern_checkpoint", version},
                    {"model", module.name},
                    {"fingerprint", module.fingerprint()},
                    {"step", std::to_string(state.step)},
                    {trainedSequenceKey, std::to_string(state.trainedSequence)},
                    {"settings", settings}});
}

void saveWeights(const std::string &path, const Module &module, const ParameterBlock &weights,
                 int64_t trainedSequence) {
  // "format": "pt" is what Hugging Face's libraries look for in weight files.
  std::map<std::string, std::string> metadata{{"format", "pt"}, {"quern_model", module.name}};
  if (trainedSequence)
    metadata[trainedSequenceKey] = std::to_string(trainedSequence);
  writeSafetensors(path, weights.fileTensors(), metadata);
}

int64_t trainedSequence(const SafetensorsFile &file) {
  auto found = file.metadata().find(trainedSequenceKey);
  if (found == file.metadata().end())
    return 0;
  char *end = nullptr;
  int64_t tokens = std::strtoll(found->second.c_str(), &end, 10);
  if (found->second.empty() || *end || tokens < 0)
    throw Error(
        concat(file.path(), " is damaged: its ", trainedSequenceKey, " is '", found->second, "'"));
  return tokens;
}

/// The entry of the metadata, or an error.
static std::string need(const SafetensorsFile &file, const char *key) {
  auto found = file.metadata().find(key);
  if (found == file.metadata().end())
    throw Error(concat(file.path(), " is not a training checkpoint: its metadata lacks '", key,
                       "'; to start from plain weights use --weights ", file.path(),
                       " without --resume"));
  return found->second;
}

Checkpoint::Checkpoint(const std::string &path, const Module &module) : file(path) {
  std::string format = need(file, "quern_checkpoint");
  if (format != version)
    throw Error(concat(path, " is a checkpoint of format ", format, ", this program reads format ",
                       version, "; continue it with the program that wrote it"));
  std::string model = need(file, "model"), fingerprint = need(file, "fingerprint");
  if (fingerprint != module.fingerprint())
    throw Error(
        concat(path, " is a checkpoint of another model ('", model, "', fingerprint ", fingerprint,
               "; this one is '", module.name, "', fingerprint ", module.fingerprint(),
               "): parameters differ in name, shape, type or decay; continue it with the program "
               "that wrote it, or choose another --out"));
  std::string digits = need(file, "step");
  char *end = nullptr;
  steps = std::strtoll(digits.c_str(), &end, 10);
  if (digits.empty() || *end || steps < 0)
    throw Error(concat(path, " is damaged: its step is '", digits, "'"));
  text = need(file, "settings");
}

void Checkpoint::restore(TrainingState &state) const {
  state.weights.load(file);
  state.first.load(file, "first_moment.");
  state.second.load(file, "second_moment.");
  state.step = steps;
  state.trainedSequence = trainedSequence(file);
}

} // namespace quern::runtime
