//===- quern-opt.cpp - The main of quern-opt --------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "quern/Tools/Opt.h"

int main(int argc, char **argv) { return quern::tools::runOpt(argc, argv); }
