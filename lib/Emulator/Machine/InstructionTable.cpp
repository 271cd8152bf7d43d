//===- InstructionTable.cpp - All families of instructions ------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "lib/Emulator/Async/Families.h"
#include "lib/Emulator/Machine/Decoder.h"
#include "lib/Emulator/Machine/Families.h"
#include "lib/Emulator/TensorCore/Families.h"

namespace quern::emulator::machine {

void InstructionTable::add(std::string_view opcode, Decode decode) {
  table.emplace(std::string(opcode), decode);
}

Decode InstructionTable::find(std::string_view opcode) const {
  auto found = table.find(opcode);
  return found == table.end() ? nullptr : found->second;
}

std::vector<std::string> InstructionTable::opcodes() const {
  std::vector<std::string> names;
  for (const auto &entry : table)
    names.push_back(entry.first);
  return names;
}

const InstructionTable &instructionTable() {
  static const InstructionTable table = [] {
    InstructionTable all;
    registerArithmetic(all);
    registerExtendedArithmetic(all);
    registerIntegerProducts(all);
    registerFunctions(all);
    registerBits(all);
    registerPermute(all);
    registerComparisons(all);
    registerConversions(all);
    registerMoves(all);
    registerLoadsAndStores(all);
    registerAtomics(all);
    registerCollectives(all);
    registerBarriers(all);
    registerControl(all);
    registerWarpMultiply(all);
    registerMatrixMoves(all);
    registerWarpgroup(all);
    registerMbarriers(all);
    registerCopies(all);
    registerClusters(all);
    registerFences(all);
    return all;
  }();
  return table;
}

} // namespace quern::emulator::machine
