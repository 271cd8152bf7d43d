//===- Rows.h - Rows shared out among teams ---------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_LIB_GPU_ROWS_H
#define QUERN_LIB_GPU_ROWS_H

#include "Team.h"
#include "quern/GPU/Emission.h"

namespace quern::nvidia {

/// Runs `emitLaunches(lanes)` for the number of neighbours, 1 or as many as have 16 bytes, that one
/// access may take in all `buffers`, whose last dimension of `columns` elements is contiguous. What
/// types do not tell the host looks up in addresses and strides, to choose between two versions.
/// Unless `wholeGroups`, a number of columns that is known may be no multiple of the lanes.
void forLanes(Emission &emission, mlir::ValueRange buffers, mlir::Value columns,
              llvm::function_ref<void(int64_t lanes)> emitLaunches, bool wholeGroups = true);

/// The operands that kernels over rows read by rows: those of floats, but for rank 0.
llvm::SmallVector<mlir::Value> rowsAmong(mlir::ValueRange operands);

/// Blocks that have a team for each of `rows` rows of `columns` columns.
mlir::Value blocksFor(Emission &emission, mlir::Value rows, mlir::Value columns);

using RowBody = llvm::function_ref<void(Team &team, mlir::Value row, mlir::ValueRange operands)>;

/// Launches a kernel in which `body(team, row, operands)` runs once for each of `rows` rows of
/// `columns` columns.
void forRows(Emission &emission, mlir::Value rows, mlir::Value columns, mlir::ValueRange operands,
             RowBody body);

/// Launches a kernel in which a fixed number of teams, of up to `blocks` blocks, take rows of
/// `columns` columns: `body(team, first, step, end, operands)` goes through its own. Returns how
/// many blocks there are (an index of the host).
using SubsetBody = llvm::function_ref<void(Team &team, mlir::Value first, mlir::Value step,
                                           mlir::Value end, mlir::ValueRange operands)>;
mlir::Value forRowSubsets(Emission &emission, mlir::Value rows, mlir::Value columns, int64_t blocks,
                          int64_t lanes, mlir::ValueRange operands, SubsetBody body);

/// `operands` with the rows of each merged where memory allows it.
llvm::SmallVector<mlir::Value> withMergedRows(emission::Code &code, mlir::ValueRange operands);

/// The element at `indices` of all dimensions but the last, and `column`.
llvm::SmallVector<mlir::Value> at(llvm::ArrayRef<mlir::Value> indices, mlir::Value column);

/// The indices of row `row` of `memref` in all its dimensions but the last.
llvm::SmallVector<mlir::Value> rowIndices(emission::Code &code, mlir::Value memref,
                                          mlir::Value row);

} // namespace quern::nvidia

#endif // QUERN_LIB_GPU_ROWS_H
