//===- Loads.h - Bulk copies into shared memory -----------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#ifndef QUERN_EMULATOR_ASYNC_LOADS_H
#define QUERN_EMULATOR_ASYNC_LOADS_H

#include "lib/Emulator/Async/BulkStores.h"

#include <array>

namespace quern::emulator::machine {

/// Bytes that a load writes to one place, the same in every block that receives them.
struct LoadPiece {
  /// In the block's shared memory.
  uint32_t offset;
  uint32_t bytes;
  /// One of them, or neither for bytes that are filled.
  GlobalRange fromGlobal;
  SharedRange fromShared;
};

/// One bulk copy or reduction into shared memory that completes on an mbarrier.
struct Load {
  SharedRange to;
  std::vector<LoadPiece> pieces;
  /// What complete_tx counts.
  uint32_t bytes;
  std::optional<ReductionPlan> reduction;
  /// For pieces without a source; repeats every 16 bytes of shared memory.
  std::array<uint8_t, 16> fill = {};
};

/// Issues a load that completes on the mbarrier at `barrier`, an address of the space of the
/// target. With a mask, bit i sends it to block i of the cluster, and to the mbarrier at the same
/// place there.
void issueLoad(Warp &warp, const Instruction &instruction, unsigned lane, Load load, Space space,
               uint64_t barrier, std::optional<uint16_t> mask);

/// Issues a bulk store or reduction to global memory.
void issueStore(Warp &warp, const Instruction &instruction, unsigned lane,
                std::vector<StorePiece> pieces, const std::optional<ReductionPlan> &reduction);

} // namespace quern::emulator::machine

#endif // QUERN_EMULATOR_ASYNC_LOADS_H
