//===- SeparateBuffers.cpp - Each kernel writes an empty tensor of its own --------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

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

namespace {

struct SeparateBuffers : quern::kernels::impl::SeparateBuffersBase<SeparateBuffers> {
  void runOnOperation() override {
    IRRewriter rewriter(&getContext());
    SmallVector<tensor::EmptyOp> empties;
    getOperation().walk([&](tensor::EmptyOp empty) { empties.push_back(empty); });
    for (tensor::EmptyOp empty : empties) {
      bool isFirst = true;
      for (OpOperand &use : llvm::make_early_inc_range(empty->getUses())) {
        auto inits = dyn_cast<DestinationStyleOpInterface>(use.getOwner());
        if (!inits || !inits.isDpsInit(&use))
          continue;
        if (!std::exchange(isFirst, false))
          ++numAdded;
        rewriter.setInsertionPoint(use.getOwner());
        Operation *own = rewriter.clone(*empty);
        rewriter.modifyOpInPlace(use.getOwner(), [&] { use.set(own->getResult(0)); });
      }
      if (empty->use_empty())
        rewriter.eraseOp(empty);
    }
  }
};

} // namespace
