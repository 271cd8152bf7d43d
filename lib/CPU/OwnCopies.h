//===- OwnCopies.h - Buffers of which each thread has a copy ---------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
///
/// \file
/// What `quern-per-thread-buffers` marked: views of the arena with `quern.per_thread = R`. A view
/// of static size is always a thread's own; one with a dynamic size where that is R or less, which
/// is found out when a program is called. Otherwise all threads share the place in the arena.
///
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_LIB_CPU_OWNCOPIES_H
#define QUERN_LIB_CPU_OWNCOPIES_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/IR/PatternMatch.h"

#include <optional>

namespace quern::cpu {

class OwnCopies {
public:
  explicit OwnCopies(mlir::func::FuncOp body);

  /// Whether a thread has its own copy of what `memref` is a view of; `few`: dynamic sizes are.
  bool isOwn(mlir::Value memref, bool few) const;

  /// The product of the leading sizes of `memref`, or the largest number where it may be more than
  /// R; `few` as above.
  int64_t rowsOf(mlir::Value memref, bool few) const;

  /// How threads share a kernel: not, where its first output is a copy of each of them.
  enum class Share { Units, Whole, WholeIfFew };
  Share shareOf(mlir::Operation *kernel) const;

  /// i1: whether copies of dynamic size are the threads' own; null where there are none.
  mlir::Value few(mlir::OpBuilder &builder);

  /// Replaces the views by the copies, on the stack of each thread.
  void makeCopies(mlir::RewriterBase &rewriter);

private:
  mlir::memref::ViewOp copyOf(mlir::Value memref) const;

  mlir::func::FuncOp body;
  llvm::SmallVector<mlir::memref::ViewOp> views;
  mlir::Value size;     ///< the dynamic one; null: none
  int64_t mostRows = 0; ///< of views of dynamic size
  mlir::Value condition;
};

} // namespace quern::cpu

#endif // QUERN_LIB_CPU_OWNCOPIES_H
