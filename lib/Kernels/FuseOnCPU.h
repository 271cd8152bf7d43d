//===- FuseOnCPU.h - Fusions of programs that are not for a GPU -------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_LIB_KERNELS_FUSEONCPU_H
#define QUERN_LIB_KERNELS_FUSEONCPU_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/PatternMatch.h"

namespace quern::kernels {

/// Calls `fuse(op, rewriter)` for each `Op` that the programs of `module` have now, but for
/// programs for a GPU; it may erase that op. Returns how often it said that it fused.
template <typename Op>
int64_t fuseOnCPU(mlir::ModuleOp module,
                  llvm::function_ref<bool(Op op, mlir::IRRewriter &rewriter)> fuse) {
  mlir::IRRewriter rewriter(module.getContext());
  int64_t fused = 0;
  for (auto program : module.getOps<mlir::func::FuncOp>()) {
    if (program->hasAttr("quern.target")) // of a GPU
      continue;
    llvm::SmallVector<Op> ops;
    program.walk([&](Op op) { ops.push_back(op); });
    for (Op op : ops)
      fused += fuse(op, rewriter);
  }
  return fused;
}

} // namespace quern::kernels

#endif // QUERN_LIB_KERNELS_FUSEONCPU_H
