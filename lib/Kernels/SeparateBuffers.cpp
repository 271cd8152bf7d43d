//===- SeparateBuffers.cpp - Each kernel writes an empty tensor of its own --------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "SeparateBuffers.h"
#include "quern/Kernels/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/Interfaces/DestinationStyleOpInterface.h"

namespace quern::kernels {
#define GEN_PASS_DEF_SEPARATEBUFFERS
#include "quern/Kernels/Passes.h.inc"
} // namespace quern::kernels

using namespace mlir;

int64_t quern::kernels::separateEmpties(Operation *root,
                                        llvm::function_ref<Operation *(OpOperand &use)> place) {
  IRRewriter rewriter(root->getContext());
  SmallVector<tensor::EmptyOp> empties;
  root->walk([&](tensor::EmptyOp empty) { empties.push_back(empty); });
  int64_t added = 0;
  for (tensor::EmptyOp empty : empties) {
    for (OpOperand &use : llvm::make_early_inc_range(empty->getUses())) {
      Operation *before = place(use);
      if (!before)
        continue;
      rewriter.setInsertionPoint(before);
      Operation *own = rewriter.clone(*empty);
      rewriter.modifyOpInPlace(use.getOwner(), [&] { use.set(own->getResult(0)); });
      ++added;
    }
    if (empty->use_empty()) {
      rewriter.eraseOp(empty);
      --added;
    }
  }
  return added;
}

namespace {

struct SeparateBuffers : quern::kernels::impl::SeparateBuffersBase<SeparateBuffers> {
  void runOnOperation() override {
    numAdded += quern::kernels::separateEmpties(getOperation(), [](OpOperand &use) {
      auto kernel = dyn_cast<DestinationStyleOpInterface>(use.getOwner());
      return kernel && kernel.isDpsInit(&use) ? use.getOwner() : nullptr;
    });
  }
};

} // namespace
