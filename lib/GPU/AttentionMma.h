//===- AttentionMma.h - What the kernels of attention by tensor cores share -------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_LIB_GPU_ATTENTIONMMA_H
#define QUERN_LIB_GPU_ATTENTIONMMA_H

#include "Attention.h"
#include "WarpMatrix.h"

namespace quern::nvidia {

/// Whether the values of these matrices (rank 4, the last dimension D or E) are such that tensor
/// cores multiply them, and kernels by tensor cores have them in tiles.
bool hasTensorTiles(mlir::ValueRange matrices);

/// Scores of a warp: products of queries and keys, one of which are its rows.
struct ScoreTile {
  mlir::Value firstQuery, firstKey; ///< i32
  int64_t queries, keys;            ///< how many there are
  bool rowsAreKeys;
};

/// Which scores of one head of one sequence are of visible keys. Numbers of queries and keys are in
/// 32 bits, as lengths are: what is computed from them for each tile takes half the registers.
class Visibility {
public:
  Visibility(AttentionProblem &problem, mlir::Value sequence);

  /// i1: whether some query of the tile sees some of its keys.
  mlir::Value some(const ScoreTile &tile);
  /// From products to scores: times `scale` and with the mask added where there is one, else as
  /// they are; then -infinity for keys that are not visible.
  void apply(WarpSums &products, const ScoreTile &tile, mlir::Value head, double scale);
  /// -infinity for keys that are not visible, which some of the tile's may be.
  void hide(WarpSums &scores, const ScoreTile &tile);

private:
  mlir::Value less(mlir::Value a, mlir::Value b); ///< signed
  mlir::Value every(const ScoreTile &tile);
  void addMask(WarpSums &products, const ScoreTile &tile, mlir::Value head, double scale);

  AttentionProblem &p;
  Thread &t;
  mlir::Value sequence;
  mlir::Value visible; ///< i32: how many keys any query sees
  mlir::Value offset;  ///< i32
};

/// The online softmax (Milakov and Gimelshein 2018) of the rows of a lane, which are queries:
/// number 2 i + h is that of row tile i in its upper (0) or lower (1) half.
struct RowSoftmax {
  /// Of no keys so far. `scale` is that of scores, which are products; with `isScaled` they are
  /// times it already.
  RowSoftmax(Thread &thread, int64_t rowTiles, double scale, bool isScaled);

  double scale;
  bool isScaled;
  /// Maxima m in units of scores, and sums l of exp(score - m) over the lane's columns.
  llvm::SmallVector<mlir::Value> maxima, sums;

  /// Scores become exp(score - m). Returns what results of the keys before are to be multiplied by:
  /// exp(old m - m), for each row.
  llvm::SmallVector<mlir::Value> weigh(Thread &thread, WarpSums &scores);
  /// What row `i` ends in.
  SoftmaxEnd finish(Thread &thread, int64_t i) const;
};
/// Multiplies rows of the sums by `factors`, in the order of RowSoftmax.
void scaleRows(Thread &thread, WarpSums &sums, mlir::ValueRange factors);

/// sum * factor, for all of them.
void scaleSums(Thread &thread, WarpSums &sums, double factor);

/// Products of this warp's rows of `rows`, from `row` (i32) on, and the rows of `columns`:
/// `rowTiles` x 16 x as many as these are. Both are `width` wide.
WarpSums rowProducts(Thread &thread, const HalfMatrix &rows, mlir::Value row, int64_t rowTiles,
                     const HalfMatrix &columns, int64_t width);
/// sums + factors b, where `factors` are fragments of a matrix A that is as wide as `b` has rows.
void addWeighted(Thread &thread, WarpSums &sums,
                 llvm::ArrayRef<llvm::SmallVector<mlir::Value>> factors, const HalfMatrix &b);

/// Writes sums, rounded, to rows of `to` (rank 2), as far as it has them: the block's begin with
/// `first` (an index), this warp's are `row` (i32) further. They go through the rows from `row` on
/// of `by`, which no other warp reads.
void writeSums(Thread &thread, WarpSums &sums, const HalfMatrix &by, mlir::Value row,
               mlir::Value to, mlir::Value first);

} // namespace quern::nvidia

#endif // QUERN_LIB_GPU_ATTENTIONMMA_H
