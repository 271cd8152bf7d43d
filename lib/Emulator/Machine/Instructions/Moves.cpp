//===- Moves.cpp - Moves, conversions of addresses --------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "lib/Emulator/Machine/AddressSpace.h"
#include "lib/Emulator/Machine/Decoder.h"
#include "lib/Emulator/Machine/Families.h"
#include "lib/Emulator/Machine/Lanes.h"

namespace quern::emulator::machine {

using assembly::OperandKind;

/// A move passes on that a register was never written: compilers move undefined values about.
template <typename T>
static Step move(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  const Operand &to = instruction.operands[0], &from = instruction.operands[1];
  const T *a = warp.lanesOf<T>(from);
  LaneMask valid = warp.valid(from);
  assign<T>(warp, to, lanes, [=](unsigned lane) { return a[lane]; });
  warp.setInvalid(to, lanes & ~valid);
  return Step::Next;
}

static Step movePredicate(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  const Operand &to = instruction.operands[0], &from = instruction.operands[1];
  LaneMask valid = warp.valid(from);
  warp.setPredicate(to, warp.predicate(from), lanes);
  warp.setInvalid(to, lanes & ~valid);
  return Step::Next;
}

static void decodeMove(Decoder &decoder) {
  Type type = decoder.modifiers.type();
  decoder.operandCount(2);
  decoder.result.operands = {decoder.write(0, type), decoder.read(1, type)};
  switch (laneBits(type)) {
  case 1:
    decoder.result.handler = movePredicate;
    break;
  case 16:
    decoder.result.handler = move<uint16_t>;
    break;
  case 32:
    decoder.result.handler = move<uint32_t>;
    break;
  default:
    decoder.result.handler = move<uint64_t>;
    break;
  }
}

/// data[0] is added; 0 for spaces whose addresses are generic ones.
template <typename T>
static Step convertAddress(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  const Operand &to = instruction.operands[0], &from = instruction.operands[1];
  warp.require(instruction, lanes, from);
  const T *a = warp.lanesOf<T>(from);
  T offset = T(instruction.data[0]);
  assign<T>(warp, to, lanes, [=](unsigned lane) { return T(a[lane] + offset); });
  return Step::Next;
}

/// cvta{.to}.SPACE.u64
static void decodeConvertAddress(Decoder &decoder) {
  bool to = decoder.modifiers.accept(".to");
  static constexpr uint64_t bases[] = {
      0, sharedWindow, sharedWindow, sharedWindow, localWindow, 0, 0, 0};
  int space = decoder.modifiers.oneOf("a state space",
                                      {".global", ".shared", ".shared::cta", ".shared::cluster",
                                       ".local", ".const", ".param", ".param::entry"});
  Type type = decoder.modifiers.type({Type::U64, Type::U32});
  if (type == Type::U32)
    decoder.fail("generic addresses have 64 bits: write .u64");
  decoder.operandCount(2);
  decoder.result.operands = {decoder.write(0, type), decoder.read(1, type)};
  decoder.result.data[0] = to ? 0 - bases[space] : bases[space];
  decoder.result.handler = convertAddress<uint64_t>;
}

void registerMoves(InstructionTable &table) {
  table.add("mov", decodeMove);
  table.add("cvta", decodeConvertAddress);
}

} // namespace quern::emulator::machine
