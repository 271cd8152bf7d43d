//===- Quern.h - The quern tool --------------------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===-----------------------------------------------------------------------------------------===//
#ifndef QUERN_TOOLS_QUERN_H
#define QUERN_TOOLS_QUERN_H

namespace quern::tools {
/// The whole of quern: compile, phases, new. Returns the exit status.
int runQuern(int argc, char **argv);
} // namespace quern::tools

#endif // QUERN_TOOLS_QUERN_H
