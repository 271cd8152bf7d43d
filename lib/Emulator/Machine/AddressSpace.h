//===- AddressSpace.h - Where each space lies in the 64-bit generic address space -------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
///
/// \file
/// Global, constant and parameter memory are at their generic addresses. Shared and local memory
/// have a window each; `cvta` adds or subtracts its base. A shared address has the rank of its
/// block in the cluster in bits 24 and up, so that addresses of a block are also its addresses in
/// shared::cluster.
///
#ifndef QUERN_EMULATOR_MACHINE_ADDRESSSPACE_H
#define QUERN_EMULATOR_MACHINE_ADDRESSSPACE_H

#include <cstdint>

namespace quern::emulator::machine {

constexpr uint64_t globalBase = 0x0010'0000'0000;
constexpr uint64_t sharedWindow = 0x7000'0000'0000;
constexpr uint64_t localWindow = 0x7100'0000'0000;
constexpr uint64_t windowBytes = uint64_t(1) << 32;

/// A block's shared memory: `rank << sharedRankShift`, then what the system keeps for itself (as on
/// sm_80 and later, which makes a shared address of 0 wrong), then variables.
constexpr unsigned sharedRankShift = 24;
constexpr uint32_t sharedReserved = 1024;

} // namespace quern::emulator::machine

#endif // QUERN_EMULATOR_MACHINE_ADDRESSSPACE_H
