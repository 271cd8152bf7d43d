//===- MaskBfloat.cpp - Masked loads and stores of bf16 as those of integers ------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===-----------------------------------------------------------------------------------------===//

#include "quern/Target/Passes.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"

namespace quern::target {
#define GEN_PASS_DEF_MASKBFLOAT
#include "quern/Target/Passes.h.inc"
} // namespace quern::target

using namespace mlir;

namespace {

/// The vector of integers for a vector of bf16, null for other types.
Type integersFor(Type type) {
  auto vector = dyn_cast<VectorType>(type);
  if (!vector || !vector.getElementType().isBF16())
    return {};
  return vector.clone(IntegerType::get(type.getContext(), 16));
}

struct MaskBfloat : quern::target::impl::MaskBfloatBase<MaskBfloat> {
  void runOnOperation() override {
    getOperation()->walk([](Operation *op) {
      OpBuilder b(op);
      if (auto load = dyn_cast<LLVM::MaskedLoadOp>(op)) {
        Type type = integersFor(load.getType());
        if (!type)
          return;
        Value other = load.getPassThru();
        if (other)
          other = LLVM::BitcastOp::create(b, op->getLoc(), type, other);
        Value bits = LLVM::MaskedLoadOp::create(b, op->getLoc(), type, load.getData(),
                                                load.getMask(), other, load.getAlignmentAttr());
        op->replaceAllUsesWith(LLVM::BitcastOp::create(b, op->getLoc(), load.getType(), bits));
        op->erase();
      } else if (auto store = dyn_cast<LLVM::MaskedStoreOp>(op)) {
        Type type = integersFor(store.getValue().getType());
        if (!type)
          return;
        Value bits = LLVM::BitcastOp::create(b, op->getLoc(), type, store.getValue());
        LLVM::MaskedStoreOp::create(b, op->getLoc(), bits, store.getData(), store.getMask(),
                                    store.getAlignmentAttr());
        op->erase();
      }
    });
  }
};

} // namespace
