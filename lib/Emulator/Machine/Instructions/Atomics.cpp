//===- Atomics.cpp - Atomic operations on memory ----------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
///
/// \file
/// PTX ISA 8.3, sections 9.7.12.14 (atom) and 9.7.12.15 (red). Lanes of a warp go one after the
/// other, in ascending order.
///
#include "lib/Emulator/Machine/Block.h"
#include "lib/Emulator/Machine/Decoder.h"
#include "lib/Emulator/Machine/Families.h"
#include "lib/Emulator/Machine/Instructions/HalfOperations.h"
#include "lib/Emulator/Machine/Instructions/Ordering.h"
#include "lib/Emulator/Machine/LaneValues.h"

#include <algorithm>
#include <cstring>

namespace quern::emulator::machine {

namespace {

enum class Operation : uint8_t {
  Add,
  Min,
  Max,
  Increment,
  Decrement,
  And,
  Or,
  Xor,
  Exchange,
  CompareAndSwap
};

struct Atomic {
  Space space;
  Operation operation;
  Type type;
  unsigned elements;
  Ordering ordering;
  /// atom: the old value goes into operands[1].
  bool returns;
};

template <typename T>
T combineIntegers(Operation operation, T old, T b) {
  using U = std::make_unsigned_t<T>;
  switch (operation) {
  case Operation::Add:
    return T(U(old) + U(b));
  case Operation::Min:
    return std::min(old, b);
  case Operation::Max:
    return std::max(old, b);
  case Operation::Increment:
    return U(old) >= U(b) ? T(0) : T(U(old) + 1);
  case Operation::Decrement:
    return old == 0 || U(old) > U(b) ? b : T(U(old) - 1);
  case Operation::And:
    return old & b;
  case Operation::Or:
    return old | b;
  case Operation::Xor:
    return old ^ b;
  default:
    return b;
  }
}

template <typename T, typename Bits>
uint64_t addBits(uint64_t old, uint64_t b, bool flush) {
  Bits first = Bits(old), second = Bits(b);
  T x, y;
  std::memcpy(&x, &first, sizeof x);
  std::memcpy(&y, &second, sizeof y);
  T sum = flush ? finished<true, false>(flushed(x) + flushed(y)) : finished<false, false>(x + y);
  std::memcpy(&first, &sum, sizeof first);
  return first;
}

template <typename H>
uint16_t combineHalves(Operation operation, uint16_t old, uint16_t b) {
  double x = H::decode(old), y = H::decode(b);
  switch (operation) {
  case Operation::Min:
    return H::encode(MinFloat<false, false>::apply(x, y));
  case Operation::Max:
    return H::encode(MaxFloat<false, false>::apply(x, y));
  default:
    return H::encode(x + y);
  }
}

/// What memory holds after an operation on `old`.
uint64_t combine(Operation operation, Type type, bool flush, uint64_t old, uint64_t b) {
  switch (type) {
  case Type::S32:
    return uint32_t(combineIntegers(operation, int32_t(old), int32_t(b)));
  case Type::S64:
    return uint64_t(combineIntegers(operation, int64_t(old), int64_t(b)));
  case Type::B16:
    return uint16_t(b);
  case Type::B32:
  case Type::U32:
    return combineIntegers(operation, uint32_t(old), uint32_t(b));
  case Type::F32:
    return addBits<float, uint32_t>(old, b, flush);
  case Type::F64:
    return addBits<double, uint64_t>(old, b, false);
  case Type::F16:
    return combineHalves<F16>(operation, uint16_t(old), uint16_t(b));
  case Type::BF16:
    return combineHalves<BF16>(operation, uint16_t(old), uint16_t(b));
  case Type::F16x2:
    return uint32_t(combineHalves<F16>(operation, uint16_t(old >> 16), uint16_t(b >> 16))) << 16 |
           combineHalves<F16>(operation, uint16_t(old), uint16_t(b));
  case Type::BF16x2:
    return uint32_t(combineHalves<BF16>(operation, uint16_t(old >> 16), uint16_t(b >> 16))) << 16 |
           combineHalves<BF16>(operation, uint16_t(old), uint16_t(b));
  default:
    return combineIntegers(operation, old, b);
  }
}

/// Operands: the address, the old values (if returned), b, and for cas c.
Step atomic(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  const auto &plan = instruction.planAs<Atomic>();
  const Operand *operands = instruction.operands.data();
  const Operand *old = operands + 1;
  const Operand *b = operands + 1 + (plan.returns ? plan.elements : 0);
  const Operand *c = b + plan.elements;
  bool swaps = plan.operation == Operation::CompareAndSwap;
  unsigned size = bitsOf(plan.type) / 8, bytes = size * plan.elements;
  warp.require(instruction, lanes, operands[0]);
  for (unsigned i = 0; i < plan.elements; ++i)
    warp.require(instruction, lanes, b[i]);
  if (swaps)
    warp.require(instruction, lanes, c[0]);
  warp.countAccess(plan.space, lanes, operands[0], bytes, AccessKind::Atomic);
  for (LaneMask rest = lanes; rest; rest &= rest - 1) {
    unsigned lane = unsigned(__builtin_ctz(rest));
    uint64_t address = warp.address(operands[0], lane);
    warp.observe(plan.space, address, plan.ordering.acquires);
    warp.publish(plan.space, address, plan.ordering.releases);
    std::byte *place =
        warp.access(instruction, lane, plan.space, address, bytes, AccessKind::Atomic);
    // f32 is flushed in global memory, as red and atom are defined, but not in shared memory.
    bool flush = plan.space != Space::Shared && address - sharedWindow >= windowBytes;
    for (unsigned i = 0; i < plan.elements; ++i) {
      uint64_t before = 0, operand = laneValue(warp, b[i], lane);
      if (place) {
        std::memcpy(&before, place + i * size, size);
        uint64_t mask = size == 8 ? ~uint64_t(0) : (uint64_t(1) << (8 * size)) - 1;
        uint64_t after = swaps ? (before == (operand & mask) ? laneValue(warp, c[0], lane) : before)
                               : combine(plan.operation, plan.type, flush, before, operand);
        std::memcpy(place + i * size, &after, size);
        if (before != (after & mask))
          ++warp.block.grid.progress;
      }
      if (plan.returns)
        setLaneValue(warp, old[i], lane, before);
    }
  }
  if (plan.returns)
    for (unsigned i = 0; i < plan.elements; ++i)
      warp.setValid(old[i], lanes);
  return Step::Next;
}

/// Exchange and compare-and-swap of 128 bits; operands as above, one element.
Step atomicQuad(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  const auto &plan = instruction.planAs<Atomic>();
  const std::vector<Operand> &operands = instruction.operands;
  for (size_t i = 0; i < operands.size(); ++i)
    if (i != 1)
      warp.require(instruction, lanes, operands[i]);
  for (LaneMask rest = lanes; rest; rest &= rest - 1) {
    unsigned lane = unsigned(__builtin_ctz(rest));
    uint64_t address = warp.address(operands[0], lane);
    warp.observe(plan.space, address, plan.ordering.acquires);
    warp.publish(plan.space, address, plan.ordering.releases);
    std::byte *place = warp.access(instruction, lane, plan.space, address, 16, AccessKind::Atomic);
    if (!place)
      continue;
    auto quad = [&](size_t i) { return warp.lanesOf<std::byte>(operands[i]) + lane * 16; };
    bool swaps = plan.operation == Operation::Exchange || !std::memcmp(place, quad(2), 16);
    std::byte after[16];
    std::memcpy(after, swaps ? quad(operands.size() - 1) : place, 16);
    std::memcpy(quad(1), place, 16);
    std::memcpy(place, after, 16);
    warp.block.grid.progress += swaps;
  }
  warp.setValid(operands[1], lanes);
  return Step::Next;
}

bool isKnown(Operation operation, Type type) {
  auto is = [&](std::initializer_list<Type> types) {
    return std::find(types.begin(), types.end(), type) != types.end();
  };
  switch (operation) {
  case Operation::Add:
    return is({Type::U32, Type::S32, Type::U64, Type::S64, Type::F16, Type::F16x2, Type::BF16,
               Type::BF16x2, Type::F32, Type::F64});
  case Operation::Min:
  case Operation::Max:
    return is({Type::U32, Type::S32, Type::U64, Type::S64, Type::F16, Type::F16x2, Type::BF16,
               Type::BF16x2});
  case Operation::Increment:
  case Operation::Decrement:
    return is({Type::U32});
  case Operation::And:
  case Operation::Or:
  case Operation::Xor:
    return is({Type::B32, Type::B64});
  case Operation::Exchange:
    return is({Type::B32, Type::B64, Type::B128});
  case Operation::CompareAndSwap:
    return is({Type::B16, Type::B32, Type::B64, Type::B128});
  }
  return false;
}

void decodeAtomic(Decoder &decoder, bool returns) {
  Modifiers &modifiers = decoder.modifiers;
  Atomic plan{};
  plan.returns = returns;
  plan.ordering = takeOrdering(decoder, false, false, true);
  plan.space = takeSpace(decoder);
  plan.operation =
      Operation(modifiers.oneOf("an operation", {".add", ".min", ".max", ".inc", ".dec", ".and",
                                                 ".or", ".xor", ".exch", ".cas"}));
  modifiers.accept(".noftz");
  bool policy = takeCacheHints(decoder);
  plan.elements = modifiers.vectorLength();
  plan.type = modifiers.type();
  bool isVector = plan.elements > 1;
  bool known = isKnown(plan.operation, plan.type);
  if (isVector)
    known &= isFloat(plan.type) && plan.type != Type::F64 && plan.space == Space::Global &&
             bitsOf(plan.type) * plan.elements <= 128;
  known &= returns || plan.operation < Operation::Exchange;
  known &=
      plan.space == Space::Global || plan.space == Space::Shared || plan.space == Space::Generic;
  if (!known)
    decoder.fail("'" + decoder.source.opcode + modifiers.text() + "' is not known");
  bool swaps = plan.operation == Operation::CompareAndSwap;
  size_t first = returns ? 1 : 0;
  decoder.operandCount(first + 2 + swaps + policy);
  std::vector<Operand> &operands = decoder.result.operands;
  operands = {decoder.address(first, plan.space)};
  if (returns)
    for (const assembly::Operand *element : decoder.elements(decoder.operand(0), plan.elements))
      operands.push_back(decoder.write(*element, plan.type));
  for (const assembly::Operand *element :
       decoder.elements(decoder.operand(first + 1), plan.elements))
    operands.push_back(decoder.read(*element, plan.type));
  if (swaps)
    operands.push_back(decoder.read(first + 2, plan.type));
  decoder.result.plan = std::make_shared<Atomic>(plan);
  decoder.result.handler = plan.type == Type::B128 ? atomicQuad : atomic;
}

void decodeAtom(Decoder &decoder) { decodeAtomic(decoder, true); }
void decodeReduce(Decoder &decoder) { decodeAtomic(decoder, false); }

} // namespace

void registerAtomics(InstructionTable &table) {
  table.add("atom", decodeAtom);
  table.add("red", decodeReduce);
}

} // namespace quern::emulator::machine
