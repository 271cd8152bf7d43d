//===- FuseUpdates.cpp - Updates in the epilogue of their gradient's product ------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "FuseOnCPU.h"
#include "dialects/Kernel/Kernel.h"
#include "quern/Kernels/Passes.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"

namespace quern::kernels {
#define GEN_PASS_DEF_FUSEUPDATES
#include "quern/Kernels/Passes.h.inc"
} // namespace quern::kernels

using namespace mlir;
using namespace quern;

namespace {

/// The product that is the gradient of a single update and nothing else, or null.
kernel::GemmOp gradientProduct(kernel::AdamWOp update) {
  if (update->getNumResults() != 3 || update.getGradients().size() != 1 || update.getScale())
    return {};
  auto product = update.getGradients()[0].getDefiningOp<kernel::GemmOp>();
  if (!product || !product->hasOneUse() || product->getBlock() != update->getBlock() ||
      !product.getTransposeA() || product.getAccumulate() || product.getBias() ||
      product.getResidual() || product.getOutputs().size() != 1 ||
      product.getActivation() != kernel::Activation::None || product.hasRegion())
    return {};
  Type element = getElementTypeOrSelf(product->getResult(0));
  bool oneType = llvm::all_of(
      update.getOutputs(), [&](Value output) { return getElementTypeOrSelf(output) == element; });
  return oneType && (element.isF32() || element.isF64()) ? product : kernel::GemmOp();
}

/// The slice of the memory that `value` is, or `value` itself.
Value memoryOf(Value value) {
  auto slice = value.getDefiningOp<tensor::ExtractSliceOp>();
  return slice ? slice.getSource() : value;
}

/// The last op of the block that reads the memory of `value`, through views as well, before it is
/// written; `update` and what inserts its results left out.
Operation *lastReader(Value value, kernel::AdamWOp update) {
  Block *block = update->getBlock();
  Operation *last = nullptr;
  SmallVector<Value> views{memoryOf(value)};
  while (!views.empty()) {
    Value view = views.pop_back_val();
    for (OpOperand &use : view.getUses()) {
      Operation *user = use.getOwner();
      auto insertion = dyn_cast<tensor::InsertSliceOp>(user);
      if (user == update || (insertion && insertion.getDest() == view))
        continue;
      if (isa<tensor::ExtractSliceOp, tensor::ExpandShapeOp, tensor::CollapseShapeOp,
              tensor::CastOp>(user)) {
        views.push_back(user->getResult(0));
        continue;
      }
      Operation *reader = block->findAncestorOpInBlock(*user);
      if (reader && (!last || last->isBeforeInBlock(reader)))
        last = reader;
    }
  }
  return last;
}

/// Whether all operands of `op`, but for those that `ready` accepts, exist after `place`.
bool dominate(Operation *op, Operation *place, llvm::function_ref<bool(Operation *)> ready) {
  return llvm::all_of(op->getOperands(), [&](Value operand) {
    Operation *definition = operand.getDefiningOp();
    return !definition || definition->getBlock() != place->getBlock() || definition == place ||
           definition->isBeforeInBlock(place) || ready(definition);
  });
}

bool fuse(kernel::AdamWOp update, IRRewriter &rewriter) {
  kernel::GemmOp product = gradientProduct(update);
  if (!product)
    return false;
  // In place, the update comes after the last reader of what it overwrites, and no later: what the
  // product multiplies is then free.
  Operation *place = product;
  for (Value output : update.getOutputs())
    if (Operation *reader = lastReader(output, update); reader && place->isBeforeInBlock(reader))
      place = reader;
  if (!place->isBeforeInBlock(update))
    return false;
  SmallVector<Operation *> slices; // that come too late
  for (Value output : update.getOutputs())
    if (Operation *slice = output.getDefiningOp<tensor::ExtractSliceOp>();
        slice && slice->getBlock() == place->getBlock() && place->isBeforeInBlock(slice)) {
      if (!dominate(slice, place, [](Operation *) { return false; }))
        return false;
      slices.push_back(slice);
    }
  if (!dominate(update, place, [&](Operation *op) { return llvm::is_contained(slices, op); }))
    return false;
  rewriter.setInsertionPointAfter(place);
  for (Operation *slice : slices)
    rewriter.moveOpBefore(slice, rewriter.getInsertionBlock(), rewriter.getInsertionPoint());
  auto fused = kernel::GemmAdamWOp::create(
      rewriter, rewriter.getFusedLoc({product.getLoc(), update.getLoc()}),
      TypeRange(update.getOutputs()), product.getA(), product.getB(), update.getLearningRate(),
      update.getBeta1(), update.getBeta2(), update.getEpsilon(), update.getStep(),
      update.getWeightDecays()[0], update.getOutputs());
  rewriter.replaceOp(update, fused->getResults());
  rewriter.eraseOp(product);
  return true;
}

struct FuseUpdates : quern::kernels::impl::FuseUpdatesBase<FuseUpdates> {
  void runOnOperation() override {
    numFused += kernels::fuseOnCPU<kernel::AdamWOp>(getOperation(), fuse);
  }
};

} // namespace
