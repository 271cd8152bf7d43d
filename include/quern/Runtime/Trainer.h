//===- Trainer.h - The training loop of any kind of model -------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
///
/// \file
/// Runs `train_step` with batches that the kind of the model supplies, reports, saves, and stops
/// cleanly on SIGINT and SIGTERM.
///
#ifndef QUERN_RUNTIME_TRAINER_H
#define QUERN_RUNTIME_TRAINER_H

#include "quern/Runtime/Call.h"
#include "quern/Runtime/Checkpoint.h"
#include "quern/Runtime/CommandLine.h"

#include <functional>
#include <string>

namespace quern::runtime {

struct TrainingSettings {
  int64_t steps = 1000, warmup = -1, evalEvery = 100, saveEvery = 200; // warmup -1: choose
  std::string schedule = "cosine";
  double minLearningRate = -1; // -1: a tenth of the learning rate
  uint64_t seed = 1;
  OptimizerSettings optimizer;

  /// The learning rate of step `step` (0: the first): linear warmup, then constant or half a
  /// cosine.
  double learningRate(int64_t step) const;
};

struct TrainingTask {
  const Module &module;
  const TrainingSettings &settings;
  std::string folder;        // for weights, checkpoint and log
  std::string settingsText;  // JSON, kept in checkpoints
  std::string resumeCommand; // told when the run stops early
  int64_t tokensPerStep = 0;
  std::function<void(Call &, int64_t step)> fillBatch; // writes the inputs of that step
  std::function<double()> validate;                    // the validation loss; may be empty
};

/// Trains `state` up to the last step with `call`, a call of `train_step` bound to it.
void train(const TrainingTask &task, TrainingState &state, Call &call);

} // namespace quern::runtime

#endif // QUERN_RUNTIME_TRAINER_H
