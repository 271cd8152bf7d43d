//===- Control.cpp - Branches, calls and the end of threads -----------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "lib/Emulator/Machine/ControlFlow.h"
#include "lib/Emulator/Machine/Decoder.h"
#include "lib/Emulator/Machine/Families.h"
#include "lib/Emulator/Machine/Warp.h"

namespace quern::emulator::machine {

using assembly::OperandKind;

static Step branch(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  return warp.branch(instruction, lanes, instruction.target);
}

static void decodeBranch(Decoder &decoder) {
  decoder.modifiers.accept(".uni");
  decoder.operandCount(1);
  const assembly::Operand &target = decoder.operand(0);
  if (target.kind != OperandKind::Label)
    decoder.fail(target.position, "'" + target.name + "' is not a label");
  decoder.result.isBranch = true;
  decoder.result.data[0] = uint64_t(Flow::Branch);
  decoder.result.target = target.index;
  decoder.result.handler = branch;
}

static Step returnFrom(Warp &warp, const Instruction &, LaneMask lanes) {
  return warp.returnFrom(lanes);
}

static Step exitThread(Warp &warp, const Instruction &, LaneMask lanes) { return warp.exit(lanes); }

static void decodeEnd(Decoder &decoder, Handler handler) {
  decoder.operandCount(0);
  decoder.result.isBranch = true;
  decoder.result.data[0] = uint64_t(Flow::End);
  decoder.result.handler = handler;
}

static void decodeReturn(Decoder &decoder) {
  decoder.modifiers.accept(".uni");
  decodeEnd(decoder, returnFrom);
}

static void decodeExit(Decoder &decoder) { decodeEnd(decoder, exitThread); }

Instruction endOfFunction() {
  Instruction instruction;
  instruction.isBranch = true;
  instruction.data[0] = uint64_t(Flow::End);
  instruction.reconvergence = never;
  instruction.handler = returnFrom;
  return instruction;
}

void registerControl(InstructionTable &table) {
  table.add("bra", decodeBranch);
  table.add("ret", decodeReturn);
  table.add("exit", decodeExit);
}

} // namespace quern::emulator::machine
