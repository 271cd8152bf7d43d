//===- Copies.cpp - cp.async ------------------------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
///
/// \file
/// PTX ISA 9.1, sections 9.7.9.25.3 and 9.7.13.15.15.
///
#include "lib/Emulator/Async/Copies.h"

#include "lib/Emulator/Async/CopyDecoders.h"
#include "lib/Emulator/Async/Mbarrier.h"
#include "lib/Emulator/Machine/Decoder.h"

#include <cstring>

namespace quern::emulator::machine {

checks::Agent Copies::channel(Warp &warp) {
  if (!hasChannel)
    copyChannel = warp.block.cluster.order.addChannel(ChannelKind::Copies);
  hasChannel = true;
  return copyChannel;
}

void perform(Copy &copy, LaneMask lanes) {
  for (LaneMask rest = copy.open & lanes; rest; rest &= rest - 1) {
    unsigned lane = unsigned(__builtin_ctz(rest));
    const SharedRange &target = copy.targets[lane];
    uint32_t bytes = copy.sourceBytes[lane];
    if (bytes)
      copyBytes(target.block->shared, target.offset, copy.sources[lane].region->bytes,
                copy.sources[lane].offset, bytes);
    std::memset(target.block->shared.data() + target.offset + bytes, 0, copy.bytes - bytes);
    target.block->shared.setInitialized(target.offset + bytes, copy.bytes - bytes);
    ++target.block->grid.progress;
  }
  copy.open &= ~lanes;
}

void Copies::complete(LaneMask lanes, const checks::Time (&until)[warpSize]) {
  for (const std::shared_ptr<Copy> &copy : queue) {
    LaneMask due = 0;
    for (LaneMask rest = lanes & copy->open; rest; rest &= rest - 1) {
      unsigned lane = unsigned(__builtin_ctz(rest));
      if (until[lane] >= copy->time)
        due |= LaneMask(1) << lane;
    }
    perform(*copy, due);
  }
  while (!queue.empty() && !queue.front()->open)
    queue.pop_front();
}

namespace {

/// Operands: target, source, bytes of the source (`ignores`: the predicate that leaves it out).
struct Plan {
  uint32_t bytes;
  Space targetSpace, sourceSpace;
  bool hasSourceBytes = false, hasIgnore = false;
};

uint32_t sourceBytes(Warp &warp, const Instruction &instruction, unsigned lane) {
  const auto &plan = instruction.planAs<Plan>();
  if (plan.hasIgnore)
    return warp.predicate(instruction.operands[2]) >> lane & 1 ? 0 : plan.bytes;
  if (!plan.hasSourceBytes)
    return plan.bytes;
  uint32_t bytes = warp.lanesOf<uint32_t>(instruction.operands[2])[lane];
  if (bytes <= plan.bytes)
    return bytes;
  warp.report(FindingKind::InvalidOperand, instruction, lane, 0,
              "copies " + std::to_string(bytes) + " bytes of the source to " +
                  std::to_string(plan.bytes) + " bytes");
  return plan.bytes;
}

Step issue(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  const auto &plan = instruction.planAs<Plan>();
  const Operand &target = instruction.operands[0], &source = instruction.operands[1];
  warp.require(instruction, lanes, target, source, instruction.operands[2]);
  warp.countAccess(plan.targetSpace, lanes, target, plan.bytes, AccessKind::Write);
  warp.countAccess(plan.sourceSpace, lanes, source, plan.bytes, AccessKind::Read);
  Copies &copies = warp.extensions.get<Copies>();
  auto copy = std::make_shared<Copy>();
  copy->time = copies.begin();
  copy->bytes = plan.bytes;
  for (LaneMask rest = lanes; rest; rest &= rest - 1) {
    unsigned lane = unsigned(__builtin_ctz(rest));
    uint32_t bytes = copy->sourceBytes[lane] = sourceBytes(warp, instruction, lane);
    SharedRange to =
        locateShared(warp, instruction, lane, plan.targetSpace, warp.address(target, lane),
                     plan.bytes, plan.bytes, "the target of a copy");
    if (bytes)
      copy->sources[lane] =
          locateGlobal(warp, instruction, lane, warp.address(source, lane), bytes, plan.bytes,
                       /*writes=*/false, "the source of a copy");
    if (!to || (bytes && !copy->sources[lane]))
      continue;
    Issue issue = {warp,       instruction,           lane, copies.channel(warp),
                   copy->time, checks::Proxy::Generic};
    if (bytes)
      recordGlobal(issue, copy->sources[lane], bytes, /*writes=*/false);
    copy->targets[lane] = to;
    copy->open |= LaneMask(1) << lane;
    recordShared(issue, to, plan.bytes, /*writes=*/true);
  }
  // Without a schedule data arrive when they are waited for, and need nobody else to bring them.
  if (warp.block.grid.launch.schedule)
    warp.block.cluster.asynchronous.issue([weak = std::weak_ptr<Copy>(copy)] {
      if (std::shared_ptr<Copy> copy = weak.lock())
        perform(*copy, allLanes);
    });
  copies.add(std::move(copy));
  return Step::Next;
}

Step commit(Warp &warp, const Instruction &, LaneMask lanes) {
  Copies &copies = warp.extensions.get<Copies>();
  for (LaneMask rest = lanes; rest; rest &= rest - 1)
    copies.groups[__builtin_ctz(rest)].commit(copies.last());
  return Step::Next;
}

/// cp.async.wait_group, whose number is data[0], and cp.async.wait_all, for which it is ~0.
Step wait(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  Copies &copies = warp.extensions.get<Copies>();
  bool all = instruction.data[0] == ~uint64_t(0);
  checks::Time until[warpSize] = {};
  for (LaneMask rest = lanes; rest; rest &= rest - 1) {
    unsigned lane = unsigned(__builtin_ctz(rest));
    checks::Time committed = copies.groups[lane].wait(all ? 0 : size_t(instruction.data[0]));
    until[lane] = all ? copies.last() : committed;
  }
  copies.complete(lanes, until);
  warp.actor.knowledge.learn(copies.channel(warp), copies.done());
  return Step::Next;
}

/// Operand: the address of the mbarrier. data[0] is 1 for .noinc, data[1] the space.
Step arrive(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  const Operand &address = instruction.operands[0];
  warp.require(instruction, lanes, address);
  Copies &copies = warp.extensions.get<Copies>();
  checks::Agent channel = copies.channel(warp);
  checks::Time until = copies.last();
  for (LaneMask rest = lanes; rest; rest &= rest - 1) {
    unsigned lane = unsigned(__builtin_ctz(rest));
    Mbarrier *barrier = findMbarrier(warp, instruction, lane, Space(instruction.data[1]),
                                     warp.address(address, lane), /*isLocal=*/true);
    if (!barrier)
      continue;
    if (!instruction.data[0] && !barrier->addPending())
      reportCount(warp, instruction, lane, *barrier, "1048575 arrivals are pending already");
    warp.block.cluster.asynchronous.issue(
        [&warp, &instruction, &copies, barrier, lane, channel, until] {
          checks::Time times[warpSize] = {};
          times[lane] = until;
          copies.complete(LaneMask(1) << lane, times);
          barrier->arriving.learn(channel, copies.done());
          if (!barrier->arrive(1))
            reportCount(warp, instruction, lane, *barrier,
                        "no arrival is pending for the copies that have completed");
        });
  }
  return Step::Next;
}

//===- Decoding -----------------------------------------------------------------------------===//

bool isPredicate(Decoder &decoder, const assembly::Operand &operand) {
  return operand.kind == assembly::OperandKind::Register &&
         decoder.function.registerOperand(operand).bits == 1;
}

void decodeCopy(Decoder &decoder) {
  Plan plan;
  bool global = decoder.modifiers.oneOf("a cache operator", {".ca", ".cg"}) == 1;
  decoder.modifiers.oneOf("the target's space", {".shared", ".shared::cta"});
  decoder.modifiers.oneOf("the source's space", {".global"});
  plan.targetSpace = Space::Shared;
  plan.sourceSpace = Space::Global;
  // Hints that change no result.
  bool hasPolicy = decoder.modifiers.accept(".L2::cache_hint");
  decoder.modifiers.acceptOneOf({".L2::64B", ".L2::128B", ".L2::256B"});
  size_t fixed = hasPolicy ? 4 : 3;
  decoder.operandCount(fixed, fixed + 1);
  bool hasExtra = decoder.operandCount() > fixed;
  plan.bytes = uint32_t(decoder.immediate(2, 4, 16));
  if (plan.bytes != 4 && plan.bytes != 8 && plan.bytes != 16)
    decoder.fail(decoder.operand(2).position, "cp.async copies 4, 8 or 16 bytes");
  if (global && plan.bytes != 16)
    decoder.fail(decoder.operand(2).position, "cp.async.cg copies 16 bytes");
  plan.hasIgnore = hasExtra && isPredicate(decoder, decoder.operand(3));
  plan.hasSourceBytes = hasExtra && !plan.hasIgnore;
  decoder.result.operands = {decoder.address(0, plan.targetSpace),
                             decoder.address(1, plan.sourceSpace),
                             plan.hasIgnore        ? decoder.read(3, Type::Pred)
                             : plan.hasSourceBytes ? decoder.read(3, Type::B32)
                                                   : decoder.constant(Type::B32, plan.bytes)};
  if (hasPolicy)
    decoder.read(decoder.operandCount() - 1, Type::B64);
  decoder.result.plan = std::make_shared<Plan>(plan);
  decoder.result.handler = issue;
}

} // namespace

void decodeCopyAsync(Decoder &decoder) {
  if (decoder.modifiers.accept(".commit_group")) {
    decoder.operandCount(0);
    decoder.result.handler = commit;
  } else if (decoder.modifiers.accept(".wait_group")) {
    decoder.operandCount(1);
    decoder.result.data[0] = uint64_t(decoder.immediate(0, 0, INT32_MAX));
    decoder.result.handler = wait;
  } else if (decoder.modifiers.accept(".wait_all")) {
    decoder.operandCount(0);
    decoder.result.data[0] = ~uint64_t(0);
    decoder.result.handler = wait;
  } else if (decoder.modifiers.accept(".mbarrier")) {
    // ".mbarrier.arrive" comes as two modifiers.
    decoder.modifiers.oneOf("an operation", {".arrive"});
    decoder.result.data[0] = decoder.modifiers.accept(".noinc");
    bool isShared = decoder.modifiers.acceptOneOf({".shared", ".shared::cta"}) >= 0;
    Space space = isShared ? Space::Shared : Space::Generic;
    decoder.modifiers.type({Type::B64});
    decoder.operandCount(1);
    decoder.result.operands = {decoder.address(0, space)};
    decoder.result.data[1] = uint64_t(space);
    decoder.result.handler = arrive;
  } else {
    decodeCopy(decoder);
  }
}

} // namespace quern::emulator::machine
