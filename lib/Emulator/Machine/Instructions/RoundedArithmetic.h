//===- RoundedArithmetic.h - Arithmetic with a rounding mode of its own, division, roots ------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#ifndef QUERN_EMULATOR_MACHINE_INSTRUCTIONS_ROUNDEDARITHMETIC_H
#define QUERN_EMULATOR_MACHINE_INSTRUCTIONS_ROUNDEDARITHMETIC_H

#include "lib/Emulator/Machine/Instructions/Arithmetic.h"
#include "lib/Emulator/Matrix/Conversions.h"

namespace quern::emulator::machine {

enum class RoundedOperation : uint8_t { Add, Sub, Mul, Fma, Div, Sqrt, Rcp };

/// The result of an operation on f32 or f64, rounded as `rounding` says. Unused operands are
/// ignored.
float roundedResult(RoundedOperation operation, matrix::Rounding rounding, float a, float b,
                    float c);
double roundedResult(RoundedOperation operation, matrix::Rounding rounding, double a, double b,
                     double c);

/// add, sub, mul or fma with the rounding mode in data[0].
Handler roundedHandler(Operation operation, Type type, bool flush, bool saturate);

/// div in all its forms; takes the operands too.
void decodeDivide(Decoder &decoder, Type type);

} // namespace quern::emulator::machine

#endif // QUERN_EMULATOR_MACHINE_INSTRUCTIONS_ROUNDEDARITHMETIC_H
