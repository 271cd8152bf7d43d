//===- Moves.cpp - Moves, packing, addresses of spaces ----------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "lib/Emulator/Machine/AddressSpace.h"
#include "lib/Emulator/Machine/Block.h"
#include "lib/Emulator/Machine/Decoder.h"
#include "lib/Emulator/Machine/Families.h"
#include "lib/Emulator/Machine/LaneValues.h"
#include "lib/Emulator/Machine/Lanes.h"
#include "lib/Emulator/Machine/Special.h"

#include <cstring>

namespace quern::emulator::machine {

using assembly::OperandKind;

namespace {

//===- mov (PTX ISA 8.3, sections 9.7.8.3 and 9.7.8.4) ----------------------------------------===//

/// A move passes on that a register was never written: compilers move undefined values about.
template <typename T>
Step move(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  const Operand &to = instruction.operands[0], &from = instruction.operands[1];
  const T *a = warp.lanesOf<T>(from);
  LaneMask valid = warp.valid(from);
  assign<T>(warp, to, lanes, [=](unsigned lane) { return a[lane]; });
  warp.setInvalid(to, lanes & ~valid);
  return Step::Next;
}

Step movePredicate(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  const Operand &to = instruction.operands[0], &from = instruction.operands[1];
  LaneMask valid = warp.valid(from);
  warp.setPredicate(to, warp.predicate(from), lanes);
  warp.setInvalid(to, lanes & ~valid);
  return Step::Next;
}

/// 128 bits, which no C++ type of ours holds.
struct Quad {
  uint64_t low, high;
};

Handler moveHandler(unsigned bits) {
  switch (bits) {
  case 1:
    return movePredicate;
  case 16:
    return move<uint16_t>;
  case 32:
    return move<uint32_t>;
  case 64:
    return move<uint64_t>;
  default:
    return move<Quad>;
  }
}

/// mov.b64 d, {a, b}: operands d, a, b, the lowest bits first. data[0]: bits of an element.
Step pack(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  const std::vector<Operand> &operands = instruction.operands;
  unsigned bits = unsigned(instruction.data[0]), bytes = bits / 8;
  LaneMask valid = lanes;
  for (size_t i = 1; i < operands.size(); ++i)
    valid &= warp.valid(operands[i]);
  for (LaneMask rest = lanes; rest; rest &= rest - 1) {
    unsigned lane = unsigned(__builtin_ctz(rest));
    std::byte value[16] = {};
    for (size_t i = 1; i < operands.size(); ++i) {
      uint64_t element = laneValue(warp, operands[i], lane);
      std::memcpy(value + (i - 1) * bytes, &element, bytes);
    }
    unsigned size = operands[0].bits / 8;
    std::memcpy(warp.lanesOf<std::byte>(operands[0]) + lane * size, value, size);
  }
  // Half of a packed value may be undefined, if nobody looks at it.
  warp.setValid(operands[0], lanes);
  warp.setInvalid(operands[0], lanes & ~valid);
  return Step::Next;
}

/// mov.b64 {a, b}, d: operands d, a, b.
Step unpack(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  const std::vector<Operand> &operands = instruction.operands;
  unsigned bits = unsigned(instruction.data[0]), bytes = bits / 8;
  LaneMask valid = warp.valid(operands[0]);
  for (LaneMask rest = lanes; rest; rest &= rest - 1) {
    unsigned lane = unsigned(__builtin_ctz(rest));
    unsigned size = operands[0].bits / 8;
    std::byte value[16];
    std::memcpy(value, warp.lanesOf<std::byte>(operands[0]) + lane * size, size);
    for (size_t i = 1; i < operands.size(); ++i) {
      uint64_t element = 0;
      std::memcpy(&element, value + (i - 1) * bytes, bytes);
      setLaneValue(warp, operands[i], lane, element);
    }
  }
  for (size_t i = 1; i < operands.size(); ++i) {
    warp.setValid(operands[i], lanes);
    warp.setInvalid(operands[i], lanes & ~valid);
  }
  return Step::Next;
}

void decodePack(Decoder &decoder, Type type, bool packs) {
  const assembly::Operand &vector = decoder.operand(packs ? 1 : 0);
  size_t count = vector.elements.size();
  unsigned bits = count ? bitsOf(type) / unsigned(count) : 0;
  if ((count != 2 && count != 4) || (bits != 8 && bits != 16 && bits != 32 && bits != 64))
    decoder.fail(vector.position, "a value of " + std::to_string(bitsOf(type)) +
                                      " bits cannot be divided into " + std::to_string(count) +
                                      " elements");
  Type element = bits == 8 ? Type::B8 : bits == 16 ? Type::B16 : bits == 32 ? Type::B32 : Type::B64;
  std::vector<Operand> &operands = decoder.result.operands;
  operands = {packs ? decoder.write(0, type) : decoder.read(1, type)};
  for (const assembly::Operand &one : vector.elements)
    operands.push_back(packs ? decoder.read(one, element) : decoder.write(one, element));
  decoder.result.data[0] = bits;
  decoder.result.handler = packs ? pack : unpack;
}

/// mov from a clock or a timer: a number that grows with each reading, for time means nothing here.
/// data[0] is the `Special`.
Step readClock(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  const Operand &to = instruction.operands[0];
  uint64_t time = ++warp.block.grid.clock;
  auto special = Special(instruction.data[0]);
  bool upper = special == Special::ClockHi || special == Special::GlobalTimerHi;
  if (to.bits == 64)
    assign<uint64_t>(warp, to, lanes, [=](unsigned) { return time; });
  else
    assign<uint32_t>(warp, to, lanes,
                     [=](unsigned) { return uint32_t(upper ? time >> 32 : time); });
  return Step::Next;
}

void decodeMove(Decoder &decoder) {
  Type type = decoder.modifiers.type();
  decoder.operandCount(2);
  const assembly::Operand &to = decoder.operand(0), &from = decoder.operand(1);
  if (to.kind == OperandKind::Vector || from.kind == OperandKind::Vector) {
    decodePack(decoder, type, from.kind == OperandKind::Vector);
    return;
  }
  if (from.kind == OperandKind::Function)
    decoder.fail(from.position, "addresses of functions, and calls through them, are not emulated");
  Special special = from.kind == OperandKind::Special ? specialOf(from.name) : Special::None;
  if (isClock(special)) {
    if (bitsOf(type) != bitsOf(special))
      decoder.fail(from.position,
                   "'" + from.name + "' has " + std::to_string(bitsOf(special)) + " bits");
    decoder.result.operands = {decoder.write(0, type)};
    decoder.result.data[0] = uint64_t(special);
    decoder.result.handler = readClock;
    return;
  }
  decoder.takeOperands(type, {type});
  decoder.result.handler = moveHandler(laneBits(type));
}

//===- Addresses ------------------------------------------------------------------------------===//

/// data[0] is added: the base of a window, or what takes it away again.
Step convertAddress(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  const Operand &to = instruction.operands[0], &from = instruction.operands[1];
  warp.require(instruction, lanes, from);
  const uint64_t *a = warp.lanesOf<uint64_t>(from);
  uint64_t offset = instruction.data[0];
  assign<uint64_t>(warp, to, lanes, [=](unsigned lane) { return a[lane] + offset; });
  return Step::Next;
}

const std::initializer_list<std::string_view> spaceNames = {
    ".global", ".shared", ".shared::cta", ".shared::cluster",
    ".local",  ".const",  ".param",       ".param::entry"};

/// The bases of their windows; those without one have generic addresses already.
constexpr uint64_t spaceBases[] = {0, sharedWindow, sharedWindow, sharedWindow, localWindow, 0, 0,
                                   0};

/// cvta{.to}.SPACE.u64
void decodeConvertAddress(Decoder &decoder) {
  bool to = decoder.modifiers.accept(".to");
  int space = decoder.modifiers.oneOf("a state space", spaceNames);
  Type type = decoder.modifiers.type({Type::U64, Type::U32});
  if (type == Type::U32)
    decoder.fail("generic addresses have 64 bits: write .u64");
  decoder.takeOperands(type, {type});
  decoder.result.data[0] = to ? 0 - spaceBases[space] : spaceBases[space];
  decoder.result.handler = convertAddress;
}

/// isspacep: data[0] is the index of the space.
Step isInSpace(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  const Operand &to = instruction.operands[0], &from = instruction.operands[1];
  warp.require(instruction, lanes, from);
  const uint64_t *a = warp.lanesOf<uint64_t>(from);
  const Grid &grid = warp.block.grid;
  LaneMask holds = 0;
  for (LaneMask rest = lanes; rest; rest &= rest - 1) {
    unsigned lane = unsigned(__builtin_ctz(rest));
    uint64_t address = a[lane];
    bool result;
    switch (instruction.data[0]) {
    case 1:
    case 2: // shared memory of the executing block
      result = address - sharedWindow < windowBytes &&
               (address - sharedWindow) >> sharedRankShift == warp.block.rank;
      break;
    case 3:
      result = address - sharedWindow < windowBytes;
      break;
    case 4:
      result = address - localWindow < windowBytes;
      break;
    default: {
      const Region *region = grid.memory.find(address);
      bool isParameter = region && region->address == grid.parameters;
      bool isConstant = region && region->isReadOnly && !isParameter;
      result = instruction.data[0] == 0   ? address < sharedWindow && !isParameter && !isConstant
               : instruction.data[0] == 5 ? isConstant
                                          : isParameter;
      break;
    }
    }
    holds |= LaneMask(result) << lane;
  }
  warp.setPredicate(to, holds, lanes);
  return Step::Next;
}

void decodeIsInSpace(Decoder &decoder) {
  decoder.result.data[0] = uint64_t(decoder.modifiers.oneOf("a state space", spaceNames));
  decoder.takeOperands(Type::Pred, {Type::U64});
  decoder.result.handler = isInSpace;
}

} // namespace

void registerMoves(InstructionTable &table) {
  table.add("mov", decodeMove);
  table.add("cvta", decodeConvertAddress);
  table.add("isspacep", decodeIsInSpace);
}

} // namespace quern::emulator::machine
