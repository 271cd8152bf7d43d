//===- ExtendedArithmetic.h - Integer arithmetic with carry, and on packed halves -------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#ifndef QUERN_EMULATOR_MACHINE_INSTRUCTIONS_EXTENDEDARITHMETIC_H
#define QUERN_EMULATOR_MACHINE_INSTRUCTIONS_EXTENDEDARITHMETIC_H

#include "lib/Emulator/Machine/Instructions/Arithmetic.h"

namespace quern::emulator::machine {

/// add.cc, sub.cc, mad.cc
void decodeAddCarryOut(Decoder &decoder, Operation operation, Type type);

/// add, min, max of u16x2 and s16x2
void decodePackedInteger(Decoder &decoder, Operation operation, Type type);

} // namespace quern::emulator::machine

#endif // QUERN_EMULATOR_MACHINE_INSTRUCTIONS_EXTENDEDARITHMETIC_H
