//===- Turns.h - Which kernels wait for those before them ------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
///
/// \file
/// All threads run the kernels of a program in the same order, each its part of every one. A kernel
/// that touches nothing that the kernels before it write, and writes nothing that they touch, may
/// start while other threads still work on those: products of one activation, the two gradients of
/// a product. All others need a barrier before them, but for two cases. What a thread has a copy of
/// (OwnCopies.h) is nobody else's. And two products of one shape with few rows divide their columns
/// alike, so that the second may read what the first left at its own columns: SwiGLU's gate.
///
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_LIB_CPU_TURNS_H
#define QUERN_LIB_CPU_TURNS_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/STLFunctionalExtras.h"

namespace quern::cpu {

class OwnCopies;

/// Memory that a kernel touches: what it is a view of, and the part of the arena when it is there
/// (`quern.place` of PlanArena).
struct Access {
  mlir::Value memref;
  mlir::Operation *op; ///< the kernel
  mlir::Value root;    ///< null: any memory
  bool hasPlace = false;
  int64_t region = 0, begin = 0, end = 0; ///< bytes times the factor of the region
  bool writes = false;

  Access(mlir::Value memref, mlir::Operation *op, bool writes);
  /// Whether the order of the two matters.
  bool conflictsWith(const Access &other) const;
};

class Turns {
public:
  /// How much shared scratch memory a kernel needs.
  using ScratchBytes = llvm::function_ref<int64_t(mlir::Operation *kernel)>;

  /// Kernels that do not wait for each other must not share scratch memory. `few`: copies of
  /// dynamic size are the threads' own.
  Turns(mlir::func::FuncOp program, ScratchBytes scratchBytes, const OwnCopies &copies, bool few);

  /// The ops before which all threads wait for each other, in program order: kernels, loads, ends
  /// of loops.
  llvm::ArrayRef<mlir::Operation *> barriers() const { return waiting; }
  /// Where the scratch memory of a kernel starts.
  int64_t scratchStart(mlir::Operation *kernel) const { return starts.lookup(kernel); }
  /// Bytes that all of them need.
  int64_t scratchBytes() const { return mostScratch; }

private:
  void visit(mlir::Block &block, ScratchBytes scratchBytes);
  void visitKernel(mlir::Operation *kernel, int64_t scratchBytes);
  /// A barrier before `op`, unless nothing is pending.
  void wait(mlir::Operation *op);
  /// Whether whichever thread makes the one access makes the other, to the same elements.
  bool isSameThread(const Access &before, const Access &after) const;

  const OwnCopies &copies;
  bool few;
  llvm::SmallVector<mlir::Operation *> waiting;
  llvm::DenseMap<mlir::Operation *, int64_t> starts;
  int64_t mostScratch = 0;
  // Of the kernels since the last barrier.
  llvm::SmallVector<Access> pending;
  int64_t pendingScratch = 0;
};

} // namespace quern::cpu

#endif // QUERN_LIB_CPU_TURNS_H
