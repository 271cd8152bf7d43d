//===- ElementwiseBody.cpp - The body of a linalg.generic on vectors --------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "Elementwise.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/IRMapping.h"

using namespace mlir;

namespace quern::cpu {

SmallVector<Value> Body::indicesOf(const Access &access, Value column) const {
  SmallVector<Value> at;
  for (int64_t loop : access.loops)
    at.push_back(loop < 0                       ? emission.index(0)
                 : loop == vectorLoop && column ? column
                                                : indices[loop]);
  return at;
}

Value Body::load(const Access &access, Value column, Value mask) {
  OpBuilder &b = emission.builder;
  if (!isa<MemRefType>(access.memref.getType()))
    return access.memref;
  SmallVector<Value> at = indicesOf(access, column);
  if (!isVector(access))
    return memref::LoadOp::create(b, emission.loc, access.memref, at);
  auto type = VectorType::get({lanes}, access.element());
  if (!mask)
    return vector::LoadOp::create(b, emission.loc, type, access.memref, at);
  Value zero = arith::ConstantOp::create(b, emission.loc, b.getZeroAttr(type));
  return vector::MaskedLoadOp::create(b, emission.loc, type, access.memref, at, mask, zero);
}

Value Body::broadcast(Value scalar) {
  return vector::BroadcastOp::create(emission.builder, emission.loc,
                                     VectorType::get({lanes}, scalar.getType()), scalar);
}

void Body::setRow(ArrayRef<Value> newIndices, ValueRange carried) {
  setIndices(newIndices);
  uniform.clear();
  varying.clear();
  Block *block = op.getBody();
  unsigned inputs = op.getNumDpsInputs();
  for (auto [argument, access] : llvm::zip(block->getArguments(), nest.accesses)) {
    if (argument.use_empty())
      continue;
    if (access.output && !carried.empty()) {
      Value value = carried[argument.getArgNumber() - inputs];
      (isa<VectorType>(value.getType()) ? varying : uniform)[argument] = value;
    } else if (!isVector(access)) {
      uniform[argument] = load(access, Value(), Value());
    }
  }
  for (Operation &inside : block->without_terminator()) {
    if (auto index = dyn_cast<linalg::IndexOp>(inside)) {
      int64_t loop = nest.loopOfDim[index.getDim()];
      if (loop != vectorLoop)
        uniform[index.getResult()] = indices[loop];
      continue;
    }
    if (!llvm::all_of(inside.getOperands(), [&](Value value) { return uniform.contains(value); }))
      continue;
    IRMapping mapping;
    for (auto [value, known] : uniform)
      mapping.map(value, known);
    Operation *clone = emission.builder.clone(inside, mapping);
    clone->walk([&](linalg::IndexOp index) {
      index.replaceAllUsesWith(indices[nest.loopOfDim[index.getDim()]]);
      index.erase();
    });
    for (auto [value, result] : llvm::zip(inside.getResults(), clone->getResults()))
      uniform[value] = result;
  }
}

Value Body::valueOf(Value inBody, Value column, Value mask) {
  if (auto known = uniform.lookup(inBody))
    return vectorLoop < 0 ? known : broadcast(known);
  if (auto known = varying.lookup(inBody))
    return known;
  OpBuilder &b = emission.builder;
  Value result;
  if (auto argument = dyn_cast<BlockArgument>(inBody)) {
    result = load(nest.accesses[argument.getArgNumber()], column, mask);
  } else if (auto index = inBody.getDefiningOp<linalg::IndexOp>()) {
    auto type = VectorType::get({lanes}, b.getIndexType());
    Value step = vector::StepOp::create(b, index.getLoc(), type);
    result = arith::AddIOp::create(b, index.getLoc(), broadcast(column), step);
  } else {
    // The op itself, on vectors.
    Operation *scalar = inBody.getDefiningOp();
    IRMapping mapping;
    for (Value operand : scalar->getOperands())
      mapping.map(operand, valueOf(operand, column, mask));
    Operation *clone = b.clone(*scalar, mapping);
    for (auto [inside, value] : llvm::zip(scalar->getResults(), clone->getResults())) {
      value.setType(VectorType::get({lanes}, value.getType()));
      varying[inside] = value;
    }
    return varying[inBody];
  }
  varying[inBody] = result;
  return result;
}

SmallVector<Value> Body::yield(Value column, Value mask) {
  // What an earlier call wrote may be inside of a loop that has ended.
  auto kept = varying;
  SmallVector<Value> values;
  for (Value value : op.getBody()->getTerminator()->getOperands())
    values.push_back(valueOf(value, column, mask));
  varying = std::move(kept);
  return values;
}

Value Body::term(Value inBody, Value column, Value mask) {
  auto kept = varying;
  Value value = valueOf(inBody, column, mask);
  varying = std::move(kept);
  return value;
}

Value Body::loadOutput(unsigned number, Value column, Value mask) {
  return load(nest.accesses[op.getNumDpsInputs() + number], column, mask);
}

void Body::store(ValueRange values, Value column, Value mask) {
  OpBuilder &b = emission.builder;
  for (auto [number, value] : llvm::enumerate(values)) {
    const Access &access = nest.accesses[op.getNumDpsInputs() + number];
    SmallVector<Value> at = indicesOf(access, column);
    if (!isVector(access))
      memref::StoreOp::create(b, emission.loc, value, access.memref, at);
    else if (mask)
      vector::MaskedStoreOp::create(b, emission.loc, access.memref, at, mask, value);
    else
      vector::StoreOp::create(b, emission.loc, value, access.memref, at);
  }
}

} // namespace quern::cpu
