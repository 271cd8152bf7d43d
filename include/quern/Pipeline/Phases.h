//===- Phases.h - The phase table ------------------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===-----------------------------------------------------------------------------------------===//
///
/// \file
/// The way of a model through the compiler, as data: what each phase is called, what it does, and
/// what holds after it. The driver, its --stop-after and --dump-phases, the pipelines of quern-opt,
/// the reference and the tests are made from this table.
///
//===-----------------------------------------------------------------------------------------===//
#ifndef QUERN_PIPELINE_PHASES_H
#define QUERN_PIPELINE_PHASES_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/raw_ostream.h"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace mlir {
class OpPassManager;
}

namespace quern::pipeline {

/// What a person can choose about the way.
struct Options {
  std::vector<std::string> targets; ///< "cpu", or architectures of GPUs; empty: the CPU alone
  std::string cpu = "native";       ///< as quern::cpu::Machine::get takes it
  std::string machine;              ///< changes to the model of that processor, as there
  /// Of storage: f32, bf16; auto: bf16 on GPUs. tf32: f32, multiplied as TF32 on GPUs.
  std::string precision = "auto";
  /// Of parameters in memory: panels, where products gain by them, or rows. Only for programs of
  /// the CPU alone.
  std::string layout = "panels";
  std::vector<std::string> programs; ///< programs to derive; empty: all that the model's kind has
  std::vector<std::string> shape;    ///< "batch=4", ...: sizes of named dimensions
  bool clip = true;                  ///< train_step clips gradients, as its option says
  bool debugInfo = true;             ///< lines of the model in the debug information

  bool hasTarget(llvm::StringRef name) const { return llvm::is_contained(targets, name); }
  bool hasCPU() const { return targets.empty() || hasTarget("cpu"); }
  bool hasGPU() const { return targets.size() > (hasTarget("cpu") ? 1 : 0); }
};

struct Phase {
  const char *name;
  const char *description; ///< one sentence
  const char *from, *to;   ///< dialects before and after
  const char *holds;       ///< what is true of a module after it
  /// Appends the phase's passes, which work on a module; null for what is not a pass (link).
  void (*build)(mlir::OpPassManager &manager, const Options &options);
};

/// All phases in their order.
llvm::ArrayRef<Phase> phases();

/// The phase of that name, or null.
const Phase *findPhase(llvm::StringRef name);

/// "fuse, derive, ..."
std::string phaseNames();

/// The table as text for a terminal, or as Markdown for the reference.
void printPhases(llvm::raw_ostream &out);
void printPhasesAsMarkdown(llvm::raw_ostream &out);

/// Makes each phase a pipeline `quern-phase-NAME` of quern-opt.
void registerPhases();

} // namespace quern::pipeline

#endif // QUERN_PIPELINE_PHASES_H
