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

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Operation.h"

namespace quern::cpu {

/// About so many bytes make one unit of work: small tensors stay with one thread, and a unit's
/// overhead is lost in its time.
constexpr int64_t unitBytes = 32 << 10;

/// The type that elements of `storage` are computed in: f32 for the narrower floats.
mlir::Type computeType(mlir::Type storage);

/// Bytes of one element in memory.
int64_t elementBytes(mlir::Type type);

/// Fails, with the operand's number and what to do, when an operand's rows cannot be read as
/// vectors (last stride other than 1) or its elements are not floats. Operands of rank 0 and of i32
/// are read one by one and may be anything.
llvm::LogicalResult checkRows(mlir::Operation *op, mlir::ValueRange operands);

/// The indices of element `linear` of a space of `sizes`, the last dimension fastest.
llvm::SmallVector<mlir::Value> delinearize(Emission &emission, mlir::Value linear,
                                           llvm::ArrayRef<mlir::Value> sizes);

/// `memref` with its dimensions merged into [rows, last] where memory allows; otherwise as it is.
mlir::Value mergeRows(Emission &emission, mlir::Value memref);

/// `memref` with all dimensions merged into one where memory allows, a null value otherwise.
mlir::Value flatten(Emission &emission, mlir::Value memref);

/// Row number `row` of `memref` (all dimensions but the last counted together), as a 1-D memref.
mlir::Value rowOf(Emission &emission, mlir::Value memref, mlir::Value row);

/// The row at the given indices of all dimensions but the last, as a 1-D memref.
mlir::Value rowAt(Emission &emission, mlir::Value memref, mlir::ValueRange indices);

/// How many rows make a unit, when a row has `columns` elements of `bytesPerColumn` bytes in all
/// operands together: at least 1.
mlir::Value rowsPerUnit(Emission &emission, mlir::Value columns, int64_t bytesPerColumn);

/// The row of `memref` after `row` (itself, where it is the last of `rows`), to be prefetched while
/// `row` is computed: passes over a row in the cache would leave memory idle. Null for rows that
/// are too long to lie in the first-level cache twice.
mlir::Value rowToPrefetch(Emission &emission, mlir::Value memref, mlir::Value row,
                          mlir::Value rows);

/// Runs `body(row)` for each of `rows` rows, in units of `perUnit`.
void forRows(Emission &emission, mlir::Value rows, mlir::Value perUnit,
             llvm::function_ref<void(mlir::Value row)> body);

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
  void store(mlir::Value value, mlir::Value row, mlir::Value column, mlir::Value mask = {});

  /// Brings what a load would read into the first-level cache. `row` may be null.
  void prefetch(mlir::Value row, mlir::Value column);

  mlir::Value splat(double value);
  mlir::Value splat(mlir::Value scalar);
  mlir::Value add(mlir::Value a, mlir::Value b);
  mlir::Value sub(mlir::Value a, mlir::Value b);
  mlir::Value mul(mlir::Value a, mlir::Value b);
  mlir::Value div(mlir::Value a, mlir::Value b);
  /// a * b + c, rounded once where the processor can.
  mlir::Value fma(mlir::Value a, mlir::Value b, mlir::Value c);
  /// `value` where the mask is set (or null), 0 elsewhere.
  mlir::Value select(mlir::Value mask, mlir::Value value);
  /// The sum of the lanes, by halves.
  mlir::Value sum(mlir::Value vector);

  void forColumns(mlir::Value from, mlir::Value to,
                  llvm::function_ref<void(mlir::Value column, mlir::Value mask)> body) {
    cpu::forColumns(emission, lanes, from, to, body);
  }

  /// Sums over [from, to): `terms(column, mask)` gives one vector for each of `count` sums. Four
  /// vectors at a time, so that additions do not wait for each other. Returns scalars.
  llvm::SmallVector<mlir::Value>
  sums(mlir::Value from, mlir::Value to, int64_t count,
       llvm::function_ref<llvm::SmallVector<mlir::Value>(mlir::Value column, mlir::Value mask)>
           terms);
};

/// The integer that `value` is known to be, or nothing.
std::optional<int64_t> constantOf(mlir::Value value);

/// Index arithmetic.
mlir::Value addIndex(Emission &emission, mlir::Value a, mlir::Value b);
mlir::Value mulIndex(Emission &emission, mlir::Value a, mlir::Value b);
mlir::Value ceilDiv(Emission &emission, mlir::Value a, mlir::Value b);
mlir::Value minIndex(Emission &emission, mlir::Value a, mlir::Value b);

/// The value of a rank-0 i32 memref as an index; 0 when there is none.
mlir::Value loadOffset(Emission &emission, mlir::Value offset);

/// A rank-0 number in type `type` (a float).
mlir::Value loadScalar(Emission &emission, mlir::Value memref, mlir::Type type);

} // namespace quern::cpu

#endif // QUERN_LIB_CPU_ROWS_H
