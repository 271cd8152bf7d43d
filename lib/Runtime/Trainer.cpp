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
  return tensor->type == Type::F32 ? double(*static_cast<float *>(tensor->data))
                                   : *static_cast<double *>(tensor->data);
}

static void save(const TrainingTask &task, const TrainingState &state, TrainingLog &log) {
  log.sync();
  // The checkpoint alone decides where a run goes on; the weights follow it.
  saveCheckpoint(task.folder + "/checkpoint.safetensors", task.module, state, task.settingsText);
  saveWeights(task.folder + "/weights.safetensors", task.module, state.weights);
}

void train(const TrainingTask &task, TrainingState &state, Call &call) {
  const TrainingSettings &settings = task.settings;
  StopOnSignal signals;
  TrainingLog log(task.folder, state.step ? state.step : -1);
  Progress progress(state.step, settings.steps, task.tokensPerStep);
  if (state.step == 0 && task.validate) {
    StepReport before;
    before.validationLoss = task.validate();
    log.write(before, 0, progress.elapsed());
    progress.show(before, 0);
  }
  int64_t saved = state.step ? state.step : -1;
  while (state.step < settings.steps && !stopRequested) {
    auto start = std::chrono::steady_clock::now();
    StepReport report;
    report.learningRate = settings.learningRate(state.step);
    task.fillBatch(call, state.step);
    setOptimizerOptions(call, settings.optimizer, report.learningRate, state.step + 1);
    call.run();
    std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
    report.step = ++state.step;
    report.loss = scalar(call, "loss");
    report.gradientNorm = scalar(call, "gradient_norm");
    if ((report.loss && !std::isfinite(*report.loss)) ||
        (report.gradientNorm && !std::isfinite(*report.gradientNorm))) {
      progress.end();
      throw Error(concat("the loss is no longer a finite number at step ", state.step, "; ",
                         saved >= 0 ? concat("the checkpoint of step ", saved, " is intact")
                                    : std::string("nothing was saved"),
                         "; try a lower --learning-rate or a longer --warmup"));
    }
    bool last = state.step == settings.steps;
    if (task.validate && (last || state.step % settings.evalEvery == 0))
      report.validationLoss = task.validate();
    progress.show(report, time.count());
    log.write(report, progress.tokensPerSecond(), progress.elapsed());
    if (!last && !stopRequested && state.step % settings.saveEvery == 0) {
      save(task, state, log);
      saved = state.step;
    }
  }
  progress.end();
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
