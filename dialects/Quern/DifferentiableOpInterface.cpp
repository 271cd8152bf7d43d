//===- DifferentiableOpInterface.cpp - Sums of adjoints --------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "dialects/Quern/DifferentiableOpInterface.h"
#include "dialects/Quern/Quern.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace quern;

#include "dialects/Quern/DifferentiableOpInterface.cpp.inc"

Value quern::createFull(OpBuilder &b, Location loc, double value, Value like) {
  auto type = cast<RankedTensorType>(like.getType());
  if (type.getRank() == 0)
    return arith::ConstantOp::create(
        b, loc, DenseElementsAttr::get(type, b.getFloatAttr(type.getElementType(), value)));
  return FullOp::create(b, loc, b.getF64FloatAttr(value), like);
}

Value Adjoints::getOrZero(OpBuilder &b, Value value) const {
  if (Value sum = get(value))
    return sum;
  return createFull(b, value.getLoc(), 0, value);
}

bool Adjoints::isInBackwardLoop(OpOperand &use) const {
  if (!marker)
    return false;
  Operation *user = marker->getBlock()->findAncestorOpInBlock(*use.getOwner());
  return user && marker->isBeforeInBlock(user);
}

Value Adjoints::take(Value value) {
  auto it = sums.find(value);
  if (it == sums.end())
    return {};
  Value sum = it->second;
  sums.erase(it);
  return sum;
}

void Adjoints::add(OpBuilder &b, Value value, Value gradient) {
  if (!isActive(value) || !gradient)
    return;
  Value &sum = sums[value];
  sum = sum ? Value(arith::AddFOp::create(b, gradient.getLoc(), sum, gradient)) : gradient;
}
