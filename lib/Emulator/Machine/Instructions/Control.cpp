//===- Control.cpp - Branches, calls and the end of threads -----------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "lib/Emulator/Machine/Block.h"
#include "lib/Emulator/Machine/ControlFlow.h"
#include "lib/Emulator/Machine/Decoder.h"
#include "lib/Emulator/Machine/Families.h"
#include "lib/Emulator/Machine/Instructions/Calls.h"

#include <algorithm>

namespace quern::emulator::machine {

using assembly::OperandKind;

namespace {

Step branch(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  return warp.branch(instruction, lanes, instruction.target);
}

void decodeBranch(Decoder &decoder) {
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

/// brx.idx: the operand is an index into the list of targets, the plan.
Step branchIndexed(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  const auto &targets = instruction.planAs<TargetList>();
  warp.require(instruction, lanes, instruction.operands[0]);
  const uint32_t *index = warp.lanesOf<uint32_t>(instruction.operands[0]);
  uint32_t places[warpSize] = {};
  for (LaneMask rest = lanes; rest; rest &= rest - 1) {
    unsigned lane = unsigned(__builtin_ctz(rest));
    if (index[lane] >= targets.size())
      warp.report(FindingKind::InvalidOperand, instruction, lane, 0,
                  "index " + std::to_string(index[lane]) + " into a list of " +
                      std::to_string(targets.size()) + " branch targets");
    places[lane] = targets[std::min<size_t>(index[lane], targets.size() - 1)];
  }
  return warp.branchIndexed(instruction, lanes, places);
}

void decodeBranchIndexed(Decoder &decoder) {
  decoder.modifiers.oneOf("its form", {".idx"});
  decoder.modifiers.accept(".uni");
  decoder.operandCount(2);
  const assembly::Operand &list = decoder.operand(1);
  const std::vector<assembly::BranchTargets> &all = decoder.function.source.branchTargets;
  if (list.kind != OperandKind::Name || list.index >= all.size())
    decoder.fail(list.position, "'" + list.name + "' is not a list of .branchtargets");
  auto targets = std::make_shared<TargetList>();
  for (const assembly::Operand &target : all[list.index].targets)
    targets->push_back(target.index);
  decoder.result.isBranch = true;
  decoder.result.data[0] = uint64_t(Flow::IndexedBranch);
  decoder.result.operands = {decoder.read(0, Type::U32)};
  decoder.result.plan = std::move(targets);
  decoder.result.handler = branchIndexed;
}

Step exitThread(Warp &warp, const Instruction &, LaneMask lanes) { return warp.exit(lanes); }

Step trap(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  warp.report(FindingKind::Trap, instruction, unsigned(__builtin_ctz(lanes)), 0,
              "the kernel stops itself");
  throw Abandoned();
}

Step doNothing(Warp &, const Instruction &, LaneMask) { return Step::Next; }

void decodeEnd(Decoder &decoder, Handler handler) {
  decoder.operandCount(0);
  decoder.result.isBranch = true;
  decoder.result.data[0] = uint64_t(Flow::End);
  decoder.result.handler = handler;
}

void decodeReturn(Decoder &decoder) {
  decoder.modifiers.accept(".uni");
  decodeEnd(decoder, returnFromCall);
}

void decodeExit(Decoder &decoder) { decodeEnd(decoder, exitThread); }
void decodeTrap(Decoder &decoder) { decodeEnd(decoder, trap); }

/// nanosleep, pmevent, brkpt: nothing that shows in results.
void decodeSleep(Decoder &decoder) {
  decoder.modifiers.type({Type::U32});
  decoder.operandCount(1);
  decoder.result.operands = {decoder.read(0, Type::U32)};
  decoder.result.handler = doNothing;
}

void decodeEvent(Decoder &decoder) {
  decoder.modifiers.accept(".mask");
  decoder.operandCount(1);
  decoder.immediate(0, 0, 65535);
  decoder.result.handler = doNothing;
}

void decodeBreakpoint(Decoder &decoder) {
  decoder.operandCount(0);
  decoder.result.handler = doNothing;
}

} // namespace

Instruction endOfFunction() {
  Instruction instruction;
  instruction.isBranch = true;
  instruction.data[0] = uint64_t(Flow::End);
  instruction.reconvergence = never;
  instruction.handler = returnFromCall;
  return instruction;
}

void registerControl(InstructionTable &table) {
  table.add("bra", decodeBranch);
  table.add("brx", decodeBranchIndexed);
  table.add("call", decodeCall);
  table.add("ret", decodeReturn);
  table.add("exit", decodeExit);
  table.add("trap", decodeTrap);
  table.add("nanosleep", decodeSleep);
  table.add("pmevent", decodeEvent);
  table.add("brkpt", decodeBreakpoint);
}

} // namespace quern::emulator::machine
