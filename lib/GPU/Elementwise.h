//===- Elementwise.h - What the ways to emit a linalg.generic share ---------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_LIB_GPU_ELEMENTWISE_H
#define QUERN_LIB_GPU_ELEMENTWISE_H

#include "Rows.h"
#include "quern/Emission/LoopNest.h"

namespace quern::nvidia {

/// Writes the body of a linalg.generic for some iterations of its loops.
class Body {
public:
  using Values = llvm::SmallVector<mlir::Value>;

  Body(const LoopNest &nest, Thread &thread) : nest(nest), t(thread) {}

  /// What the operand holds at `indices` and in the next iterations of `loop`, `count` in all: an
  /// operand that depends on the loop must be contiguous in it unless `count` is 1.
  Values load(const Access &access, llvm::ArrayRef<mlir::Value> indices, int64_t loop,
              int64_t count);
  void store(const Access &access, llvm::ArrayRef<mlir::Value> indices, mlir::ValueRange values);

  /// What the body yields at `indices` from `elements`, one for each operand. Those that the body
  /// does not use may be null.
  Values yield(llvm::ArrayRef<mlir::Value> indices, llvm::ArrayRef<mlir::Value> elements);

  /// `count` iterations of `loop` from `indices` on: loads what the body uses and yields, a list
  /// for each iteration. `carried`, where given, has a list for each iteration of what stands for
  /// the outputs.
  llvm::SmallVector<Values> run(llvm::ArrayRef<mlir::Value> indices, int64_t loop, int64_t count,
                                llvm::ArrayRef<Values> carried = {});
  /// Stores what `run` returned.
  void storeOutputs(llvm::ArrayRef<mlir::Value> indices, llvm::ArrayRef<Values> results);

  bool isUsed(size_t operand) const;
  /// `indices` with that of `loop` `by` further.
  Values shifted(llvm::ArrayRef<mlir::Value> indices, int64_t loop, int64_t by);

private:
  Values places(const Access &access, llvm::ArrayRef<mlir::Value> indices);

  const LoopNest &nest;
  Thread &t;
};

/// The loops of a nest that reduce, or those that do not, in order.
llvm::SmallVector<int64_t> loopsOf(const LoopNest &nest, bool reduction);

/// The loop whose consecutive iterations touch consecutive elements in each operand that depends on
/// it; among several the last that has more than one iteration. -1 when there is none.
int64_t contiguousLoop(const LoopNest &nest, llvm::ArrayRef<int64_t> loops);

/// The product of the sizes of `loops`.
mlir::Value countOf(Code &code, const LoopNest &nest, llvm::ArrayRef<int64_t> loops);

/// Sets the indices of `loops` to those of iteration `linear` of them all, the last one fastest.
void setIndices(Thread &thread, const LoopNest &nest, llvm::ArrayRef<int64_t> loops,
                mlir::Value linear, llvm::MutableArrayRef<mlir::Value> indices);

/// The operands of which neighbours in `loop` are read or written together.
llvm::SmallVector<mlir::Value> buffersAlong(const LoopNest &nest, int64_t loop);

/// Launches `body(thread, nest)` with the nest that `op` has on the device: what the host's nest
/// takes for loops and sizes, it does too.
void launchNest(Emission &emission, mlir::linalg::GenericOp op, const Grid &grid, int64_t threads,
                mlir::ValueRange operands,
                llvm::function_ref<void(Thread &, const LoopNest &, mlir::ValueRange more)> body,
                mlir::ValueRange more = {});

/// ElementwiseTranspose.cpp: emits a nest without reductions whose outputs are contiguous in one
/// loop and an input in another, if it is one.
bool emitTransposed(const LoopNest &nest, mlir::ValueRange operands, Emission &emission);

/// ElementwiseReduction.cpp: emits a nest whose outputs are combined by associative ops, if it is
/// one.
bool emitReduction(const LoopNest &nest, mlir::ValueRange operands, Emission &emission);

} // namespace quern::nvidia

#endif // QUERN_LIB_GPU_ELEMENTWISE_H
