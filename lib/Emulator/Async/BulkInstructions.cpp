//===- BulkInstructions.cpp - cp.async.bulk and its groups ------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
///
/// \file
/// Bulk copies and reductions of contiguous bytes (PTX ISA 9.1, section 9.7.9.25.4), and the bulk
/// async-groups of stores (9.7.9.25.6).
///
#include "lib/Emulator/Async/CopyDecoders.h"
#include "lib/Emulator/Async/Families.h"
#include "lib/Emulator/Async/Loads.h"
#include "lib/Emulator/Async/Reductions.h"
#include "lib/Emulator/Machine/Decoder.h"

namespace quern::emulator::machine {

namespace {

/// Operands: target, source, size, mbarrier (loads), mask of blocks (multicast).
struct Plan {
  /// From shared memory of the own block rather than from global memory.
  bool fromShared = false;
  bool isMulticast = false;
  std::optional<ReductionPlan> reduction;
};

/// The size of a lane's copy, or 0 after a report.
uint32_t sizeOf(Warp &warp, const Instruction &instruction, unsigned lane) {
  uint32_t bytes = warp.lanesOf<uint32_t>(instruction.operands[2])[lane];
  if (bytes % 16 == 0)
    return bytes;
  warp.report(FindingKind::InvalidOperand, instruction, lane, 0,
              "the size of a bulk copy is a multiple of 16 bytes, not " + std::to_string(bytes));
  return 0;
}

Step load(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  const auto &plan = instruction.planAs<Plan>();
  const Operand &target = instruction.operands[0], &source = instruction.operands[1];
  const Operand &barrier = instruction.operands[3], &mask = instruction.operands[4];
  warp.require(instruction, lanes, target, source, instruction.operands[2], barrier, mask);
  for (LaneMask rest = lanes; rest; rest &= rest - 1) {
    unsigned lane = unsigned(__builtin_ctz(rest));
    uint32_t bytes = sizeOf(warp, instruction, lane);
    if (!bytes)
      continue;
    SharedRange to =
        locateShared(warp, instruction, lane, Space::Shared, warp.address(target, lane), bytes, 16,
                     "the target of a bulk copy");
    LoadPiece piece = {to.offset, bytes, {}, {}};
    if (plan.fromShared)
      piece.fromShared =
          locateShared(warp, instruction, lane, Space::Shared, warp.address(source, lane), bytes,
                       16, "the source of a bulk copy");
    else
      piece.fromGlobal = locateGlobal(warp, instruction, lane, warp.address(source, lane), bytes,
                                      16, /*writes=*/false, "the source of a bulk copy");
    if (!to || (plan.fromShared ? !piece.fromShared : !piece.fromGlobal))
      continue;
    if (plan.fromShared && to.block == &warp.block)
      warp.report(FindingKind::InvalidOperand, instruction, lane, to.address(),
                  "a bulk copy from shared::cta to shared::cluster goes to another block, this "
                  "target is the own one's");
    std::optional<uint16_t> blocks;
    if (plan.isMulticast)
      blocks = warp.lanesOf<uint16_t>(mask)[lane];
    issueLoad(warp, instruction, lane, {to, {piece}, bytes, plan.reduction}, Space::Shared,
              warp.address(barrier, lane), blocks);
  }
  return Step::Next;
}

Step store(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  const auto &plan = instruction.planAs<Plan>();
  const Operand &target = instruction.operands[0], &source = instruction.operands[1];
  warp.require(instruction, lanes, target, source, instruction.operands[2]);
  for (LaneMask rest = lanes; rest; rest &= rest - 1) {
    unsigned lane = unsigned(__builtin_ctz(rest));
    uint32_t bytes = sizeOf(warp, instruction, lane);
    if (!bytes)
      continue;
    StorePiece piece;
    piece.bytes = bytes;
    piece.to = locateGlobal(warp, instruction, lane, warp.address(target, lane), bytes, 16,
                            /*writes=*/true, "the target of a bulk copy");
    piece.from = locateShared(warp, instruction, lane, Space::Shared, warp.address(source, lane),
                              bytes, 16, "the source of a bulk copy");
    if (piece.to && piece.from)
      issueStore(warp, instruction, lane, {piece}, plan.reduction);
  }
  return Step::Next;
}

/// cp.async.bulk.commit_group
Step commit(Warp &warp, const Instruction &, LaneMask lanes) {
  BulkStores &stores = warp.extensions.get<BulkStores>();
  for (LaneMask rest = lanes; rest; rest &= rest - 1)
    stores.commit(unsigned(__builtin_ctz(rest)));
  return Step::Next;
}

/// cp.async.bulk.wait_group data[0], with .read if data[1].
Step wait(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  BulkStores &stores = warp.extensions.get<BulkStores>();
  for (LaneMask rest = lanes; rest; rest &= rest - 1)
    stores.wait(unsigned(__builtin_ctz(rest)), size_t(instruction.data[0]),
                instruction.data[1] != 0);
  warp.actor.knowledge.learn(stores.readChannel(warp), stores.readUntil());
  warp.actor.knowledge.learn(stores.writeChannel(warp), stores.writtenUntil());
  return Step::Next;
}

Step prefetch(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  const Operand &source = instruction.operands[1];
  warp.require(instruction, lanes, source, instruction.operands[2]);
  for (LaneMask rest = lanes; rest; rest &= rest - 1) {
    unsigned lane = unsigned(__builtin_ctz(rest));
    if (uint32_t bytes = sizeOf(warp, instruction, lane))
      locateGlobal(warp, instruction, lane, warp.address(source, lane), bytes, 16,
                   /*writes=*/false, "the source of a prefetch");
  }
  return Step::Next;
}

//===- Decoding -----------------------------------------------------------------------------===//

void decodePrefetch(Decoder &decoder) {
  decoder.modifiers.oneOf("the cache", {".L2"});
  decoder.modifiers.oneOf("the space", {".global"});
  bool hasPolicy = decoder.modifiers.accept(".L2::cache_hint");
  decoder.operandCount(hasPolicy ? 3 : 2);
  decoder.result.operands = {decoder.constant(Type::B32, 0), decoder.address(0, Space::Global),
                             decoder.read(1, Type::B32)};
  if (hasPolicy)
    decoder.read(2, Type::B64);
  decoder.result.handler = prefetch;
}

bool decodeGroups(Decoder &decoder) {
  if (decoder.modifiers.accept(".commit_group")) {
    decoder.operandCount(0);
    decoder.result.handler = commit;
    return true;
  }
  if (!decoder.modifiers.accept(".wait_group"))
    return false;
  decoder.result.data[1] = decoder.modifiers.accept(".read");
  decoder.operandCount(1);
  decoder.result.data[0] = uint64_t(decoder.immediate(0, 0, INT32_MAX));
  decoder.result.handler = wait;
  return true;
}

} // namespace

void decodeBulk(Decoder &decoder, bool isReduction) {
  if (!isReduction && decodeGroups(decoder))
    return;
  if (!isReduction && decoder.modifiers.accept(".prefetch")) {
    if (decoder.modifiers.accept(".tensor"))
      decodeTensorPrefetch(decoder);
    else
      decodePrefetch(decoder);
    return;
  }
  if (decoder.modifiers.accept(".tensor")) {
    decodeTensor(decoder, isReduction);
    return;
  }
  Plan plan;
  bool toCluster = decoder.modifiers.accept(".shared::cluster");
  bool hasBlock = decoder.modifiers.accept(".shared::cta");
  bool hasGlobal = decoder.modifiers.accept(".global");
  if (int(toCluster) + int(hasBlock) + int(hasGlobal) != 2)
    decoder.fail("'cp" + decoder.modifiers.text() +
                 "' copies between two of .global, .shared::cta and .shared::cluster");
  // "shared::cta.global" and "global.shared::cta" differ in how they complete.
  bool isLoad = decoder.modifiers.oneOf("a completion mechanism",
                                        {".mbarrier::complete_tx::bytes", ".bulk_group"}) == 0;
  if (toCluster && !isLoad)
    decoder.fail("'cp" + decoder.modifiers.text() +
                 "': copies to shared memory complete on an mbarrier, copies to global memory in a "
                 "bulk_group");
  plan.fromShared = isLoad && !hasGlobal;
  plan.isMulticast = isLoad && decoder.modifiers.accept(".multicast::cluster");
  bool hasPolicy = decoder.modifiers.accept(".L2::cache_hint");
  if (isReduction) {
    matrix::Reduction operation = takeReduction(decoder);
    plan.reduction = ReductionPlan{operation, takeReductionType(decoder, operation)};
  }
  size_t count = isLoad ? 4 : 3;
  decoder.operandCount(count + plan.isMulticast + hasPolicy);
  decoder.result.operands = {
      decoder.address(0, isLoad ? Space::Shared : Space::Global),
      decoder.address(1, isLoad && hasGlobal ? Space::Global : Space::Shared),
      decoder.read(2, Type::B32)};
  if (isLoad) {
    decoder.result.operands.push_back(decoder.address(3, Space::Shared));
    decoder.result.operands.push_back(plan.isMulticast ? decoder.read(4, Type::B16)
                                                       : decoder.constant(Type::B16, 0));
  }
  if (hasPolicy)
    decoder.read(decoder.operandCount() - 1, Type::B64);
  decoder.result.handler = isLoad ? load : store;
  decoder.result.plan = std::make_shared<Plan>(plan);
}

void registerCopies(InstructionTable &table) {
  table.add("cp", [](Decoder &decoder) {
    bool isReduction = decoder.modifiers.accept(".reduce");
    decoder.modifiers.oneOf("asynchrony", {".async"});
    if (decoder.modifiers.accept(".bulk"))
      decodeBulk(decoder, isReduction);
    else if (!isReduction)
      decodeCopyAsync(decoder);
    else
      decoder.fail("'cp" + decoder.modifiers.text() + "': reductions are bulk operations");
  });
}

} // namespace quern::emulator::machine
