//===- Bits.cpp - Instructions on bits --------------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "lib/Emulator/Machine/Decoder.h"
#include "lib/Emulator/Machine/Families.h"
#include "lib/Emulator/Machine/Lanes.h"

#include <algorithm>
#include <type_traits>

namespace quern::emulator::machine {

namespace {

//===- Logic (PTX ISA 8.3, section 9.7.7) -----------------------------------------------------===//

struct And {
  template <typename T>
  static T apply(T a, T b) {
    return a & b;
  }
};
struct Or {
  template <typename T>
  static T apply(T a, T b) {
    return a | b;
  }
};
struct Xor {
  template <typename T>
  static T apply(T a, T b) {
    return a ^ b;
  }
};
struct Not {
  template <typename T>
  static T apply(T a) {
    return T(~a);
  }
};
struct LogicalNot {
  template <typename T>
  static T apply(T a) {
    return a == 0;
  }
};

template <typename F>
Step predicates(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  const Operand *operands = instruction.operands.data();
  warp.require(instruction, lanes, operands[1], operands[2]);
  warp.setPredicate(operands[0], F::apply(warp.predicate(operands[1]), warp.predicate(operands[2])),
                    lanes);
  return Step::Next;
}

Step notPredicate(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  const Operand *operands = instruction.operands.data();
  warp.require(instruction, lanes, operands[1]);
  warp.setPredicate(operands[0], ~warp.predicate(operands[1]), lanes);
  return Step::Next;
}

template <typename F>
Handler binaryOf(Type type) {
  return forInteger(type, [](auto zero) -> Handler { return binary<decltype(zero), F>; });
}
template <typename F>
Handler unaryOf(Type type) {
  return forInteger(type, [](auto zero) -> Handler { return unary<decltype(zero), F>; });
}

template <typename F>
void decodeLogic(Decoder &decoder) {
  Type type = decoder.modifiers.type({Type::Pred, Type::B16, Type::B32, Type::B64});
  decoder.takeOperands(type, {type, type});
  decoder.result.handler = type == Type::Pred ? Handler(predicates<F>) : binaryOf<F>(type);
}

void decodeNot(Decoder &decoder) {
  Type type = decoder.modifiers.type({Type::Pred, Type::B16, Type::B32, Type::B64});
  decoder.takeOperands(type, {type});
  decoder.result.handler = type == Type::Pred ? Handler(notPredicate) : unaryOf<Not>(type);
}

void decodeLogicalNot(Decoder &decoder) {
  Type type = decoder.modifiers.type({Type::B16, Type::B32, Type::B64});
  decoder.takeOperands(type, {type});
  decoder.result.handler = unaryOf<LogicalNot>(type);
}

/// data[0] is the table of truth: the result for a, b, c is bit 4a + 2b + c.
Step lookUp(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  const Operand *operands = instruction.operands.data();
  warp.require(instruction, lanes, operands[1], operands[2], operands[3]);
  const uint32_t *a = warp.lanesOf<uint32_t>(operands[1]);
  const uint32_t *b = warp.lanesOf<uint32_t>(operands[2]);
  const uint32_t *c = warp.lanesOf<uint32_t>(operands[3]);
  uint32_t masks[8];
  for (unsigned i = 0; i < 8; ++i)
    masks[i] = instruction.data[0] >> i & 1 ? ~0u : 0;
  assign<uint32_t>(warp, operands[0], lanes, [&](unsigned lane) {
    uint32_t x = a[lane], y = b[lane], z = c[lane];
    return (masks[0] & ~x & ~y & ~z) | (masks[1] & ~x & ~y & z) | (masks[2] & ~x & y & ~z) |
           (masks[3] & ~x & y & z) | (masks[4] & x & ~y & ~z) | (masks[5] & x & ~y & z) |
           (masks[6] & x & y & ~z) | (masks[7] & x & y & z);
  });
  return Step::Next;
}

void decodeLookUp(Decoder &decoder) {
  if (decoder.modifiers.acceptOneOf({".and", ".or"}) >= 0)
    decoder.fail("lop3 with a predicate is not emulated");
  decoder.modifiers.type({Type::B32});
  decoder.operandCount(5);
  decoder.result.operands = {decoder.write(0, Type::B32), decoder.read(1, Type::B32),
                             decoder.read(2, Type::B32), decoder.read(3, Type::B32)};
  decoder.result.data[0] = uint64_t(decoder.immediate(4, 0, 255));
  decoder.result.handler = lookUp;
}

//===- Shifts: amounts beyond the width are clamped -------------------------------------------===//

template <typename T>
Step shiftLeft(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  const Operand *operands = instruction.operands.data();
  warp.require(instruction, lanes, operands[1], operands[2]);
  const T *a = warp.lanesOf<T>(operands[1]);
  const uint32_t *b = warp.lanesOf<uint32_t>(operands[2]);
  assign<T>(warp, operands[0], lanes, [=](unsigned lane) {
    constexpr unsigned width = 8 * sizeof(T);
    return b[lane] < width ? T(a[lane] << (b[lane] & (width - 1))) : T(0);
  });
  return Step::Next;
}

template <typename T>
Step shiftRight(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  const Operand *operands = instruction.operands.data();
  warp.require(instruction, lanes, operands[1], operands[2]);
  const T *a = warp.lanesOf<T>(operands[1]);
  const uint32_t *b = warp.lanesOf<uint32_t>(operands[2]);
  assign<T>(warp, operands[0], lanes, [=](unsigned lane) {
    constexpr unsigned width = 8 * sizeof(T);
    if (std::is_signed_v<T>)
      return T(a[lane] >> std::min(b[lane], width - 1));
    return b[lane] < width ? T(a[lane] >> (b[lane] & (width - 1))) : T(0);
  });
  return Step::Next;
}

void decodeShiftLeft(Decoder &decoder) {
  Type type = decoder.modifiers.type({Type::B16, Type::B32, Type::B64});
  decoder.takeOperands(type, {type, Type::U32});
  decoder.result.handler =
      forInteger(type, [](auto zero) -> Handler { return shiftLeft<decltype(zero)>; });
}

void decodeShiftRight(Decoder &decoder) {
  Type type = decoder.modifiers.type();
  decoder.result.handler =
      forInteger(type, [](auto zero) -> Handler { return shiftRight<decltype(zero)>; });
  if (!decoder.result.handler)
    decoder.fail("'shr' is not known for the type ." + std::string(name(type)));
  decoder.takeOperands(type, {type, Type::U32});
}

/// shf: 32 bits out of b:a. data[0]: 1 for left. data[1]: 1 for .clamp, else the amount wraps
/// at 32.
Step funnelShift(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  const Operand *operands = instruction.operands.data();
  warp.require(instruction, lanes, operands[1], operands[2], operands[3]);
  const uint32_t *a = warp.lanesOf<uint32_t>(operands[1]);
  const uint32_t *b = warp.lanesOf<uint32_t>(operands[2]);
  const uint32_t *c = warp.lanesOf<uint32_t>(operands[3]);
  bool left = instruction.data[0], clamp = instruction.data[1];
  assign<uint32_t>(warp, operands[0], lanes, [=](unsigned lane) {
    uint64_t both = uint64_t(b[lane]) << 32 | a[lane];
    uint32_t amount = clamp ? std::min(c[lane], 32u) : c[lane] & 31;
    return uint32_t(left ? both << amount >> 32 : both >> amount);
  });
  return Step::Next;
}

void decodeFunnelShift(Decoder &decoder) {
  decoder.result.data[0] = decoder.modifiers.oneOf("a direction", {".r", ".l"}) == 1;
  decoder.result.data[1] = decoder.modifiers.oneOf("a mode", {".wrap", ".clamp"}) == 1;
  decoder.modifiers.type({Type::B32});
  decoder.takeOperands(Type::B32, {Type::B32, Type::B32, Type::U32});
  decoder.result.handler = funnelShift;
}

//===- Counting and searching (section 9.7.1) -------------------------------------------------===//

/// d is 32 bits whatever the width of a.
template <typename T, typename F>
Step count(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  const Operand *operands = instruction.operands.data();
  warp.require(instruction, lanes, operands[1]);
  const T *a = warp.lanesOf<T>(operands[1]);
  assign<uint32_t>(warp, operands[0], lanes, [=](unsigned lane) { return F::apply(a[lane]); });
  return Step::Next;
}

struct PopulationCount {
  template <typename T>
  static uint32_t apply(T a) {
    return uint32_t(__builtin_popcountll(a));
  }
};
struct LeadingZeros {
  static uint32_t apply(uint32_t a) { return a ? uint32_t(__builtin_clz(a)) : 32; }
  static uint32_t apply(uint64_t a) { return a ? uint32_t(__builtin_clzll(a)) : 64; }
};
/// The position of the most significant bit that differs from the sign; with `shiftAmount` by how
/// much to shift left to bring it to the top.
template <bool shiftAmount>
struct FindBit {
  template <typename T>
  static uint32_t apply(T a) {
    using U = std::make_unsigned_t<T>;
    constexpr uint32_t top = 8 * sizeof(T) - 1;
    U bits = U(a < 0 ? ~a : a);
    if (!bits)
      return ~0u;
    uint32_t zeros = LeadingZeros::apply(bits);
    return shiftAmount ? zeros : top - zeros;
  }
};

template <typename F>
void decodeCount(Decoder &decoder) {
  Type type = decoder.modifiers.type({Type::B32, Type::B64});
  decoder.takeOperands(Type::U32, {type});
  decoder.result.handler = type == Type::B32 ? count<uint32_t, F> : count<uint64_t, F>;
}

template <bool shiftAmount>
Handler findHandler(Type type) {
  switch (type) {
  case Type::U32:
    return count<uint32_t, FindBit<shiftAmount>>;
  case Type::U64:
    return count<uint64_t, FindBit<shiftAmount>>;
  case Type::S32:
    return count<int32_t, FindBit<shiftAmount>>;
  default:
    return count<int64_t, FindBit<shiftAmount>>;
  }
}

void decodeFindBit(Decoder &decoder) {
  Type type = decoder.modifiers.type({Type::U32, Type::U64, Type::S32, Type::S64});
  bool shiftAmount = decoder.modifiers.accept(".shiftamt");
  decoder.takeOperands(Type::U32, {type});
  decoder.result.handler = shiftAmount ? findHandler<true>(type) : findHandler<false>(type);
}

/// fns: the position of the n-th set bit of a from bit `base` on, downwards for negative n.
Step findNth(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  const Operand *operands = instruction.operands.data();
  warp.require(instruction, lanes, operands[1], operands[2], operands[3]);
  const uint32_t *mask = warp.lanesOf<uint32_t>(operands[1]);
  const uint32_t *base = warp.lanesOf<uint32_t>(operands[2]);
  const int32_t *n = warp.lanesOf<int32_t>(operands[3]);
  assign<uint32_t>(warp, operands[0], lanes, [=](unsigned lane) {
    int step = n[lane] < 0 ? -1 : 1;
    int64_t left = n[lane] ? std::abs(int64_t(n[lane])) : 1;
    for (int64_t at = base[lane]; at >= 0 && at < 32; at += step) {
      if (mask[lane] >> at & 1)
        --left;
      if (!left)
        return uint32_t(at);
      if (!n[lane])
        break;
    }
    return ~0u;
  });
  return Step::Next;
}

void decodeFindNth(Decoder &decoder) {
  decoder.modifiers.type({Type::B32});
  decoder.takeOperands(Type::U32, {Type::B32, Type::B32, Type::S32});
  decoder.result.handler = findNth;
}

struct Reverse {
  static uint32_t apply(uint32_t a) {
    a = (a >> 1 & 0x55555555) | (a & 0x55555555) << 1;
    a = (a >> 2 & 0x33333333) | (a & 0x33333333) << 2;
    a = (a >> 4 & 0x0f0f0f0f) | (a & 0x0f0f0f0f) << 4;
    return __builtin_bswap32(a);
  }
  static uint64_t apply(uint64_t a) {
    return uint64_t(apply(uint32_t(a))) << 32 | apply(uint32_t(a >> 32));
  }
};

void decodeReverse(Decoder &decoder) {
  Type type = decoder.modifiers.type({Type::B32, Type::B64});
  decoder.takeOperands(type, {type});
  decoder.result.handler = type == Type::B32 ? unary<uint32_t, Reverse> : unary<uint64_t, Reverse>;
}

//===- Bit fields -----------------------------------------------------------------------------===//

/// bfe: `length` bits from `position`, both modulo 256. Signed types repeat the uppermost one, also
/// where the field reaches beyond the width.
template <typename T>
T extractField(T a, uint32_t position, uint32_t length) {
  using U = std::make_unsigned_t<T>;
  constexpr uint32_t width = 8 * sizeof(T);
  position &= 255;
  length &= 255;
  bool sign =
      std::is_signed_v<T> && length && (a >> std::min(position + length - 1, width - 1) & 1);
  uint32_t inside = std::min(length, width - std::min(position, width));
  U mask = inside < width ? U((U(1) << inside) - 1) : U(~U(0));
  U field = inside ? U(U(a) >> position) & mask : U(0);
  return T(sign ? field | U(~mask) : field);
}

template <typename T>
Step bitFieldExtract(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  const Operand *operands = instruction.operands.data();
  warp.require(instruction, lanes, operands[1], operands[2], operands[3]);
  const T *a = warp.lanesOf<T>(operands[1]);
  const uint32_t *b = warp.lanesOf<uint32_t>(operands[2]);
  const uint32_t *c = warp.lanesOf<uint32_t>(operands[3]);
  assign<T>(warp, operands[0], lanes,
            [=](unsigned lane) { return extractField(a[lane], b[lane], c[lane]); });
  return Step::Next;
}

void decodeBitFieldExtract(Decoder &decoder) {
  Type type = decoder.modifiers.type({Type::U32, Type::U64, Type::S32, Type::S64});
  decoder.takeOperands(type, {type, Type::U32, Type::U32});
  decoder.result.handler =
      forInteger(type, [](auto zero) -> Handler { return bitFieldExtract<decltype(zero)>; });
}

template <typename T>
Step bitFieldInsert(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  const Operand *operands = instruction.operands.data();
  warp.require(instruction, lanes, operands[1], operands[2], operands[3], operands[4]);
  const T *a = warp.lanesOf<T>(operands[1]);
  const T *b = warp.lanesOf<T>(operands[2]);
  const uint32_t *c = warp.lanesOf<uint32_t>(operands[3]);
  const uint32_t *d = warp.lanesOf<uint32_t>(operands[4]);
  assign<T>(warp, operands[0], lanes, [=](unsigned lane) {
    constexpr uint32_t width = 8 * sizeof(T);
    uint32_t position = c[lane] & 255, length = d[lane] & 255;
    if (position >= width || !length)
      return b[lane];
    T mask = T(length < width ? (T(1) << length) - 1 : T(~T(0)));
    return T((b[lane] & ~(mask << position)) | (a[lane] & mask) << position);
  });
  return Step::Next;
}

void decodeBitFieldInsert(Decoder &decoder) {
  Type type = decoder.modifiers.type({Type::B32, Type::B64});
  decoder.takeOperands(type, {type, type, Type::U32, Type::U32});
  decoder.result.handler = type == Type::B32 ? bitFieldInsert<uint32_t> : bitFieldInsert<uint64_t>;
}

/// szext: the lower `b` bits of a, extended. data[0]: 1 for .clamp, else b is taken modulo 32.
template <typename T>
Step extend(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  const Operand *operands = instruction.operands.data();
  warp.require(instruction, lanes, operands[1], operands[2]);
  const T *a = warp.lanesOf<T>(operands[1]);
  const uint32_t *b = warp.lanesOf<uint32_t>(operands[2]);
  bool clamp = instruction.data[0];
  assign<T>(warp, operands[0], lanes, [=](unsigned lane) {
    uint32_t length = clamp ? std::min(b[lane], 32u) : b[lane] & 31;
    return length ? extractField(a[lane], 0, length) : T(0);
  });
  return Step::Next;
}

void decodeExtend(Decoder &decoder) {
  decoder.result.data[0] = decoder.modifiers.oneOf("a mode", {".wrap", ".clamp"}) == 1;
  Type type = decoder.modifiers.type({Type::U32, Type::S32});
  decoder.takeOperands(type, {type, Type::U32});
  decoder.result.handler = type == Type::U32 ? extend<uint32_t> : extend<int32_t>;
}

/// bmsk: `b` ones from bit `a` on. data[0]: 1 for .clamp, else both are taken modulo 32.
Step bitMask(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  const Operand *operands = instruction.operands.data();
  warp.require(instruction, lanes, operands[1], operands[2]);
  const uint32_t *a = warp.lanesOf<uint32_t>(operands[1]);
  const uint32_t *b = warp.lanesOf<uint32_t>(operands[2]);
  bool clamp = instruction.data[0];
  assign<uint32_t>(warp, operands[0], lanes, [=](unsigned lane) {
    uint32_t position = clamp ? std::min(a[lane], 32u) : a[lane] & 31;
    uint32_t length = clamp ? std::min(b[lane], 32u) : b[lane] & 31;
    return uint32_t(((uint64_t(1) << length) - 1) << position);
  });
  return Step::Next;
}

void decodeBitMask(Decoder &decoder) {
  decoder.result.data[0] = decoder.modifiers.oneOf("a mode", {".wrap", ".clamp"}) == 1;
  decoder.modifiers.type({Type::B32});
  decoder.takeOperands(Type::B32, {Type::U32, Type::U32});
  decoder.result.handler = bitMask;
}

} // namespace

void registerBits(InstructionTable &table) {
  table.add("and", decodeLogic<And>);
  table.add("or", decodeLogic<Or>);
  table.add("xor", decodeLogic<Xor>);
  table.add("not", decodeNot);
  table.add("cnot", decodeLogicalNot);
  table.add("lop3", decodeLookUp);
  table.add("shl", decodeShiftLeft);
  table.add("shr", decodeShiftRight);
  table.add("shf", decodeFunnelShift);
  table.add("popc", decodeCount<PopulationCount>);
  table.add("clz", decodeCount<LeadingZeros>);
  table.add("bfind", decodeFindBit);
  table.add("fns", decodeFindNth);
  table.add("brev", decodeReverse);
  table.add("bfe", decodeBitFieldExtract);
  table.add("bfi", decodeBitFieldInsert);
  table.add("szext", decodeExtend);
  table.add("bmsk", decodeBitMask);
}

} // namespace quern::emulator::machine
