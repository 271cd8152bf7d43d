//===- IntegerBfloat.cpp - Loads and stores of bf16 as those of integers ----------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===-----------------------------------------------------------------------------------------===//

#include "quern/Target/Passes.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/TypeUtilities.h"

namespace quern::target {
#define GEN_PASS_DEF_INTEGERBFLOAT
#include "quern/Target/Passes.h.inc"
} // namespace quern::target

using namespace mlir;

namespace {

/// The integer for a bf16, or their vector for a vector of bf16; null for other types.
Type integersFor(Type type) {
  if (!getElementTypeOrSelf(type).isBF16())
    return {};
  Type integer = IntegerType::get(type.getContext(), 16);
  auto vector = dyn_cast<VectorType>(type);
  return vector ? Type(vector.clone(integer)) : integer;
}

void useIntegers(OpOperand &operand) {
  Type type = integersFor(operand.get().getType());
  if (!type)
    return;
  OpBuilder b(operand.getOwner());
  operand.set(LLVM::BitcastOp::create(b, operand.getOwner()->getLoc(), type, operand.get()));
}

struct IntegerBfloat : quern::target::impl::IntegerBfloatBase<IntegerBfloat> {
  void runOnOperation() override {
    SmallVector<Operation *> accesses;
    // Code of other targets lies in modules of its own.
    getOperation()->walk<WalkOrder::PreOrder>([&](Operation *op) {
      if (op != getOperation() && op->hasTrait<OpTrait::SymbolTable>())
        return WalkResult::skip();
      if (isa<LLVM::LoadOp, LLVM::StoreOp, LLVM::MaskedLoadOp, LLVM::MaskedStoreOp>(op))
        accesses.push_back(op);
      return WalkResult::advance();
    });
    for (Operation *op : accesses) {
      for (OpOperand &operand : op->getOpOperands())
        useIntegers(operand);
      for (Value result : op->getResults())
        if (Type type = integersFor(result.getType())) {
          Type stored = result.getType();
          result.setType(type);
          OpBuilder b(op->getContext());
          b.setInsertionPointAfter(op);
          auto cast = LLVM::BitcastOp::create(b, op->getLoc(), stored, result);
          result.replaceAllUsesExcept(cast, cast);
        }
    }
  }
};

} // namespace
