//===- ExtendedArithmetic.cpp - Integer arithmetic with carry, and on packed halves -----------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "lib/Emulator/Machine/Instructions/ExtendedArithmetic.h"

#include "lib/Emulator/Machine/Families.h"
#include "lib/Emulator/Machine/Lanes.h"

namespace quern::emulator::machine {

namespace {

//===- The carry flag (PTX ISA 8.3, section 9.7.2) --------------------------------------------===//

/// What an instruction does with the carry flag, a predicate of the frame, its last operand. A
/// subtraction sets it when it borrows.
struct Carry {
  bool reads, writes;
  /// a - b
  bool subtracts;
  /// a * b + c, and which half of the product.
  bool multiplies, high;
};

template <typename T>
Step withCarry(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  using Double = std::conditional_t<sizeof(T) == 8, unsigned __int128, uint64_t>;
  using SignedDouble = std::conditional_t<sizeof(T) == 8, __int128, int64_t>;
  const auto &plan = instruction.planAs<Carry>();
  const std::vector<Operand> &operands = instruction.operands;
  const Operand &flag = operands.back();
  size_t sources = operands.size() - 2;
  for (size_t i = 1; i <= sources; ++i)
    warp.require(instruction, lanes, operands[i]);
  if (plan.reads)
    warp.require(instruction, lanes, flag);
  LaneMask carryIn = plan.reads ? warp.predicate(flag) : 0, carryOut = 0;
  using U = std::make_unsigned_t<T>;
  const T *a = warp.lanesOf<T>(operands[1]);
  const T *b = warp.lanesOf<T>(operands[2]);
  const T *c = warp.lanesOf<T>(operands[sources]);
  U results[warpSize] = {};
  for (LaneMask rest = lanes; rest; rest &= rest - 1) {
    unsigned lane = unsigned(__builtin_ctz(rest));
    Double left = Double(U(a[lane])), right = Double(U(b[lane]));
    if (plan.multiplies) {
      auto product = Double(SignedDouble(a[lane]) * SignedDouble(b[lane]));
      left = Double(U(plan.high ? product >> (8 * sizeof(T)) : product));
      right = Double(U(c[lane]));
    }
    Double in = carryIn >> lane & 1;
    Double sum = plan.subtracts ? left - right - in : left + right + in;
    results[lane] = U(sum);
    if (sum >> (8 * sizeof(T)))
      carryOut |= LaneMask(1) << lane;
  }
  assign<U>(warp, operands[0], lanes, [&](unsigned lane) { return results[lane]; });
  if (plan.writes)
    warp.setPredicate(flag, carryOut, lanes);
  return Step::Next;
}

Handler carryHandler(Type type) {
  switch (type) {
  case Type::U32:
    return withCarry<uint32_t>;
  case Type::S32:
    return withCarry<int32_t>;
  case Type::U64:
    return withCarry<uint64_t>;
  default:
    return withCarry<int64_t>;
  }
}

void finish(Decoder &decoder, const Carry &plan, Type type) {
  if (plan.multiplies)
    decoder.takeOperands(type, {type, type, type});
  else
    decoder.takeOperands(type, {type, type});
  decoder.result.operands.push_back(decoder.function.carry());
  decoder.result.plan = std::make_shared<Carry>(plan);
  decoder.result.handler = carryHandler(type);
}

constexpr std::initializer_list<Type> carryTypes = {Type::U32, Type::S32, Type::U64, Type::S64};

/// addc, subc, madc: {.lo, .hi}{.cc}
template <bool subtracts, bool multiplies>
void decodeWithCarry(Decoder &decoder) {
  Carry plan{true, decoder.modifiers.accept(".cc"), subtracts, multiplies, false};
  if (multiplies)
    plan.high = decoder.modifiers.oneOf("the part of the product", {".lo", ".hi"}) == 1;
  finish(decoder, plan, decoder.modifiers.type(carryTypes));
}

//===- Two 16-bit integers in a register ------------------------------------------------------===//

template <typename T, typename F>
struct Halves {
  static uint32_t apply(uint32_t a, uint32_t b) {
    auto upper = uint16_t(F::apply(T(a >> 16), T(b >> 16)));
    return uint32_t(upper) << 16 | uint16_t(F::apply(T(a), T(b)));
  }
};
struct AddHalves {
  template <typename T>
  static T apply(T a, T b) {
    return T(a + b);
  }
};
struct MinHalves {
  template <typename T>
  static T apply(T a, T b) {
    return a < b ? a : b;
  }
};
struct MaxHalves {
  template <typename T>
  static T apply(T a, T b) {
    return a > b ? a : b;
  }
};
template <typename F>
struct NotNegative {
  template <typename T>
  static T apply(T a, T b) {
    T value = F::apply(a, b);
    return value < 0 ? T(0) : value;
  }
};

} // namespace

void decodeAddCarryOut(Decoder &decoder, Operation operation, Type type) {
  Carry plan{false, true, operation == Operation::Sub, operation == Operation::Mad, false};
  bool known = false;
  for (Type one : carryTypes)
    known |= one == type;
  if (!known)
    decoder.fail("'.cc' is for integers of 32 and 64 bits, not for ." + std::string(name(type)));
  if (plan.multiplies)
    plan.high = decoder.modifiers.oneOf("the part of the product", {".lo", ".hi"}) == 1;
  finish(decoder, plan, type);
}

void decodePackedInteger(Decoder &decoder, Operation operation, Type type) {
  bool isSigned = type == Type::S16x2;
  Handler &handler = decoder.result.handler;
  decoder.takeOperands(type, {type, type});
  switch (operation) {
  case Operation::Add:
    handler = binary<uint32_t, Halves<uint16_t, AddHalves>>;
    return;
  case Operation::Min:
    handler = !isSigned ? binary<uint32_t, Halves<uint16_t, MinHalves>>
              : decoder.modifiers.accept(".relu")
                  ? binary<uint32_t, Halves<int16_t, NotNegative<MinHalves>>>
                  : binary<uint32_t, Halves<int16_t, MinHalves>>;
    return;
  case Operation::Max:
    handler = !isSigned ? binary<uint32_t, Halves<uint16_t, MaxHalves>>
              : decoder.modifiers.accept(".relu")
                  ? binary<uint32_t, Halves<int16_t, NotNegative<MaxHalves>>>
                  : binary<uint32_t, Halves<int16_t, MaxHalves>>;
    return;
  default:
    decoder.fail("'" + decoder.source.opcode + "' is not known for the type ." +
                 std::string(name(type)));
  }
}

void registerExtendedArithmetic(InstructionTable &table) {
  table.add("addc", decodeWithCarry<false, false>);
  table.add("subc", decodeWithCarry<true, false>);
  table.add("madc", decodeWithCarry<false, true>);
}

} // namespace quern::emulator::machine
