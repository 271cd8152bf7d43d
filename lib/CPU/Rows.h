//===- Rows.h - Rows of memory as native vectors ----------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
///
/// \file
/// Kernels that are bound by memory see a buffer as rows: its last dimension, once for each index
/// of the others. A row is walked by native vectors; what is left of it at its end is one vector
/// under a mask, so that rows of a few elements stay cheap too.
///
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_LIB_CPU_ROWS_H
#define QUERN_LIB_CPU_ROWS_H

#include "quern/CPU/Emission.h"
#include "quern/Emission/Indices.h"
#include "quern/Emission/Views.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

namespace quern::cpu {

using namespace emission; // what emitters of all targets share

/// About so many bytes make one unit of work: small tensors stay with one thread, and a unit's
/// overhead is lost in its time.
constexpr int64_t unitBytes = 32 << 10;

/// How many rows make a unit, when a row has `columns` elements of `bytesPerColumn` bytes in all
/// operands together: at least 1.
mlir::Value rowsPerUnit(Emission &emission, mlir::Value columns, int64_t bytesPerColumn);

/// Runs `body(row)` for each of `rows` rows, in units of `perUnit`.
void forRows(Emission &emission, mlir::Value rows, mlir::Value perUnit,
             llvm::function_ref<void(mlir::Value row)> body);

/// Runs `body` for groups of `size` rows from `from` on, then for each of the rows that are left
/// before `to` alone. What is computed for a row must not depend on its group.
void forRowGroups(Emission &emission, mlir::Value from, mlir::Value to, int64_t size,
                  llvm::function_ref<void(llvm::ArrayRef<mlir::Value> rows)> body);

/// The same for all of `rows` in units of `perUnit`, or somewhat more: a unit has whole groups.
void forRowGroupUnits(Emission &emission, mlir::Value rows, mlir::Value perUnit, int64_t size,
                      llvm::function_ref<void(llvm::ArrayRef<mlir::Value> rows)> body);

/// Runs `body(column, mask)` over [from, to) by `lanes` columns: whole vectors with a null mask,
/// then, unless the length is known to be a multiple of the lanes, the rest under a mask.
void forColumns(Emission &emission, int64_t lanes, mlir::Value from, mlir::Value to,
                llvm::function_ref<void(mlir::Value column, mlir::Value mask)> body);

/// The same with values that are carried along; returns the last ones.
llvm::SmallVector<mlir::Value>
forColumns(Emission &emission, int64_t lanes, mlir::Value from, mlir::Value to,
           mlir::ValueRange carried,
           llvm::function_ref<llvm::SmallVector<mlir::Value>(mlir::Value column, mlir::Value mask,
                                                             mlir::ValueRange carried)>
               body);

/// Reads and writes vectors of `lanes` elements, in `compute` type; 1-D rows.
class Vectors {
public:
  /// As many lanes as a native vector of `compute` has.
  Vectors(Emission &emission, mlir::Type compute)
      : emission(emission), compute(compute), lanes(emission.machine.lanes(compute)),
        type(mlir::VectorType::get({lanes}, compute)) {}

  Emission &emission;
  mlir::Type compute;
  int64_t lanes;
  mlir::VectorType type;

  /// Elements column .. column + lanes - 1 of a row; 0 in lanes that `mask` (may be null) excludes.
  mlir::Value load(mlir::Value row, mlir::Value column, mlir::Value mask = {});
  /// Past the caches if `streaming` and the vector is whole (see withStreaming).
  void store(mlir::Value value, mlir::Value row, mlir::Value column, mlir::Value mask = {},
             bool streaming = false);

  /// Brings the lines that hold `vectors` vectors from `column` on of a row into the second-level
  /// cache.
  void prefetch(mlir::Value row, mlir::Value column, int64_t vectors);

  /// `value` as it is read back after a store to `memref`.
  mlir::Value asStored(mlir::Value value, mlir::Value memref);

  mlir::Value splat(double value);
  mlir::Value splat(mlir::Value scalar);
  mlir::Value add(mlir::Value a, mlir::Value b);
  mlir::Value sub(mlir::Value a, mlir::Value b);
  mlir::Value mul(mlir::Value a, mlir::Value b);
  mlir::Value div(mlir::Value a, mlir::Value b);
  /// a * b + c, rounded once where the processor can.
  mlir::Value fma(mlir::Value a, mlir::Value b, mlir::Value c);
  /// e^x and 2^x of x that is a difference to the largest of its row: at most 0.
  mlir::Value expNonPositive(mlir::Value x);
  mlir::Value exp2NonPositive(mlir::Value x);
  /// `value` where the mask is set (or null), 0 elsewhere.
  mlir::Value select(mlir::Value mask, mlir::Value value);
  /// The sum of the lanes, by halves.
  mlir::Value sum(mlir::Value vector);

  void forColumns(mlir::Value from, mlir::Value to,
                  llvm::function_ref<void(mlir::Value column, mlir::Value mask)> body) {
    cpu::forColumns(emission, lanes, from, to, body);
  }

  /// The same with the columns of all vectors of a line of `memref` at once, so that the line is
  /// written whole.
  void
  forLines(mlir::Value from, mlir::Value to, mlir::Value memref,
           llvm::function_ref<void(llvm::ArrayRef<mlir::Value> columns, mlir::Value mask)> body);

  using Terms =
      llvm::function_ref<llvm::SmallVector<mlir::Value>(mlir::Value column, mlir::Value mask)>;

  /// Sums over [from, to): `terms(column, mask)` gives one vector for each of `count` sums. Each
  /// has `ways` (1, 2 or 4) accumulators that take vectors in turn, so that additions do not wait
  /// for each other. `ahead(column)` comes before each four vectors. Returns scalars.
  llvm::SmallVector<mlir::Value> sums(
      mlir::Value from, mlir::Value to, int64_t count, Terms terms, int64_t ways = 4,
      llvm::function_ref<void(mlir::Value column)> ahead = [](mlir::Value) {});
};

/// Runs `body(false)`; or, where a kernel moves more bytes than the caches hold (`bytesPerColumn`
/// in each of `rows` x `columns`) and the rows of all `outputs` are aligned, `body(true)`: then it
/// should write its results past the caches, which saves reading the lines that it overwrites.
/// Small results stay in the caches, where the next kernel finds them.
void withStreaming(Emission &emission, llvm::ArrayRef<mlir::Value> outputs, mlir::Value rows,
                   mlir::Value columns, int64_t bytesPerColumn,
                   llvm::function_ref<void(bool streaming)> body);

} // namespace quern::cpu

#endif // QUERN_LIB_CPU_ROWS_H
