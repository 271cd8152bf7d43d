//===- Options.cpp - Options that several commands share --------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "quern/Runtime/Call.h"
#include "quern/Runtime/CommandLine.h"
#include "quern/Runtime/Error.h"

#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdlib>

namespace quern::runtime {

CLI::Option *addInteger(CLI::App &command, const std::string &name, int64_t &value, int64_t low,
                        int64_t high, const std::string &description) {
  return command.add_option(name, value, description)
      ->type_name("N")
      ->check([low, high](const std::string &text) -> std::string {
        char *end = nullptr;
        errno = 0;
        long long number = std::strtoll(text.c_str(), &end, 10);
        if (text.empty() || *end)
          return concat("'", text, "' is not a whole number");
        if (errno || number < low || number > high)
          return high == INT64_MAX ? concat(text, " is out of range: at least ", low)
                                   : concat(text, " is out of range: ", low, " to ", high);
        return "";
      });
}

CLI::Option *addNumber(CLI::App &command, const std::string &name, double &value,
                       const std::function<bool(double)> &valid, const std::string &range,
                       const std::string &description) {
  return command.add_option(name, value, description)
      ->type_name("X")
      ->check([valid, range](const std::string &text) -> std::string {
        char *end = nullptr;
        double number = std::strtod(text.c_str(), &end);
        if (text.empty() || *end)
          return concat("'", text, "' is not a number");
        if (!std::isfinite(number) || !valid(number))
          return concat(text, " is out of range: ", range);
        return "";
      });
}

CLI::Option *addSeed(CLI::App &command, uint64_t &seed) {
  return command.add_option("--seed", seed, "Seed of all random numbers (default 1)")
      ->type_name("N")
      ->check([](const std::string &text) -> std::string {
        char *end = nullptr;
        errno = 0;
        std::strtoull(text.c_str(), &end, 10);
        bool digits = text.find_first_not_of("0123456789") == std::string::npos;
        return digits && !errno && !text.empty()
                   ? ""
                   : concat("'", text, "' is not a whole number from 0 to 18446744073709551615");
      });
}

CLI::Option *addDevice(CLI::App &command, std::string &name) {
  return command
      .add_option("--device", name,
                  "cpu, gpu, or gpu:N for GPU number N (default: cpu if there is code for it)")
      ->type_name("NAME")
      ->check(checkDeviceName);
}

void addOptimizerOptions(CLI::App &command, OptimizerSettings &settings) {
  auto positive = [](double x) { return x > 0; };
  auto notNegative = [](double x) { return x >= 0; };
  auto rate = [](double x) { return x >= 0 && x < 1; };
  addNumber(command, "--learning-rate", settings.learningRate, notNegative, "at least 0",
            "AdamW: learning rate (default 0.001)");
  addNumber(command, "--beta1", settings.beta1, rate, "at least 0 and below 1",
            "AdamW: decay of the first moment (default 0.9)");
  addNumber(command, "--beta2", settings.beta2, rate, "at least 0 and below 1",
            "AdamW: decay of the second moment (default 0.95)");
  addNumber(command, "--epsilon", settings.epsilon, positive, "above 0",
            "AdamW: added to the root of the second moment (default 1e-8)");
  addNumber(command, "--weight-decay", settings.weightDecay, notNegative, "at least 0",
            "AdamW: decoupled weight decay of the parameters marked for it (default 0.1)");
  command.add_flag("--decay-all", settings.decayAll,
                   "Decay every parameter, also those not marked for it");
  addNumber(command, "--clip", settings.clip, notNegative, "at least 0",
            "Largest global norm of the gradient; 0 turns clipping off (default 1)");
}

void checkClip(const Program &program, const CLI::App &command, OptimizerSettings &settings) {
  if (!program.neverClips())
    return;
  if (command.get_option("--clip")->count() && settings.clip > 0)
    throw UsageError(concat("--clip ", settings.clip, ": program '", program.name,
                            "' never clips gradients, for it was compiled with --clip=never; leave "
                            "--clip out, or compile the model without --clip=never"));
  settings.clip = 0;
}

void setOptimizerOptions(Call &call, const OptimizerSettings &settings, double learningRate,
                         int64_t step) {
  call.setOption("learning_rate", learningRate);
  call.setOption("beta1", settings.beta1);
  call.setOption("beta2", settings.beta2);
  call.setOption("epsilon", settings.epsilon);
  call.setOption("weight_decay", settings.weightDecay);
  call.setOption("weight_decay_others", settings.decayAll ? settings.weightDecay : 0);
  call.setOption("clip", settings.clip);
  call.setOption("step", double(step));
}

} // namespace quern::runtime
