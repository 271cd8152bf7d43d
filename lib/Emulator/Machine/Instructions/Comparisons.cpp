//===- Comparisons.cpp - Comparisons and selections -------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "lib/Emulator/Machine/Decoder.h"
#include "lib/Emulator/Machine/Families.h"
#include "lib/Emulator/Machine/Lanes.h"

#include <cmath>

namespace quern::emulator::machine {

namespace {

/// PTX ISA 8.3, section 9.3.1.2: the second half is true when an operand is NaN.
enum class Comparison {
  Eq,
  Ne,
  Lt,
  Le,
  Gt,
  Ge,
  Lo,
  Ls,
  Hi,
  Hs,
  Equ,
  Neu,
  Ltu,
  Leu,
  Gtu,
  Geu,
  Num,
  Nan
};

template <Comparison comparison, typename T>
bool compare(T a, T b) {
  bool unordered = a != a || b != b;
  switch (comparison) {
  case Comparison::Eq:
    return a == b;
  case Comparison::Ne:
    return a != b && !unordered;
  case Comparison::Lo:
  case Comparison::Lt:
    return a < b;
  case Comparison::Ls:
  case Comparison::Le:
    return a <= b;
  case Comparison::Hi:
  case Comparison::Gt:
    return a > b;
  case Comparison::Hs:
  case Comparison::Ge:
    return a >= b;
  case Comparison::Equ:
    return unordered || a == b;
  case Comparison::Neu:
    return unordered || a != b;
  case Comparison::Ltu:
    return unordered || a < b;
  case Comparison::Leu:
    return unordered || a <= b;
  case Comparison::Gtu:
    return unordered || a > b;
  case Comparison::Geu:
    return unordered || a >= b;
  case Comparison::Num:
    return !unordered;
  case Comparison::Nan:
    return unordered;
  }
  return false;
}

template <typename T, Comparison comparison>
Step setPredicate(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  const Operand *operands = instruction.operands.data();
  warp.require(instruction, lanes, operands[1], operands[2]);
  const T *a = warp.lanesOf<T>(operands[1]);
  const T *b = warp.lanesOf<T>(operands[2]);
  LaneMask holds = 0;
  for (unsigned lane = 0; lane < warpSize; ++lane)
    holds |= LaneMask(compare<comparison>(a[lane], b[lane])) << lane;
  warp.setPredicate(operands[0], holds, lanes);
  return Step::Next;
}

template <typename T>
Handler handlerOf(Comparison comparison) {
  switch (comparison) {
  case Comparison::Eq:
    return setPredicate<T, Comparison::Eq>;
  case Comparison::Ne:
    return setPredicate<T, Comparison::Ne>;
  case Comparison::Lo:
  case Comparison::Lt:
    return setPredicate<T, Comparison::Lt>;
  case Comparison::Ls:
  case Comparison::Le:
    return setPredicate<T, Comparison::Le>;
  case Comparison::Hi:
  case Comparison::Gt:
    return setPredicate<T, Comparison::Gt>;
  case Comparison::Hs:
  case Comparison::Ge:
    return setPredicate<T, Comparison::Ge>;
  default:
    return nullptr;
  }
}

void decodeSetPredicate(Decoder &decoder) {
  auto comparison = Comparison(
      decoder.modifiers.oneOf("a comparison", {".eq", ".ne", ".lt", ".le", ".gt", ".ge"}));
  Type type = decoder.modifiers.type();
  decoder.operandCount(3);
  decoder.result.operands = {decoder.write(0, Type::Pred), decoder.read(1, type),
                             decoder.read(2, type)};
  decoder.result.handler =
      type == Type::F32 ? handlerOf<float>(comparison)
      : type == Type::F64
          ? handlerOf<double>(comparison)
          : forInteger(type, [&](auto zero) { return handlerOf<decltype(zero)>(comparison); });
  if (!decoder.result.handler)
    decoder.fail("'setp' is not known for the type ." + std::string(name(type)));
}

} // namespace

void registerComparisons(InstructionTable &table) { table.add("setp", decodeSetPredicate); }

} // namespace quern::emulator::machine
