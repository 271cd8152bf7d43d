//===- quern-reference.cpp - The main of quern-reference -------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "quern/Tools/Reference.h"

int main(int argc, char **argv) { return quern::tools::runReference(argc, argv); }
