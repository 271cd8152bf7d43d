//===- Print.h - Functions of the system: printf and assert -----------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#ifndef QUERN_EMULATOR_MACHINE_INSTRUCTIONS_PRINT_H
#define QUERN_EMULATOR_MACHINE_INSTRUCTIONS_PRINT_H

#include "lib/Emulator/Machine/Decoder.h"

namespace quern::emulator::machine {

/// Offsets of arguments and result in the local memory of the caller's frame; `never` for those
/// that are not there.
struct SystemCall {
  uint32_t first = never, second = never, result = never;
};

/// A call of a function that has no body: vprintf and __assertfail are known, which compilers make
/// of printf and assert.
void decodeSystemCall(Decoder &decoder, const assembly::Function &callee, const SystemCall &call);

} // namespace quern::emulator::machine

#endif // QUERN_EMULATOR_MACHINE_INSTRUCTIONS_PRINT_H
