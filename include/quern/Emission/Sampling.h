//===- Sampling.h - A token drawn from a row of logits ----------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
///
/// \file
/// `kernel.sample` for one row, written once for all targets: weights are integers, whose sums are
/// exact in any order, and so every target, with any number of threads, draws the same token.
///
/// Nothing is sorted. Tokens are counted, and their weights added up, in bins of x = (l - max) /
/// temperature, which falls with the logit. Prefix sums over the bins tell in which one a token
/// is that has so many tokens, or so much weight, before it; the few tokens of that bin are
/// compared with each other. Where they are not few (a high temperature, equal logits), bins are
/// cut anew by digits of logit and id, until they are.
///
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_EMISSION_SAMPLING_H
#define QUERN_EMISSION_SAMPLING_H

#include "quern/Emission/Code.h"

namespace quern::emission {

/// Bins of the weights of a row.
constexpr int64_t samplingBins = 1024;

/// The threads that draw one row's token together: a block of a GPU, one thread of a processor. All
/// values are the same in all of them but for what `forLogits` and `forShare` hand out.
class SamplingTeam {
public:
  virtual ~SamplingTeam() = default;

  /// Memory that the team shares, uninitialized.
  virtual mlir::Value memory(int64_t size, mlir::Type element) = 0;
  /// All wait for each other; what was written before is visible after.
  virtual void barrier() = 0;

  /// Runs `body(id, logit, carried)` for this thread's share of the row; the id is an index, the
  /// logit an f32. Every thread comes here, and `body` has no barrier.
  using LogitBody = llvm::function_ref<llvm::SmallVector<mlir::Value>(
      mlir::Value id, mlir::Value logit, mlir::ValueRange carried)>;
  virtual llvm::SmallVector<mlir::Value> forLogits(mlir::Value row, mlir::ValueRange carried,
                                                   LogitBody body) = 0;
  /// Runs `body(i)` for this thread's share of [0, count).
  virtual void forShare(mlir::Value count, llvm::function_ref<void(mlir::Value)> body) = 0;

  /// All threads' values (i64) combined, in each of them.
  virtual mlir::Value
  combine(mlir::Value value,
          llvm::function_ref<mlir::Value(mlir::Value, mlir::Value)> operation) = 0;
  /// memory[index] += value (i64), by several threads at once; returns what was there.
  virtual mlir::Value fetchAdd(mlir::Value memory, mlir::Value index, mlir::Value value) = 0;
  /// Each element of these memories of samplingBins i64 becomes the sum of those up to it.
  virtual void prefixSums(llvm::ArrayRef<mlir::Value> memories) = 0;

  /// Tokens of a bin that are compared with each other: each with all.
  virtual int64_t listSize() const = 0;
};

/// The operands of `kernel.sample`, rank-0 memrefs but for the first.
struct SamplingOperands {
  mlir::Value row; ///< of logits, rank 1
  mlir::Value temperature, topK, topP, seed, index;
};

/// The token (i32) for row number `row` (an index), -1 where a logit is a NaN.
mlir::Value drawToken(Code &code, SamplingTeam &team, const SamplingOperands &operands,
                      mlir::Value row);

/// A logit of f32, bf16 or f16 as an f32, exactly.
mlir::Value widenLogit(Code &code, mlir::Value logit);

/// The token, but 0 in place of -1.
mlir::Value tokenToGoOnFrom(Code &code, mlir::Value token);

} // namespace quern::emission

#endif // QUERN_EMISSION_SAMPLING_H
