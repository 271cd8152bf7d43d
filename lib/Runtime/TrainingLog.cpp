//===- TrainingLog.cpp - What a training run reports ------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "quern/Runtime/TrainingLog.h"

#include "quern/Runtime/Error.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

namespace quern::runtime {

/// Bytes of the leading lines whose step is at most `lastStep`. Lines are ours: {"step":N,...}.
static int64_t keptLength(const std::string &text, int64_t lastStep) {
  size_t kept = 0;
  while (kept < text.size()) {
    size_t end = text.find('\n', kept);
    long long step = -1;
    if (end == std::string::npos ||
        std::sscanf(text.c_str() + kept, "{\"step\":%lld", &step) != 1 || step > lastStep)
      break;
    kept = end + 1;
  }
  return int64_t(kept);
}

TrainingLog::TrainingLog(const std::string &folder, int64_t lastStep)
    : path(folder + "/log.jsonl") {
  file = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (file < 0)
    throw Error(concat("cannot write ", path, ": ", std::strerror(errno)));
  if (flock(file, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    close(file);
    throw Error(concat("another training run is writing to ", folder, "; choose another --out"));
  }
  int64_t kept = 0;
  if (lastStep >= 0) {
    std::string text;
    char buffer[1 << 16];
    for (ssize_t count; (count = read(file, buffer, sizeof buffer)) > 0;)
      text.append(buffer, size_t(count));
    kept = keptLength(text, lastStep);
  }
  if (ftruncate(file, kept) != 0 || lseek(file, kept, SEEK_SET) < 0) {
    int reason = errno;
    close(file);
    throw Error(concat("cannot write ", path, ": ", std::strerror(reason)));
  }
}

TrainingLog::~TrainingLog() { close(file); }

void TrainingLog::sync() { fsync(file); }

void TrainingLog::write(const StepReport &report, double tokensPerSecond, double seconds) {
  std::string line = concat("{\"step\":", report.step);
  auto add = [&](const char *key, std::optional<double> value) {
    if (value && std::isfinite(*value))
      line += concat(",\"", key, "\":", *value);
  };
  add("loss", report.loss);
  add("validation_loss", report.validationLoss);
  add("gradient_norm", report.gradientNorm);
  if (report.step)
    add("learning_rate", report.learningRate);
  add("tokens_per_second", std::round(tokensPerSecond));
  add("seconds", std::round(seconds * 1e3) / 1e3);
  line += "}\n";
  for (size_t done = 0; done < line.size();) {
    ssize_t count = ::write(file, line.data() + done, line.size() - done);
    if (count < 0 && errno == EINTR)
      continue;
    if (count < 0)
      throw Error(concat("cannot write ", path, ": ", std::strerror(errno),
                         "; the last checkpoint is intact: continue with --resume"));
    done += size_t(count);
  }
}

Progress::Progress(int64_t firstStep, int64_t steps, int64_t tokensPerStep)
    : terminal(isatty(STDOUT_FILENO) != 0), first(firstStep), steps(steps), tokens(tokensPerStep),
      every(std::max<int64_t>(1, steps / 20)), start(std::chrono::steady_clock::now()) {}

double Progress::elapsed() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// "1:02:03" or "2:03".
static std::string formatTime(double seconds) {
  auto whole = static_cast<long long>(std::min(seconds + 0.5, 1e12));
  char text[40];
  if (whole >= 3600)
    std::snprintf(text, sizeof text, "%lld:%02lld:%02lld", whole / 3600, whole / 60 % 60,
                  whole % 60);
  else
    std::snprintf(text, sizeof text, "%lld:%02lld", whole / 60, whole % 60);
  return text;
}

void Progress::show(const StepReport &report, double seconds) {
  if (report.step > first)
    average = average > 0 ? average + (seconds - average) / 32 : seconds;
  if (report.validationLoss)
    validation = report.validationLoss;
  bool due = report.validationLoss || report.step == first + 1 || report.step % every == 0 ||
             report.step == steps;
  if (!terminal && !due)
    return;
  char text[200];
  size_t used =
      size_t(std::snprintf(text, sizeof text, "step %lld/%lld", static_cast<long long>(report.step),
                           static_cast<long long>(steps)));
  if (report.loss)
    used += size_t(std::snprintf(text + used, sizeof text - used, "  loss %.4f", *report.loss));
  if (validation && (terminal || report.validationLoss))
    used +=
        size_t(std::snprintf(text + used, sizeof text - used, "  validation %.4f", *validation));
  if (report.step > first) {
    // Time for validation and saving is part of what is left: count the run as a whole.
    double left = elapsed() / double(report.step - first) * double(steps - report.step);
    std::snprintf(text + used, sizeof text - used, "  %.0f tokens/s  %s left", tokensPerSecond(),
                  formatTime(left).c_str());
  }
  std::printf(terminal ? "\r\033[K%s" : "%s\n", text);
  std::fflush(stdout);
  open = terminal;
}

void Progress::end() {
  if (open)
    std::printf("\n");
  open = false;
}

} // namespace quern::runtime
