//===- Norm.h - What a normalization and its gradient share -----------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_LIB_CPU_NORM_H
#define QUERN_LIB_CPU_NORM_H

#include "Rows.h"

#include "dialects/Kernel/Kernel.h"

namespace quern::cpu {

struct RowStatistics {
  mlir::Value mean;  ///< null for an RMS norm
  mlir::Value scale; ///< 1 / sqrt(variance + epsilon), of the mean square for an RMS norm
  llvm::SmallVector<mlir::Value> sums{}; ///< of the terms that were asked for besides, scalars

  mlir::Value center(Vectors &v, mlir::Value x) const { return mean ? v.sub(x, mean) : x; }
};

/// Rows that are normalized side by side: what waits for a sum of one is hidden behind the others,
/// and their lines come from memory while the rows before them are computed. Each row is computed
/// in the same way whichever group it is in.
class NormRows {
public:
  using Load = llvm::function_ref<mlir::Value(size_t row, mlir::Value column, mlir::Value mask)>;
  using Terms = llvm::function_ref<llvm::SmallVector<mlir::Value>(
      size_t row, mlir::Value centered, mlir::Value column, mlir::Value mask)>;

  /// `inputs` [rows, columns] are those that are read (the first decides on the element type).
  /// Besides the statistics, `extra` sums are taken of each row.
  NormRows(Vectors &v, mlir::Value rows, mlir::Value columns, llvm::ArrayRef<mlir::Value> inputs,
           kernel::NormKind kind, double epsilon, int64_t extra = 0);

  /// How many rows make a group: their lines stay in the caches until they are done.
  int64_t size() const { return groupSize; }

  /// Rows of the inputs that the next group has and that should come into the cache during this
  /// one: the first half of them while `statistics` runs, the others while results are written.
  llvm::SmallVector<mlir::Value> ahead(llvm::ArrayRef<mlir::Value> group) const;

  /// Statistics of the rows of `group`, whose elements `load` gives, in passes over them: one for
  /// the mean, one for the variance and for the extra sums, of `terms` of what is centered; the
  /// rows `ahead` are prefetched.
  llvm::SmallVector<RowStatistics> statistics(llvm::ArrayRef<mlir::Value> group,
                                              llvm::ArrayRef<mlir::Value> ahead, Load load,
                                              Terms terms = {}) const;

  /// total / columns
  mlir::Value mean(mlir::Value total) const;

private:
  Vectors &v;
  mlir::Value rows, columns;
  llvm::SmallVector<mlir::Value> inputs;
  bool isLayer;
  mlir::Value count, epsilon, one;
  int64_t extra, groupSize;
  bool prefetches;
};

} // namespace quern::cpu

#endif // QUERN_LIB_CPU_NORM_H
