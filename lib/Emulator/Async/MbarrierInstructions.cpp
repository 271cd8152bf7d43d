//===- MbarrierInstructions.cpp - mbarrier.* --------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
///
/// \file
/// PTX ISA 9.1, sections 9.7.13.15.9 to 9.7.13.15.17. The opaque state that arrivals return has the
/// number of the phase in its lower half and the count of pending arrivals before the arrival in
/// its upper one. Scopes are taken and not told apart: every release and acquire reaches the
/// cluster.
///
#include "lib/Emulator/Async/Families.h"
#include "lib/Emulator/Async/Mbarrier.h"
#include "lib/Emulator/Async/SharedRange.h"
#include "lib/Emulator/Machine/Decoder.h"

namespace quern::emulator::machine {

namespace {

enum class Operation { Arrive, ArriveDrop, ExpectTx, CompleteTx };

/// What a decoded instruction does. Operands: the address, then those that its handler names.
struct Plan {
  Operation operation = Operation::Arrive;
  Space space = Space::Generic;
  /// .relaxed: neither releases nor acquires.
  bool isRelaxed = false;
  /// mbarrier.arrive.expect_tx
  bool expectsTransactions = false;
  /// .noComplete: must not end the phase.
  bool mustNotComplete = false;
  /// Operations of .shared::cta alone.
  bool isLocal = false;
  /// Of waits.
  bool isParity = false, isBlocking = false;
};

uint64_t stateOf(const Mbarrier &barrier) {
  return uint32_t(barrier.phase()) | uint64_t(barrier.pending()) << 32;
}

/// Calls `visit(lane, barrier)` for the lanes whose address has an mbarrier.
template <typename Visit>
void forEachBarrier(Warp &warp, const Instruction &instruction, LaneMask lanes, Visit visit) {
  const auto &plan = instruction.planAs<Plan>();
  const Operand &address = instruction.operands[0];
  warp.require(instruction, lanes, address);
  for (LaneMask rest = lanes; rest; rest &= rest - 1) {
    auto lane = unsigned(__builtin_ctz(rest));
    if (Mbarrier *barrier = findMbarrier(warp, instruction, lane, plan.space,
                                         warp.address(address, lane), plan.isLocal))
      visit(lane, *barrier);
  }
}

//===- Initialization -----------------------------------------------------------------------===//

/// Operands: address, count.
Step initialize(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  const auto &plan = instruction.planAs<Plan>();
  const Operand &address = instruction.operands[0], &count = instruction.operands[1];
  warp.require(instruction, lanes, address, count);
  for (LaneMask rest = lanes; rest; rest &= rest - 1) {
    auto lane = unsigned(__builtin_ctz(rest));
    uint64_t at = warp.address(address, lane);
    SharedRange range = locateShared(warp, instruction, lane, plan.space, at, Mbarrier::bytes,
                                     Mbarrier::bytes, "an mbarrier");
    if (!range)
      continue;
    if (range.block != &warp.block) {
      warp.report(FindingKind::InvalidOperand, instruction, lane, at,
                  "an mbarrier is initialized by its own block alone");
      continue;
    }
    warp.access(instruction, lane, plan.space, at, Mbarrier::bytes, AccessKind::Write);
    Mbarrier &barrier = warp.block.extensions.get<Mbarriers>().at(warp.block, range.offset);
    if (barrier.isInitialized())
      reportCount(warp, instruction, lane, barrier,
                  "an mbarrier is initialized again without mbarrier.inval");
    uint32_t arrivals = warp.lanesOf<uint32_t>(count)[lane];
    if (arrivals < 1 || arrivals > Mbarrier::maximalCount) {
      warp.report(FindingKind::InvalidOperand, instruction, lane, at,
                  "the count of arrivals is " + std::to_string(arrivals) +
                      " and must be 1 to 1048575");
      arrivals = 1;
    }
    barrier.initialize(arrivals, warp);
    barrier.hide();
  }
  return Step::Next;
}

Step invalidate(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  forEachBarrier(warp, instruction, lanes,
                 [](unsigned, Mbarrier &barrier) { barrier.invalidate(); });
  return Step::Next;
}

//===- Arrivals and transactions ------------------------------------------------------------===//

bool arriveAt(const Plan &plan, Mbarrier &barrier, uint32_t count) {
  return plan.operation == Operation::ArriveDrop ? barrier.drop(count) : barrier.arrive(count);
}

/// Operands: address, state (a sink if there is none), count or bytes.
Step arrive(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  const auto &plan = instruction.planAs<Plan>();
  const Operand &state = instruction.operands[1], &amount = instruction.operands[2];
  warp.require(instruction, lanes, amount);
  forEachBarrier(warp, instruction, lanes, [&](unsigned lane, Mbarrier &barrier) {
    uint32_t value = warp.lanesOf<uint32_t>(amount)[lane];
    uint32_t count = plan.expectsTransactions ? 1 : value;
    if (plan.expectsTransactions && !barrier.expectTransactions(value))
      reportCount(warp, instruction, lane, barrier,
                  "expecting " + std::to_string(value) +
                      " bytes leaves the range of the transaction count (1048575)");
    if (plan.mustNotComplete && count >= barrier.pending())
      reportCount(warp, instruction, lane, barrier,
                  ".noComplete must not be the last arrival of the phase");
    uint64_t before = stateOf(barrier);
    if (!plan.isRelaxed)
      barrier.arriving.join(warp.actor.knowledge);
    if (!arriveAt(plan, barrier, count))
      reportCount(warp, instruction, lane, barrier,
                  std::to_string(count) + " arrivals are not pending");
    warp.lanesOf<uint64_t>(state)[lane] = before;
    ++warp.block.grid.progress;
  });
  warp.setValid(state, lanes);
  // What the warp does from now on was not released.
  warp.actor.advance();
  return Step::Next;
}

/// mbarrier.expect_tx and complete_tx. Operands: address, bytes.
Step changeTransactions(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  const auto &plan = instruction.planAs<Plan>();
  const Operand &amount = instruction.operands[1];
  warp.require(instruction, lanes, amount);
  forEachBarrier(warp, instruction, lanes, [&](unsigned lane, Mbarrier &barrier) {
    int64_t value = warp.lanesOf<uint32_t>(amount)[lane];
    bool expects = plan.operation == Operation::ExpectTx;
    if (!(expects ? barrier.expectTransactions(value) : barrier.completeTransactions(value)))
      reportCount(warp, instruction, lane, barrier,
                  (expects ? "expecting " : "completing ") + std::to_string(value) +
                      " bytes leaves the range of the transaction count (1048575)");
    ++warp.block.grid.progress;
  });
  return Step::Next;
}

//===- Waits --------------------------------------------------------------------------------===//

/// Whether the phase that a lane asks for is complete.
bool isComplete(const Plan &plan, const Mbarrier &barrier, uint64_t asked) {
  if (plan.isParity)
    return (barrier.phase() & 1) != (asked & 1);
  return uint32_t(barrier.phase()) != uint32_t(asked);
}

/// Operands: address, predicate, parity or state.
Step wait(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  const auto &plan = instruction.planAs<Plan>();
  const Operand &predicate = instruction.operands[1], &asked = instruction.operands[2];
  warp.require(instruction, lanes, asked);
  LaneMask complete = 0;
  forEachBarrier(warp, instruction, lanes, [&](unsigned lane, Mbarrier &barrier) {
    uint64_t value =
        plan.isParity ? warp.lanesOf<uint32_t>(asked)[lane] : warp.lanesOf<uint64_t>(asked)[lane];
    if (plan.isParity && value > 1)
      warp.report(FindingKind::InvalidOperand, instruction, lane, 0,
                  "the parity of a phase is 0 or 1, not " + std::to_string(value));
    if (!isComplete(plan, barrier, value))
      return;
    complete |= LaneMask(1) << lane;
    if (!plan.isRelaxed)
      warp.actor.acquire(barrier.completed);
  });
  // try_wait may block. With a schedule it also comes back early now and then, as it may.
  Grid &grid = warp.block.grid;
  if (plan.isBlocking && !complete && !(grid.launch.schedule && grid.random() % 4 == 0))
    return Step::Retry;
  warp.setPredicate(predicate, complete, lanes);
  return Step::Next;
}

/// Operands: count, state.
Step pendingCount(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  const Operand &count = instruction.operands[0], &state = instruction.operands[1];
  warp.require(instruction, lanes, state);
  for (LaneMask rest = lanes; rest; rest &= rest - 1) {
    auto lane = unsigned(__builtin_ctz(rest));
    warp.lanesOf<uint32_t>(count)[lane] = uint32_t(warp.lanesOf<uint64_t>(state)[lane] >> 32);
  }
  warp.setValid(count, lanes);
  return Step::Next;
}

//===- Decoding -----------------------------------------------------------------------------===//

void takeOrdering(Decoder &decoder, Plan &plan) {
  int ordering = decoder.modifiers.acceptOneOf({".relaxed", ".release", ".acquire"});
  plan.isRelaxed = ordering == 0;
  if (ordering >= 0)
    decoder.modifiers.oneOf("a scope", {".cta", ".cluster"});
}

void takeSpace(Decoder &decoder, Plan &plan) {
  int space = decoder.modifiers.acceptOneOf({".shared", ".shared::cta", ".shared::cluster"});
  plan.space = space < 0 ? Space::Generic : Space::Shared;
  if (plan.isLocal && space == 2)
    decoder.fail("'mbarrier" + decoder.modifiers.text() +
                 "': this operation is for .shared::cta alone");
}

void decodeArrive(Decoder &decoder, Plan &plan) {
  plan.expectsTransactions = decoder.modifiers.accept(".expect_tx");
  plan.mustNotComplete = decoder.modifiers.accept(".noComplete");
  takeOrdering(decoder, plan);
  takeSpace(decoder, plan);
  decoder.operandCount(2, 3);
  bool needsAmount = plan.expectsTransactions || plan.mustNotComplete;
  if (needsAmount)
    decoder.operandCount(3);
  decoder.result.operands = {decoder.address(1, plan.space), decoder.write(0, Type::B64),
                             decoder.operandCount() == 3 ? decoder.read(2, Type::B32)
                                                         : decoder.constant(Type::B32, 1)};
  decoder.result.handler = arrive;
}

void decodeTransactions(Decoder &decoder, Plan &plan) {
  takeOrdering(decoder, plan);
  takeSpace(decoder, plan);
  decoder.operandCount(2);
  decoder.result.operands = {decoder.address(0, plan.space), decoder.read(1, Type::B32)};
  decoder.result.handler = changeTransactions;
}

void decodeWait(Decoder &decoder, Plan &plan, bool isBlocking) {
  plan.isBlocking = isBlocking;
  plan.isLocal = true;
  plan.isParity = decoder.modifiers.accept(".parity");
  takeOrdering(decoder, plan);
  takeSpace(decoder, plan);
  // The hint how long try_wait may suspend does not change what is correct.
  decoder.operandCount(3, isBlocking ? 4 : 3);
  decoder.result.operands = {decoder.address(1, plan.space), decoder.write(0, Type::Pred),
                             decoder.read(2, plan.isParity ? Type::B32 : Type::B64)};
  if (decoder.operandCount() == 4)
    decoder.read(3, Type::B32);
  decoder.result.handler = wait;
}

void decodeMbarrier(Decoder &decoder) {
  Plan plan;
  int operation = decoder.modifiers.oneOf(
      "an operation", {".init", ".inval", ".arrive", ".arrive_drop", ".expect_tx", ".complete_tx",
                       ".test_wait", ".try_wait", ".pending_count"});
  switch (operation) {
  case 0:
    plan.isLocal = true;
    takeSpace(decoder, plan);
    decoder.operandCount(2);
    decoder.result.operands = {decoder.address(0, plan.space), decoder.read(1, Type::B32)};
    decoder.result.handler = initialize;
    break;
  case 1:
    plan.isLocal = true;
    takeSpace(decoder, plan);
    decoder.operandCount(1);
    decoder.result.operands = {decoder.address(0, plan.space)};
    decoder.result.handler = invalidate;
    break;
  case 2:
  case 3:
    plan.operation = operation == 2 ? Operation::Arrive : Operation::ArriveDrop;
    decodeArrive(decoder, plan);
    break;
  case 4:
  case 5:
    plan.operation = operation == 4 ? Operation::ExpectTx : Operation::CompleteTx;
    decodeTransactions(decoder, plan);
    break;
  case 6:
  case 7:
    decodeWait(decoder, plan, operation == 7);
    break;
  default:
    decoder.operandCount(2);
    decoder.result.operands = {decoder.write(0, Type::B32), decoder.read(1, Type::B64)};
    decoder.result.handler = pendingCount;
    break;
  }
  decoder.modifiers.type({Type::B64});
  decoder.result.plan = std::make_shared<Plan>(plan);
}

} // namespace

void registerMbarriers(InstructionTable &table) { table.add("mbarrier", decodeMbarrier); }

} // namespace quern::emulator::machine
