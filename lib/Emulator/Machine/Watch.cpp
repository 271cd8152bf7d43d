//===- Watch.cpp - Instructions that use registers of interest --------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "lib/Emulator/Machine/Decoder.h"

namespace quern::emulator::machine {

/// "mov a, b" between registers.
static bool isMove(const Instruction &instruction) {
  return instruction.source && instruction.source->opcode == "mov" &&
         instruction.operands.size() == 2 && instruction.operands[0].index &&
         instruction.operands[1].index;
}

void FunctionDecoder::watch(const Instruction &watcher, const Operand &operand,
                            void (*observe)(Warp &, const Instruction &)) {
  watchers.insert(&watcher);
  watched.insert(operand.index);
  observer = observe;
}

void FunctionDecoder::markWatched() {
  if (watched.empty())
    return;
  // What a watched register is moved to has the same contents under another name.
  for (bool grows = true; grows;) {
    grows = false;
    for (const Instruction &instruction : result.code)
      if (isMove(instruction)) {
        uint32_t to = instruction.operands[0].index, from = instruction.operands[1].index;
        if (watched.count(to) != watched.count(from)) {
          watched.insert({to, from});
          grows = true;
        }
      }
  }
  for (Instruction &instruction : result.code) {
    if (watchers.count(&instruction))
      continue;
    Watch watch;
    for (const Operand &operand : instruction.operands)
      if (watched.count(operand.index))
        watch.registers.push_back(operand.index);
    if (watch.registers.empty())
      continue;
    watch.observe = observer;
    watch.isMove = isMove(instruction);
    instruction.watch = std::make_shared<Watch>(std::move(watch));
  }
}

} // namespace quern::emulator::machine
