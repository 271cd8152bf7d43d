//===- Calls.h - Calls of functions -----------------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#ifndef QUERN_EMULATOR_MACHINE_INSTRUCTIONS_CALLS_H
#define QUERN_EMULATOR_MACHINE_INSTRUCTIONS_CALLS_H

#include "lib/Emulator/Machine/Decoder.h"

namespace quern::emulator::machine {

/// call{.uni} [(returned),] function [, (arguments)]
void decodeCall(Decoder &decoder);

/// ret, and the end of a body: hands the returned value to the caller; in a kernel the thread
/// exits.
Step returnFromCall(Warp &warp, const Instruction &instruction, LaneMask lanes);

} // namespace quern::emulator::machine

#endif // QUERN_EMULATOR_MACHINE_INSTRUCTIONS_CALLS_H
