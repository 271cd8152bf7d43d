//===- Barriers.cpp - Barriers of a block -----------------------------------------------------===//
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

static Step barrierSync(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  warp.block.barriers[0].arrive(warp.block, warp, instruction, lanes, true, 0);
  return Step::Moved;
}

static void decodeBarrier(Decoder &decoder) {
  if (decoder.modifiers.accept(".cluster")) {
    decodeClusterBarrier(decoder);
    return;
  }
  decoder.modifiers.accept(".sync");
  decoder.modifiers.accept(".aligned");
  decoder.operandCount(1);
  decoder.immediate(0, 0, 0);
  decoder.result.handler = barrierSync;
}

void registerBarriers(InstructionTable &table) {
  table.add("bar", decodeBarrier);
  table.add("barrier", decodeBarrier);
}

} // namespace quern::emulator::machine
