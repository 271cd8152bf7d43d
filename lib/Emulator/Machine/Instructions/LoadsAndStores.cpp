//===- LoadsAndStores.cpp - Loads and stores --------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "lib/Emulator/Machine/Block.h"
#include "lib/Emulator/Machine/Decoder.h"
#include "lib/Emulator/Machine/Families.h"
#include "lib/Emulator/Machine/Instructions/Ordering.h"
#include "lib/Emulator/Machine/LaneValues.h"

#include <cstring>

namespace quern::emulator::machine {

namespace {

/// What a load or store does, its plan.
struct Access {
  Space space;
  Type type;
  unsigned elements;
  Ordering ordering;
};

Step load(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  const auto &plan = instruction.planAs<Access>();
  const Operand &from = instruction.operands[0];
  unsigned size = bitsOf(plan.type) / 8, bytes = size * plan.elements;
  AccessKind kind = plan.ordering.isStrong ? AccessKind::StrongRead : AccessKind::Read;
  warp.require(instruction, lanes, from);
  warp.countAccess(plan.space, lanes, from, bytes, kind);
  for (LaneMask rest = lanes; rest; rest &= rest - 1) {
    unsigned lane = unsigned(__builtin_ctz(rest));
    uint64_t address = warp.address(from, lane);
    const std::byte *source = warp.access(instruction, lane, plan.space, address, bytes, kind);
    for (unsigned i = 0; i < plan.elements; ++i) {
      const Operand &to = instruction.operands[1 + i];
      uint64_t value[2] = {0, 0};
      if (source)
        std::memcpy(value, source + i * size, size);
      setLaneValue(warp, to, lane, extendedTo64(plan.type, value[0]));
      if (to.bits == 128)
        warp.lanesOf<uint64_t>(to)[2 * lane + 1] = value[1];
    }
    if (plan.ordering.isStrong)
      warp.observe(plan.space, address, plan.ordering.acquires);
  }
  for (unsigned i = 0; i < plan.elements; ++i)
    warp.setValid(instruction.operands[1 + i], lanes);
  return Step::Next;
}

Step store(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  const auto &plan = instruction.planAs<Access>();
  const Operand &to = instruction.operands[0];
  unsigned size = bitsOf(plan.type) / 8, bytes = size * plan.elements;
  AccessKind kind = plan.ordering.isStrong ? AccessKind::StrongWrite : AccessKind::Write;
  warp.require(instruction, lanes, to);
  for (unsigned i = 0; i < plan.elements; ++i)
    warp.require(instruction, lanes, instruction.operands[1 + i]);
  warp.countAccess(plan.space, lanes, to, bytes, kind);
  for (LaneMask rest = lanes; rest; rest &= rest - 1) {
    unsigned lane = unsigned(__builtin_ctz(rest));
    uint64_t address = warp.address(to, lane);
    if (plan.ordering.isStrong)
      warp.publish(plan.space, address, plan.ordering.releases);
    std::byte *target = warp.access(instruction, lane, plan.space, address, bytes, kind);
    if (!target)
      continue;
    for (unsigned i = 0; i < plan.elements; ++i) {
      const Operand &from = instruction.operands[1 + i];
      uint64_t value[2] = {laneValue(warp, from, lane), 0};
      if (from.bits == 128)
        value[1] = warp.lanesOf<uint64_t>(from)[2 * lane + 1];
      std::memcpy(target + i * size, value, size);
    }
  }
  return Step::Next;
}

/// ld{.weak, .volatile, .relaxed.SCOPE, .acquire.SCOPE}{.SPACE}{.nc}{HINTS}{.v2, .v4, .v8}.TYPE,
/// ldu, st (PTX ISA 8.3, sections 9.7.8.8 to 9.7.8.11).
void decodeAccess(Decoder &decoder, bool isLoad) {
  Access plan;
  plan.ordering = takeOrdering(decoder, isLoad, !isLoad, false);
  plan.space = takeSpace(decoder);
  bool readOnly = isLoad && decoder.modifiers.accept(".nc");
  if (readOnly && plan.space != Space::Global)
    decoder.fail("'ld.nc' reads global memory: write ld.global.nc");
  bool policy = takeCacheHints(decoder);
  plan.elements = decoder.modifiers.vectorLength();
  plan.type = decoder.modifiers.type();
  unsigned bits = bitsOf(plan.type);
  if (plan.type == Type::Pred || bits * plan.elements > 256 ||
      (bits * plan.elements > 128 && plan.space != Space::Global))
    decoder.fail("'" + decoder.source.opcode + decoder.modifiers.text() +
                 "' is not known: an access has at most 16 bytes, in global memory 32");
  if (!isLoad && plan.space == Space::Constant)
    decoder.fail("constant memory cannot be written");
  decoder.operandCount(policy ? 3 : 2);
  if (policy)
    decoder.read(2, Type::B64);
  const assembly::Operand &value = decoder.operand(isLoad ? 0 : 1);
  decoder.result.operands = {decoder.address(isLoad ? 1 : 0, plan.space)};
  for (const assembly::Operand *element : decoder.elements(value, plan.elements))
    decoder.result.operands.push_back(isLoad ? decoder.writeWide(*element, plan.type)
                                             : decoder.readWide(*element, plan.type));
  decoder.result.plan = std::make_shared<Access>(plan);
  decoder.result.handler = isLoad ? load : store;
}

void decodeLoad(Decoder &decoder) { decodeAccess(decoder, true); }
void decodeStore(Decoder &decoder) { decodeAccess(decoder, false); }

//===- Hints ----------------------------------------------------------------------------------===//

Step doNothing(Warp &, const Instruction &, LaneMask) { return Step::Next; }

/// prefetchu.L1 [a], applypriority.global.L2::evict_normal [a], size
void decodeHint(Decoder &decoder) {
  Space space = takeSpace(decoder);
  decoder.modifiers.acceptOneOf({".L1", ".L2"});
  takeCacheHints(decoder);
  decoder.operandCount(1, 2);
  decoder.result.operands = {decoder.address(0, space)};
  decoder.result.handler = doNothing;
}

/// createpolicy gives a number that other instructions take as a hint.
Step createPolicy(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  uint64_t *to = warp.lanesOf<uint64_t>(instruction.operands[0]);
  for (LaneMask rest = lanes; rest; rest &= rest - 1)
    to[__builtin_ctz(rest)] = 0;
  warp.setValid(instruction.operands[0], lanes);
  return Step::Next;
}

void decodeCreatePolicy(Decoder &decoder) {
  decoder.modifiers.oneOf("a kind", {".fractional", ".range", ".cvt"});
  decoder.modifiers.acceptOneOf({".global"});
  decoder.modifiers.acceptOneOf(
      {".L2::evict_last", ".L2::evict_normal", ".L2::evict_first", ".L2::evict_unchanged"});
  decoder.modifiers.acceptOneOf({".L2::evict_first", ".L2::evict_unchanged"});
  decoder.modifiers.type({Type::B64});
  decoder.operandCount(1, 4);
  decoder.result.operands = {decoder.write(0, Type::B64)};
  decoder.result.handler = createPolicy;
}

} // namespace

void registerLoadsAndStores(InstructionTable &table) {
  table.add("ld", decodeLoad);
  table.add("ldu", decodeLoad);
  table.add("st", decodeStore);
  table.add("prefetchu", decodeHint);
  table.add("applypriority", decodeHint);
  table.add("createpolicy", decodeCreatePolicy);
}

} // namespace quern::emulator::machine
