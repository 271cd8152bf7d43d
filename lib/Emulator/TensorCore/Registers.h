//===- Registers.h - Operands of matrix instructions ------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#ifndef QUERN_EMULATOR_TENSORCORE_REGISTERS_H
#define QUERN_EMULATOR_TENSORCORE_REGISTERS_H

#include "lib/Emulator/Machine/Decoder.h"
#include "lib/Emulator/Machine/Warp.h"
#include "lib/Emulator/Matrix/WarpMultiply.h"

namespace quern::emulator::machine {

/// The element and accumulator types that a modifier names; an error for other types.
matrix::ElementType elementType(Decoder &decoder, Type type);
matrix::AccumulatorType accumulatorType(Decoder &decoder, Type type);

/// The shape modifier ".m16n8k16" as its three numbers; an error if there is none.
struct Shape {
  int m, n, k;
};
Shape takeShape(Decoder &decoder);

/// Appends the 32-bit registers of a vector operand to the instruction's operands.
void readRegisters(Decoder &decoder, size_t operand, int count);
void writeRegisters(Decoder &decoder, size_t operand, int count);

matrix::WarpRegister loadRegister(Warp &warp, const Operand &operand);
void storeRegister(Warp &warp, const Operand &operand, const matrix::WarpRegister &value);

/// Instructions of the whole warp are undefined when a lane has exited: reports that.
void requireAllLanes(Warp &warp, const Instruction &instruction, LaneMask lanes);

} // namespace quern::emulator::machine

#endif // QUERN_EMULATOR_TENSORCORE_REGISTERS_H
