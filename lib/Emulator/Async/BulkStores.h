//===- BulkStores.h - Bulk copies out of shared memory ----------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#ifndef QUERN_EMULATOR_ASYNC_BULKSTORES_H
#define QUERN_EMULATOR_ASYNC_BULKSTORES_H

#include "lib/Emulator/Async/Groups.h"
#include "lib/Emulator/Async/SharedRange.h"
#include "lib/Emulator/Matrix/TensorCopy.h"

#include <optional>

namespace quern::emulator::machine {

/// What a reduction does with each element; a plain copy has none.
struct ReductionPlan {
  matrix::Reduction operation;
  matrix::ReductionType type;
};

/// A part of a bulk store that is contiguous in both memories.
struct StorePiece {
  SharedRange from;
  GlobalRange to;
  uint32_t bytes;
};

/// One bulk copy or reduction from shared to global memory: first it reads, then it writes.
struct BulkStore {
  checks::Time time;
  unsigned lane;
  const Instruction *instruction;
  std::optional<ReductionPlan> reduction;
  std::vector<StorePiece> pieces;

  bool hasWritten() const { return written; }
  void readSource();
  void writeTarget();

private:
  bool read = false, written = false;
  std::vector<Bytes> contents;
};

/// The bulk stores of a warp, in bulk async-groups. Each reads its source when somebody waits for
/// that and writes its target when somebody waits for it, or both when nothing else goes on.
class BulkStores {
public:
  /// Of what the warp's stores read, and of what they write.
  checks::Agent readChannel(Warp &warp);
  checks::Agent writeChannel(Warp &warp);
  checks::Time begin() { return ++issued; }
  void add(Warp &warp, std::shared_ptr<BulkStore> store);
  /// All stores of a lane that are in no group yet become one.
  void commit(unsigned lane) { lanes[lane].groups.commit(issued); }
  /// A lane waits until at most `remaining` groups are pending: for what they read, or for all.
  void wait(unsigned lane, size_t remaining, bool readsAlone);
  /// Up to these times somebody has waited for what stores read, and for what they write.
  checks::Time readUntil() const { return until(&Lane::waitedReads); }
  checks::Time writtenUntil() const { return until(&Lane::waitedWrites); }
  /// The last store of a lane for whose reads it has not waited, or null.
  const Instruction *unfinished(unsigned lane) const;

private:
  struct Lane {
    Groups groups;
    /// Of its last store, and what it has waited for.
    checks::Time last = 0, waitedReads = 0, waitedWrites = 0;
    const Instruction *instruction = nullptr;
  };
  bool hasChannels = false;
  checks::Agent reads = 0, writes = 0;
  checks::Time issued = 0;
  Lane lanes[warpSize];
  /// Stores that have not written.
  std::deque<std::shared_ptr<BulkStore>> queue;

  void addChannels(Warp &warp);
  checks::Time until(checks::Time Lane::*waited) const;
};

} // namespace quern::emulator::machine

#endif // QUERN_EMULATOR_ASYNC_BULKSTORES_H
