//===- Arithmetic.cpp - Opcodes that exist for several kinds of numbers -----------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "lib/Emulator/Machine/Instructions/Arithmetic.h"

#include "lib/Emulator/Machine/Families.h"

namespace quern::emulator::machine {

template <Operation operation>
static void decodeArithmetic(Decoder &decoder) {
  Type type = decoder.modifiers.type();
  if (isFloat(type))
    decodeFloat(decoder, operation, type);
  else
    decodeInteger(decoder, operation, type);
}

void registerArithmetic(InstructionTable &table) {
  table.add("add", decodeArithmetic<Operation::Add>);
  table.add("sub", decodeArithmetic<Operation::Sub>);
  table.add("mul", decodeArithmetic<Operation::Mul>);
  table.add("mad", decodeArithmetic<Operation::Mad>);
  table.add("fma", decodeArithmetic<Operation::Mad>);
  table.add("div", decodeArithmetic<Operation::Div>);
  table.add("rem", decodeArithmetic<Operation::Rem>);
  table.add("min", decodeArithmetic<Operation::Min>);
  table.add("max", decodeArithmetic<Operation::Max>);
  table.add("abs", decodeArithmetic<Operation::Abs>);
  table.add("neg", decodeArithmetic<Operation::Neg>);
}

} // namespace quern::emulator::machine
