//===- CodeChoice.h - Which of a program's codes a GPU runs -----------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#ifndef QUERN_LIB_RUNTIME_DEVICE_CODECHOICE_H
#define QUERN_LIB_RUNTIME_DEVICE_CODECHOICE_H

#include "quern/Runtime/Program.h"

#include <string>

namespace quern::runtime {

/// The row of `codes` that fits best to compute capability `major`.`minor`, or null. sm_90a is for
/// 9.0 alone and wins there; sm_80 runs on everything from 8.0 on, and of such the newest is taken
/// (PTX ISA 8.3, section 11.1.2, ".target").
const quern_device_code *chooseCode(const quern_device_code *codes, int major, int minor);

/// The PTX of `code`. Throws Error if it is damaged.
std::string unpackCode(const quern_device_code &code);

/// The oldest CUDA whose driver takes this PTX, by its `.version`, as 1000 x major + 10 x minor; 0
/// if that is not known.
int requiredCuda(const char *ptx);

} // namespace quern::runtime

#endif // QUERN_LIB_RUNTIME_DEVICE_CODECHOICE_H
