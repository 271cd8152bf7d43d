//===- CausalLMTrain.cpp - `train`: a causal language model on text ---------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "CausalLM.h"
#include "quern/Runtime/ByteText.h"
#include "quern/Runtime/Error.h"
#include "quern/Runtime/OutputFile.h"
#include "quern/Runtime/Philox.h"
#include "quern/Runtime/SettingsRecord.h"
#include "quern/Runtime/Threads.h"
#include "quern/Runtime/Trainer.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <unistd.h>

namespace quern::runtime {

namespace {

struct TrainOptions {
  std::string data, dataFingerprint, folder = "out", weights, target;
  int64_t batch = 0, sequence = 0, evalBatches = 20;
  bool resume = false, overwrite = false;
  TrainingSettings settings;
  SettingsRecord record;
};

/// A learning rate for those who give none. Small models learn best at high rates: 3e-3 up to a
/// million parameters, then falling with the root of their number (124 million: 2.7e-4).
double defaultLearningRate(const Module &module) {
  double millions = std::max(1.0, double(module.parameterCount()) / 1e6);
  return 3e-3 / std::sqrt(millions);
}

/// Fills in what was left open, and refuses what contradicts itself.
void completeSettings(const Module &module, TrainOptions &options) {
  TrainingSettings &settings = options.settings;
  if (!options.record.given("learning_rate"))
    settings.optimizer.learningRate = defaultLearningRate(module);
  bool isConstant = settings.schedule == "constant";
  if (isConstant && options.record.given("min_learning_rate"))
    throw UsageError(
        "--min-learning-rate contradicts --schedule=constant, which never lowers the rate; "
        "leave one out");
  double peak = settings.optimizer.learningRate;
  if (settings.minLearningRate < 0)
    settings.minLearningRate = isConstant ? peak : peak / 10;
  if (settings.minLearningRate > peak)
    throw UsageError(concat("--min-learning-rate ", settings.minLearningRate,
                            " is above --learning-rate ", peak));
  if (settings.warmup < 0)
    settings.warmup = std::min<int64_t>(100, settings.steps / 10);
  if (settings.warmup > settings.steps)
    throw UsageError(
        concat("--warmup ", settings.warmup, " is longer than --steps ", settings.steps));
}

/// Takes settings and state from the checkpoint in the run's folder; false if there is none.
bool resume(const Module &module, TrainOptions &options, TrainingState &state) {
  std::string path = options.folder + "/checkpoint.safetensors";
  if (access(path.c_str(), F_OK) != 0) {
    note(concat("there is no checkpoint in ", options.folder, " yet; starting from the beginning"));
    return false;
  }
  Checkpoint checkpoint(path, module);
  std::string target = options.target;
  bool moreSteps = options.record.given("steps");
  options.record.merge(checkpoint.settings(), path);
  if (moreSteps && options.settings.schedule != "constant") {
    // The cosine's length is the number of steps: another one would have given another start.
    options.record.setMayChange("steps", false);
    options.record.merge(checkpoint.settings(), path);
  }
  if (options.target != target) {
    note(concat("the checkpoint was written by a program for ", options.target,
                ", this one is for ", target, ": its results may differ in the last bits"));
    options.target = target;
  }
  double clip = options.settings.optimizer.clip;
  if (clip > 0 && module.get("train_step").neverClips())
    throw UsageError(concat("--resume: the run of ", path, " clips gradients to a norm of ", clip,
                            ", and this program, compiled with --clip=never, cannot; continue it "
                            "with a program compiled without that, or start a new run with "
                            "--weights and another --out"));
  checkpoint.restore(state);
  if (state.step > options.settings.steps)
    throw UsageError(concat("--steps ", options.settings.steps,
                            " lies before the checkpoint's step ", state.step));
  return true;
}

void startNew(const Module &module, TrainOptions &options, TrainingState &state) {
  std::string path = options.folder + "/checkpoint.safetensors";
  if (!options.overwrite && access(path.c_str(), F_OK) == 0)
    throw UsageError(concat(options.folder,
                            " already holds a training run; continue it with --resume, "
                            "choose another --out, or give --overwrite"));
  completeSettings(module, options);
  if (options.weights.empty()) {
    state.weights.initialize(options.settings.seed);
  } else {
    SafetensorsFile file(options.weights);
    state.weights.load(file);
    state.trainedSequence = trainedSequence(file);
  }
}

void announce(const CommandLine &commands, const TrainOptions &options, const TrainingState &state,
              const Call &call, const ByteText &text) {
  const Module &module = commands.module;
  auto gpu = commands.device().describe();
  std::printf("model %s: %lld parameters, arena %s, %s\n", module.name.c_str(),
              static_cast<long long>(module.parameterCount()),
              formatBytes(double(call.arenaBytes())).c_str(),
              gpu ? concat("on ", gpu->name).c_str() : concat(threads(), " threads").c_str());
  if (gpu)
    std::printf("device %s: %s, %s, %s of it free, code for %s, precision %s\n", gpu->name.c_str(),
                gpu->product.c_str(), formatBytes(double(gpu->memory)).c_str(),
                formatBytes(double(gpu->free)).c_str(), gpu->code.c_str(), gpu->precision.c_str());
  std::printf("data %s: %lld bytes to learn from, %lld to validate\n", options.data.c_str(),
              static_cast<long long>(text.training().size),
              static_cast<long long>(text.validation().size));
  std::printf("batches of %lld x %lld tokens, %lld steps%s, results in %s\n",
              static_cast<long long>(options.batch), static_cast<long long>(options.sequence),
              static_cast<long long>(options.settings.steps),
              state.step ? concat(", continuing after step ", state.step).c_str() : "",
              options.folder.c_str());
  std::fflush(stdout);
}

void runTraining(const CommandLine &commands, TrainOptions &options) {
  const Module &module = commands.module;
  const Program &program = module.get("train_step");
  if (options.resume && !options.weights.empty())
    throw UsageError(
        "--resume and --weights contradict each other: a resumed run takes its weights from "
        "the checkpoint; leave one out");
  if (options.resume && options.overwrite)
    throw UsageError("--resume and --overwrite contradict each other; leave one out");
  checkClip(program, commands.command(), options.settings.optimizer);
  options.target = commands.device().target(module);
  TrainingState state(module, commands.device());
  bool isResumed = options.resume && resume(module, options, state);
  if (options.data.empty())
    throw UsageError("train needs a text file: --data FILE");
  ByteText text(options.data, module.vocabulary);
  if (isResumed && text.fingerprint() != options.dataFingerprint)
    throw Error(
        concat("data file ", options.data, " is not the one of the checkpoint in ", options.folder,
               "; name the same file, or start a new run with --weights and another --out"));
  options.dataFingerprint = text.fingerprint();
  Dimensions sizes = batchDimensions(module, program, options.batch, options.sequence, 8);
  options.batch = sizes["batch"];
  options.sequence = sizes["sequence"];
  if (text.training().size <= options.sequence || text.validation().size < 2)
    throw Error(concat("data file ", options.data, " has ", text.all().size,
                       " bytes, too few for sequences of ", options.sequence,
                       ": nine tenths are to learn from and must hold ", options.sequence + 1,
                       ", one tenth is to validate; use more text or a shorter --sequence"));
  if (!isResumed)
    startNew(module, options, state);
  state.trainedSequence = std::max(state.trainedSequence, options.sequence);
  createFolder(options.folder);

  Arena arena(commands.device());
  Call call(program, sizes, arena);
  call.bind(Role::Parameter, state.weights);
  call.bind(Role::FirstMoment, state.first);
  call.bind(Role::SecondMoment, state.second);
  TextBatch batch(call);
  announce(commands, options, state, call, text);

  TrainingTask task{module, options.settings, options.folder, options.record.dump(), "", 0, {}, {}};
  task.resumeCommand = concat(commands.program, " train --resume --out ", options.folder);
  task.tokensPerStep = options.batch * options.sequence;
  task.fillBatch = [&](Call &, int64_t step) {
    ByteSpan span = text.training();
    for (int64_t row = 0; row < options.batch; ++row) {
      PhiloxCounter words = draw(options.settings.seed, Stream::Batches, 0,
                                 uint64_t(step) * uint64_t(options.batch) + uint64_t(row));
      batch.fill(row, span,
                 int64_t(below(words[0], words[1], uint64_t(span.size - options.sequence))));
    }
  };
  std::unique_ptr<Call> loss;
  if (const Program *found = module.find("loss")) {
    // Compiled shapes of `loss` win: they may differ from those of train_step.
    Dimensions fixed = found->fixedDimensions();
    fixed.insert(sizes.begin(), sizes.end());
    loss = std::make_unique<Call>(*found, fixed, arena);
    loss->bind(Role::Parameter, state.weights);
    auto starts =
        spreadWindows(text.validation(), fixed["sequence"], options.evalBatches * fixed["batch"]);
    task.validate = [&text, &loss, starts] {
      return evaluateText(*loss, text.validation(), starts).mean();
    };
  } else {
    note("this executable has no program 'loss': there will be no validation loss");
  }
  train(task, state, call);
}

} // namespace

void addTrainCommand(CommandLine &commands) {
  auto options = std::make_shared<TrainOptions>();
  CLI::App &command = *commands.add(
      "train", "Train on a text file (its bytes are the tokens; the last tenth validates)",
      [options, &commands] { runTraining(commands, *options); });
  TrainingSettings &settings = options->settings;
  SettingsRecord &record = options->record;
  auto notNegative = [](double x) { return x >= 0; };
  record.add("data",
             command.add_option("--data", options->data, "The text file")->type_name("FILE"),
             &options->data, true);
  record.add("data_fingerprint", nullptr, &options->dataFingerprint);
  record.add("target_cpu", nullptr, &options->target);
  command
      .add_option(
          "--out", options->folder,
          "Folder for weights.safetensors, checkpoint.safetensors and log.jsonl (default out)")
      ->type_name("DIR");
  command.add_flag(
      "--resume", options->resume,
      "Continue the run in --out, with its settings, to the same bits as if it had never "
      "stopped; starts it if there is none");
  command.add_flag("--overwrite", options->overwrite, "Replace the run in --out");
  command
      .add_option("--weights", options->weights,
                  "Start from these weights (default: drawn from --seed)")
      ->type_name("FILE");
  record.add("batch",
             addInteger(command, "--batch", options->batch, 1, INT32_MAX,
                        "Sequences a step (default: as compiled, or 8)"),
             &options->batch);
  record.add("sequence",
             addInteger(command, "--sequence", options->sequence, 1, INT32_MAX,
                        "Tokens of a sequence (default: as compiled, or the context up to 256)"),
             &options->sequence);
  record.add("steps",
             addInteger(command, "--steps", settings.steps, 1, INT64_MAX, "Steps (default 1000)"),
             &settings.steps, true);
  record.add("warmup",
             addInteger(command, "--warmup", settings.warmup, 0, INT64_MAX,
                        "Steps in which the rate rises (default: a tenth of --steps, at most 100)"),
             &settings.warmup);
  record.add("schedule",
             command
                 .add_option("--schedule", settings.schedule,
                             "cosine (falls to --min-learning-rate, default) or constant")
                 ->check(CLI::IsMember({"cosine", "constant"})),
             &settings.schedule);
  record.add("min_learning_rate",
             addNumber(command, "--min-learning-rate", settings.minLearningRate, notNegative,
                       "at least 0", "Where the cosine ends (default: a tenth of --learning-rate)"),
             &settings.minLearningRate);
  addOptimizerOptions(command, settings.optimizer);
  OptimizerSettings &optimizer = settings.optimizer;
  CLI::Option *learningRate = command.get_option("--learning-rate");
  learningRate->description(
      "AdamW: peak of the learning rate (default 0.003 up to a million parameters, then falling "
      "with the root of their number)");
  record.add("learning_rate", learningRate, &optimizer.learningRate);
  record.add("beta1", command.get_option("--beta1"), &optimizer.beta1);
  record.add("beta2", command.get_option("--beta2"), &optimizer.beta2);
  record.add("epsilon", command.get_option("--epsilon"), &optimizer.epsilon);
  record.add("weight_decay", command.get_option("--weight-decay"), &optimizer.weightDecay);
  record.add("decay_all", command.get_option("--decay-all"), &optimizer.decayAll);
  record.add("clip", command.get_option("--clip"), &optimizer.clip);
  record.add("seed", addSeed(command, settings.seed), &settings.seed);
  record.add("eval_every",
             addInteger(command, "--eval-every", settings.evalEvery, 1, INT64_MAX,
                        "Steps between validations (default 100)"),
             &settings.evalEvery, true);
  record.add("eval_batches",
             addInteger(command, "--eval-batches", options->evalBatches, 1, INT32_MAX,
                        "Batches of a validation, spread over the last tenth (default 20)"),
             &options->evalBatches, true);
  record.add("save_every",
             addInteger(command, "--save-every", settings.saveEvery, 1, INT64_MAX,
                        "Steps between checkpoints (default 200)"),
             &settings.saveEvery, true);
}

} // namespace quern::runtime
