//===- AttentionSchedule.h - The pieces of attention that a block computes --------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_LIB_GPU_ATTENTIONSCHEDULE_H
#define QUERN_LIB_GPU_ATTENTIONSCHEDULE_H

#include "Attention.h"

namespace quern::nvidia {

/// The queries that a block works on at a time, and the keys that they see, in tiles. These are
/// counted from the last key that any of the queries sees: nothing behind it is read, and what a
/// causal mask hides in part lies in the last tiles. The first one may begin before key 0.
struct AttentionPiece {
  mlir::Value number;         ///< i32: from which all the rest follows
  mlir::Value sequence, head; ///< indices
  mlir::Value firstQuery;     ///< index
  mlir::Value visible;        ///< i32: how many keys any query of the sequence sees
  mlir::Value firstKey;       ///< i32: of the first tile
  mlir::Value tiles;          ///< i32: 1 or more, also where no key is visible
};

/// All pieces of a launch, `queries` by `keys` at a time, which its blocks share out.
class AttentionSchedule {
public:
  AttentionSchedule(AttentionProblem &problem, int64_t queries, int64_t keys)
      : p(problem), t(problem.t), queries(queries), keys(keys) {}

  /// The piece of this number (i32).
  AttentionPiece piece(mlir::Value number);
  /// How many keys a query (i32) sees; those past the last query as many as if they existed. i32;
  /// not positive if none.
  mlir::Value boundOf(const AttentionPiece &piece, mlir::Value query);
  /// Which tile of a piece is the first that a causal mask hides in part, and which the first that
  /// it hides whole, from `count` queries from `query` (i32) on: from 1 to the number of tiles.
  struct HiddenTiles {
    mlir::Value firstInPart, firstWhole; ///< i32
  };
  HiddenTiles hiddenTiles(const AttentionPiece &piece, mlir::Value query, int64_t count);
  /// Runs `body` for each of the block's pieces with the values that it carries from one to the
  /// next.
  using Values = llvm::SmallVector<mlir::Value>;
  Values forEach(mlir::ValueRange carried,
                 llvm::function_ref<Values(const AttentionPiece &, mlir::ValueRange)> body);

private:
  AttentionProblem &p;
  Thread &t;
  int64_t queries, keys;
};

} // namespace quern::nvidia

#endif // QUERN_LIB_GPU_ATTENTIONSCHEDULE_H
