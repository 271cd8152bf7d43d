//===- Multiply.cpp - mma.sync ----------------------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
///
/// \file
/// PTX ISA 9.1, section 9.7.14.5.14. Operands of the decoded instruction: D, A, B, C.
///
#include "lib/Emulator/Machine/Block.h"
#include "lib/Emulator/TensorCore/Families.h"
#include "lib/Emulator/TensorCore/Registers.h"

#include <algorithm>

namespace quern::emulator::machine {

namespace {
using matrix::WarpMultiply;
using matrix::WarpRegister;

Step multiply(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  const auto &plan = instruction.planAs<WarpMultiply>();
  requireAllLanes(warp, instruction, lanes);
  int countD = plan.registersOfD();
  const Operand *operandD = instruction.operands.data();
  WarpRegister a[4], b[2], c[4], d[4];
  const Operand *next = operandD + countD;
  auto load = [&](WarpRegister *to, int count) {
    for (int i = 0; i < count; ++i, ++next) {
      warp.require(instruction, lanes, *next);
      to[i] = loadRegister(warp, *next);
    }
  };
  load(a, plan.registersOfA());
  load(b, plan.registersOfB());
  load(c, countD);
  // Of a sampled launch nobody uses the results.
  if (warp.block.grid.launch.sample)
    std::copy(c, c + countD, d);
  else
    plan.run(a, b, c, d);
  for (int i = 0; i < countD; ++i)
    storeRegister(warp, operandD[i], d[i]);
  return Step::Next;
}

void decodeMultiply(Decoder &decoder) {
  decoder.modifiers.oneOf("synchronization", {".sync"});
  decoder.modifiers.oneOf("convergence", {".aligned"});
  Shape shape = takeShape(decoder);
  decoder.modifiers.oneOf("the layout of A", {".row"});
  decoder.modifiers.oneOf("the layout of B", {".col"});
  WarpMultiply plan;
  plan.saturate = decoder.modifiers.accept(".satfinite");
  plan.k = shape.k;
  plan.accumulator = accumulatorType(decoder, decoder.modifiers.type());
  plan.a = elementType(decoder, decoder.modifiers.type());
  plan.b = elementType(decoder, decoder.modifiers.type());
  std::string problem = plan.check();
  if (shape.m != 16 || shape.n != 8)
    problem = "the known shapes are m16n8kK";
  else if (accumulatorType(decoder, decoder.modifiers.type()) != plan.accumulator)
    problem = "C and D have one type in the known shapes";
  if (!problem.empty())
    decoder.fail("'mma" + decoder.modifiers.text() + "': " + problem);
  decoder.operandCount(4);
  writeRegisters(decoder, 0, plan.registersOfD());
  readRegisters(decoder, 1, plan.registersOfA());
  readRegisters(decoder, 2, plan.registersOfB());
  readRegisters(decoder, 3, plan.registersOfD());
  decoder.requireWarp();
  decoder.result.plan = std::make_shared<WarpMultiply>(plan);
  decoder.result.handler = multiply;
}
} // namespace

void registerWarpMultiply(InstructionTable &table) { table.add("mma", decodeMultiply); }

} // namespace quern::emulator::machine
