//===- Arithmetic.h - Arithmetic by kind of number --------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
///
/// \file
/// add, sub, mul, mad, min, max and the like exist for integers and for floating point: one decoder
/// for an opcode (Arithmetic.cpp) takes the type and goes on to the file of that kind of number.
///
#ifndef QUERN_EMULATOR_MACHINE_INSTRUCTIONS_ARITHMETIC_H
#define QUERN_EMULATOR_MACHINE_INSTRUCTIONS_ARITHMETIC_H

#include "lib/Emulator/Machine/Decoder.h"

namespace quern::emulator::machine {

enum class Operation : uint8_t { Add, Sub, Mul, Mad, Div, Rem, Min, Max, Abs, Neg };

/// Take what is left of the modifiers and all operands.
void decodeInteger(Decoder &decoder, Operation operation, Type type);
void decodeFloat(Decoder &decoder, Operation operation, Type type);

} // namespace quern::emulator::machine

#endif // QUERN_EMULATOR_MACHINE_INSTRUCTIONS_ARITHMETIC_H
