//===- IntegerArithmetic.cpp - Integer arithmetic ---------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "lib/Emulator/Machine/Instructions/Arithmetic.h"
#include "lib/Emulator/Machine/Instructions/ExtendedArithmetic.h"
#include "lib/Emulator/Machine/Lanes.h"

#include <algorithm>
#include <type_traits>

namespace quern::emulator::machine {

namespace {

// PTX ISA 8.3, section 9.7.1. All wrap; signed arithmetic is done in unsigned types of at least 32
// bits, where C++ defines the overflow.
template <typename T>
using Wide = std::conditional_t<sizeof(T) < 4, uint32_t, std::make_unsigned_t<T>>;

struct Add {
  template <typename T>
  static T apply(T a, T b) {
    return T(Wide<T>(a) + Wide<T>(b));
  }
};
struct Sub {
  template <typename T>
  static T apply(T a, T b) {
    return T(Wide<T>(a) - Wide<T>(b));
  }
};
struct MulLow {
  template <typename T>
  static T apply(T a, T b) {
    return T(Wide<T>(a) * Wide<T>(b));
  }
};
struct MulHigh {
  template <typename T>
  static T apply(T a, T b) {
    if constexpr (sizeof(T) == 8) {
      using Double = std::conditional_t<std::is_signed_v<T>, __int128, unsigned __int128>;
      return T((Double(a) * Double(b)) >> 64);
    } else {
      using Double = std::conditional_t<std::is_signed_v<T>, int64_t, uint64_t>;
      return T((Double(a) * Double(b)) >> (8 * sizeof(T)));
    }
  }
};
struct MadLow {
  template <typename T>
  static T apply(T a, T b, T c) {
    return Add::apply(MulLow::apply(a, b), c);
  }
};
struct MadHigh {
  template <typename T>
  static T apply(T a, T b, T c) {
    return Add::apply(MulHigh::apply(a, b), c);
  }
};
/// .sat, only for s32.
struct AddSaturating {
  static int32_t clamp(int64_t value) {
    return int32_t(std::min<int64_t>(std::max<int64_t>(value, INT32_MIN), INT32_MAX));
  }
  static int32_t apply(int32_t a, int32_t b) { return clamp(int64_t(a) + b); }
};
struct SubSaturating {
  static int32_t apply(int32_t a, int32_t b) { return AddSaturating::clamp(int64_t(a) - b); }
};
struct MadHighSaturating {
  static int32_t apply(int32_t a, int32_t b, int32_t c) {
    return AddSaturating::clamp(int64_t(MulHigh::apply(a, b)) + c);
  }
};
/// Division by zero yields what devices yield; the manual leaves it open.
struct Div {
  template <typename T>
  static T apply(T a, T b) {
    if (b == 0)
      return T(~T(0));
    if (std::is_signed_v<T> && b == T(-1))
      return Sub::apply(T(0), a);
    return T(a / b);
  }
};
struct Rem {
  template <typename T>
  static T apply(T a, T b) {
    if (b == 0)
      return a;
    if (std::is_signed_v<T> && b == T(-1))
      return 0;
    return T(a % b);
  }
};
struct Min {
  template <typename T>
  static T apply(T a, T b) {
    return a < b ? a : b;
  }
};
struct Max {
  template <typename T>
  static T apply(T a, T b) {
    return a > b ? a : b;
  }
};
/// .relu
template <typename F>
struct NotNegative {
  static int32_t apply(int32_t a, int32_t b) { return Max::apply(F::apply(a, b), 0); }
};
struct Abs {
  template <typename T>
  static T apply(T a) {
    return a < 0 ? Sub::apply(T(0), a) : a;
  }
};
struct Neg {
  template <typename T>
  static T apply(T a) {
    return Sub::apply(T(0), a);
  }
};

/// mul.wide, mad.wide: the result has twice the width of the factors.
template <typename T>
struct Twice {
  using Type =
      std::conditional_t<sizeof(T) == 2, std::conditional_t<std::is_signed_v<T>, int32_t, uint32_t>,
                         std::conditional_t<std::is_signed_v<T>, int64_t, uint64_t>>;
};

template <typename T>
Step mulWide(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  using D = typename Twice<T>::Type;
  const Operand *operands = instruction.operands.data();
  warp.require(instruction, lanes, operands[1], operands[2]);
  const T *a = warp.lanesOf<T>(operands[1]);
  const T *b = warp.lanesOf<T>(operands[2]);
  assign<D>(warp, operands[0], lanes, [=](unsigned lane) { return D(D(a[lane]) * D(b[lane])); });
  return Step::Next;
}

template <typename T>
Step madWide(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  using D = typename Twice<T>::Type;
  const Operand *operands = instruction.operands.data();
  warp.require(instruction, lanes, operands[1], operands[2], operands[3]);
  const T *a = warp.lanesOf<T>(operands[1]);
  const T *b = warp.lanesOf<T>(operands[2]);
  const D *c = warp.lanesOf<D>(operands[3]);
  assign<D>(warp, operands[0], lanes,
            [=](unsigned lane) { return Add::apply(D(D(a[lane]) * D(b[lane])), c[lane]); });
  return Step::Next;
}

template <typename F>
Handler binaryOf(Type type) {
  return forInteger(type, [](auto zero) -> Handler { return binary<decltype(zero), F>; });
}
template <typename F>
Handler ternaryOf(Type type) {
  return forInteger(type, [](auto zero) -> Handler { return ternary<decltype(zero), F>; });
}
template <typename F>
Handler unaryOf(Type type) {
  return forInteger(type, [](auto zero) -> Handler { return unary<decltype(zero), F>; });
}

void decodeMultiply(Decoder &decoder, Type type, bool add) {
  int part = decoder.modifiers.oneOf("the part of the product", {".lo", ".hi", ".wide"});
  if (part != 2) {
    if (add)
      decoder.takeOperands(type, {type, type, type});
    else
      decoder.takeOperands(type, {type, type});
    bool saturate = add && part == 1 && type == Type::S32 && decoder.modifiers.accept(".sat");
    decoder.result.handler = saturate ? Handler(ternary<int32_t, MadHighSaturating>)
                             : add    ? (part ? ternaryOf<MadHigh>(type) : ternaryOf<MadLow>(type))
                                      : (part ? binaryOf<MulHigh>(type) : binaryOf<MulLow>(type));
    return;
  }
  Type wide;
  Handler multiply, multiplyAdd;
  switch (type) {
  case Type::U16:
    wide = Type::U32;
    multiply = mulWide<uint16_t>, multiplyAdd = madWide<uint16_t>;
    break;
  case Type::S16:
    wide = Type::S32;
    multiply = mulWide<int16_t>, multiplyAdd = madWide<int16_t>;
    break;
  case Type::U32:
    wide = Type::U64;
    multiply = mulWide<uint32_t>, multiplyAdd = madWide<uint32_t>;
    break;
  case Type::S32:
    wide = Type::S64;
    multiply = mulWide<int32_t>, multiplyAdd = madWide<int32_t>;
    break;
  default:
    decoder.fail("'.wide' is for factors of 16 and 32 bits, not for ." + std::string(name(type)));
  }
  if (add)
    decoder.takeOperands(wide, {type, type, wide});
  else
    decoder.takeOperands(wide, {type, type});
  decoder.result.handler = add ? multiplyAdd : multiply;
}

} // namespace

void decodeInteger(Decoder &decoder, Operation operation, Type type) {
  if (type == Type::U16x2 || type == Type::S16x2) {
    decodePackedInteger(decoder, operation, type);
    return;
  }
  bool hasCarry =
      operation == Operation::Add || operation == Operation::Sub || operation == Operation::Mad;
  if (hasCarry && decoder.modifiers.accept(".cc")) {
    decodeAddCarryOut(decoder, operation, type);
    return;
  }
  if (!isInteger(type) || bitsOf(type) < 16)
    decoder.fail("'" + decoder.source.opcode + "' is not known for the type ." +
                 std::string(name(type)));
  bool saturate = false;
  if (type == Type::S32 && (operation == Operation::Add || operation == Operation::Sub))
    saturate = decoder.modifiers.accept(".sat");
  Handler &handler = decoder.result.handler;
  switch (operation) {
  case Operation::Mul:
  case Operation::Mad:
    decodeMultiply(decoder, type, operation == Operation::Mad);
    return;
  case Operation::Abs:
  case Operation::Neg:
    if (!isSigned(type))
      decoder.fail("'" + decoder.source.opcode + "' is for signed types, not for ." +
                   std::string(name(type)));
    decoder.takeOperands(type, {type});
    handler = operation == Operation::Abs ? unaryOf<Abs>(type) : unaryOf<Neg>(type);
    return;
  case Operation::Add:
    handler = saturate ? Handler(binary<int32_t, AddSaturating>) : binaryOf<Add>(type);
    break;
  case Operation::Sub:
    handler = saturate ? Handler(binary<int32_t, SubSaturating>) : binaryOf<Sub>(type);
    break;
  case Operation::Div:
    handler = binaryOf<Div>(type);
    break;
  case Operation::Rem:
    handler = binaryOf<Rem>(type);
    break;
  case Operation::Min:
    handler = type == Type::S32 && decoder.modifiers.accept(".relu")
                  ? Handler(binary<int32_t, NotNegative<Min>>)
                  : binaryOf<Min>(type);
    break;
  case Operation::Max:
    handler = type == Type::S32 && decoder.modifiers.accept(".relu")
                  ? Handler(binary<int32_t, NotNegative<Max>>)
                  : binaryOf<Max>(type);
    break;
  }
  decoder.takeOperands(type, {type, type});
}

} // namespace quern::emulator::machine
