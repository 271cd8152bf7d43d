//===- VectorBlock.cpp - Ops on numbers, written for vectors ----------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "VectorBlock.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/IRMapping.h"

using namespace mlir;

namespace quern::cpu {

void VectorBlock::set(Value inBlock, Value value) {
  (isa<VectorType>(value.getType()) ? varying : uniform)[inBlock] = value;
}

Value VectorBlock::broadcast(Value scalar) {
  return vector::BroadcastOp::create(emission.builder, emission.loc,
                                     VectorType::get({lanes}, scalar.getType()), scalar);
}

Operation *VectorBlock::writeUniform(Operation &op) {
  if (!llvm::all_of(op.getOperands(), [&](Value value) { return uniform.contains(value); }))
    return nullptr;
  IRMapping mapping;
  for (auto [value, known] : uniform) // also for what regions of the op use
    mapping.map(value, known);
  Operation *clone = emission.builder.clone(op, mapping);
  for (auto [inside, result] : llvm::zip(op.getResults(), clone->getResults()))
    uniform[inside] = result;
  return clone;
}

Value VectorBlock::vectorOf(Value inBlock, llvm::function_ref<Value(Value)> leaf) {
  if (Value known = uniform.lookup(inBlock))
    return broadcast(known);
  if (Value known = varying.lookup(inBlock))
    return known;
  if (Value given = leaf(inBlock))
    return varying[inBlock] = given;
  // The op itself, on vectors.
  Operation *scalar = inBlock.getDefiningOp();
  IRMapping mapping;
  for (Value operand : scalar->getOperands())
    mapping.map(operand, vectorOf(operand, leaf));
  Operation *clone = emission.builder.clone(*scalar, mapping);
  for (auto [inside, value] : llvm::zip(scalar->getResults(), clone->getResults())) {
    value.setType(VectorType::get({lanes}, value.getType()));
    varying[inside] = value;
  }
  return varying[inBlock];
}

SmallVector<Value> VectorBlock::vectorsOf(ValueRange inBlock,
                                          llvm::function_ref<Value(Value)> leaf) {
  auto kept = varying;
  SmallVector<Value> vectors;
  for (Value value : inBlock)
    vectors.push_back(vectorOf(value, leaf));
  varying = std::move(kept);
  return vectors;
}

} // namespace quern::cpu
