//===- Registers.cpp - Operands of matrix instructions ----------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "lib/Emulator/TensorCore/Registers.h"

#include <cstdlib>
#include <cstring>

namespace quern::emulator::machine {

using matrix::AccumulatorType;
using matrix::ElementType;

ElementType elementType(Decoder &decoder, Type type) {
  switch (type) {
  case Type::F16:
    return ElementType::F16;
  case Type::BF16:
    return ElementType::BF16;
  case Type::TF32:
    return ElementType::TF32;
  case Type::E4M3:
    return ElementType::E4M3;
  case Type::E5M2:
    return ElementType::E5M2;
  case Type::S8:
    return ElementType::S8;
  case Type::U8:
    return ElementType::U8;
  default:
    decoder.fail("'" + decoder.source.opcode + decoder.modifiers.text() +
                 "': multiplicands of type ." + std::string(name(type)) +
                 " are not known; f16, bf16, tf32, e4m3, e5m2, s8 and u8 are");
  }
}

AccumulatorType accumulatorType(Decoder &decoder, Type type) {
  switch (type) {
  case Type::F32:
    return AccumulatorType::F32;
  case Type::F16:
    return AccumulatorType::F16;
  case Type::S32:
    return AccumulatorType::S32;
  default:
    decoder.fail("'" + decoder.source.opcode + decoder.modifiers.text() +
                 "': accumulators of type ." + std::string(name(type)) +
                 " are not known; f32, f16 and s32 are");
  }
}

/// Reads a letter and a number from `text` on; false if they are not there.
static bool readExtent(const char *&text, char letter, int &extent) {
  char *end = nullptr;
  if (*text != letter)
    return false;
  extent = int(std::strtol(text + 1, &end, 10));
  bool hasNumber = end != text + 1;
  text = end;
  return hasNumber;
}

Shape takeShape(Decoder &decoder) {
  for (const std::string &modifier : decoder.source.modifiers) {
    Shape shape;
    const char *text = modifier.c_str() + 1;
    if (readExtent(text, 'm', shape.m) && readExtent(text, 'n', shape.n) &&
        readExtent(text, 'k', shape.k) && !*text && decoder.modifiers.accept(modifier))
      return shape;
  }
  decoder.fail("'" + decoder.source.opcode + decoder.modifiers.text() +
               "' has no shape like .m16n8k16");
}

void readRegisters(Decoder &decoder, size_t operand, int count) {
  for (const assembly::Operand *element : decoder.elements(decoder.operand(operand), size_t(count)))
    decoder.result.operands.push_back(decoder.read(*element, Type::B32));
}

void writeRegisters(Decoder &decoder, size_t operand, int count) {
  for (const assembly::Operand *element : decoder.elements(decoder.operand(operand), size_t(count)))
    decoder.result.operands.push_back(decoder.write(*element, Type::B32));
}

matrix::WarpRegister loadRegister(Warp &warp, const Operand &operand) {
  matrix::WarpRegister value;
  std::memcpy(value.lane, warp.lanesOf<uint32_t>(operand), sizeof value.lane);
  return value;
}

void storeRegister(Warp &warp, const Operand &operand, const matrix::WarpRegister &value) {
  std::memcpy(warp.lanesOf<uint32_t>(operand), value.lane, sizeof value.lane);
  warp.setValid(operand, allLanes);
}

void requireAllLanes(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  if (lanes != allLanes)
    warp.report(FindingKind::InactiveLane, instruction, unsigned(__builtin_ctz(lanes)), 0,
                "all 32 lanes of the warp have to execute this; " +
                    std::to_string(__builtin_popcount(lanes)) + " do, others have exited");
}

} // namespace quern::emulator::machine
