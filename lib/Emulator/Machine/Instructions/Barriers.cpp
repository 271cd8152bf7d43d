//===- Barriers.cpp - Barriers and fences -----------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "lib/Emulator/Async/Families.h"
#include "lib/Emulator/Machine/Block.h"
#include "lib/Emulator/Machine/Decoder.h"
#include "lib/Emulator/Machine/Families.h"

namespace quern::emulator::machine {

namespace {

//===- bar, barrier (PTX ISA 8.3, section 9.7.12.1) -------------------------------------------===//

struct BarrierPlan {
  bool waits;
  BarrierReduction reduction;
  bool hasCount;
  bool isAligned;
};

/// Operands: the barrier, then the thread count if there is one, then destination and predicate of
/// a reduction.
Step arriveAtBarrier(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  const auto &plan = instruction.planAs<BarrierPlan>();
  const std::vector<Operand> &operands = instruction.operands;
  unsigned first = unsigned(__builtin_ctz(lanes));
  /// The operand's value, which must be equal in all lanes.
  auto uniform = [&](const Operand &operand, const char *what) {
    warp.require(instruction, lanes, operand);
    const uint32_t *values = warp.lanesOf<uint32_t>(operand);
    for (LaneMask rest = lanes; rest; rest &= rest - 1)
      if (values[__builtin_ctz(rest)] != values[first])
        warp.report(FindingKind::InvalidOperand, instruction, unsigned(__builtin_ctz(rest)), 0,
                    std::string("lanes of one warp name different ") + what);
    return values[first];
  };
  uint32_t index = uniform(operands[0], "barriers");
  uint32_t count = plan.hasCount ? uniform(operands[1], "numbers of threads") : 0;
  if (index >= 16) {
    warp.report(FindingKind::InvalidOperand, instruction, first, 0,
                "there are the barriers 0 to 15, not " + std::to_string(index));
    return Step::Next;
  }
  uint32_t threads = (warp.block.threads() + warpSize - 1) / warpSize * warpSize;
  if (plan.hasCount && (!count || count % warpSize || count > threads)) {
    warp.report(FindingKind::InvalidOperand, instruction, first, 0,
                "a barrier is for a multiple of 32 threads, at most those of the block (" +
                    std::to_string(threads) + "), not for " + std::to_string(count));
    return Step::Next;
  }
  LaneMask predicate = 0;
  if (plan.reduction != BarrierReduction::None) {
    warp.require(instruction, lanes, operands.back());
    predicate = warp.predicate(operands.back());
  }
  warp.block.barriers[index].arrive(
      warp, instruction, lanes,
      {plan.waits, plan.reduction, count, predicate, operands.size() - 2, plan.isAligned});
  return plan.waits ? Step::Moved : Step::Next;
}

void decodeBarrierArrival(Decoder &decoder, bool isAligned) {
  Modifiers &modifiers = decoder.modifiers;
  modifiers.accept(".cta");
  BarrierPlan plan{};
  int action = modifiers.oneOf("an action", {".sync", ".arrive", ".red"});
  plan.waits = action != 1;
  plan.isAligned = isAligned || modifiers.accept(".aligned");
  std::vector<Operand> &operands = decoder.result.operands;
  if (action == 2) {
    int operation = modifiers.oneOf("an operation", {".popc", ".and", ".or"});
    plan.reduction = BarrierReduction(operation + 1);
    Type type = modifiers.type({operation ? Type::Pred : Type::U32});
    decoder.operandCount(3, 4);
    plan.hasCount = decoder.operandCount() == 4;
    operands = {decoder.read(1, Type::U32)};
    if (plan.hasCount)
      operands.push_back(decoder.read(2, Type::U32));
    operands.push_back(decoder.write(0, type));
    operands.push_back(decoder.read(decoder.operandCount() - 1, Type::Pred));
  } else {
    decoder.operandCount(action == 1 ? 2 : 1, 2);
    plan.hasCount = decoder.operandCount() == 2;
    operands = {decoder.read(0, Type::U32)};
    if (plan.hasCount)
      operands.push_back(decoder.read(1, Type::U32));
  }
  decoder.result.plan = std::make_shared<BarrierPlan>(plan);
  decoder.result.handler = arriveAtBarrier;
}

/// Lanes of a warp: memory is ordered between the members. The engine has brought them together.
Step syncWarp(Warp &warp, const Instruction &, LaneMask) {
  warp.actor.advance();
  ++warp.block.grid.progress;
  return Step::Next;
}

/// bar is barrier.aligned.
void decodeBar(Decoder &decoder) {
  if (decoder.modifiers.accept(".warp")) {
    decoder.modifiers.oneOf("an action", {".sync"});
    decoder.operandCount(1);
    decoder.requireMembers(0);
    decoder.result.gathersAnywhere = true;
    decoder.result.handler = syncWarp;
    return;
  }
  decodeBarrierArrival(decoder, true);
}

void decodeBarrier(Decoder &decoder) {
  if (decoder.modifiers.accept(".cluster"))
    decodeClusterBarrier(decoder);
  else
    decodeBarrierArrival(decoder, false);
}

//===- membar (section 9.7.12.4) --------------------------------------------------------------===//

Step fence(Warp &warp, const Instruction &, LaneMask) {
  warp.fence();
  return Step::Next;
}

void decodeMembar(Decoder &decoder) {
  decoder.modifiers.oneOf("a level", {".cta", ".gl", ".sys"});
  decoder.operandCount(0);
  decoder.result.handler = fence;
}

} // namespace

void registerBarriers(InstructionTable &table) {
  table.add("bar", decodeBar);
  table.add("barrier", decodeBarrier);
  table.add("membar", decodeMembar);
}

} // namespace quern::emulator::machine
