//===- OptimizerChecks.cpp - Shapes of what updates parameters ------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "Checks.h"
#include "dialects/Kernel/Kernel.h"

using namespace mlir;
using namespace quern::kernel;

LogicalResult SquaredNormOp::verify() {
  if (failed(outputsBetween(*this, getOutputs(), 1, 1)))
    return failure();
  return rankIs(*this, getOutputs()[0], 0, "the sum");
}

LogicalResult AdamWOp::verify() {
  size_t count = getGradients().size();
  if (!count)
    return emitOpError("has no parameters");
  if (getWeightDecays().size() != count)
    return emitOpError("has ") << count << " gradients and " << getWeightDecays().size()
                               << " weight decays";
  if (failed(outputsBetween(*this, getOutputs(), 3 * count, 3 * count)))
    return failure();
  for (auto [number, output] : llvm::enumerate(getOutputs())) {
    if (failed(sameShape(*this, getGradients()[number / 3], output, "the gradient and an output")))
      return failure();
    Type moment = shaped(getOutputs()[1]).getElementType();
    if (number % 3 && shaped(output).getElementType() != moment)
      return emitOpError("has moments of different element types: ")
             << moment << " and " << shaped(output).getElementType();
  }
  for (Value option :
       {getScale(), getLearningRate(), getBeta1(), getBeta2(), getEpsilon(), getStep()})
    if (failed(scalarFits(*this, option, "an option")))
      return failure();
  for (Value decay : getWeightDecays())
    if (failed(scalarFits(*this, decay, "a weight decay")))
      return failure();
  return success();
}

LogicalResult GemmAdamWOp::verify() {
  if (failed(outputsBetween(*this, getOutputs(), 3, 3)) ||
      failed(rankAtLeast(*this, getA(), 2, "A")) || failed(rankAtLeast(*this, getB(), 2, "B")))
    return failure();
  Value parameter = getOutputs()[0];
  Type element = shaped(parameter).getElementType();
  if (!element.isF32() && !element.isF64())
    return emitOpError("updates a parameter of f32 or f64, not ") << parameter.getType();
  for (Value output : getOutputs()) {
    if (failed(rankIs(*this, output, 2, "an output")) ||
        failed(sameShape(*this, parameter, output, "the parameter and a moment")))
      return failure();
    if (shaped(output).getElementType() != element)
      return emitOpError("has a parameter and moments of different element types: ")
             << element << " and " << shaped(output).getElementType();
  }
  if (differ(lastDim(getA()), shaped(parameter).getDimSize(0)) ||
      differ(lastDim(getB()), lastDim(parameter)))
    return emitOpError("A, B and the parameter do not fit: ")
           << getA().getType() << ", " << getB().getType() << ", " << parameter.getType();
  for (Value option :
       {getLearningRate(), getBeta1(), getBeta2(), getEpsilon(), getStep(), getWeightDecay()})
    if (failed(scalarFits(*this, option, "an option")))
      return failure();
  return success();
}
