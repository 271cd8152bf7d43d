//===- HalfArithmetic.cpp - Arithmetic of f16 and bf16, single and packed ---------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "lib/Emulator/Machine/Instructions/HalfArithmetic.h"

#include "lib/Emulator/Machine/Instructions/HalfOperations.h"
#include "lib/Emulator/Machine/Lanes.h"

namespace quern::emulator::machine {

namespace {

template <typename H>
struct AddHalf {
  static uint16_t apply(uint16_t a, uint16_t b) { return H::encode(H::decode(a) + H::decode(b)); }
};
template <typename H>
struct SubHalf {
  static uint16_t apply(uint16_t a, uint16_t b) { return H::encode(H::decode(a) - H::decode(b)); }
};
template <typename H>
struct MulHalf {
  static uint16_t apply(uint16_t a, uint16_t b) { return H::encode(H::decode(a) * H::decode(b)); }
};
/// The product of two halves is exact in double; adding a third rounds to 53 bits, more than twice
/// those of a half plus two, so that rounding again is as good as rounding once unless the sum lies
/// within 2^-53 of a tie: rounding to odd keeps it off.
template <typename H>
struct FmaHalf {
  static uint16_t apply(uint16_t a, uint16_t b, uint16_t c) {
    double product = H::decode(a) * H::decode(b), addend = H::decode(c);
    double sum = product + addend;
    double part = sum - product;
    double error = (product - (sum - part)) + (addend - part);
    if (error != 0 && std::isfinite(sum)) {
      int64_t bits;
      std::memcpy(&bits, &sum, sizeof bits);
      if (!(bits & 1)) {
        bits += (error > 0) == (sum > 0) ? 1 : -1;
        std::memcpy(&sum, &bits, sizeof bits);
      }
    }
    return H::encode(sum);
  }
};
template <typename H, bool isMin, bool propagate, bool xorSign>
struct ExtremeHalf {
  static uint16_t apply(uint16_t a, uint16_t b) {
    return H::encode(Extreme<isMin, propagate, xorSign>::apply(H::decode(a), H::decode(b)));
  }
};
struct AbsHalf {
  static uint16_t apply(uint16_t a) { return uint16_t(a & 0x7fff); }
};
struct NegHalf {
  static uint16_t apply(uint16_t a) { return uint16_t(a ^ 0x8000); }
};

/// What happens to operands and results of f16 besides: .ftz, .sat, .relu.
struct Treatment {
  bool flush, saturate, clampNegative;
};

template <typename H>
uint16_t treated(uint16_t value, const Treatment &how) {
  if (how.flush)
    value = H::flush(value);
  if (how.saturate || how.clampNegative) {
    double number = H::decode(value);
    if (how.saturate) // not true for NaN
      return number > 0 ? (number < 1 ? value : H::encode(1)) : 0;
    // .relu makes NaN canonical.
    return number < 0 || value == 0x8000 ? 0 : number == number ? value : 0x7fff;
  }
  return value;
}

/// F on each half of the operands, of which there are one to three.
template <typename F, typename H, unsigned sources, typename T>
Step halves(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  const Operand *operands = instruction.operands.data();
  for (unsigned i = 1; i <= sources; ++i)
    warp.require(instruction, lanes, operands[i]);
  const auto &how = instruction.planAs<Treatment>();
  const T *source[3];
  for (unsigned i = 0; i < 3; ++i)
    source[i] = warp.lanesOf<T>(operands[i < sources ? 1 + i : 1]);
  auto compute = [&](unsigned lane, unsigned shift) {
    uint16_t value[3];
    for (unsigned i = 0; i < sources; ++i) {
      value[i] = uint16_t(source[i][lane] >> shift);
      if (how.flush)
        value[i] = H::flush(value[i]);
    }
    uint16_t result;
    if constexpr (sources == 1)
      result = F::apply(value[0]);
    else if constexpr (sources == 2)
      result = F::apply(value[0], value[1]);
    else
      result = F::apply(value[0], value[1], value[2]);
    return treated<H>(result, how);
  };
  assign<T>(warp, operands[0], lanes, [&](unsigned lane) {
    if constexpr (sizeof(T) == 4)
      return uint32_t(compute(lane, 16)) << 16 | compute(lane, 0);
    else
      return compute(lane, 0);
  });
  return Step::Next;
}

template <typename F, typename H, unsigned sources>
Handler handlerOf(Type type) {
  return bitsOf(type) == 32 ? halves<F, H, sources, uint32_t> : halves<F, H, sources, uint16_t>;
}

template <typename H, bool isMin>
Handler extremeHandler(Type type, bool propagate, bool xorSign) {
  if (xorSign)
    return propagate ? handlerOf<ExtremeHalf<H, isMin, true, true>, H, 2>(type)
                     : handlerOf<ExtremeHalf<H, isMin, false, true>, H, 2>(type);
  return propagate ? handlerOf<ExtremeHalf<H, isMin, true, false>, H, 2>(type)
                   : handlerOf<ExtremeHalf<H, isMin, false, false>, H, 2>(type);
}

template <typename H>
void decode(Decoder &decoder, Operation operation, Type type) {
  constexpr bool isF16 = std::is_same_v<H, F16>;
  Modifiers &modifiers = decoder.modifiers;
  Treatment how{isF16 && modifiers.accept(".ftz"), false, false};
  unsigned sources = 2;
  Handler &handler = decoder.result.handler;
  switch (operation) {
  case Operation::Add:
  case Operation::Sub:
  case Operation::Mul:
    modifiers.accept(".rn");
    how.saturate = isF16 && modifiers.accept(".sat");
    handler = operation == Operation::Add   ? handlerOf<AddHalf<H>, H, 2>(type)
              : operation == Operation::Sub ? handlerOf<SubHalf<H>, H, 2>(type)
                                            : handlerOf<MulHalf<H>, H, 2>(type);
    break;
  case Operation::Mad:
    modifiers.oneOf("a rounding mode", {".rn"});
    how.saturate = isF16 && modifiers.accept(".sat");
    how.clampNegative = !how.saturate && modifiers.accept(".relu");
    sources = 3;
    handler = handlerOf<FmaHalf<H>, H, 3>(type);
    break;
  case Operation::Min:
  case Operation::Max: {
    bool propagate = modifiers.accept(".NaN");
    bool xorSign = modifiers.accept(".xorsign");
    if (xorSign && !modifiers.accept(".abs"))
      decoder.fail("'.xorsign' is only known together with '.abs'");
    handler = operation == Operation::Min ? extremeHandler<H, true>(type, propagate, xorSign)
                                          : extremeHandler<H, false>(type, propagate, xorSign);
    break;
  }
  case Operation::Abs:
  case Operation::Neg:
    sources = 1;
    handler = operation == Operation::Abs ? handlerOf<AbsHalf, H, 1>(type)
                                          : handlerOf<NegHalf, H, 1>(type);
    break;
  default:
    decoder.fail("'" + decoder.source.opcode + "' is not known for the type ." +
                 std::string(name(type)));
  }
  if (sources == 1)
    decoder.takeOperands(type, {type});
  else if (sources == 2)
    decoder.takeOperands(type, {type, type});
  else
    decoder.takeOperands(type, {type, type, type});
  decoder.result.plan = std::make_shared<Treatment>(how);
}

} // namespace

void decodeHalf(Decoder &decoder, Operation operation, Type type) {
  if (type == Type::F16 || type == Type::F16x2)
    decode<F16>(decoder, operation, type);
  else
    decode<BF16>(decoder, operation, type);
}

} // namespace quern::emulator::machine
