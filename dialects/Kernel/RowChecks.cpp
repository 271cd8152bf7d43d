//===- RowChecks.cpp - Shapes of kernels that work row by row -------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "Checks.h"
#include "dialects/Kernel/Kernel.h"

using namespace mlir;
using namespace quern::kernel;

LogicalResult NormOp::verify() {
  if (failed(outputsBetween(*this, getOutputs(), getResidual() ? 2 : 1, getResidual() ? 2 : 1)))
    return failure();
  if (getKind() == NormKind::Rms && getBias())
    return emitOpError("an RMS norm has no bias");
  if (failed(rankAtLeast(*this, getX(), 1, "x")) ||
      failed(vectorFits(*this, getWeight(), getX(), "weight")) ||
      failed(vectorFits(*this, getBias(), getX(), "bias")) ||
      (getResidual() && failed(sameShape(*this, getX(), getResidual(), "x and residual"))))
    return failure();
  for (Value output : getOutputs())
    if (failed(sameShape(*this, getX(), output, "x and an output")))
      return failure();
  return success();
}

LogicalResult NormBackwardOp::verify() {
  if (failed(outputsBetween(*this, getOutputs(), 1, getKind() == NormKind::Rms ? 2 : 3)) ||
      failed(sameShape(*this, getX(), getGradient(), "x and dY")) ||
      failed(sameShape(*this, getX(), getOutputs()[0], "x and dX")) ||
      failed(rankAtLeast(*this, getX(), 1, "x")) ||
      failed(vectorFits(*this, getWeight(), getX(), "weight")) ||
      (getAddend() && failed(sameShape(*this, getX(), getAddend(), "x and addend"))))
    return failure();
  for (Value output : getOutputs().drop_front())
    if (failed(vectorFits(*this, output, getX(), "a gradient")))
      return failure();
  return success();
}

LogicalResult SoftmaxOp::verify() {
  if (failed(outputsBetween(*this, getOutputs(), 1, 1)) ||
      failed(rankAtLeast(*this, getX(), 1, "x")))
    return failure();
  return sameShape(*this, getX(), getOutputs()[0], "x and y");
}

LogicalResult SoftmaxBackwardOp::verify() {
  if (failed(outputsBetween(*this, getOutputs(), 1, 1)) ||
      failed(rankAtLeast(*this, getY(), 1, "y")) ||
      failed(sameShape(*this, getY(), getGradient(), "y and dY")))
    return failure();
  return sameShape(*this, getY(), getOutputs()[0], "y and dX");
}

LogicalResult EmbeddingOp::verify() {
  if (failed(outputsBetween(*this, getOutputs(), 1, 1)) ||
      failed(rankIs(*this, getTable(), 2, "the table")) ||
      failed(rankIs(*this, getTokens(), 2, "tokens")) ||
      failed(scalarFits(*this, getOffset(), "offset")) ||
      (getPositions() && failed(rankIs(*this, getPositions(), 2, "the position table"))) ||
      failed(rankIs(*this, getOutputs()[0], 3, "the result")))
    return failure();
  for (Value table : {getTable(), getPositions()})
    if (table && differ(lastDim(table), lastDim(getOutputs()[0])))
      return emitOpError("a table ")
             << table.getType() << " does not have the width of " << getOutputs()[0].getType();
  return success();
}

LogicalResult PositionEmbeddingOp::verify() {
  if (failed(outputsBetween(*this, getOutputs(), 1, 1)) ||
      failed(rankIs(*this, getTable(), 2, "the table")) ||
      failed(scalarFits(*this, getOffset(), "offset")))
    return failure();
  return rankIs(*this, getOutputs()[0], 3, "the result");
}

LogicalResult EmbeddingBackwardOp::verify() {
  if (failed(outputsBetween(*this, getOutputs(), 1, 1)) ||
      failed(rankIs(*this, getGradient(), 3, "dY")))
    return failure();
  return rankIs(*this, getOutputs()[0], 2, "the table's gradient");
}

LogicalResult PositionEmbeddingBackwardOp::verify() {
  if (failed(outputsBetween(*this, getOutputs(), 1, 1)) ||
      failed(rankIs(*this, getGradient(), 3, "dY")))
    return failure();
  return rankIs(*this, getOutputs()[0], 2, "the table's gradient");
}

LogicalResult CountTargetsOp::verify() {
  if (failed(outputsBetween(*this, getOutputs(), 1, 1)))
    return failure();
  return rankIs(*this, getOutputs()[0], 0, "the count");
}

LogicalResult CrossEntropyOp::verify() {
  if (failed(outputsBetween(*this, getOutputs(), 1, 1)) ||
      failed(rankAtLeast(*this, getLogits(), 1, "logits")) ||
      failed(scalarFits(*this, getCount(), "count")))
    return failure();
  if (failed(verifyCompatibleShape(shaped(getLogits()).getShape().drop_back(),
                                   shaped(getTargets()).getShape())))
    return emitOpError("targets ")
           << getTargets().getType() << " do not fit logits " << getLogits().getType();
  return rankIs(*this, getOutputs()[0], 0, "the loss");
}

LogicalResult CrossEntropyGradientOp::verify() {
  if (failed(outputsBetween(*this, getOutputs(), 2, 2)) ||
      failed(rankAtLeast(*this, getOutputs()[1], 1, "logits")) ||
      failed(scalarFits(*this, getCount(), "count")) ||
      failed(scalarFits(*this, getSeed(), "seed")))
    return failure();
  if (failed(verifyCompatibleShape(shaped(getOutputs()[1]).getShape().drop_back(),
                                   shaped(getTargets()).getShape())))
    return emitOpError("targets ")
           << getTargets().getType() << " do not fit logits " << getOutputs()[1].getType();
  return rankIs(*this, getOutputs()[0], 0, "the loss");
}

LogicalResult SumRowsOp::verify() {
  if (failed(outputsBetween(*this, getOutputs(), 1, 1)) ||
      failed(rankAtLeast(*this, getX(), 1, "x")))
    return failure();
  return vectorFits(*this, getOutputs()[0], getX(), "the sum");
}

LogicalResult SampleOp::verify() {
  if (failed(outputsBetween(*this, getOutputs(), 2, 2)) ||
      failed(rankAtLeast(*this, getLogits(), 1, "logits")))
    return failure();
  if (ShapedType::isDynamic(lastDim(getLogits())))
    return emitOpError("needs a static vocabulary, the last dimension of ")
           << getLogits().getType();
  for (Value option : {getTemperature(), getTopK(), getTopP(), getSeed(), getIndex()})
    if (failed(scalarFits(*this, option, "an option")))
      return failure();
  for (Value output : getOutputs())
    if (failed(verifyCompatibleShape(shaped(getLogits()).getShape().drop_back(),
                                     shaped(output).getShape())))
      return emitOpError("output ")
             << output.getType() << " does not fit logits " << getLogits().getType();
  return success();
}
