//===- Reference.h - quern-reference: functions of models in float64 -------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_TOOLS_REFERENCE_H
#define QUERN_TOOLS_REFERENCE_H

namespace quern::tools {
/// The whole of quern-reference; 0 on success, 1 when something is wrong, 2 for a wrong command
/// line.
int runReference(int argc, char **argv);
} // namespace quern::tools

#endif // QUERN_TOOLS_REFERENCE_H
