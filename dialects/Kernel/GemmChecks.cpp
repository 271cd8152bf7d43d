//===- GemmChecks.cpp - Shapes of matrix products -------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "Checks.h"
#include "dialects/Kernel/Kernel.h"

using namespace mlir;
using namespace quern::kernel;

LogicalResult GemmOp::verify() {
  if (!hasRegion() && failed(outputsBetween(*this, getOutputs(), 1, 2)))
    return failure();
  if (hasRegion() && getOutputs().empty())
    return emitOpError("takes an output or more");
  if (shaped(getA()).getRank() < 2 || shaped(getB()).getRank() < 2)
    return emitOpError("multiplies tensors of rank 2 or more");
  if (getTransposeA() && getTransposeB())
    return emitOpError("takes one transpose at most");
  if (!getTransposeA() && shaped(getB()).getRank() != 2)
    return emitOpError("B has rank ") << shaped(getB()).getRank() << ", not 2";
  if (getAccumulate() && (getBias() || getResidual() || getOutputs().size() > 1 ||
                          getActivation() != Activation::None || hasRegion()))
    return emitOpError("accumulate excludes the other epilogues");
  if (getPanelsB() && getTransposeA())
    return emitOpError("panels_b excludes transpose_a");
  if (getPanelsC() && (!getTransposeA() || getBias() || getResidual() || getOutputs().size() > 1 ||
                       getActivation() != Activation::None || hasRegion()))
    return emitOpError("panels_c needs transpose_a and excludes epilogues other than accumulate");
  ArrayRef<int64_t> b = shaped(getB()).getShape();
  int64_t columns = getTransposeB() ? b[0] : b.back();
  int64_t depth = getTransposeB() ? b[1] : b[0];
  if (!getTransposeA() && differ(lastDim(getA()), depth))
    return emitOpError("A has ") << lastDim(getA()) << " columns and B a depth of " << depth;
  for (Value output : getOutputs())
    if (failed(rankAtLeast(*this, output, 1, "an output")))
      return failure();
  for (Value output : getOutputs())
    if (differ(lastDim(output), columns))
      return emitOpError("an output has ") << lastDim(output) << " columns and B " << columns;
  if (getBias() &&
      (failed(rankIs(*this, getBias(), 1, "bias")) || differ(lastDim(getBias()), columns)))
    return emitOpError("bias ") << getBias().getType() << " does not have " << columns
                                << " elements";
  if (getTransposeA() && (shaped(getOutputs()[0]).getRank() != 2 ||
                          differ(lastDim(getA()), shaped(getOutputs()[0]).getDimSize(0))))
    return emitOpError("output ") << getOutputs()[0].getType()
                                  << " does not fit a transposed A of type " << getA().getType();
  if (getResidual() &&
      failed(sameShape(*this, getResidual(), getOutputs()[0], "residual and output")))
    return failure();
  return verifyEpilogue();
}

LogicalResult BatchGemmOp::verify() {
  int64_t rank = shaped(getA()).getRank();
  if (failed(outputsBetween(*this, getOutputs(), 1, 1)))
    return failure();
  Value c = getOutputs()[0];
  if (rank < 3 || shaped(getB()).getRank() != rank || shaped(c).getRank() != rank)
    return emitOpError("takes A, B and one output of equal rank, 3 or more");
  auto sizes = [&](Value value, bool transposed) {
    ArrayRef<int64_t> shape = shaped(value).getShape().take_back(2);
    return transposed ? std::pair(shape[1], shape[0]) : std::pair(shape[0], shape[1]);
  };
  auto [rows, depth] = sizes(getA(), getTransposeA());
  auto [depthB, columns] = sizes(getB(), getTransposeB());
  auto [rowsC, columnsC] = sizes(c, false);
  auto leading = [](Value value) { return shaped(value).getShape().drop_back(2); };
  if (differ(depth, depthB) || differ(rows, rowsC) || differ(columns, columnsC) ||
      failed(verifyCompatibleShape(leading(getA()), leading(getB()))) ||
      failed(verifyCompatibleShape(leading(getA()), leading(c))))
    return emitOpError("A, B and C do not fit: ")
           << getA().getType() << ", " << getB().getType() << ", " << c.getType();
  return success();
}
