//===- GemmRegion.cpp - The region of a matrix product on vectors -----------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "Gemm.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;

namespace quern::cpu {

EpilogueRegion::EpilogueRegion(Emission &e, kernel::GemmOp op, kernel::GemmOp::Adaptor in,
                               int64_t lanes)
    : block(&op.getEpilogue().front()), values(e, lanes) {
  for (Value output : in.getOutputs())
    outputs.emplace_back(e, output);
  for (auto [extra, argument] : llvm::zip(in.getExtras(), block->getArguments().drop_front())) {
    int64_t rank = cast<MemRefType>(extra.getType()).getRank();
    Operand &operand = operands.emplace_back();
    if (rank == 0)
      values.set(argument,
                 converted(e, argument.getType(),
                           memref::LoadOp::create(e.builder, e.loc, extra, ValueRange())));
    else if (rank == cast<MemRefType>(in.getOutputs()[0].getType()).getRank())
      operand.matrix = Matrix(e, extra);
    else
      operand.vector = Matrix(e, extra).flat;
  }
  for (Operation &inside : block->without_terminator())
    values.writeUniform(inside);
}

SmallVector<const Matrix *> EpilogueRegion::matrices() const {
  SmallVector<const Matrix *> found;
  for (const Operand &operand : operands)
    if (operand.matrix)
      found.push_back(&*operand.matrix);
  return found;
}

void EpilogueRegion::store(Emission &e, Value value, Value row, Value column, Value mask) const {
  auto type = cast<VectorType>(value.getType());
  VectorBlock lanes = values;
  lanes.set(block->getArgument(0), value);
  auto load = [&](Value inBlock) -> Value {
    auto argument = dyn_cast<BlockArgument>(inBlock);
    if (!argument)
      return {};
    const Operand &operand = operands[argument.getArgNumber() - 1];
    Value memory = operand.matrix ? operand.matrix->flat : operand.vector;
    Value position = operand.matrix ? add(e, operand.matrix->position(e, row), column) : column;
    return cpu::load(e, type.clone(argument.getType()), memory, position, mask);
  };
  // All is read before anything is written: an output may lie where an operand does.
  SmallVector<Value> yielded = lanes.vectorsOf(block->getTerminator()->getOperands(), load);
  for (auto [output, result] : llvm::zip(outputs, yielded))
    cpu::store(e, result, output.flat, add(e, output.position(e, row), column), mask);
}

} // namespace quern::cpu
