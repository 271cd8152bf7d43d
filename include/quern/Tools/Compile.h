//===- Compile.h - quern compile -------------------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===-----------------------------------------------------------------------------------------===//
///
/// \file
/// From the text of a model to a file: runs the phases of the pipeline, then LLVM and the linker.
///
//===-----------------------------------------------------------------------------------------===//
#ifndef QUERN_TOOLS_COMPILE_H
#define QUERN_TOOLS_COMPILE_H

#include "quern/CPU/Machine.h"
#include "quern/Pipeline/Phases.h"

#include <string>

namespace quern::tools {

enum class Emit { Executable, Library, Object, Assembly, LLVMIR, PTX, MLIR };

struct CompileOptions {
  std::string input;  ///< "-" is standard input
  std::string output; ///< "-" is standard output, for text
  Emit emit = Emit::Executable;
  std::string stopAfter;  ///< name of a phase, whose module is then the output
  std::string dumpFolder; ///< a file after each phase goes there
  bool timing = false;
  bool strip = false;
  bool quiet = false; ///< does not announce the target
  std::string tool;   ///< path of the running tool: the runtime lies beside it
  pipeline::Options pipeline;
};

/// Compiles one file. Messages go to standard error; returns the exit status. The output is
/// complete or not there: it is written beside its place and then renamed.
int compile(const CompileOptions &options);

} // namespace quern::tools

#endif // QUERN_TOOLS_COMPILE_H
