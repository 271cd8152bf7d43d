//===- Fences.cpp - Fences, prefetches of tensor maps ---------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
///
/// \file
/// PTX ISA 9.1, section 9.7.13.4. The spaces that a proxy fence may be bounded to, scopes, and the
/// strengths of fences are taken and not told apart.
///
#include "lib/Emulator/Async/Families.h"
#include "lib/Emulator/Async/Mbarrier.h"
#include "lib/Emulator/Machine/Decoder.h"

namespace quern::emulator::machine {

namespace {

Step fenceProxy(Warp &warp, const Instruction &, LaneMask) {
  warp.actor.fence();
  return Step::Next;
}

Step fenceMemory(Warp &warp, const Instruction &, LaneMask) {
  warp.fence();
  return Step::Next;
}

Step fenceInitialization(Warp &warp, const Instruction &, LaneMask) {
  warp.extensions.get<InitializationFence>().released.join(warp.actor.knowledge);
  warp.actor.advance();
  for (auto &entry : warp.block.extensions.get<Mbarriers>().objects)
    entry.second->fenceInitialization(warp);
  return Step::Next;
}

void decodeFence(Decoder &decoder) {
  if (decoder.modifiers.accept(".mbarrier_init")) {
    decoder.modifiers.oneOf("semantics", {".release"});
    decoder.modifiers.oneOf("a scope", {".cluster"});
    decoder.result.handler = fenceInitialization;
  } else if (decoder.modifiers.accept(".proxy")) {
    decoder.modifiers.oneOf("a proxy that is emulated", {".async"});
    decoder.modifiers.acceptOneOf({".global", ".shared::cta", ".shared::cluster"});
    decoder.result.handler = fenceProxy;
  } else {
    decoder.modifiers.oneOf("semantics", {".sc", ".acq_rel", ".acquire", ".release"});
    decoder.modifiers.oneOf("a scope", {".cta", ".cluster", ".gpu", ".sys"});
    decoder.result.handler = fenceMemory;
  }
  decoder.operandCount(0);
}

/// A hint.
Step prefetch(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  warp.require(instruction, lanes, instruction.operands[0]);
  return Step::Next;
}

void decodePrefetch(Decoder &decoder) {
  int space = decoder.modifiers.acceptOneOf({".global", ".local", ".const", ".param"});
  static constexpr Space spaces[] = {Space::Global, Space::Local, Space::Constant,
                                     Space::Parameter};
  decoder.modifiers.oneOf("what to prefetch",
                          {".tensormap", ".L1", ".L2", ".L2::evict_last", ".L2::evict_normal"});
  decoder.operandCount(1);
  decoder.result.operands = {decoder.address(0, space < 0 ? Space::Generic : spaces[space])};
  decoder.result.handler = prefetch;
}

} // namespace

void registerFences(InstructionTable &table) {
  table.add("fence", decodeFence);
  table.add("prefetch", decodePrefetch);
}

} // namespace quern::emulator::machine
