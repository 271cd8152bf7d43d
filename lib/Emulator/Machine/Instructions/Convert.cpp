//===- Convert.cpp - cvt: between integers and floating-point numbers -------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "lib/Emulator/Machine/Instructions/ConvertValue.h"

#include "lib/Emulator/Machine/Decoder.h"
#include "lib/Emulator/Machine/Families.h"
#include "lib/Emulator/Machine/LaneValues.h"
#include "lib/Emulator/Machine/Lanes.h"

#include <algorithm>

namespace quern::emulator::machine {

namespace {

/// Writes values by a function of the lane; a register that is wider than the type gets them
/// extended.
template <typename F>
void assignValues(Warp &warp, const Operand &to, LaneMask lanes, Type type, F value) {
  auto extended = [&](unsigned lane) { return extendedTo64(type, value(lane)); };
  if (to.bits == 16)
    assign<uint16_t>(warp, to, lanes, [&](unsigned lane) { return uint16_t(extended(lane)); });
  else if (to.bits == 32)
    assign<uint32_t>(warp, to, lanes, [&](unsigned lane) { return uint32_t(extended(lane)); });
  else
    assign<uint64_t>(warp, to, lanes, extended);
}

Step convert(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  const auto &plan = instruction.planAs<ValueConversion>();
  const Operand *operands = instruction.operands.data();
  warp.require(instruction, lanes, operands[1]);
  assignValues(warp, operands[0], lanes, plan.to, [&](unsigned lane) {
    return convertValue(plan, laneValue(warp, operands[1], lane));
  });
  return Step::Next;
}

/// C++ converts as PTX does: integers to others without saturation, and to floating point rounded
/// to nearest even.
template <typename From, typename To>
Step convertPlainly(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  const Operand *operands = instruction.operands.data();
  warp.require(instruction, lanes, operands[1]);
  const From *a = warp.lanesOf<From>(operands[1]);
  assign<To>(warp, operands[0], lanes, [=](unsigned lane) { return To(a[lane]); });
  return Step::Next;
}

Step singleToHalves(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  const Operand *operands = instruction.operands.data();
  warp.require(instruction, lanes, operands[1], operands[2]);
  const float *a = warp.lanesOf<float>(operands[1]);
  const float *b = warp.lanesOf<float>(operands[2]);
  assign<uint32_t>(warp, operands[0], lanes, [=](unsigned lane) {
    return uint32_t(matrix::bf16OfFloat(a[lane])) << 16 | matrix::bf16OfFloat(b[lane]);
  });
  return Step::Next;
}

Step bf16ToSingle(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  const Operand *operands = instruction.operands.data();
  warp.require(instruction, lanes, operands[1]);
  const uint16_t *a = warp.lanesOf<uint16_t>(operands[1]);
  assign<uint32_t>(warp, operands[0], lanes, [=](unsigned lane) {
    return (a[lane] & 0x7fff) > 0x7f80 ? 0x7fffffff : uint32_t(a[lane]) << 16;
  });
  return Step::Next;
}

template <typename From>
Handler plainHandler(Type to) {
  switch (to) {
  case Type::U32:
  case Type::S32:
  case Type::B32:
    return convertPlainly<From, uint32_t>;
  case Type::U64:
  case Type::S64:
  case Type::B64:
    return convertPlainly<From, uint64_t>;
  case Type::U16:
  case Type::S16:
  case Type::B16:
    return convertPlainly<From, uint16_t>;
  case Type::F32:
    return convertPlainly<From, float>;
  case Type::F64:
    return convertPlainly<From, double>;
  default:
    return nullptr;
  }
}

/// A handler for conversions that are frequent, or null.
Handler quickHandler(const ValueConversion &plan, const Instruction &instruction) {
  if (instruction.operands[0].bits != bitsOf(plan.to) ||
      instruction.operands[1].bits != bitsOf(plan.from) || plan.saturate || plan.clampNegative ||
      plan.saturateFinite || plan.flush)
    return nullptr;
  if (plan.from == Type::BF16 && plan.to == Type::F32)
    return bf16ToSingle;
  if (isFloat(plan.from) || plan.rounding != matrix::Rounding::NearestEven)
    return plan.from == Type::F32 && plan.to == Type::F64 && !plan.toIntegral
               ? convertPlainly<float, double>
               : nullptr;
  switch (plan.from) {
  case Type::U16:
    return plainHandler<uint16_t>(plan.to);
  case Type::S16:
    return plainHandler<int16_t>(plan.to);
  case Type::U32:
    return plainHandler<uint32_t>(plan.to);
  case Type::S32:
    return plainHandler<int32_t>(plan.to);
  case Type::U64:
    return plainHandler<uint64_t>(plan.to);
  case Type::S64:
    return plainHandler<int64_t>(plan.to);
  default:
    return nullptr;
  }
}

//===- Packed pairs ---------------------------------------------------------------------------===//

struct PairConversion {
  matrix::FloatFormat to, from;
  matrix::Conversion how;
};

/// d = {a, b}, a in the upper half, from f32.
Step singlesToPair(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  const auto &plan = instruction.planAs<PairConversion>();
  const Operand *operands = instruction.operands.data();
  warp.require(instruction, lanes, operands[1], operands[2]);
  const float *a = warp.lanesOf<float>(operands[1]);
  const float *b = warp.lanesOf<float>(operands[2]);
  Type type = matrix::formatBits(plan.to) == 8 ? Type::B16 : Type::B32;
  assignValues(warp, operands[0], lanes, type, [&](unsigned lane) {
    return uint64_t(matrix::encodePair(plan.to, double(a[lane]), double(b[lane]), plan.how));
  });
  return Step::Next;
}

Step pairToPair(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  const auto &plan = instruction.planAs<PairConversion>();
  const Operand *operands = instruction.operands.data();
  warp.require(instruction, lanes, operands[1]);
  Type type = matrix::formatBits(plan.to) == 8 ? Type::B16 : Type::B32;
  assignValues(warp, operands[0], lanes, type, [&](unsigned lane) {
    return uint64_t(matrix::convertPair(plan.to, plan.from,
                                        uint32_t(laneValue(warp, operands[1], lane)), plan.how));
  });
  return Step::Next;
}

bool pairFormat(Type type, matrix::FloatFormat &format) {
  switch (type) {
  case Type::F16x2:
    format = matrix::FloatFormat::F16;
    return true;
  case Type::BF16x2:
    format = matrix::FloatFormat::BF16;
    return true;
  case Type::E4M3x2:
    format = matrix::FloatFormat::E4M3;
    return true;
  case Type::E5M2x2:
    format = matrix::FloatFormat::E5M2;
    return true;
  default:
    return false;
  }
}

void decodePair(Decoder &decoder, Type to, Type from) {
  PairConversion plan{};
  Modifiers &modifiers = decoder.modifiers;
  bool known = pairFormat(to, plan.to);
  static constexpr matrix::Rounding roundings[] = {matrix::Rounding::NearestEven,
                                                   matrix::Rounding::TowardZero};
  plan.how.rounding = roundings[modifiers.oneOf("a rounding mode", {".rn", ".rz"})];
  plan.how.clampNegative = modifiers.accept(".relu");
  plan.how.saturateFinite = modifiers.accept(".satfinite");
  if (known && from == Type::F32) {
    decoder.takeOperands(to, {from, from});
    bool plain = plan.to == matrix::FloatFormat::BF16 && !plan.how.clampNegative &&
                 !plan.how.saturateFinite && plan.how.rounding == matrix::Rounding::NearestEven;
    decoder.result.handler = plain ? singleToHalves : singlesToPair;
  } else if (known && pairFormat(from, plan.from) && bitsOf(to) != bitsOf(from)) {
    decoder.takeOperands(to, {from});
    decoder.result.handler = pairToPair;
  } else {
    decoder.fail("'cvt' is not known from ." + std::string(name(from)) + " to ." +
                 std::string(name(to)));
  }
  decoder.result.plan = std::make_shared<PairConversion>(plan);
}

//===- cvt.pack -------------------------------------------------------------------------------===//

/// Two saturated integers in the lower bits, and what of c remains moved up.
struct IntegerPack {
  unsigned bits;
  bool isSigned, keeps;
};

Step packIntegers(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  const auto &plan = instruction.planAs<IntegerPack>();
  const Operand *operands = instruction.operands.data();
  warp.require(instruction, lanes, operands[1], operands[2]);
  if (plan.keeps)
    warp.require(instruction, lanes, operands[3]);
  const int32_t *a = warp.lanesOf<int32_t>(operands[1]);
  const int32_t *b = warp.lanesOf<int32_t>(operands[2]);
  const uint32_t *c = warp.lanesOf<uint32_t>(operands[plan.keeps ? 3 : 1]);
  int32_t most = plan.isSigned ? (1 << (plan.bits - 1)) - 1 : (1 << plan.bits) - 1;
  int32_t least = plan.isSigned ? -most - 1 : 0;
  assign<uint32_t>(warp, operands[0], lanes, [&](unsigned lane) {
    auto clamp = [&](int32_t value) {
      return uint32_t(std::min(std::max(value, least), most)) & ((1u << plan.bits) - 1);
    };
    uint32_t both = clamp(a[lane]) << plan.bits | clamp(b[lane]);
    return plan.keeps ? both | c[lane] << (2 * plan.bits) : both;
  });
  return Step::Next;
}

void decodePack(Decoder &decoder) {
  decoder.modifiers.oneOf("saturation", {".sat"});
  Type to = decoder.modifiers.type({Type::U16, Type::S16, Type::U8, Type::S8});
  decoder.modifiers.type({Type::S32});
  IntegerPack plan{bitsOf(to), isSigned(to), bitsOf(to) == 8};
  if (plan.keeps) {
    decoder.modifiers.type({Type::B32});
    decoder.takeOperands(Type::U32, {Type::S32, Type::S32, Type::B32});
  } else {
    decoder.takeOperands(Type::U32, {Type::S32, Type::S32});
  }
  decoder.result.plan = std::make_shared<IntegerPack>(plan);
  decoder.result.handler = packIntegers;
}

//===- Decoding -------------------------------------------------------------------------------===//

void decodeConvert(Decoder &decoder) {
  Modifiers &modifiers = decoder.modifiers;
  if (modifiers.accept(".pack")) {
    decodePack(decoder);
    return;
  }
  Type to = modifiers.type(), from = modifiers.type();
  matrix::FloatFormat ignored;
  if (pairFormat(to, ignored)) {
    decodePair(decoder, to, from);
    return;
  }
  ValueConversion plan{};
  plan.to = to;
  plan.from = from;
  using matrix::Rounding;
  static constexpr Rounding roundings[] = {
      Rounding::NearestEven, Rounding::TowardZero,  Rounding::Down,
      Rounding::Up,          Rounding::NearestEven, Rounding::TowardZero,
      Rounding::Down,        Rounding::Up,          Rounding::NearestAway};
  int mode =
      modifiers.acceptOneOf({".rn", ".rz", ".rm", ".rp", ".rni", ".rzi", ".rmi", ".rpi", ".rna"});
  plan.toIntegral = mode >= 4 && mode < 8;
  if (mode >= 0)
    plan.rounding = roundings[mode];
  plan.flush = (to == Type::F32 || from == Type::F32) && modifiers.accept(".ftz");
  plan.saturate = modifiers.accept(".sat");
  plan.saturateFinite = isFloat(to) && modifiers.accept(".satfinite");
  plan.clampNegative = isFloat(to) && modifiers.accept(".relu");
  if (!canConvert(plan))
    decoder.fail("'cvt' is not known from ." + std::string(name(from)) + " to ." +
                 std::string(name(to)));
  bool integral = isFloat(from) && !isFloat(to);
  bool narrows = isFloat(to) && (!isFloat(from) || bitsOf(to) < bitsOf(from) || to == Type::TF32);
  if (integral && !plan.toIntegral)
    decoder.fail("'cvt' to an integer needs a rounding mode: .rni, .rzi, .rmi or .rpi");
  if (narrows && (mode < 0 || plan.toIntegral))
    decoder.fail("'cvt" + modifiers.text() + "' needs a rounding mode: .rn, .rz, .rm or .rp");
  decoder.operandCount(2);
  decoder.result.operands = {decoder.writeWide(decoder.operand(0), to),
                             decoder.readWide(decoder.operand(1), from)};
  decoder.result.plan = std::make_shared<ValueConversion>(plan);
  Handler quick = quickHandler(plan, decoder.result);
  decoder.result.handler = quick ? quick : convert;
}

} // namespace

void registerConversions(InstructionTable &table) { table.add("cvt", decodeConvert); }

} // namespace quern::emulator::machine
