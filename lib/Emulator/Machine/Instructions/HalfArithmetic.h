//===- HalfArithmetic.h - Arithmetic of f16 and bf16, single and packed -----------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#ifndef QUERN_EMULATOR_MACHINE_INSTRUCTIONS_HALFARITHMETIC_H
#define QUERN_EMULATOR_MACHINE_INSTRUCTIONS_HALFARITHMETIC_H

#include "lib/Emulator/Machine/Instructions/Arithmetic.h"

namespace quern::emulator::machine {

void decodeHalf(Decoder &decoder, Operation operation, Type type);

} // namespace quern::emulator::machine

#endif // QUERN_EMULATOR_MACHINE_INSTRUCTIONS_HALFARITHMETIC_H
