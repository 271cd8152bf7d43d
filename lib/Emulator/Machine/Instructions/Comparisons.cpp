//===- Comparisons.cpp - Comparisons and selections -------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "lib/Emulator/Machine/Families.h"
#include "lib/Emulator/Machine/Instructions/Compare.h"
#include "lib/Emulator/Machine/Instructions/FloatOperations.h"
#include "lib/Emulator/Machine/Lanes.h"

namespace quern::emulator::machine {

namespace {

enum class BooleanOperation : uint8_t { None, And, Or, Xor };

/// setp and set (PTX ISA 8.3, sections 9.7.5 and 9.7.6).
struct SetPlan {
  /// Of the lower half, or all, of the operands; of the upper half for packed types.
  CompareFunction compare, compareUpper;
  BooleanOperation operation;
  /// set: what is written when the comparison holds; 16 or 32 bits.
  uint32_t truth;
};

LaneMask combine(BooleanOperation operation, LaneMask holds, LaneMask c) {
  switch (operation) {
  case BooleanOperation::And:
    return holds & c;
  case BooleanOperation::Or:
    return holds | c;
  case BooleanOperation::Xor:
    return holds ^ c;
  case BooleanOperation::None:
    break;
  }
  return holds;
}

/// p[|q], a, b[, c] as operands p, q, a, b, c.
Step setPredicate(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  const auto &plan = instruction.planAs<SetPlan>();
  const Operand *operands = instruction.operands.data();
  warp.require(instruction, lanes, operands[2], operands[3]);
  LaneMask c = 0;
  if (plan.operation != BooleanOperation::None) {
    warp.require(instruction, lanes, operands[4]);
    c = warp.predicate(operands[4]);
  }
  const std::byte *a = warp.lanesOf<std::byte>(operands[2]);
  const std::byte *b = warp.lanesOf<std::byte>(operands[3]);
  LaneMask holds = plan.compare(a, b);
  LaneMask other = plan.compareUpper ? plan.compareUpper(a, b) : ~holds;
  warp.setPredicate(operands[0], combine(plan.operation, holds, c), lanes);
  if (!operands[1].isSink)
    warp.setPredicate(operands[1], combine(plan.operation, other, c), lanes);
  return Step::Next;
}

/// d, a, b[, c]
Step setValue(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  const auto &plan = instruction.planAs<SetPlan>();
  const Operand *operands = instruction.operands.data();
  warp.require(instruction, lanes, operands[1], operands[2]);
  LaneMask c = 0;
  if (plan.operation != BooleanOperation::None) {
    warp.require(instruction, lanes, operands[3]);
    c = warp.predicate(operands[3]);
  }
  const std::byte *a = warp.lanesOf<std::byte>(operands[1]);
  const std::byte *b = warp.lanesOf<std::byte>(operands[2]);
  LaneMask holds = combine(plan.operation, plan.compare(a, b), c);
  LaneMask upper = plan.compareUpper ? combine(plan.operation, plan.compareUpper(a, b), c) : 0;
  auto value = [&](unsigned lane) {
    return (holds >> lane & 1 ? plan.truth : 0) | (upper >> lane & 1 ? plan.truth << 16 : 0);
  };
  if (operands[0].bits == 16)
    assign<uint16_t>(warp, operands[0], lanes,
                     [&](unsigned lane) { return uint16_t(value(lane)); });
  else
    assign<uint32_t>(warp, operands[0], lanes, value);
  return Step::Next;
}

/// CMP{.BOOL}{.ftz}.TYPE; `type` is that of the operands.
SetPlan takeComparison(Decoder &decoder, Type &type, bool hasResultType) {
  Modifiers &modifiers = decoder.modifiers;
  int comparison = modifiers.oneOf("a comparison", {".eq", ".ne", ".lt", ".le", ".gt", ".ge", ".lo",
                                                    ".ls", ".hi", ".hs", ".equ", ".neu", ".ltu",
                                                    ".leu", ".gtu", ".geu", ".num", ".nan"});
  SetPlan plan{};
  plan.operation = BooleanOperation(modifiers.acceptOneOf({".and", ".or", ".xor"}) + 1);
  bool flush = modifiers.accept(".ftz");
  Type result = hasResultType ? modifiers.type() : Type::None;
  type = modifiers.type();
  bool mayFlush = type == Type::F32 || type == Type::F16 || type == Type::F16x2;
  plan.compare = compareFunction(Comparison(comparison), type, flush, 0);
  if (!plan.compare || (flush && !mayFlush))
    decoder.fail("'" + decoder.source.opcode + modifiers.text() +
                 "' is not known for operands of type ." + std::string(name(type)));
  bool isPacked = type == Type::F16x2 || type == Type::BF16x2;
  if (isPacked)
    plan.compareUpper = compareFunction(Comparison(comparison), type, flush, 1);
  switch (result) {
  case Type::None:
    break;
  case Type::U32:
  case Type::S32:
    plan.truth = ~0u;
    if (isPacked)
      plan.truth = 0xffff;
    break;
  case Type::U16:
  case Type::S16:
    plan.truth = 0xffff;
    break;
  case Type::F32:
    plan.truth = 0x3f800000;
    break;
  case Type::F16:
  case Type::F16x2:
    plan.truth = 0x3c00;
    break;
  case Type::BF16:
  case Type::BF16x2:
    plan.truth = 0x3f80;
    break;
  default:
    decoder.fail("'set' cannot write the type ." + std::string(name(result)));
  }
  if (result != Type::None)
    decoder.result.operands.push_back(decoder.write(0, result));
  return plan;
}

void takeSources(Decoder &decoder, const SetPlan &plan, Type type) {
  bool combines = plan.operation != BooleanOperation::None;
  decoder.operandCount(combines ? 4 : 3);
  decoder.result.operands.push_back(decoder.read(1, type));
  decoder.result.operands.push_back(decoder.read(2, type));
  if (combines)
    decoder.result.operands.push_back(decoder.read(3, Type::Pred));
  decoder.result.plan = std::make_shared<SetPlan>(plan);
}

void decodeSetPredicate(Decoder &decoder) {
  decoder.operandCount(3, 4);
  Type type;
  SetPlan plan = takeComparison(decoder, type, false);
  const assembly::Operand &target = decoder.operand(0);
  bool isPair = target.kind == assembly::OperandKind::Pair;
  if (isPair && target.elements.size() != 2)
    decoder.fail(target.position, "expected one or two predicates, like p|q");
  decoder.result.operands = {decoder.write(isPair ? target.elements[0] : target, Type::Pred),
                             isPair ? decoder.write(target.elements[1], Type::Pred)
                                    : decoder.function.sink(1)};
  takeSources(decoder, plan, type);
  decoder.result.handler = setPredicate;
}

void decodeSet(Decoder &decoder) {
  decoder.operandCount(3, 4);
  Type type;
  SetPlan plan = takeComparison(decoder, type, true);
  takeSources(decoder, plan, type);
  decoder.result.handler = setValue;
}

/// selp: what is not selected may be undefined.
template <typename T>
Step select(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  const Operand *operands = instruction.operands.data();
  warp.require(instruction, lanes, operands[3]);
  LaneMask first = warp.predicate(operands[3]);
  LaneMask valid = (warp.valid(operands[1]) & first) | (warp.valid(operands[2]) & ~first);
  const T *a = warp.lanesOf<T>(operands[1]);
  const T *b = warp.lanesOf<T>(operands[2]);
  assign<T>(warp, operands[0], lanes,
            [=](unsigned lane) { return first >> lane & 1 ? a[lane] : b[lane]; });
  warp.setInvalid(operands[0], lanes & ~valid);
  return Step::Next;
}

Handler selectHandler(unsigned bits) {
  return bits == 16   ? select<uint16_t>
         : bits == 32 ? select<uint32_t>
         : bits == 64 ? Handler(select<uint64_t>)
                      : nullptr;
}

void decodeSelect(Decoder &decoder) {
  Type type = decoder.modifiers.type();
  decoder.result.handler = selectHandler(bitsOf(type));
  if (!decoder.result.handler)
    decoder.fail("'selp' is not known for the type ." + std::string(name(type)));
  decoder.takeOperands(type, {type, type, Type::Pred});
}

/// slct: a where c >= 0, else b; -0 counts as 0, NaN selects b.
template <typename T, typename C>
Step selectBySign(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  const Operand *operands = instruction.operands.data();
  warp.require(instruction, lanes, operands[1], operands[2], operands[3]);
  const T *a = warp.lanesOf<T>(operands[1]);
  const T *b = warp.lanesOf<T>(operands[2]);
  const C *c = warp.lanesOf<C>(operands[3]);
  bool flush = instruction.data[0];
  assign<T>(warp, operands[0], lanes, [=](unsigned lane) {
    C value = c[lane];
    if constexpr (std::is_same_v<C, float>)
      value = flush ? flushed(value) : value;
    return value >= 0 ? a[lane] : b[lane];
  });
  return Step::Next;
}

void decodeSelectBySign(Decoder &decoder) {
  decoder.result.data[0] = decoder.modifiers.accept(".ftz");
  Type type = decoder.modifiers.type();
  Type by = decoder.modifiers.type({Type::S32, Type::F32});
  bool real = by == Type::F32;
  Handler &handler = decoder.result.handler;
  switch (bitsOf(type)) {
  case 16:
    handler = real ? selectBySign<uint16_t, float> : selectBySign<uint16_t, int32_t>;
    break;
  case 32:
    handler = real ? selectBySign<uint32_t, float> : selectBySign<uint32_t, int32_t>;
    break;
  case 64:
    handler = real ? selectBySign<uint64_t, float> : selectBySign<uint64_t, int32_t>;
    break;
  default:
    decoder.fail("'slct' is not known for the type ." + std::string(name(type)));
  }
  decoder.takeOperands(type, {type, type, by});
}

enum class Test { Finite, Infinite, Number, NotANumber, Normal, Subnormal };

template <typename T>
Step testProperty(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  const Operand *operands = instruction.operands.data();
  warp.require(instruction, lanes, operands[1]);
  const T *a = warp.lanesOf<T>(operands[1]);
  LaneMask holds = 0;
  for (unsigned lane = 0; lane < warpSize; ++lane) {
    int kind = std::fpclassify(a[lane]);
    bool result = false;
    switch (Test(instruction.data[0])) {
    case Test::Finite:
      result = kind != FP_INFINITE && kind != FP_NAN;
      break;
    case Test::Infinite:
      result = kind == FP_INFINITE;
      break;
    case Test::Number:
      result = kind != FP_NAN;
      break;
    case Test::NotANumber:
      result = kind == FP_NAN;
      break;
    case Test::Normal:
      // Zeros count as normal (PTX ISA 8.3, section 9.7.3.1).
      result = kind == FP_NORMAL || kind == FP_ZERO;
      break;
    case Test::Subnormal:
      result = kind == FP_SUBNORMAL;
      break;
    }
    holds |= LaneMask(result) << lane;
  }
  warp.setPredicate(operands[0], holds, lanes);
  return Step::Next;
}

void decodeTestProperty(Decoder &decoder) {
  decoder.result.data[0] = uint64_t(decoder.modifiers.oneOf(
      "a property", {".finite", ".infinite", ".number", ".notanumber", ".normal", ".subnormal"}));
  Type type = decoder.modifiers.type({Type::F32, Type::F64});
  decoder.takeOperands(Type::Pred, {type});
  decoder.result.handler = type == Type::F32 ? testProperty<float> : testProperty<double>;
}

/// copysign: the sign of a, the magnitude of b.
struct CopySign {
  template <typename T>
  static T apply(T a, T b) {
    return std::copysign(b, a);
  }
};

void decodeCopySign(Decoder &decoder) {
  Type type = decoder.modifiers.type({Type::F32, Type::F64});
  decoder.takeOperands(type, {type, type});
  decoder.result.handler = type == Type::F32 ? binary<float, CopySign> : binary<double, CopySign>;
}

} // namespace

void registerComparisons(InstructionTable &table) {
  table.add("setp", decodeSetPredicate);
  table.add("set", decodeSet);
  table.add("selp", decodeSelect);
  table.add("slct", decodeSelectBySign);
  table.add("testp", decodeTestProperty);
  table.add("copysign", decodeCopySign);
}

} // namespace quern::emulator::machine
