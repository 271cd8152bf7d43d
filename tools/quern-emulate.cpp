//===- quern-emulate.cpp - The main of quern-emulate ------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//

#include "quern/Emulator/Tool.h"

int main(int argc, char **argv) { return quern::emulator::runEmulate(argc, argv); }
