//===- ElementwiseBody.cpp - The body of a linalg.generic on vectors --------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "Elementwise.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

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

void Body::setRow(ArrayRef<Value> newIndices, ValueRange carried) {
  setIndices(newIndices);
  block.clear();
  Block *body = op.getBody();
  unsigned inputs = op.getNumDpsInputs();
  for (auto [argument, access] : llvm::zip(body->getArguments(), nest.accesses)) {
    if (argument.use_empty())
      continue;
    if (access.output && !carried.empty())
      block.set(argument, carried[argument.getArgNumber() - inputs]);
    else if (!isVector(access))
      block.set(argument, load(access, Value(), Value()));
  }
  for (Operation &inside : body->without_terminator()) {
    if (auto index = dyn_cast<linalg::IndexOp>(inside)) {
      int64_t loop = nest.loopOfDim[index.getDim()];
      if (loop != vectorLoop)
        block.set(index.getResult(), indices[loop]);
      continue;
    }
    Operation *clone = block.writeUniform(inside);
    if (clone)
      clone->walk([&](linalg::IndexOp index) {
        index.replaceAllUsesWith(indices[nest.loopOfDim[index.getDim()]]);
        index.erase();
      });
  }
}

SmallVector<Value> Body::valuesOf(ValueRange inBody, Value column, Value mask) {
  if (vectorLoop < 0) {
    SmallVector<Value> scalars;
    for (Value value : inBody)
      scalars.push_back(block.uniformOf(value));
    return scalars;
  }
  OpBuilder &b = emission.builder;
  return block.vectorsOf(inBody, [&](Value value) -> Value {
    if (auto argument = dyn_cast<BlockArgument>(value))
      return load(nest.accesses[argument.getArgNumber()], column, mask);
    auto index = value.getDefiningOp<linalg::IndexOp>();
    if (!index)
      return {};
    Value step =
        vector::StepOp::create(b, index.getLoc(), VectorType::get({lanes}, b.getIndexType()));
    return arith::AddIOp::create(b, index.getLoc(), block.broadcast(column), step);
  });
}

SmallVector<Value> Body::yield(Value column, Value mask) {
  return valuesOf(op.getBody()->getTerminator()->getOperands(), column, mask);
}

Value Body::term(Value inBody, Value column, Value mask) {
  return valuesOf(inBody, column, mask)[0];
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
