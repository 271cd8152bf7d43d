//===- Rows.h - Rows shared out among warps or blocks
//------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_LIB_GPU_ROWS_H
#define QUERN_LIB_GPU_ROWS_H

#include "quern/Emission/Views.h"
#include "quern/GPU/Emission.h"

namespace quern::nvidia {

using namespace emission; // what emitters of all targets share

/// The threads that work on one row together: a warp, or a block where rows are long.
class Team {
public:
  Team(Thread &thread, bool isWarp) : t(thread), isWarp(isWarp) {}

  Thread &t;

  /// Runs `body(column)` for this thread's share of the columns of [0, columns).
  void forColumns(mlir::Value columns, llvm::function_ref<void(mlir::Value)> body);
  /// The same with values that are carried along; returns the last ones of this thread.
  llvm::SmallVector<mlir::Value> forColumns(
      mlir::Value columns, mlir::ValueRange carried,
      llvm::function_ref<llvm::SmallVector<mlir::Value>(mlir::Value, mlir::ValueRange)> body);

  /// The sum over all columns of `term(column)`, in a fixed order; in every thread of the team.
  mlir::Value sum(mlir::Value columns, mlir::Type type,
                  llvm::function_ref<mlir::Value(mlir::Value)> term);
  /// One thread's value each, added or maximized over the team.
  mlir::Value sum(mlir::Value value);
  mlir::Value max(mlir::Value value);

  /// Makes what the team wrote to memory visible to all of it.
  void fence();

  /// Runs `body` on one thread of the team.
  void onFirst(llvm::function_ref<void()> body);

private:
  mlir::Value rank();
  mlir::Value size() { return t.index(isWarp ? warpSize : t.threads); }
  bool isWarp;
};

/// Launches a kernel in which `body(team, row, operands)` runs once for each of `rows` rows of
/// `columns` columns. A warp takes a short row, a block a long one.
void forRows(Emission &emission, mlir::Value rows, mlir::Value columns, mlir::ValueRange operands,
             llvm::function_ref<void(Team &, mlir::Value, mlir::ValueRange)> body);

/// The same in which each of at most `partialBlocks` blocks takes every row of a fixed subset of
/// rows, one after the other, with `carried` values (of device constants that `initial` makes);
/// `finish(thread, slot, values, operands)` gets the last ones, slot being the block's number.
/// Returns how many slots there are (an index of the host).
mlir::Value
forRowSubsets(Emission &emission, mlir::Value rows, mlir::ValueRange operands,
              llvm::function_ref<llvm::SmallVector<mlir::Value>(Thread &)> initial,
              llvm::function_ref<llvm::SmallVector<mlir::Value>(
                  Team &, mlir::Value row, mlir::ValueRange carried, mlir::ValueRange operands)>
                  body,
              llvm::function_ref<void(Thread &, mlir::Value slot, mlir::ValueRange carried,
                                      mlir::ValueRange operands)>
                  finish);

/// The element at `indices` of all dimensions but the last, and `column`.
llvm::SmallVector<mlir::Value> at(llvm::ArrayRef<mlir::Value> indices, mlir::Value column);

/// The indices of row `row` of `memref` in all its dimensions but the last.
llvm::SmallVector<mlir::Value> rowIndices(emission::Code &code, mlir::Value memref,
                                          mlir::Value row);

} // namespace quern::nvidia

#endif // QUERN_LIB_GPU_ROWS_H
