//===- IntegerProducts.cpp - Dot products, differences and products of 24 bits ----------------===//
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

/// Element `i` of `bits` bits of a register, extended.
int64_t element(uint32_t value, unsigned i, unsigned bits, bool isSigned) {
  uint32_t raw = value >> (i * bits) & ((1u << bits) - 1);
  return isSigned && raw >> (bits - 1) ? int64_t(raw) - (int64_t(1) << bits) : int64_t(raw);
}

/// dp4a and dp2a (PTX ISA 8.3, sections 9.7.1.23 and 24): c plus the sum of products of bytes of b
/// with bytes of a, or with halves of a.
struct DotProduct {
  bool signedA, signedB;
  /// Elements of a, and the first of b's bytes.
  unsigned elements, first;
};

Step dotProduct(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  const auto &plan = instruction.planAs<DotProduct>();
  const Operand *operands = instruction.operands.data();
  warp.require(instruction, lanes, operands[1], operands[2], operands[3]);
  const uint32_t *a = warp.lanesOf<uint32_t>(operands[1]);
  const uint32_t *b = warp.lanesOf<uint32_t>(operands[2]);
  const uint32_t *c = warp.lanesOf<uint32_t>(operands[3]);
  assign<uint32_t>(warp, operands[0], lanes, [&](unsigned lane) {
    int64_t sum = 0;
    for (unsigned i = 0; i < plan.elements; ++i)
      sum += element(a[lane], i, 32 / plan.elements, plan.signedA) *
             element(b[lane], plan.first + i, 8, plan.signedB);
    return uint32_t(c[lane] + uint64_t(sum));
  });
  return Step::Next;
}

void decodeDotProduct(Decoder &decoder, unsigned elements) {
  DotProduct plan{};
  plan.elements = elements;
  if (elements == 2)
    plan.first = decoder.modifiers.oneOf("the half of b", {".lo", ".hi"}) ? 2 : 0;
  plan.signedA = decoder.modifiers.type({Type::U32, Type::S32}) == Type::S32;
  plan.signedB = decoder.modifiers.type({Type::U32, Type::S32}) == Type::S32;
  decoder.takeOperands(Type::B32, {Type::B32, Type::B32, Type::B32});
  decoder.result.plan = std::make_shared<DotProduct>(plan);
  decoder.result.handler = dotProduct;
}

void decodeDotProduct4(Decoder &decoder) { decodeDotProduct(decoder, 4); }
void decodeDotProduct2(Decoder &decoder) { decodeDotProduct(decoder, 2); }

/// sad: c + |a - b|
template <typename T>
struct SumOfDifferences {
  static T apply(T a, T b, T c) {
    using U = std::make_unsigned_t<T>;
    return T(U(c) + (a < b ? U(U(b) - U(a)) : U(U(a) - U(b))));
  }
};

void decodeSumOfDifferences(Decoder &decoder) {
  Type type =
      decoder.modifiers.type({Type::U16, Type::U32, Type::U64, Type::S16, Type::S32, Type::S64});
  decoder.takeOperands(type, {type, type, type});
  decoder.result.handler = forInteger(type, [](auto zero) -> Handler {
    using T = decltype(zero);
    return ternary<T, SumOfDifferences<T>>;
  });
}

/// The product of the lower 24 bits: bits 0 to 31 of it, or with `high` bits 16 to 47.
template <bool high, typename T>
T multiply24(T a, T b) {
  auto factor = [](T value) {
    return std::is_signed_v<T> ? int64_t(int32_t(uint32_t(value) << 8) >> 8)
                               : int64_t(uint32_t(value) & 0xffffff);
  };
  int64_t product = factor(a) * factor(b);
  return T(high ? product >> 16 : product);
}
template <bool high>
struct Multiply24 {
  template <typename T>
  static T apply(T a, T b) {
    return multiply24<high>(a, b);
  }
  template <typename T>
  static T apply(T a, T b, T c) {
    return T(uint32_t(multiply24<high>(a, b)) + uint32_t(c));
  }
};

template <bool add>
void decodeMultiply24(Decoder &decoder) {
  bool high = decoder.modifiers.oneOf("the part of the product", {".lo", ".hi"}) == 1;
  Type type = decoder.modifiers.type({Type::U32, Type::S32});
  bool isSigned = type == Type::S32;
  Handler &handler = decoder.result.handler;
  if (add) {
    decoder.takeOperands(type, {type, type, type});
    handler =
        high ? (isSigned ? ternary<int32_t, Multiply24<true>> : ternary<uint32_t, Multiply24<true>>)
             : (isSigned ? ternary<int32_t, Multiply24<false>>
                         : ternary<uint32_t, Multiply24<false>>);
  } else {
    decoder.takeOperands(type, {type, type});
    handler =
        high
            ? (isSigned ? binary<int32_t, Multiply24<true>> : binary<uint32_t, Multiply24<true>>)
            : (isSigned ? binary<int32_t, Multiply24<false>> : binary<uint32_t, Multiply24<false>>);
  }
}

} // namespace

void registerIntegerProducts(InstructionTable &table) {
  table.add("dp4a", decodeDotProduct4);
  table.add("dp2a", decodeDotProduct2);
  table.add("sad", decodeSumOfDifferences);
  table.add("mul24", decodeMultiply24<false>);
  table.add("mad24", decodeMultiply24<true>);
}

} // namespace quern::emulator::machine
