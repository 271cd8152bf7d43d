//===- Permute.cpp - prmt: bytes of two registers in any order --------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "lib/Emulator/Machine/Decoder.h"
#include "lib/Emulator/Machine/Families.h"
#include "lib/Emulator/Machine/Lanes.h"

namespace quern::emulator::machine {

namespace {

/// PTX ISA 8.3, section 9.7.8.7.
enum class Mode { Default, Forward4, Backward4, Replicate8, EdgeLeft, EdgeRight, Replicate16 };

/// The byte of b:a that becomes byte `i` of the result, for modes in which the lower two bits of
/// the selector say it all.
unsigned selectedByte(Mode mode, unsigned control, unsigned i) {
  switch (mode) {
  case Mode::Forward4:
    return control + i;
  case Mode::Backward4:
    return (control + 8 - i) & 7;
  case Mode::Replicate8:
    return control;
  case Mode::EdgeLeft:
    return i > control ? i : control;
  case Mode::EdgeRight:
    return i < control ? i : control;
  default:
    return (control & 1) * 2 + (i & 1);
  }
}

uint32_t permute(Mode mode, uint32_t a, uint32_t b, uint32_t selector) {
  uint64_t both = uint64_t(b) << 32 | a;
  uint32_t result = 0;
  for (unsigned i = 0; i < 4; ++i) {
    unsigned from =
        mode == Mode::Default ? selector >> (4 * i) & 15 : selectedByte(mode, selector & 3, i);
    uint32_t byte = uint32_t(both >> (8 * (from & 7))) & 255;
    // The upper bit of a selector replicates the sign of the byte.
    if (from & 8)
      byte = byte & 128 ? 255 : 0;
    result |= byte << (8 * i);
  }
  return result;
}

Step permuteBytes(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  const Operand *operands = instruction.operands.data();
  warp.require(instruction, lanes, operands[3]);
  const uint32_t *a = warp.lanesOf<uint32_t>(operands[1]);
  const uint32_t *b = warp.lanesOf<uint32_t>(operands[2]);
  const uint32_t *c = warp.lanesOf<uint32_t>(operands[3]);
  auto mode = Mode(instruction.data[0]);
  // Compilers take bytes of one register and leave the other undefined.
  LaneMask usesA = 0, usesB = 0;
  for (LaneMask rest = lanes; rest; rest &= rest - 1) {
    unsigned lane = unsigned(__builtin_ctz(rest));
    for (unsigned i = 0; i < 4; ++i) {
      unsigned from =
          mode == Mode::Default ? c[lane] >> (4 * i) & 7 : selectedByte(mode, c[lane] & 3, i) & 7;
      (from < 4 ? usesA : usesB) |= LaneMask(1) << lane;
    }
  }
  warp.require(instruction, usesA, operands[1]);
  warp.require(instruction, usesB, operands[2]);
  assign<uint32_t>(warp, operands[0], lanes,
                   [=](unsigned lane) { return permute(mode, a[lane], b[lane], c[lane]); });
  return Step::Next;
}

void decodePermute(Decoder &decoder) {
  decoder.modifiers.type({Type::B32});
  int mode = decoder.modifiers.acceptOneOf({".f4e", ".b4e", ".rc8", ".ecl", ".ecr", ".rc16"});
  decoder.result.data[0] = uint64_t(mode + 1);
  decoder.takeOperands(Type::B32, {Type::B32, Type::B32, Type::B32});
  decoder.result.handler = permuteBytes;
}

} // namespace

void registerPermute(InstructionTable &table) { table.add("prmt", decodePermute); }

} // namespace quern::emulator::machine
