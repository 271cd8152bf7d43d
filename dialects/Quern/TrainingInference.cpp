//===- TrainingInference.cpp - Result types and constraints of training and decoding ops -----===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "dialects/Quern/Inference.h"

#include "llvm/ADT/StringSwitch.h"

using namespace mlir;
using namespace quern;

//===- Embeddings
//--------------------------------------------------------------------------------===//

/// Gradient [B, T, C] and `rows` make a table, to which `init` is added.
static LogicalResult inferTable(Where where, StringRef name, Value gradient, int64_t rows,
                                Value init, Types &types) {
  if (typeOf(gradient).getRank() != 3 || !isFloat(gradient))
    return fail(where, name, 1,
                "the gradient must be a [batch, sequence, width] float tensor, not ",
                gradient.getType());
  if (rows <= 0)
    return fail(where, name, 2, "rows must be positive, not ", rows);
  if (!fits(init, gradient, {rows, lastDim(gradient)}))
    return fail(where, name, 3, "init must have ", rows, " rows of ", text(lastDim(gradient)),
                ", not be ", init.getType());
  types.push_back(withShape(gradient, {rows, lastDim(gradient)}));
  return success();
}

INFER(EmbeddingBackwardOp) {
  if (typeOf(op.getTokens()).getRank() != 2 || !isI32(op.getTokens()) ||
      typeOf(op.getGradient()).getRank() != 3 ||
      differ(shape(op.getTokens()), shape(op.getGradient()).drop_back()))
    return fail(where, "embedding_backward", 1, "tokens ", op.getTokens().getType(),
                " must be i32 in the shape of the gradient ", op.getGradient().getType(),
                " without its last dimension");
  return inferTable(where, "embedding_backward", op.getGradient(), op.getRows(), op.getInit(),
                    types);
}

INFER(PositionEmbeddingBackwardOp) {
  return inferTable(where, "position_embedding_backward", op.getGradient(), op.getRows(),
                    op.getInit(), types);
}

//===- Norms, linear maps, activations
//-----------------------------------------------------------===//

INFER(NormBackwardOp) {
  Value x = op.getX();
  if (typeOf(x).getRank() < 1 || !isFloat(x) || !fits(op.getGradient(), x) ||
      !fits(op.getAddend(), x))
    return fail(where, "norm_backward", 1, "x, gradient and addend must have one type, unlike ",
                x.getType(), " and ", op.getGradient().getType());
  if (!fits(op.getWeight(), x, {lastDim(x)}))
    return fail(where, "norm_backward", 2, "weight must be a vector of ", text(lastDim(x)),
                " elements, not ", op.getWeight().getType());
  types.push_back(x.getType());
  if (op.getWeight())
    types.push_back(op.getWeight().getType());
  if (op.getHasBias())
    types.push_back(withShape(x, {lastDim(x)}));
  return success();
}

INFER(LinearWeightGradientOp) {
  Value x = op.getX(), gradient = op.getGradient();
  if (typeOf(x).getRank() < 1 || typeOf(gradient).getRank() < 1 || !isFloat(x) ||
      !sameElements(x, gradient) || differ(shape(x).drop_back(), shape(gradient).drop_back()))
    return fail(where, "linear_weight_gradient", 1,
                "x and gradient have no rows in common: ", x.getType(), " and ",
                gradient.getType());
  SmallVector<int64_t> dims{lastDim(x), lastDim(gradient)};
  if (op.getTransposed())
    std::swap(dims[0], dims[1]);
  if (!fits(op.getInit(), x, dims))
    return fail(where, "linear_weight_gradient", 2, "init must be the weight's, ",
                withShape(x, dims), ", not ", op.getInit().getType());
  types.push_back(withShape(x, dims));
  return success();
}

INFER(SoftmaxBackwardOp) {
  if (typeOf(op.getY()).getRank() < 1 || !isFloat(op.getY()) || !fits(op.getGradient(), op.getY()))
    return fail(where, "softmax_backward", 1, "y and gradient must have one type, unlike ",
                op.getY().getType(), " and ", op.getGradient().getType());
  types.push_back(op.getY().getType());
  return success();
}

INFER(ActivationBackwardOp) {
  if (!isFloat(op.getX()) || !fits(op.getGradient(), op.getX()))
    return fail(where, "activation_backward", 1, "x and gradient must have one type, unlike ",
                op.getX().getType(), " and ", op.getGradient().getType());
  bool known = llvm::StringSwitch<bool>(op.getFunction())
                   .Cases({"gelu", "gelu_tanh", "silu", "relu"}, true)
                   .Default(false);
  if (!known)
    return fail(where, "activation_backward", 2, "unknown function \"", op.getFunction(),
                "\"; there are gelu, gelu_tanh, silu, relu");
  types.push_back(op.getX().getType());
  return success();
}

INFER(SwigluBackwardOp) {
  if (!isFloat(op.getGate()) || !fits(op.getUp(), op.getGate()) ||
      !fits(op.getGradient(), op.getGate()))
    return fail(where, "swiglu_backward", 1, "gate, up and gradient must have one type, unlike ",
                op.getGate().getType(), ", ", op.getUp().getType(), " and ",
                op.getGradient().getType());
  types.append(2, op.getGate().getType());
  return success();
}

//===- Attention
//---------------------------------------------------------------------------------===//

INFER(AttentionBackwardOp) {
  Value q = op.getQ(), k = op.getK(), v = op.getV();
  for (Value value : {q, k, v})
    if (typeOf(value).getRank() != 4 || !isFloat(value) || !sameElements(value, q))
      return fail(where, "attention_backward", 1,
                  "Q, K and V must be float tensors of rank 4 and one element type, not ",
                  value.getType());
  ArrayRef<int64_t> dims = shape(q);
  int64_t result[] = {dims[0], dims[1], dims[2], lastDim(v)};
  if (!fits(op.getO(), q, result) || !fits(op.getGradient(), q, result))
    return fail(where, "attention_backward", 2,
                "O and gradient must have the shape of attention's result, unlike ",
                op.getO().getType(), " and ", op.getGradient().getType());
  if (!fits(op.getLse(), q, {dims[0], dims[2], dims[1]}))
    return fail(where, "attention_backward", 3, "lse must be [batch, heads, queries], not ",
                op.getLse().getType());
  types.append({q.getType(), k.getType(), v.getType()});
  return success();
}

//===- Losses
//------------------------------------------------------------------------------------===//

INFER(CrossEntropyBackwardOp) {
  Value logits = op.getLogits();
  if (typeOf(logits).getRank() < 1 || !isFloat(logits) || !isI32(op.getTargets()) ||
      differ(shape(logits).drop_back(), shape(op.getTargets())))
    return fail(where, "cross_entropy_backward", 1, "targets ", op.getTargets().getType(),
                " must be i32 in the shape of the logits ", logits.getType(),
                " without their last dimension");
  if (!fits(op.getGradient(), logits, {}))
    return fail(where, "cross_entropy_backward", 2, "the gradient of the loss has rank 0, unlike ",
                op.getGradient().getType());
  types.push_back(logits.getType());
  return success();
}

INFER(LinearCrossEntropyGradientOp) {
  Value x = op.getX(), weight = op.getWeight();
  bool maps = typeOf(x).getRank() >= 1 && isFloat(x) && typeOf(weight).getRank() == 2 &&
              sameElements(weight, x) &&
              !differ(lastDim(x), shape(weight)[op.getTransposed() ? 1 : 0]);
  if (!maps || !fits(op.getBias(), x, {shape(weight)[op.getTransposed() ? 0 : 1]}))
    return fail(where, "linear_cross_entropy_gradient", 1,
                "the weight or the bias does not fit x: ", weight.getType(), " and ", x.getType());
  if (!isI32(op.getTargets()) || differ(shape(x).drop_back(), shape(op.getTargets())))
    return fail(where, "linear_cross_entropy_gradient", 2, "targets ", op.getTargets().getType(),
                " must be i32 in the shape of x ", x.getType(), " without its last dimension");
  if (!fits(op.getGradient(), x, {}) || !fits(op.getInit(), weight))
    return fail(where, "linear_cross_entropy_gradient", 3,
                "the gradient of the loss has rank 0, and init the type of the weight");
  types.append({withShape(x, {}), x.getType(), weight.getType()});
  if (op.getBias())
    types.push_back(op.getBias().getType());
  return success();
}

//===- Optimizer and decoding
//--------------------------------------------------------------------===//

INFER(SquaredNormOp) {
  if (op.getInputs().empty())
    return fail(where, "squared_norm", 1, "takes one tensor or more");
  for (Value input : op.getInputs())
    if (!isFloat(input) || !sameElements(input, op.getInputs()[0]))
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
    if (value && (!isScalar(value) || !isFloat(value)))
      return fail(where, "adamw", 2, "options and scale must be floats of rank 0, not ",
                  value.getType());
  types.append(3, type);
  return success();
}

INFER(CacheAppendOp) {
  Value cache = op.getCache(), x = op.getX();
  bool matches = typeOf(cache).getRank() == typeOf(x).getRank() && typeOf(x).getRank() >= 2 &&
                 sameElements(cache, x);
  for (int64_t i = 0; matches && i < typeOf(x).getRank(); ++i)
    matches = i == 1 || !differ(shape(x)[i], shape(cache)[i]);
  if (!matches)
    return fail(where, "cache_append", 1, x.getType(), " does not fit a cache of type ",
                cache.getType());
  if (!isScalar(op.getOffset()) || !isI32(op.getOffset()))
    return fail(where, "cache_append", 2, "the offset must be a tensor<i32>, not ",
                op.getOffset().getType());
  types.push_back(cache.getType());
  return success();
}

INFER(LastOp) {
  Value x = op.getX();
  int64_t dimension = op.getDimension();
  if (dimension < 0 || dimension >= typeOf(x).getRank() || shape(x)[dimension] == 0)
    return fail(where, "last", 1, x.getType(), " has no element along dimension ", dimension);
  SmallVector<int64_t> dims(shape(x));
  dims[dimension] = 1;
  types.push_back(withShape(x, dims));
  return success();
}

INFER(SampleOp) {
  Value logits = op.getLogits();
  RankedTensorType type = typeOf(logits);
  Type element = type.getElementType();
  bool known = element.isF32() || element.isBF16() || element.isF16();
  // 2^22 weights of up to 2^40 add up in 64 bits.
  if (!known || type.getRank() < 1 || ShapedType::isDynamic(lastDim(logits)) ||
      lastDim(logits) < 1 || lastDim(logits) > (int64_t(1) << 22))
    return fail(where, "sample", 1,
                "logits must be f32, bf16 or f16 with a static last dimension of 1 to 4194304, "
                "not ",
                type);
  for (Value value : {op.getTemperature(), op.getTopP()})
    if (!isScalar(value) || !typeOf(value).getElementType().isF64())
      return fail(where, "sample", 2, "temperature and top_p must be tensor<f64>, not ",
                  value.getType());
  for (Value value : {op.getTopK(), op.getSeed(), op.getIndex()})
    if (!isScalar(value) || !typeOf(value).getElementType().isInteger(64))
      return fail(where, "sample", 3, "top_k, seed and index must be tensor<i64>, not ",
                  value.getType());
  types.append(2, RankedTensorType::get(type.getShape().drop_back(),
                                        IntegerType::get(type.getContext(), 32)));
  return success();
}
