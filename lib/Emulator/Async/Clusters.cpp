//===- Clusters.cpp - Addresses, leaders and launches of clusters -----------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
///
/// \file
/// mapa, getctarank, elect.sync and griddepcontrol (PTX ISA 9.1,
/// sections 9.7.9.23, 9.7.9.24, 9.7.13.13 and 9.7.13.14).
///
#include "lib/Emulator/Async/Families.h"
#include "lib/Emulator/Machine/Block.h"
#include "lib/Emulator/Machine/Decoder.h"

namespace quern::emulator::machine {

namespace {

uint64_t take(Warp &warp, const Operand &operand, unsigned lane) {
  return operand.bits == 64 ? warp.lanesOf<uint64_t>(operand)[lane]
                            : warp.lanesOf<uint32_t>(operand)[lane];
}

/// Operands: result, address, rank. data[0] is 1 for generic addresses.
Step mapAddress(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  const Operand *operands = instruction.operands.data();
  warp.require(instruction, lanes, operands[1], operands[2]);
  for (LaneMask rest = lanes; rest; rest &= rest - 1) {
    unsigned lane = unsigned(__builtin_ctz(rest));
    uint64_t address = take(warp, operands[1], lane), window = 0;
    uint32_t rank = warp.lanesOf<uint32_t>(operands[2])[lane];
    if (instruction.data[0]) {
      if (address - sharedWindow >= windowBytes)
        warp.report(FindingKind::InvalidOperand, instruction, lane, address,
                    "the address is not in shared memory");
      window = sharedWindow;
      address -= sharedWindow;
    }
    if (rank >= warp.block.cluster.blocks.size())
      warp.report(FindingKind::InvalidOperand, instruction, lane, 0,
                  "block " + std::to_string(rank) + " of a cluster of " +
                      std::to_string(warp.block.cluster.blocks.size()));
    uint64_t inBlock = address & ((uint64_t(1) << sharedRankShift) - 1);
    uint64_t mapped = window + (inBlock | uint64_t(rank) << sharedRankShift);
    if (operands[0].bits == 64)
      warp.lanesOf<uint64_t>(operands[0])[lane] = mapped;
    else
      warp.lanesOf<uint32_t>(operands[0])[lane] = uint32_t(mapped);
  }
  warp.setValid(operands[0], lanes);
  return Step::Next;
}

/// Operands: result, address. data[0] as above.
Step rankOfAddress(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  const Operand *operands = instruction.operands.data();
  warp.require(instruction, lanes, operands[1]);
  for (LaneMask rest = lanes; rest; rest &= rest - 1) {
    unsigned lane = unsigned(__builtin_ctz(rest));
    uint64_t address = take(warp, operands[1], lane);
    if (instruction.data[0]) {
      if (address - sharedWindow >= windowBytes)
        warp.report(FindingKind::InvalidOperand, instruction, lane, address,
                    "the address is not in shared memory");
      address -= sharedWindow;
    }
    warp.lanesOf<uint32_t>(operands[0])[lane] = uint32_t(address >> sharedRankShift);
  }
  warp.setValid(operands[0], lanes);
  return Step::Next;
}

/// The type that addresses have, and whether they are generic.
Type takeAddressType(Decoder &decoder) {
  decoder.result.data[0] = !decoder.modifiers.accept(".shared::cluster");
  return decoder.modifiers.type({Type::U32, Type::U64});
}

void decodeMapAddress(Decoder &decoder) {
  Type type = takeAddressType(decoder);
  decoder.operandCount(3);
  decoder.result.operands = {decoder.write(0, type), decoder.read(1, type),
                             decoder.read(2, Type::U32)};
  decoder.result.handler = mapAddress;
}

void decodeRank(Decoder &decoder) {
  decoder.operandCount(2);
  Type type = takeAddressType(decoder);
  // The modifier is the type of the address; the rank has 32 bits.
  decoder.result.operands = {decoder.write(0, Type::U32), decoder.read(1, type)};
  decoder.result.handler = rankOfAddress;
}

/// Operands: lane of the leader, predicate. The leader is the lowest lane of the mask.
Step elect(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  const Operand &leader = instruction.operands[0], &isLeader = instruction.operands[1];
  uint32_t members = warp.lanesOf<uint32_t>(instruction.members)[__builtin_ctz(lanes)];
  LaneMask present = members & lanes;
  unsigned lowest = unsigned(__builtin_ctz(present ? present : lanes));
  for (LaneMask rest = lanes; rest; rest &= rest - 1)
    warp.lanesOf<uint32_t>(leader)[__builtin_ctz(rest)] = lowest;
  warp.setValid(leader, lanes);
  warp.setPredicate(isLeader, LaneMask(1) << lowest, lanes);
  return Step::Next;
}

void decodeElect(Decoder &decoder) {
  decoder.modifiers.oneOf("synchronization", {".sync"});
  decoder.operandCount(2);
  const assembly::Operand &pair = decoder.operand(0);
  if (pair.kind != assembly::OperandKind::Pair)
    decoder.fail(pair.position, "expected two results like %r0|%p0");
  decoder.result.operands = {decoder.write(pair.elements[0], Type::B32),
                             decoder.write(pair.elements[1], Type::Pred)};
  decoder.requireMembers(1);
  decoder.result.handler = elect;
}

Step nothing(Warp &, const Instruction &, LaneMask) { return Step::Next; }

/// Grids run one after the other: what a dependent grid waits for is always there.
void decodeGridDependency(Decoder &decoder) {
  decoder.modifiers.oneOf("an operation", {".launch_dependents", ".wait"});
  decoder.operandCount(0);
  decoder.result.handler = nothing;
}

} // namespace

void registerClusters(InstructionTable &table) {
  table.add("mapa", decodeMapAddress);
  table.add("getctarank", decodeRank);
  table.add("elect", decodeElect);
  table.add("griddepcontrol", decodeGridDependency);
}

} // namespace quern::emulator::machine
