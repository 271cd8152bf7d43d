//===- Families.h - Families of tensor-core instructions --------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#ifndef QUERN_EMULATOR_TENSORCORE_FAMILIES_H
#define QUERN_EMULATOR_TENSORCORE_FAMILIES_H

namespace quern::emulator::machine {

class InstructionTable;
struct Cluster;

/// mma.sync
void registerWarpMultiply(InstructionTable &table);
/// ldmatrix, stmatrix, movmatrix
void registerMatrixMoves(InstructionTable &table);
/// wgmma and setmaxnreg
void registerWarpgroup(InstructionTable &table);

/// Counts what warps of the cluster, which have ended, did beside their wgmmas.
void countProducts(Cluster &cluster);

} // namespace quern::emulator::machine

#endif // QUERN_EMULATOR_TENSORCORE_FAMILIES_H
