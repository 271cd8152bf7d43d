//===- Trainer.cpp - The training loop of any kind of model -----------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "quern/Runtime/Trainer.h"

#include "quern/Runtime/Error.h"
#include "quern/Runtime/TrainingLog.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdio>

namespace quern::runtime {

double TrainingSettings::learningRate(int64_t step) const {
  double peak = optimizer.learningRate;
  if (step < warmup)
    return peak * double(step + 1) / double(warmup);
  if (schedule == "constant" || steps <= warmup)
    return peak;
  double done = double(step - warmup) / double(steps - warmup);
  return minLearningRate +
         0.5 * (1 + std::cos(3.14159265358979323846 * done)) * (peak - minLearningRate);
}

static volatile std::sig_atomic_t stopRequested = 0;

namespace {
/// Turns the first SIGINT or SIGTERM into a request; a second one ends the process as usual.
class StopOnSignal {
public:
  StopOnSignal() {
    stopRequested = 0;
    struct sigaction action = {};
    action.sa_handler = [](int) { stopRequested = 1; };
    action.sa_flags = int(SA_RESETHAND | SA_RESTART);
    sigaction(SIGINT, &action, &interrupt);
    sigaction(SIGTERM, &action, &terminate);
  }
  ~StopOnSignal() {
    sigaction(SIGINT, &interrupt, nullptr);
    sigaction(SIGTERM, &terminate, nullptr);
  }
  StopOnSignal(const StopOnSignal &) = delete;
  StopOnSignal &operator=(const StopOnSignal &) = delete;

private:
  struct sigaction interrupt = {}, terminate = {};
};
} // namespace

/// The scalar output of that name as a double; nothing if the program has none.
static std::optional<double> scalar(Call &call, const char *name) {
  Tensor *tensor = call.find(name, Role::Output);
  if (!tensor)
    return std::nullopt;
  return readScalar(*tensor);
}

static void save(const TrainingTask &task, const TrainingState &state, TrainingLog &log) {
  log.sync();
  // The checkpoint alone decides where a run goes on; the weights follow it.
  saveCheckpoint(task.folder + "/checkpoint.safetensors", task.module, state, task.settingsText);
  saveWeights(task.folder + "/weights.safetensors", task.module, state.weights,
              state.trainedSequence);
}

namespace {
/// The steps of one run. A device that can work while the host prepares gets the next step before
/// the last one has finished, except where the state after it is wanted.
class Steps {
public:
  Steps(const TrainingTask &task, TrainingState &state, Call &call, TrainingLog &log)
      : task(task), settings(task.settings), state(state), call(call), log(log),
        progress(state.step, settings.steps, task.tokensPerStep), started(state.step),
        saved(state.step ? state.step : -1), last(Clock::now()) {}

  void run() {
    if (state.step == 0 && task.validate)
      validateAtStart();
    while (started < settings.steps && !stopRequested) {
      start();
      int64_t may = isBoundary(started) || stopRequested ? 0 : call.depth() - 1;
      while (started - state.step > may)
        finish();
    }
    while (started > state.step)
      finish();
    progress.end();
  }

private:
  using Clock = std::chrono::steady_clock;

  void validateAtStart() {
    StepReport before;
    before.validationLoss = task.validate();
    log.write(before, 0, progress.elapsed());
    progress.show(before, 0);
    last = Clock::now();
  }

  /// Whether the state after `step` steps is validated or saved.
  bool isBoundary(int64_t step) const {
    return step == settings.steps || step % settings.evalEvery == 0 ||
           step % settings.saveEvery == 0;
  }

  void start() {
    task.fillBatch(call, started);
    setOptimizerOptions(call, settings.optimizer, settings.learningRate(started), started + 1);
    ++started;
    guard([&] { call.start(); });
  }

  /// Calls `work`; a failure of the device says what is left of the run.
  template <typename Work>
  void guard(Work work) {
    try {
      work();
    } catch (const Error &error) {
      progress.end();
      throw Error(concat(error.what(), "; this was step ", state.step + 1, ", ", whatIsLeft()));
    }
  }

  std::string whatIsLeft() const {
    return saved >= 0 ? concat("the checkpoint of step ", saved, " is intact")
                      : std::string("nothing was saved");
  }

  void finish() {
    guard([&] { call.finish(); });
    StepReport report;
    report.learningRate = settings.learningRate(state.step);
    report.step = ++state.step;
    report.loss = scalar(call, "loss");
    report.gradientNorm = scalar(call, "gradient_norm");
    std::chrono::duration<double> time = Clock::now() - last;
    if ((report.loss && !std::isfinite(*report.loss)) ||
        (report.gradientNorm && !std::isfinite(*report.gradientNorm))) {
      progress.end();
      throw Error(concat("the loss is no longer a finite number at step ", state.step, "; ",
                         whatIsLeft(), "; try a lower --learning-rate or a longer --warmup"));
    }
    bool isLast = state.step == settings.steps;
    if (task.validate && (isLast || state.step % settings.evalEvery == 0))
      guard([&] { report.validationLoss = task.validate(); });
    progress.show(report, time.count());
    log.write(report, progress.tokensPerSecond(), progress.elapsed());
    if (!isLast && !stopRequested && state.step % settings.saveEvery == 0) {
      save(task, state, log);
      saved = state.step;
    }
    last = Clock::now();
  }

  const TrainingTask &task;
  const TrainingSettings &settings;
  TrainingState &state;
  Call &call;
  TrainingLog &log;
  Progress progress;
  int64_t started, saved; // steps begun; the step of the last checkpoint, -1 without one
  Clock::time_point last;
};
} // namespace

void train(const TrainingTask &task, TrainingState &state, Call &call) {
  const TrainingSettings &settings = task.settings;
  StopOnSignal signals;
  TrainingLog log(task.folder, state.step ? state.step : -1);
  Steps(task, state, call, log).run();
  // Even a state that came from a checkpoint: its run may have been killed before the weights
  // followed.
  save(task, state, log);
  if (state.step < settings.steps)
    std::printf("stopped after step %lld of %lld and saved; continue with: %s\n",
                static_cast<long long>(state.step), static_cast<long long>(settings.steps),
                task.resumeCommand.c_str());
  else
    std::printf("saved %s/weights.safetensors after %lld steps\n", task.folder.c_str(),
                static_cast<long long>(state.step));
}

} // namespace quern::runtime
