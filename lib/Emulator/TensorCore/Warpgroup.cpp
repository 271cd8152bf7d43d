//===- Warpgroup.cpp - wgmma and setmaxnreg ---------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "lib/Emulator/Async/SharedRange.h"
#include "lib/Emulator/Matrix/WarpgroupMultiply.h"
#include "lib/Emulator/TensorCore/Families.h"
#include "lib/Emulator/TensorCore/Registers.h"
#include "lib/Emulator/TensorCore/WarpgroupState.h"

#include <cstring>

namespace quern::emulator::machine {

namespace {

using matrix::Chunk;
using matrix::MatrixDescriptor;
using matrix::OperandShape;
using matrix::WarpgroupMultiply;
using matrix::WarpRegister;

/// Operands of decoded wgmma.mma_async: scale-d, B's descriptor, A's descriptor or its four
/// registers, D.
constexpr size_t firstOfA = 2;
size_t firstOfD(const WarpgroupMultiply &plan) { return firstOfA + (plan.registersHoldA ? 4 : 1); }

/// Four warps from a multiple of four, all of their lanes there.
void requireWarpgroup(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  requireAllLanes(warp, instruction, lanes);
  uint32_t threads = warp.block.threads();
  if ((warp.index / 4 + 1) * 4 * warpSize > threads)
    warp.report(FindingKind::InvalidOperand, instruction, 0, 0,
                "warp " + std::to_string(warp.index) +
                    " belongs to no whole warpgroup: the block has " + std::to_string(threads) +
                    " threads");
}

/// The descriptor in a register, which all lanes have to agree on. False after a report.
bool readDescriptor(Warp &warp, const Instruction &instruction, const Operand &operand,
                    MatrixDescriptor &descriptor) {
  const uint64_t *values = warp.lanesOf<uint64_t>(operand);
  for (unsigned lane = 1; lane < warpSize; ++lane)
    if (values[lane] != values[0]) {
      warp.report(FindingKind::InvalidOperand, instruction, lane, 0,
                  "lanes of the warp have different matrix descriptors");
      return false;
    }
  std::string problem;
  if (MatrixDescriptor::decode(values[0], descriptor, problem))
    return true;
  warp.report(FindingKind::InvalidOperand, instruction, 0, 0, problem);
  return false;
}

/// Chunks `first` to `first + count` of an operand in shared memory; zeros where there is none.
std::vector<Chunk> readChunks(const Issue &issue, const MatrixDescriptor &descriptor,
                              const OperandShape &shape, int first, int count) {
  std::vector<Chunk> chunks(size_t(count), Chunk{});
  Block &block = issue.warp.block;
  for (int i = 0; i < count; ++i) {
    // The 18 bits of a descriptor's addresses are those within the own block.
    uint64_t address = matrix::chunkAddress(descriptor, shape, first + i) | block.rank
                                                                                << sharedRankShift;
    SharedRange range = locateShared(issue.warp, issue.instruction, issue.lane, Space::Shared,
                                     address, 16, 16, "a part of a wgmma operand");
    if (!range)
      break;
    requireInitialized(issue, range, 16);
    recordShared(issue, range, 16, /*writes=*/false);
    std::memcpy(chunks[size_t(i)].byte, block.shared.data() + range.offset, 16);
  }
  return chunks;
}

/// Registers of A and D must have been left alone since the last wgmma.fence, but by wgmma.
void checkRegisters(Warp &warp, const Instruction &instruction, const WarpgroupMultiply &plan) {
  WarpgroupState &state = warp.extensions.get<WarpgroupState>();
  size_t first = plan.registersHoldA ? firstOfA : firstOfD(plan);
  bool touched = !state.hasFenced();
  for (size_t i = first; i < instruction.operands.size(); ++i)
    touched |= state.isTouched(warp, instruction.operands[i].index);
  if (touched)
    warp.report(FindingKind::MissingFence, instruction, 0, 0,
                state.hasFenced()
                    ? "uses registers that other instructions have accessed since the last "
                      "wgmma.fence"
                    : "no wgmma.fence has been executed before the first wgmma");
}

void compareWarps(Warp &warp, const Instruction &instruction, const WarpgroupMultiply &plan,
                  bool accumulates) {
  WarpgroupLog::Entry entry = {&instruction, 0, 0, accumulates};
  entry.b = *warp.lanesOf<uint64_t>(instruction.operands[1]);
  if (!plan.registersHoldA)
    entry.a = *warp.lanesOf<uint64_t>(instruction.operands[firstOfA]);
  const auto *other = warp.block.extensions.get<WarpgroupLog>().note(warp.index, entry);
  if (!other)
    return;
  std::string what =
      other->instruction != &instruction
          ? "executes line " + std::to_string(other->instruction->source->position.line)
          : "has other descriptors or another scale-d";
  warp.report(FindingKind::InvalidOperand, instruction, 0, 0,
              "the warps of a warpgroup execute wgmma together, but another warp of it " + what);
}

/// The warpgroup reads B once, and each warp its rows of A.
void countReads(Warp &warp, const WarpgroupMultiply &plan) {
  Counters &counters = warp.block.grid.counters;
  counters.sharedBytesRead += warp.index % 4 ? 0 : uint64_t(plan.shapeOfB().chunks()) * 16;
  counters.sharedBytesRead +=
      plan.registersHoldA ? 0 : uint64_t(WarpgroupMultiply::chunksOfWarp) * 16;
}

/// Of a sampled launch nobody uses the results: the sums stay what they are.
Step countAlone(const Issue &issue, const WarpgroupMultiply &plan) {
  WarpgroupState &state = issue.warp.extensions.get<WarpgroupState>();
  const std::vector<Operand> &operands = issue.instruction.operands;
  for (size_t i = plan.registersHoldA ? firstOfA : firstOfD(plan); i < operands.size(); ++i) {
    state.own(issue.warp, operands[i].index, issue.time, issue.instruction);
    if (i >= firstOfD(plan))
      issue.warp.setValid(operands[i], allLanes);
  }
  return Step::Next;
}

Step multiply(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  auto plan = instruction.planAs<WarpgroupMultiply>();
  requireWarpgroup(warp, instruction, lanes);
  const Operand *operands = instruction.operands.data();
  size_t dFirst = firstOfD(plan);
  for (size_t i = 0; i < dFirst; ++i)
    warp.require(instruction, lanes, operands[i]);
  LaneMask accumulates = warp.predicate(operands[0]);
  plan.accumulate = accumulates & 1;
  if (accumulates != 0 && accumulates != allLanes)
    warp.report(FindingKind::InvalidOperand, instruction, 0, 0,
                "lanes of the warp have different values of scale-d");
  compareWarps(warp, instruction, plan, plan.accumulate);
  checkRegisters(warp, instruction, plan);

  WarpgroupState &state = warp.extensions.get<WarpgroupState>();
  state.beginProducts(warp);
  countReads(warp, plan);
  Issue issue = {warp, instruction, 0, state.channel(warp), state.begin()};
  if (warp.block.grid.launch.sample)
    return countAlone(issue, plan);
  int rank = int(warp.index % 4);
  std::vector<double> a, b;
  MatrixDescriptor descriptor;
  if (plan.registersHoldA) {
    WarpRegister registers[4];
    for (size_t i = 0; i < 4; ++i) {
      registers[i] = loadRegister(warp, operands[firstOfA + i]);
      state.own(warp, operands[firstOfA + i].index, issue.time, instruction);
    }
    a = plan.gatherA(registers);
  } else {
    if (!readDescriptor(warp, instruction, operands[firstOfA], descriptor))
      return Step::Next;
    constexpr int count = WarpgroupMultiply::chunksOfWarp;
    a = plan.gatherA(readChunks(issue, descriptor, plan.shapeOfA(), rank * count, count).data());
  }
  if (!readDescriptor(warp, instruction, operands[1], descriptor))
    return Step::Next;
  OperandShape shapeB = plan.shapeOfB();
  b = plan.gatherB(readChunks(issue, descriptor, shapeB, 0, shapeB.chunks()).data());

  std::vector<WarpRegister> d(size_t(plan.registersOfD()));
  for (size_t i = 0; i < d.size(); ++i) {
    if (plan.accumulate)
      warp.require(instruction, lanes, operands[dFirst + i]);
    d[i] = loadRegister(warp, operands[dFirst + i]);
  }
  plan.run(a, b, d.data());
  for (size_t i = 0; i < d.size(); ++i) {
    storeRegister(warp, operands[dFirst + i], d[i]);
    state.own(warp, operands[dFirst + i].index, issue.time, instruction);
  }
  return Step::Next;
}

/// Another instruction uses registers of A or D.
void observe(Warp &warp, const Instruction &instruction) {
  WarpgroupState &state = warp.extensions.get<WarpgroupState>();
  const Watch &watch = *instruction.watch;
  if (watch.isMove && state.ownerOf(warp, watch.registers[1])) {
    state.rename(warp, watch.registers[0], watch.registers[1]);
    return;
  }
  for (uint32_t index : watch.registers) {
    if (const Instruction *owner = state.ownerOf(warp, index))
      warp.report(FindingKind::RegisterInFlight, instruction, 0, 0,
                  "uses a register of wgmma (line " + std::to_string(owner->source->position.line) +
                      ") that is in flight: no wgmma.wait_group lies between");
    state.touch(warp, index);
  }
}

Step fence(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  requireWarpgroup(warp, instruction, lanes);
  warp.extensions.get<WarpgroupState>().fence();
  return Step::Next;
}

Step commit(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  requireWarpgroup(warp, instruction, lanes);
  warp.extensions.get<WarpgroupState>().commit();
  return Step::Next;
}

/// wgmma.wait_group data[0]
Step wait(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  requireWarpgroup(warp, instruction, lanes);
  WarpgroupState &state = warp.extensions.get<WarpgroupState>();
  checks::Time done = state.wait(warp, size_t(instruction.data[0]));
  warp.actor.knowledge.learn(state.channel(warp), done);
  return Step::Next;
}

//===- Decoding -----------------------------------------------------------------------------===//

/// An immediate that says whether something is negated (-1) or not (1), or transposed (1) or not
/// (0).
bool flag(Decoder &decoder, size_t operand, int64_t off, int64_t on) {
  int64_t value = decoder.immediate(operand, std::min(off, on), std::max(off, on));
  if (value != off && value != on)
    decoder.fail(decoder.operand(operand).position,
                 "expected " + std::to_string(off) + " or " + std::to_string(on));
  return value == on;
}

void decodeMultiply(Decoder &decoder) {
  Shape shape = takeShape(decoder);
  WarpgroupMultiply plan;
  plan.n = shape.n;
  plan.k = shape.k;
  plan.saturate = decoder.modifiers.accept(".satfinite");
  plan.accumulator = accumulatorType(decoder, decoder.modifiers.type());
  plan.a = elementType(decoder, decoder.modifiers.type());
  plan.b = elementType(decoder, decoder.modifiers.type());
  decoder.operandCount(4, 8);
  plan.registersHoldA = decoder.operand(1).kind == assembly::OperandKind::Vector;
  bool canTranspose = matrix::elementBits(plan.a) == 16;
  size_t count = 4;
  if (!matrix::isInteger(plan.a)) {
    count = 6 + (canTranspose ? (plan.registersHoldA ? 1 : 2) : 0);
    decoder.operandCount(count);
    plan.negateA = flag(decoder, 4, 1, -1);
    plan.negateB = flag(decoder, 5, 1, -1);
  }
  if (canTranspose) {
    plan.transposeA = !plan.registersHoldA && flag(decoder, 6, 0, 1);
    plan.transposeB = flag(decoder, count - 1, 0, 1);
  }
  decoder.operandCount(count);
  std::string problem = shape.m == 64 ? plan.check() : "M is 64";
  if (!problem.empty())
    decoder.fail("'wgmma" + decoder.modifiers.text() + "': " + problem);
  decoder.result.operands = {decoder.read(3, Type::Pred), decoder.read(2, Type::B64)};
  if (plan.registersHoldA)
    readRegisters(decoder, 1, 4);
  else
    decoder.result.operands.push_back(decoder.read(1, Type::B64));
  writeRegisters(decoder, 0, plan.registersOfD());
  for (size_t i = plan.registersHoldA ? firstOfA : firstOfD(plan);
       i < decoder.result.operands.size(); ++i)
    decoder.function.watch(decoder.result, decoder.result.operands[i], observe);
  decoder.result.plan = std::make_shared<WarpgroupMultiply>(plan);
  decoder.result.handler = multiply;
}

void decodeWarpgroup(Decoder &decoder) {
  int operation = decoder.modifiers.oneOf("an operation",
                                          {".mma_async", ".fence", ".commit_group", ".wait_group"});
  decoder.modifiers.oneOf("synchronization", {".sync"});
  decoder.modifiers.oneOf("convergence", {".aligned"});
  decoder.requireWarp();
  if (operation == 0) {
    decodeMultiply(decoder);
    return;
  }
  decoder.operandCount(operation == 3 ? 1 : 0);
  if (operation == 3)
    decoder.result.data[0] = uint64_t(decoder.immediate(0, 0, INT32_MAX));
  static constexpr Handler handlers[] = {fence, commit, wait};
  decoder.result.handler = handlers[operation - 1];
}

/// How many registers a thread has is nothing that PTX can see; the operand is checked.
Step changeRegisters(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  requireWarpgroup(warp, instruction, lanes);
  return Step::Next;
}

void decodeChangeRegisters(Decoder &decoder) {
  decoder.modifiers.oneOf("an action", {".inc", ".dec"});
  decoder.modifiers.oneOf("synchronization", {".sync"});
  decoder.modifiers.oneOf("convergence", {".aligned"});
  decoder.modifiers.type({Type::U32});
  decoder.operandCount(1);
  if (decoder.immediate(0, 24, 256) % 8 != 0)
    decoder.fail(decoder.operand(0).position, "the number of registers is a multiple of 8");
  decoder.requireWarp();
  decoder.result.handler = changeRegisters;
}

} // namespace

void countProducts(Cluster &cluster) {
  for (const auto &block : cluster.blocks)
    for (const auto &warp : block->warps)
      if (const auto *state = warp->extensions.find<WarpgroupState>()) {
        Counters &counters = block->grid.counters;
        ++counters.productWarps;
        counters.productInstructions += warp->instructions;
        counters.coveredInstructions += state->covered();
        counters.productStretches += state->stretches();
      }
}

void registerWarpgroup(InstructionTable &table) {
  table.add("wgmma", decodeWarpgroup);
  table.add("setmaxnreg", decodeChangeRegisters);
}

} // namespace quern::emulator::machine
