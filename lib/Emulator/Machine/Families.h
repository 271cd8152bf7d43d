//===- Families.h - The families of instructions ----------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#ifndef QUERN_EMULATOR_MACHINE_FAMILIES_H
#define QUERN_EMULATOR_MACHINE_FAMILIES_H

namespace quern::emulator::machine {

class InstructionTable;

void registerArithmetic(InstructionTable &table);
void registerExtendedArithmetic(InstructionTable &table);
void registerIntegerProducts(InstructionTable &table);
void registerFunctions(InstructionTable &table);
void registerBits(InstructionTable &table);
void registerPermute(InstructionTable &table);
void registerComparisons(InstructionTable &table);
void registerConversions(InstructionTable &table);
void registerMoves(InstructionTable &table);
void registerLoadsAndStores(InstructionTable &table);
void registerAtomics(InstructionTable &table);
void registerCollectives(InstructionTable &table);
void registerBarriers(InstructionTable &table);
void registerControl(InstructionTable &table);

} // namespace quern::emulator::machine

#endif // QUERN_EMULATOR_MACHINE_FAMILIES_H
