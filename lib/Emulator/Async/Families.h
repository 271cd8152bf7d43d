//===- Families.h - Families of asynchronous instructions -------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#ifndef QUERN_EMULATOR_ASYNC_FAMILIES_H
#define QUERN_EMULATOR_ASYNC_FAMILIES_H

#include <string>

namespace quern::emulator::machine {

class Decoder;
class InstructionTable;
struct Cluster;

/// mbarrier
void registerMbarriers(InstructionTable &table);
/// cp: cp.async, cp.async.bulk, cp.async.bulk.tensor, cp.reduce.async.bulk and their groups
void registerCopies(InstructionTable &table);
/// mapa, getctarank, elect, griddepcontrol
void registerClusters(InstructionTable &table);

/// fence.proxy.async, fence.mbarrier_init, prefetch.tensormap
void registerFences(InstructionTable &table);
/// Ends the work of a cluster whose threads have ended, and reports what they should have waited
/// for.
void finishAsynchronous(Cluster &cluster);

/// The state of all mbarriers of a cluster, a line each that begins with "\n  ", for a cluster that
/// hangs.
std::string describeMbarriers(const Cluster &cluster);

/// barrier.cluster.*; `.cluster` has been taken.
void decodeClusterBarrier(Decoder &decoder);

} // namespace quern::emulator::machine

#endif // QUERN_EMULATOR_ASYNC_FAMILIES_H
