//===- AttentionBackwardWgmma.h - Gradients of attention by warp groups of sm_90a -------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_LIB_GPU_ATTENTIONBACKWARDWGMMA_H
#define QUERN_LIB_GPU_ATTENTIONBACKWARDWGMMA_H

#include "AttentionMma.h"
#include "HeadCopy.h"
#include "HeadWork.h"
#include "Wgmma.h"

#include <functional>

namespace quern::nvidia {

/// What a block computes at a time; known when compiling.
struct GradientTile {
  int64_t columns; ///< of the scores, in a stage
  int64_t keyWidth, valueWidth;

  static constexpr int64_t groups = 2, groupRows = 64, rows = groups * groupRows;
  static constexpr int64_t warps = groups * warpsOfGroup;
  static constexpr int64_t threads = (1 + groups) * warpGroupSize;
  /// Together as many as a multiprocessor has, 65536, but for 1024.
  static constexpr int64_t producerRegisters = 40, groupRegisters = 232;

  HeadTile rowKeys() const { return {groupRows, keyWidth}; }
  HeadTile rowValues() const { return {groupRows, valueWidth}; }
  HeadTile columnKeys() const { return {columns, keyWidth}; }
  HeadTile columnValues() const { return {columns, valueWidth}; }

  int64_t groupBytes() const { return rowKeys().bytes() + rowValues().bytes(); }
  int64_t stageBytes() const { return columnKeys().bytes() + columnValues().bytes(); }
  /// As many as find room beside the rows and, of each stage, two numbers a column.
  int64_t stages(const Architecture &architecture) const;
};

/// A kernel of gradients. Its maps are those of `sides`: first of the rows of the scores, what the
/// scores (width D) and what dP (width E) are products of, then of the columns.
struct GradientKernel {
  using Op = kernel::AttentionBackwardOp;

  GradientTile tile;
  mlir::Value heads; ///< index of the host: how many heads the rows have
  llvm::SmallVector<mlir::Value> sides;
  std::function<void(Op op, mlir::ValueRange onDevice, mlir::ValueRange maps, Thread &thread,
                     const GradientTile &tile, int64_t stages)>
      body;
};
/// dK and dV of tiles of keys, and dQ of tiles of queries.
GradientKernel keyGradients(kernel::AttentionBackwardOp op, mlir::ValueRange operands,
                            Emission &emission);
GradientKernel queryGradient(kernel::AttentionBackwardOp op, mlir::ValueRange operands,
                             Emission &emission);

/// What the blocks of both kernels know and do.
class GradientBlock {
protected:
  using Op = kernel::AttentionBackwardOp;
  using Place = Ring::Place;
  using Values = llvm::SmallVector<mlir::Value>;

  /// `producers` threads fill a stage.
  GradientBlock(Op op, mlir::ValueRange onDevice, mlir::ValueRange maps, Thread &thread,
                const GradientTile &tile, int64_t stages, int64_t producers);

  /// All threads of the block come here, and make its barriers ready. Then `fill` is for one thread
  /// of the first warp group, `beside` for another warp of it, `consume` for the other warp groups,
  /// whose rows are there.
  void share(llvm::function_ref<void()> fill, llvm::function_ref<void()> beside,
             llvm::function_ref<void()> consume);

  /// Starts the copies of the block's rows, from `first` (i32) on, of a head (i32).
  void copyRows(mlir::Value head, mlir::Value first);
  /// Starts the copies of the columns from `first` (i32) on into a stage when that is empty.
  void copyColumns(mlir::Value head, mlir::Value first, const Place &place);

  /// Runs `body` for the columns of [from, to) (i32), a stage of them at a time. `carried` begins
  /// with a place of the ring (see firstPlace); what comes back with that which follows.
  Values forColumns(mlir::Value from, mlir::Value to, mlir::ValueRange carried,
                    llvm::function_ref<Values(mlir::Value, const Place &, mlir::ValueRange)> body);
  Values firstPlace();

  /// Starts the products of this warp group's rows and the columns of a stage, S / scale and dP, as
  /// two groups.
  void startProducts(WarpSums &scores, WarpSums &changes, const Place &place);
  /// Starts gradient += factors columns, with those columns that lie `bytes` behind the start of a
  /// stage.
  void startGradient(WarpSums &gradient, WarpSums &factors, const Place &place, int64_t bytes);
  void await(WarpSums &sums, int64_t pending);

  /// P of S / scale. `shift(row, column)` is the log-sum-exp of an element's query, in units of
  /// exponents of 2.
  void weigh(WarpSums &scores, llvm::function_ref<mlir::Value(int64_t row, int64_t column)> shift);
  /// dS / scale, of P and dP. `rowSum(row, column)` is D of an element's query.
  void change(WarpSums &changes, WarpSums &weights,
              llvm::function_ref<mlir::Value(int64_t row, int64_t column)> rowSum);
  /// The log-sum-exp of a query, in these units, and D; 0 for queries past the last, whose rows of
  /// Q and dO are 0.
  std::pair<mlir::Value, mlir::Value> statisticsOf(mlir::Value head, mlir::Value query);

  /// Waits until no warp of this group still reads its rows.
  void awaitGroup();
  /// Then writes a gradient of the rows, which begin with `first` (i32), through their memory.
  void store(WarpSums &gradient, mlir::Value first, mlir::Value to, mlir::Value head);

  Op op;
  Op::Adaptor in;
  Thread &t;
  AttentionProblem p;
  GradientTile tile;
  mlir::Type f32, element;
  double scale;
  Ring ring;
  mlir::Value sequence;             ///< index
  mlir::Value warp, group, warpRow; ///< i32, of a consumer: its numbers, and the first of its rows

private:
  /// Of this warp group, and of a stage, `bytes` behind the start.
  SharedOperand rowOperand(int64_t bytes);
  SharedOperand columnOperand(const Place &place, int64_t bytes, bool isDepthMajor);

  mlir::ValueRange maps;
  Pointer rows; ///< of each warp group those of width D, then those of width E
  Mbarrier rowsFull;
};

} // namespace quern::nvidia

#endif // QUERN_LIB_GPU_ATTENTIONBACKWARDWGMMA_H
