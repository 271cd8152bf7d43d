//===- LoadsAndStores.cpp - Loads and stores --------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "lib/Emulator/Machine/Block.h"
#include "lib/Emulator/Machine/Decoder.h"
#include "lib/Emulator/Machine/Families.h"

#include <cstring>

namespace quern::emulator::machine {

namespace {

/// What a load or store does, its plan.
struct Access {
  Space space;
  Type type;
  unsigned elements;
};

/// Puts a value of a type into a lane of a register that may be wider: sign-extended for signed
/// types, zero-extended for others.
void putLane(Warp &warp, const Operand &to, unsigned lane, Type type, uint64_t value) {
  if (isSigned(type) && bitsOf(type) < 64) {
    unsigned shift = 64 - bitsOf(type);
    value = uint64_t(int64_t(value << shift) >> shift);
  }
  switch (to.bits) {
  case 16:
    warp.lanesOf<uint16_t>(to)[lane] = uint16_t(value);
    break;
  case 32:
    warp.lanesOf<uint32_t>(to)[lane] = uint32_t(value);
    break;
  default:
    warp.lanesOf<uint64_t>(to)[lane] = value;
    break;
  }
}

uint64_t laneOf(Warp &warp, const Operand &from, unsigned lane) {
  switch (from.bits) {
  case 16:
    return warp.lanesOf<uint16_t>(from)[lane];
  case 32:
    return warp.lanesOf<uint32_t>(from)[lane];
  default:
    return warp.lanesOf<uint64_t>(from)[lane];
  }
}

Step load(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  const auto &plan = instruction.planAs<Access>();
  const Operand &from = instruction.operands[0];
  unsigned size = bitsOf(plan.type) / 8, bytes = size * plan.elements;
  warp.require(instruction, lanes, from);
  for (LaneMask rest = lanes; rest; rest &= rest - 1) {
    unsigned lane = unsigned(__builtin_ctz(rest));
    const std::byte *source = warp.access(instruction, lane, plan.space, warp.address(from, lane),
                                          bytes, AccessKind::Read);
    for (unsigned i = 0; i < plan.elements; ++i) {
      uint64_t value = 0;
      if (source)
        std::memcpy(&value, source + i * size, size);
      putLane(warp, instruction.operands[1 + i], lane, plan.type, value);
    }
  }
  for (unsigned i = 0; i < plan.elements; ++i)
    warp.setValid(instruction.operands[1 + i], lanes);
  return Step::Next;
}

Step store(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  const auto &plan = instruction.planAs<Access>();
  const Operand &to = instruction.operands[0];
  unsigned size = bitsOf(plan.type) / 8, bytes = size * plan.elements;
  warp.require(instruction, lanes, to);
  for (unsigned i = 0; i < plan.elements; ++i)
    warp.require(instruction, lanes, instruction.operands[1 + i]);
  for (LaneMask rest = lanes; rest; rest &= rest - 1) {
    unsigned lane = unsigned(__builtin_ctz(rest));
    std::byte *target = warp.access(instruction, lane, plan.space, warp.address(to, lane), bytes,
                                    AccessKind::Write);
    if (!target)
      continue;
    for (unsigned i = 0; i < plan.elements; ++i) {
      uint64_t value = laneOf(warp, instruction.operands[1 + i], lane);
      std::memcpy(target + i * size, &value, size);
    }
  }
  return Step::Next;
}

void decodeAccess(Decoder &decoder, bool isLoad) {
  Access plan;
  static constexpr Space spaces[] = {Space::Global, Space::Shared,   Space::Shared,   Space::Shared,
                                     Space::Local,  Space::Constant, Space::Parameter};
  int space = decoder.modifiers.acceptOneOf(
      {".global", ".shared", ".shared::cta", ".shared::cluster", ".local", ".const", ".param"});
  plan.space = space < 0 ? Space::Generic : spaces[space];
  plan.elements = decoder.modifiers.vectorLength();
  plan.type = decoder.modifiers.type();
  decoder.operandCount(2);
  const assembly::Operand &value = decoder.operand(isLoad ? 0 : 1);
  decoder.result.operands = {decoder.address(isLoad ? 1 : 0, plan.space)};
  for (const assembly::Operand *element : decoder.elements(value, plan.elements))
    decoder.result.operands.push_back(isLoad ? decoder.writeWide(*element, plan.type)
                                             : decoder.readWide(*element, plan.type));
  decoder.result.plan = std::make_shared<Access>(plan);
  decoder.result.handler = isLoad ? load : store;
}

void decodeLoad(Decoder &decoder) { decodeAccess(decoder, true); }
void decodeStore(Decoder &decoder) { decodeAccess(decoder, false); }

} // namespace

void registerLoadsAndStores(InstructionTable &table) {
  table.add("ld", decodeLoad);
  table.add("st", decodeStore);
}

} // namespace quern::emulator::machine
