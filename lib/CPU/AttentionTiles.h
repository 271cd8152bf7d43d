//===- AttentionTiles.h - Tiles of attention in a thread's own memory -------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
///
/// \file
/// Attention computes with the *transposed* scores: rows are keys, lanes are queries. The maximum
/// and the sum over the keys of a query then need no shuffles, and K and V are read as scalars, in
/// the order in which they lie; only Q is transposed, once for all keys. Every tile is copied into
/// dense memory of the thread first: rows of a fused QKV tensor lie so far apart that they would
/// evict each other from the first-level cache, and at the edges the copy is filled up with zeros.
///
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_LIB_CPU_ATTENTIONTILES_H
#define QUERN_LIB_CPU_ATTENTIONTILES_H

#include "Rows.h"

#include "dialects/Kernel/Kernel.h"

namespace quern::cpu {

/// What forward and backward share: the problem's sizes, the tiles' sizes, and how to fill tiles.
class AttentionTiles {
public:
  /// `queryTiles`: how many tiles hold a row for each query; `keysOfTile`: keys of a tile, where a
  /// head is not wide.
  AttentionTiles(Emission &e, mlir::Value q, mlir::Value k, mlir::Value v, mlir::Value mask,
                 mlir::Value lengths, mlir::Value offset, bool causal, int64_t queryTiles,
                 int64_t keysOfTile);

  Emission &e;
  mlir::OpBuilder &b;
  mlir::Location loc;
  Vectors v;
  int64_t lanes;

  // The problem.
  mlir::Value mask, lengths; ///< null when absent
  bool causal;
  mlir::Value offset; ///< index
  mlir::Value batch, queries, keys;
  int64_t heads, groups, keyWidth, valueWidth; ///< H, G, D, E

  // The tiles: sizes are multiples of the lanes.
  int64_t paddedKeyWidth, paddedValueWidth;
  int64_t blockQueries; ///< queries of a unit of work, at most
  int64_t blockKeys;    ///< keys of a tile
  int64_t microRows;    ///< rows of a register tile
  int64_t microVectors; ///< vectors of a register tile
  int64_t microQueries; ///< queries of a register tile of scores

  /// A [rows, columns] tile in private scratch. Its rows lie an odd number of cache lines apart, so
  /// that a narrow strip of it spreads over all sets of a cache.
  mlir::Value tile(int64_t rows, int64_t columns);
  mlir::Value load(mlir::Value tile, mlir::Value row, mlir::Value column);
  void store(mlir::Value value, mlir::Value tile, mlir::Value row, mlir::Value column);
  void zero(mlir::Value tile, mlir::Value firstRow, mlir::Value endRow, mlir::Value columns);

  mlir::Value add(mlir::Value a, mlir::Value b) { return addIndex(e, a, b); }
  mlir::Value add(mlir::Value a, int64_t b) { return b ? addIndex(e, a, e.index(b)) : a; }
  mlir::Value subtract(mlir::Value a, mlir::Value b);
  mlir::Value minimum(mlir::Value a, mlir::Value b); ///< signed
  mlir::Value maximum(mlir::Value a, mlir::Value b); ///< signed
  mlir::Value less(mlir::Value a, mlir::Value b);    ///< signed
  mlir::Value roundUp(mlir::Value a, int64_t multiple);

  /// Runs `body` where `condition` (an i1) holds.
  void when(mlir::Value condition, llvm::function_ref<void()> body);

  /// Keys that any query of sequence `batchIndex` may see.
  mlir::Value visibleKeys(mlir::Value batchIndex);
  /// Those of them that some query before `queryEnd` sees.
  mlir::Value visibleKeysUntil(mlir::Value visible, mlir::Value queryEnd);

  /// The mask's element for a query and a key; beyond the last of them, that of the last.
  mlir::Value maskElement(mlir::Value batchIndex, mlir::Value head, mlir::Value query,
                          mlir::Value key);

  /// A mask of the columns of a row of `width` elements from `column` on; null when all lanes are
  /// inside. With `valid` (an i1), no lane where it does not hold.
  mlir::Value columnMask(mlir::Value column, int64_t width, mlir::Value valid = {});

  /// Copies `count` rows (x[batchIndex, first + i, head, :], `width` elements) into a tile; rows
  /// from there to `rows` become 0.
  void packRows(mlir::Value tile, mlir::Value rows, mlir::Value x, mlir::Value batchIndex,
                mlir::Value first, mlir::Value count, mlir::Value head, int64_t width,
                mlir::Value scale = {});

  /// Transposes a tile of `rows` rows and `width` (padded) columns; rows become columns from
  /// `firstColumn` on.
  void transpose(mlir::Value from, mlir::Value to, mlir::Value rows, int64_t width,
                 mlir::Value firstColumn);

  /// The `lanes` x `lanes` matrix with these rows, transposed.
  llvm::SmallVector<mlir::Value> transposeBlock(llvm::SmallVector<mlir::Value> rows);

  /// One register tile: for each k in [from, to), accumulator (row, vector) gains
  /// a(k, row) * b(k, vector). Accumulators are row-major.
  llvm::SmallVector<mlir::Value>
  multiply(mlir::ValueRange accumulators, int64_t rows, int64_t vectors, mlir::Value from,
           mlir::Value to, llvm::function_ref<mlir::Value(mlir::Value k, int64_t row)> a,
           llvm::function_ref<mlir::Value(mlir::Value k, int64_t vector)> b);

  /// A tile of scores: rows are keys from `firstKey` on, columns are queries from `firstQuery` on.
  struct ScoreTile {
    mlir::Value tile, column; ///< where: columns [column, column + microQueries)
    mlir::Value batchIndex, head;
    mlir::Value firstKey, firstQuery; ///< in the whole problem
    mlir::Value queryBase;            ///< the query in column 0 of the tile of queries
    mlir::Value keyCount;             ///< keys of the tile
    mlir::Value visible;              ///< visibleKeys of the sequence
    mlir::Value rows;                 ///< rows to compute: a multiple of microRows, may be 0
    mlir::Value masked;               ///< i1: not every key of them is visible to every query
  };
  /// Sets `rows` and `masked` from the rest.
  void bound(ScoreTile &scores);
  /// Where `masked`: writes the mask, and -infinity for what is not visible, into the tile.
  void writeMask(const ScoreTile &scores);
  /// Scaled scores plus mask of rows [row, row + microRows): accumulators of a register tile.
  llvm::SmallVector<mlir::Value> scoreRows(const ScoreTile &scores, mlir::Value row,
                                           mlir::Value keyTile, mlir::Value transposedQueries);

  /// The larger of two vectors; `b` where a lane of `a` is NaN.
  mlir::Value larger(mlir::Value a, mlir::Value b);
  /// Lanes of `a` that equal `value`.
  mlir::Value equals(mlir::Value a, double value);
  mlir::Value select(mlir::Value condition, mlir::Value a, mlir::Value b);

  /// Without a mask, scores are logarithms to the base 2: `scale` of the queries has a factor of
  /// log2(e), which saves a multiplication in each exponential. A mask may have numbers so large
  /// that this factor makes them infinite; with one, scores are natural logarithms.
  double scoreUnit() const { return mask ? 1.0 : 1.4426950408889634; }
  /// e^(x - shift) of scores in that unit, for vectors.
  mlir::Value exponential(mlir::Value x, mlir::Value shift);
  /// log(e^maximum * sum), natural, from a maximum in that unit.
  mlir::Value logSumExp(mlir::Value maximum, mlir::Value sum);
};

/// Attention of one query a sequence, over a cache of keys and values.
struct DecodeAttention {
  mlir::Value q, keys, values;
  mlir::Value mask, lengths, offset; ///< null when absent
  mlir::Value output, logSumExp;     ///< the latter null when nobody wants it
  bool causal;
  double scale;
  mlir::Value key = {}, value = {}; ///< what the cache takes at `offset` first; null: nothing
};
void emitDecodeAttention(const DecodeAttention &in, Emission &e);

/// Fails with a message where the CPU cannot compute attention on these operands.
llvm::LogicalResult checkAttention(mlir::Operation *op, mlir::ValueRange operands, mlir::Value q,
                                   mlir::Value k, mlir::Value v);

} // namespace quern::cpu

#endif // QUERN_LIB_CPU_ATTENTIONTILES_H
