//===- Tool.h - The command quern-emulate -----------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#ifndef QUERN_EMULATOR_TOOL_H
#define QUERN_EMULATOR_TOOL_H

namespace quern::emulator {

/// Runs one launch as the command line says. Returns the exit code: 0 when nothing was found, 1
/// with findings, 2 when the text or the launch is wrong.
int runEmulate(int argc, char **argv);

} // namespace quern::emulator

#endif // QUERN_EMULATOR_TOOL_H
