//===- CommandLine.h - The command line of a compiled model -----------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
///
/// \file
/// Commands are added by the runtime (`info`, `run`) and by the kind of the model (`train`, ...): a
/// kind is one file and one line in the table of Kinds.cpp.
///
#ifndef QUERN_RUNTIME_COMMANDLINE_H
#define QUERN_RUNTIME_COMMANDLINE_H

#include "quern/Runtime/Device.h"
#include "quern/Runtime/Module.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace CLI {
class App;
class Option;
} // namespace CLI

namespace quern::runtime {

/// The command line while it is being built.
class CommandLine {
public:
  CommandLine(const Module &module, CLI::App &app) : module(module), app(app) {}

  /// Adds a command that does `action` after all options were read. A command that runs compiled
  /// code gets --threads, and the device is opened before it starts.
  CLI::App *add(const std::string &name, const std::string &description,
                std::function<void()> action, bool runsCode = true);
  /// The command whose action runs, after its options were read.
  const CLI::App &command() const { return *given; }
  /// The device that was opened for the command.
  Device &device() const { return *opened; }

  const Module &module;
  std::string program; // as it was called, for commands told to people

private:
  friend int runCommandLine(int, const char *const *, const char *, const quern_program *,
                            const quern_device_code *);
  CLI::App &app;
  const CLI::App *given = nullptr;
  std::function<void()> chosen;
  int64_t threads = 0;
  std::string deviceName;
  std::unique_ptr<Device> opened;
};

/// What people expect of a model of some kind.
struct Kind {
  const char *name;
  void (*addCommands)(CommandLine &commands);
};

/// The kind of that name, or null (the model then offers `info` and `run` only).
const Kind *findKind(const std::string &name);

void addInfoCommand(CommandLine &commands);
void addRunCommand(CommandLine &commands);
void addCausalLMCommands(CommandLine &commands);

/// AdamW's settings, options of every command that updates weights.
struct OptimizerSettings {
  double learningRate = 1e-3, beta1 = 0.9, beta2 = 0.95, epsilon = 1e-8, weightDecay = 0.1,
         clip = 1;
  bool decayAll = false;
};
class Call;
/// Adds --learning-rate, --beta1, --beta2, --epsilon, --weight-decay, --decay-all and --clip.
void addOptimizerOptions(CLI::App &command, OptimizerSettings &settings);
/// For a program that never clips (compiled with --clip=never), the settings say so as well; throws
/// UsageError if `--clip` was given and asks for what it cannot do.
void checkClip(const Program &program, const CLI::App &command, OptimizerSettings &settings);
/// Hands the settings to a program; `step` is 1 in the first call.
void setOptimizerOptions(Call &call, const OptimizerSettings &settings, double learningRate,
                         int64_t step);

/// Number options with a range, checked while parsing; messages name the option and the range.
CLI::Option *addInteger(CLI::App &command, const std::string &name, int64_t &value, int64_t low,
                        int64_t high, const std::string &description);
CLI::Option *addNumber(CLI::App &command, const std::string &name, double &value,
                       const std::function<bool(double)> &valid, const std::string &range,
                       const std::string &description);
CLI::Option *addSeed(CLI::App &command, uint64_t &seed);
/// --device, checked for its form.
CLI::Option *addDevice(CLI::App &command, std::string &name);

/// Reads argv, runs one command, reports failures on standard error. Exit codes: 0 done, 1 failed,
/// 2 wrong usage.
int runCommandLine(int argc, const char *const *argv, const char *json, const quern_program *table,
                   const quern_device_code *deviceCodes);

} // namespace quern::runtime

#endif // QUERN_RUNTIME_COMMANDLINE_H
