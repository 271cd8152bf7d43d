//===- Gradient.cpp - Reverse mode on programs ------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "Gradient.h"
#include "DeriveDimensions.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

using namespace mlir;
using namespace quern;
using namespace quern::model;

static bool isFloatTensor(Value value) {
  auto type = dyn_cast<RankedTensorType>(value.getType());
  return type && isa<FloatType>(type.getElementType());
}

void Differentiator::findActive(Block &block) {
  for (Operation &op : block.without_terminator()) {
    if (auto scan = dyn_cast<ScanOp>(op)) {
      for (auto [argument, operand] :
           llvm::zip(scan.getBody().front().getArguments(), scan.getOperands()))
        if (active.contains(operand) && isFloatTensor(operand))
          active.insert(argument);
      // What is carried around depends on what the layer before has made of it.
      for (bool changed = true; changed;) {
        changed = false;
        findActive(scan.getBody().front());
        for (auto [argument, value] :
             llvm::zip(scan.getCarriedArguments(), scan.getYield().getOperands()))
          if (active.contains(value))
            changed |= active.insert(argument).second;
      }
      for (auto [i, value] : llvm::enumerate(scan.getYield().getOperands()))
        if (active.contains(value) ||
            (i < scan.getNumCarried() && active.contains(scan.getCarriedArguments()[i])))
          active.insert(scan.getResult(i));
      continue;
    }
    bool depends = llvm::any_of(op.getOpOperands(), [&](OpOperand &operand) {
      return active.contains(operand.get()) && !readsOnlyShape(operand);
    });
    if (!depends && op.getNumRegions())
      op.walk([&](Operation *nested) {
        depends |= llvm::any_of(nested->getOperands(),
                                [&](Value operand) { return active.contains(operand); });
      });
    if (depends)
      for (Value result : op.getResults())
        if (isFloatTensor(result))
          active.insert(result);
  }
}

LogicalResult Differentiator::reverse(ArrayRef<Operation *> ops, OpBuilder &b, Adjoints &adjoints) {
  for (Operation *op : llvm::reverse(ops)) {
    if (llvm::none_of(op->getResults(), [&](Value result) { return adjoints.get(result); }))
      continue;
    if (auto scan = dyn_cast<ScanOp>(op)) {
      if (failed(reverseScan(scan, b, adjoints)))
        return failure();
      continue;
    }
    auto differentiable = dyn_cast<DifferentiableOpInterface>(op);
    if (!differentiable)
      return op->emitError("'") << op->getName()
                                << "' has no gradient rule, and the loss depends on parameters "
                                   "through it; write it with ops that have one";
    if (failed(differentiable.buildGradient(b, adjoints)))
      return failure();
  }
  return success();
}

void model::eraseDeadOps(Region &region) {
  for (Block &block : region)
    for (Operation &op : llvm::make_early_inc_range(llvm::reverse(block))) {
      if (isOpTriviallyDead(&op)) {
        op.erase();
        continue;
      }
      for (Region &nested : op.getRegions())
        eraseDeadOps(nested);
    }
}

LogicalResult Differentiator::run(Value loss, ValueRange wanted,
                                  SmallVectorImpl<Value> &gradients) {
  Block &body = program.getBody().front();
  for (Value value : wanted)
    active.insert(value);
  findActive(body);

  SmallVector<Operation *> ops;
  for (Operation &op : body.without_terminator())
    ops.push_back(&op);
  OpBuilder b(body.getTerminator());
  Adjoints adjoints(active);
  auto type = cast<RankedTensorType>(loss.getType());
  Value one = arith::ConstantOp::create(
      b, loss.getLoc(), DenseElementsAttr::get(type, b.getFloatAttr(type.getElementType(), 1)));
  adjoints.add(b, loss, one);
  if (failed(reverse(ops, b, adjoints)))
    return failure();
  for (Value value : wanted)
    gradients.push_back(adjoints.getOrZero(b, value));
  return success();
}
