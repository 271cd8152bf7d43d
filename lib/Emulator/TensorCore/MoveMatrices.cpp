//===- MoveMatrices.cpp - ldmatrix, stmatrix, movmatrix ---------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
///
/// \file
/// PTX ISA 9.1, sections 9.7.14.5.15 to 9.7.14.5.17, for 8 x 8 matrices of 16-bit elements.
/// Operands of decoded ldmatrix and stmatrix: the address, then a register for each matrix.
///
#include "lib/Emulator/Matrix/MatrixMoves.h"
#include "lib/Emulator/TensorCore/Families.h"
#include "lib/Emulator/TensorCore/Registers.h"

#include <cstring>

namespace quern::emulator::machine {

namespace {
using matrix::MatrixRows;

struct Plan {
  Space space;
  unsigned matrices;
  bool isTransposed;
};

/// The row addresses come from 8 lanes for each matrix; those of other lanes do not count.
LaneMask lanesWithAddresses(const Plan &plan) {
  return plan.matrices == 4 ? allLanes : (LaneMask(1) << 8 * plan.matrices) - 1;
}

Step load(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  const auto &plan = instruction.planAs<Plan>();
  requireAllLanes(warp, instruction, lanes);
  const Operand &from = instruction.operands[0];
  warp.require(instruction, lanesWithAddresses(plan), from);
  warp.countAccess(plan.space, lanesWithAddresses(plan), from, 16, AccessKind::Read);
  for (unsigned i = 0; i < plan.matrices; ++i) {
    MatrixRows rows = {};
    for (unsigned row = 0; row < 8; ++row) {
      unsigned lane = 8 * i + row;
      if (const std::byte *bytes = warp.access(instruction, lane, plan.space,
                                               warp.address(from, lane), 16, AccessKind::Read))
        std::memcpy(rows.element[row], bytes, 16);
    }
    storeRegister(warp, instruction.operands[1 + i], matrix::loadMatrix(rows, plan.isTransposed));
  }
  return Step::Next;
}

Step store(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  const auto &plan = instruction.planAs<Plan>();
  requireAllLanes(warp, instruction, lanes);
  const Operand &to = instruction.operands[0];
  warp.require(instruction, lanesWithAddresses(plan), to);
  warp.countAccess(plan.space, lanesWithAddresses(plan), to, 16, AccessKind::Write);
  for (unsigned i = 0; i < plan.matrices; ++i) {
    const Operand &from = instruction.operands[1 + i];
    warp.require(instruction, lanes, from);
    MatrixRows rows = matrix::storeMatrix(loadRegister(warp, from), plan.isTransposed);
    for (unsigned row = 0; row < 8; ++row) {
      unsigned lane = 8 * i + row;
      if (std::byte *bytes = warp.access(instruction, lane, plan.space, warp.address(to, lane), 16,
                                         AccessKind::Write))
        std::memcpy(bytes, rows.element[row], 16);
    }
  }
  return Step::Next;
}

Step transpose(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  requireAllLanes(warp, instruction, lanes);
  warp.require(instruction, lanes, instruction.operands[1]);
  storeRegister(warp, instruction.operands[0],
                matrix::transposeMatrix(loadRegister(warp, instruction.operands[1])));
  return Step::Next;
}

void takeCommon(Decoder &decoder) {
  decoder.modifiers.oneOf("synchronization", {".sync"});
  decoder.modifiers.oneOf("convergence", {".aligned"});
  decoder.modifiers.oneOf("a known shape", {".m8n8"});
  decoder.operandCount(2);
  decoder.requireWarp();
}

void decodeMemory(Decoder &decoder, bool isLoad) {
  takeCommon(decoder);
  Plan plan;
  plan.matrices = 1U << decoder.modifiers.oneOf("a number of matrices", {".x1", ".x2", ".x4"});
  plan.isTransposed = decoder.modifiers.accept(".trans");
  bool isShared = decoder.modifiers.acceptOneOf({".shared", ".shared::cta"}) >= 0;
  plan.space = isShared ? Space::Shared : Space::Generic;
  decoder.modifiers.type({Type::B16});
  decoder.result.operands = {decoder.address(isLoad ? 1 : 0, plan.space)};
  if (isLoad)
    writeRegisters(decoder, 0, int(plan.matrices));
  else
    readRegisters(decoder, 1, int(plan.matrices));
  decoder.result.plan = std::make_shared<Plan>(plan);
  decoder.result.handler = isLoad ? load : store;
}

void decodeLoad(Decoder &decoder) { decodeMemory(decoder, true); }
void decodeStore(Decoder &decoder) { decodeMemory(decoder, false); }

void decodeTranspose(Decoder &decoder) {
  takeCommon(decoder);
  decoder.modifiers.oneOf("the direction", {".trans"});
  decoder.modifiers.type({Type::B16});
  writeRegisters(decoder, 0, 1);
  readRegisters(decoder, 1, 1);
  decoder.result.handler = transpose;
}
} // namespace

void registerMatrixMoves(InstructionTable &table) {
  table.add("ldmatrix", decodeLoad);
  table.add("stmatrix", decodeStore);
  table.add("movmatrix", decodeTranspose);
}

} // namespace quern::emulator::machine
