//===- TrainingInference.cpp - Result types and constraints of training and decoding ops
//--------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "dialects/Quern/Inference.h"

using namespace mlir;
using namespace quern;

#define INFER(Op)                                                                                  \
  LogicalResult Op::inferReturnTypes(MLIRContext *, Where where, Op::Adaptor op, Types &types)

INFER(EmbeddingBackwardOp) {
  types.push_back(
      withShape(op.getGradient(), {static_cast<int64_t>(op.getRows()), lastDim(op.getGradient())}));
  return success();
}

INFER(PositionEmbeddingBackwardOp) {
  types.push_back(
      withShape(op.getGradient(), {static_cast<int64_t>(op.getRows()), lastDim(op.getGradient())}));
  return success();
}

INFER(NormBackwardOp) {
  types.push_back(op.getX().getType());
  if (op.getWeight())
    types.push_back(op.getWeight().getType());
  if (op.getHasBias())
    types.push_back(withShape(op.getX(), {lastDim(op.getX())}));
  return success();
}

INFER(LinearWeightGradientOp) {
  int64_t inputs = lastDim(op.getX()), outputs = lastDim(op.getGradient());
  types.push_back(op.getTransposed() ? withShape(op.getX(), {outputs, inputs})
                                     : withShape(op.getX(), {inputs, outputs}));
  return success();
}

INFER(SoftmaxBackwardOp) {
  types.push_back(op.getY().getType());
  return success();
}

INFER(AttentionBackwardOp) {
  types.append({op.getQ().getType(), op.getK().getType(), op.getV().getType()});
  return success();
}

INFER(ActivationBackwardOp) {
  types.push_back(op.getX().getType());
  return success();
}

INFER(SwigluBackwardOp) {
  types.append(2, op.getGate().getType());
  return success();
}

INFER(CrossEntropyBackwardOp) {
  types.push_back(op.getLogits().getType());
  return success();
}

INFER(LinearCrossEntropyGradientOp) {
  types.append({withShape(op.getX(), {}), op.getX().getType(), op.getWeight().getType()});
  if (op.getBias())
    types.push_back(op.getBias().getType());
  return success();
}

INFER(SquaredNormOp) {
  if (op.getInputs().empty())
    return fail(where, "squared_norm", 1, "takes one tensor or more");
  for (Value input : op.getInputs())
    if (!isFloat(input) ||
        typeOf(input).getElementType() != typeOf(op.getInputs()[0]).getElementType())
      return fail(where, "squared_norm", 1, "takes float tensors of one element type, not ",
                  input.getType());
  types.push_back(withShape(op.getInputs()[0], {}));
  return success();
}

INFER(AdamWOp) {
  Type type = op.getParameter().getType();
  for (Value value : {op.getGradient(), op.getFirstMoment(), op.getSecondMoment()})
    if (value.getType() != type)
      return fail(where, "adamw", 1, "the parameter is ", type, ", but its gradient or a moment ",
                  value.getType());
  for (Value value : {op.getScale(), op.getLearningRate(), op.getBeta1(), op.getBeta2(),
                      op.getEpsilon(), op.getWeightDecay(), op.getStep()})
    if (!isScalar(value))
      return fail(where, "adamw", 2, "options and scale must have rank 0, not ", value.getType());
  types.append(3, type);
  return success();
}

INFER(CacheAppendOp) {
  Value cache = op.getCache(), x = op.getX();
  bool fits = typeOf(cache).getRank() == typeOf(x).getRank() && typeOf(x).getRank() >= 2;
  for (int64_t i = 0; fits && i < typeOf(x).getRank(); ++i)
    fits = i == 1 || !differ(shape(x)[i], shape(cache)[i]);
  if (!fits)
    return fail(where, "cache_append", 1, x.getType(), " does not fit a cache of type ",
                cache.getType());
  types.push_back(cache.getType());
  return success();
}
