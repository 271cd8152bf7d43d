//===- Main.cpp - The entry point of a compiled model's executable ----------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "quern/Runtime/CommandLine.h"

int main(int argc, char **argv) {
  return quern::runtime::runCommandLine(argc, argv, quern_module_json, quern_programs,
                                        quern_device_codes);
}
