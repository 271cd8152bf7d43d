//===- Bench.h - quern bench ------------------------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
///
/// \file
/// Measures compiled programs against the machine's own ceilings, taken around each measurement,
/// and against peers that are installed. What is timed is what users get: a program goes through
/// the whole compiler into a shared library and is called there.
///
//===------------------------------------------------------------------------------------------===//
#ifndef QUERN_BENCH_BENCH_H
#define QUERN_BENCH_BENCH_H

#include "llvm/Support/Error.h"

#include <functional>
#include <string>
#include <vector>

namespace quern::bench {

/// What the tool offers: the compiler, and the texts of models.
struct Compiler {
  /// Compiles a module to a shared library. `shape` fixes sizes ("batch=4"), `programs` names those
  /// to derive (empty: all). Messages go to standard error; false on failure.
  std::function<bool(const std::string &text, const std::string &library,
                     const std::vector<std::string> &shape,
                     const std::vector<std::string> &programs)>
      compile;
  /// The text of "gpt2", "gpt2-48" (48 layers), "nano" or "llama-135m".
  std::function<std::string(const std::string &name)> model;
  /// What the compiler takes this processor to be, a line.
  std::string machine;
  /// Path of the running tool, whose `bench` calls itself for what must not happen in its process.
  std::string tool;
};

struct Settings {
  std::vector<std::string> works;  ///< names of works; "all" stands for all of them
  std::vector<std::string> shapes; ///< instead of a work's own
  std::vector<int> threads;        ///< empty: as many as OpenMP takes
  double seconds = 1;              ///< to spend on each measurement
  std::vector<std::string> peers;  ///< openblas, onednn, torch, llmc; empty: those that are found
  std::string python;              ///< with PyTorch; empty: no torch
  std::string llmc;                ///< a checkout of llm.c; empty: no llmc
  std::string precision = "f32";   ///< of models and matrix products: f32, bf16
  std::string clip = "run-time";   ///< whether train clips gradients: run-time (yes), never
  bool json = false;
};

/// The names of all works with a line on each, and on their shapes.
std::string describeWorks();

/// Runs what `settings` ask for and prints a table, or JSON, to standard output. The error says
/// what of the settings cannot be, or which program did not compile.
llvm::Error run(const Settings &settings, const Compiler &compiler);

} // namespace quern::bench

#endif // QUERN_BENCH_BENCH_H
