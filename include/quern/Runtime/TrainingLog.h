//===- TrainingLog.h - What a training run reports --------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
///
/// \file
/// A JSON-lines file with one object a step, and a progress line (on a terminal) or plain lines.
///
#ifndef QUERN_RUNTIME_TRAININGLOG_H
#define QUERN_RUNTIME_TRAININGLOG_H

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace quern::runtime {

/// What is known after a step (step 0: before the first).
struct StepReport {
  int64_t step = 0;
  std::optional<double> loss, gradientNorm, validationLoss;
  double learningRate = 0;
};

class TrainingLog {
public:
  /// Opens FOLDER/log.jsonl, keeping the lines up to `lastStep` (none if negative), and locks it: a
  /// second run in the same folder is an error.
  TrainingLog(const std::string &folder, int64_t lastStep);
  ~TrainingLog();
  TrainingLog(const TrainingLog &) = delete;
  TrainingLog &operator=(const TrainingLog &) = delete;

  /// Appends one line. Throws Error when it cannot be written.
  void write(const StepReport &report, double tokensPerSecond, double seconds);
  /// Makes the lines durable.
  void sync();

private:
  std::string path;
  int file = -1;
};

/// The progress line: step, loss, validation loss, tokens a second, time left.
class Progress {
public:
  Progress(int64_t firstStep, int64_t steps, int64_t tokensPerStep);
  /// Tells that a step took `seconds`; prints on a terminal always, else now and then and whenever
  /// there is a validation loss.
  void show(const StepReport &report, double seconds);
  /// Ends the line on a terminal, so that other text can follow.
  void end();
  double tokensPerSecond() const { return average > 0 ? double(tokens) / average : 0; }
  double elapsed() const;

private:
  bool terminal = false, open = false;
  int64_t first = 0, steps = 0, tokens = 0, every = 1;
  double average = 0; // seconds a step, over the last dozens
  std::optional<double> validation;
  std::chrono::steady_clock::time_point start;
};

} // namespace quern::runtime

#endif // QUERN_RUNTIME_TRAININGLOG_H
