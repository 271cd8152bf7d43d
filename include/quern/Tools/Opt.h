//===- Opt.h - quern-opt: every pass and pipeline phase by name -------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_TOOLS_OPT_H
#define QUERN_TOOLS_OPT_H

namespace quern::tools {
/// The whole of quern-opt: mlir-opt with Quern's dialects, passes and phases.
int runOpt(int argc, char **argv);
} // namespace quern::tools

#endif // QUERN_TOOLS_OPT_H
