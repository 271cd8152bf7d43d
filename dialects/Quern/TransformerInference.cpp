//===- TransformerInference.cpp - Result types and constraints of Transformer ops ------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "dialects/Quern/Inference.h"

#include <cmath>

using namespace mlir;
using namespace quern;

static LogicalResult checkTokens(Where where, StringRef name, Value tokens, Value table) {
  if (typeOf(tokens).getRank() != 2 || !isI32(tokens))
    return fail(where, name, 1, "tokens must be a [batch, sequence] tensor of i32, not ",
                tokens.getType());
  if (typeOf(table).getRank() != 2 || !isFloat(table))
    return fail(where, name, 2, "the table must be a [rows, width] float tensor, not ",
                table.getType());
  return success();
}

static LogicalResult checkOffset(Where where, StringRef name, Value offset) {
  if (offset && (!isScalar(offset) || !isI32(offset)))
    return fail(where, name, 1, "the offset must be a tensor<i32>, not ", offset.getType());
  return success();
}

INFER(EmbeddingOp) {
  if (failed(checkTokens(where, "embedding", op.getTokens(), op.getTable())))
    return failure();
  types.push_back(withShape(
      op.getTable(), {shape(op.getTokens())[0], shape(op.getTokens())[1], lastDim(op.getTable())}));
  return success();
}

INFER(PositionEmbeddingOp) {
  if (failed(checkTokens(where, "position_embedding", op.getTokens(), op.getTable())) ||
      failed(checkOffset(where, "position_embedding", op.getOffset())))
    return failure();
  int64_t length = shape(op.getTokens())[1], rows = shape(op.getTable())[0];
  if (!ShapedType::isDynamic(length) && !ShapedType::isDynamic(rows) && length > rows)
    return fail(where, "position_embedding", 3, "a sequence of ", length,
                " tokens is longer than the table of ", rows, " positions");
  types.push_back(
      withShape(op.getTable(), {shape(op.getTokens())[0], length, lastDim(op.getTable())}));
  return success();
}

INFER(RotaryEmbeddingOp) {
  if (typeOf(op.getX()).getRank() != 4 || !isFloat(op.getX()) ||
      ShapedType::isDynamic(lastDim(op.getX())) || lastDim(op.getX()) % 2)
    return fail(where, "rotary_embedding", 1,
                "x must be a [batch, sequence, heads, head dimension] float tensor with an even "
                "head dimension, not ",
                op.getX().getType());
  if (failed(checkOffset(where, "rotary_embedding", op.getOffset())))
    return failure();
  if (op.getBaseAttr() && op.getBaseAttr().getValueAsDouble() <= 0)
    return fail(where, "rotary_embedding", 2, "base must be positive");
  types.push_back(op.getX().getType());
  return success();
}

static LogicalResult checkNorm(Where where, StringRef name, int first, int last, Value x,
                               Value weight, Value bias, FloatAttr epsilon) {
  if (typeOf(x).getRank() < 1 || !isFloat(x))
    return fail(where, name, first, "x must be a float tensor of rank 1 or more, not ",
                x.getType());
  for (auto [what, vector] : {std::pair("weight", weight), std::pair("bias", bias)})
    if (vector && (!isVector(vector, lastDim(x)) || !sameElements(vector, x)))
      return fail(where, name, first, what, " must be a vector of ", text(lastDim(x)),
                  " elements, the last dimension of x ", x.getType(), ", not ", vector.getType());
  // The parser infers types before defaults are filled in.
  if (epsilon && epsilon.getValue().isNegative())
    return fail(where, name, last, "epsilon must not be negative");
  return success();
}

INFER(LayerNormOp) {
  if (failed(checkNorm(where, "layer_norm", 1, 2, op.getX(), op.getWeight(), op.getBias(),
                       op.getEpsilonAttr())))
    return failure();
  types.push_back(op.getX().getType());
  return success();
}

INFER(RmsNormOp) {
  if (failed(checkNorm(where, "rms_norm", 1, 2, op.getX(), op.getWeight(), Value(),
                       op.getEpsilonAttr())))
    return failure();
  types.push_back(op.getX().getType());
  return success();
}

INFER(ResidualNormOp) {
  if (op.getX().getType() != op.getResidual().getType())
    return fail(where, "residual_norm", 1, "x and residual differ: ", op.getX().getType(), " and ",
                op.getResidual().getType());
  if (failed(checkNorm(where, "residual_norm", 2, 4, op.getX(), op.getWeight(), op.getBias(),
                       op.getEpsilonAttr())))
    return failure();
  if (op.getKind() == NormKind::Rms && op.getBias())
    return fail(where, "residual_norm", 3, "an RMS norm has no bias");
  types.append(2, op.getX().getType());
  return success();
}

/// Checks one linear map; `outputs` receives its output dimension. Constraints count from `first`.
static LogicalResult checkLinear(Where where, StringRef name, int first, Value x, Value weight,
                                 Value bias, bool transposed, int64_t &outputs) {
  if (typeOf(weight).getRank() != 2 || !isFloat(weight))
    return fail(where, name, first, "the weight must be a float matrix, not ", weight.getType());
  int64_t inputs = shape(weight)[transposed ? 1 : 0];
  outputs = shape(weight)[transposed ? 0 : 1];
  if (typeOf(x).getRank() < 1 || !isFloat(x) || differ(lastDim(x), inputs))
    return fail(where, name, first + 1, "the weight ", weight.getType(),
                transposed ? " (transposed, [out, in])" : " ([in, out])", " takes vectors of ",
                text(inputs), " elements, but x is ", x.getType(),
                !differ(typeOf(x).getRank() ? lastDim(x) : -1, outputs)
                    ? transposed ? "; is it stored [in, out], without 'transposed'?"
                                 : "; is it stored [out, in], so that 'transposed' is missing?"
                    : "");
  if (!sameElements(weight, x))
    return fail(where, name, first, "the weight ", weight.getType(),
                " has another element type than x, ", x.getType());
  if (bias && (!isVector(bias, outputs) || !sameElements(bias, x)))
    return fail(where, name, first + 2, "bias must be a vector of ", text(outputs),
                " elements, the outputs of the weight, and of x's element type, not ",
                bias.getType());
  return success();
}

static RankedTensorType withLastDim(Value x, int64_t size) {
  SmallVector<int64_t> dims(shape(x));
  dims.back() = size;
  return withShape(x, dims);
}

INFER(LinearOp) {
  int64_t outputs;
  if (failed(checkLinear(where, "linear", 1, op.getX(), op.getWeight(), op.getBias(),
                         op.getTransposed(), outputs)))
    return failure();
  types.push_back(withLastDim(op.getX(), outputs));
  return success();
}

INFER(FusedLinearOp) {
  if (op.getWeights().size() < 2)
    return fail(where, "fused_linear", 1, "takes two weights or more");
  if (!op.getBiases().empty() && op.getBiases().size() != op.getWeights().size())
    return fail(where, "fused_linear", 3, "has ", op.getWeights().size(), " weights but ",
                op.getBiases().size(), " biases");
  for (auto [i, weight] : llvm::enumerate(op.getWeights())) {
    int64_t outputs;
    Value bias = op.getBiases().empty() ? Value() : op.getBiases()[i];
    if (failed(checkLinear(where, "fused_linear", 1, op.getX(), weight, bias, op.getTransposed(),
                           outputs)))
      return failure();
    types.push_back(withLastDim(op.getX(), outputs));
  }
  return success();
}

INFER(MatmulOp) {
  Value a = op.getA(), b = op.getB();
  int64_t rank = typeOf(a).getRank();
  if (rank < 2 || typeOf(b).getRank() != rank || !isFloat(a) ||
      typeOf(a).getElementType() != typeOf(b).getElementType() ||
      differ(shape(a).drop_back(2), shape(b).drop_back(2)))
    return fail(where, "matmul", 1,
                "A and B need equal rank, 2 or more, and equal leading dimensions, not ",
                a.getType(), " and ", b.getType());
  auto [rows, innerA] = op.getTransposeA() ? std::pair(shape(a)[rank - 1], shape(a)[rank - 2])
                                           : std::pair(shape(a)[rank - 2], shape(a)[rank - 1]);
  auto [innerB, columns] = op.getTransposeB() ? std::pair(shape(b)[rank - 1], shape(b)[rank - 2])
                                              : std::pair(shape(b)[rank - 2], shape(b)[rank - 1]);
  if (differ(innerA, innerB))
    return fail(where, "matmul", 2, "the inner dimensions differ: ", innerA, " of A, ", innerB,
                " of B");
  SmallVector<int64_t> dims;
  for (auto [x, y] : llvm::zip(shape(a).drop_back(2), shape(b).drop_back(2)))
    dims.push_back(known(x, y));
  dims.append({rows, columns});
  types.push_back(withShape(a, dims));
  return success();
}

INFER(SoftmaxOp) {
  if (typeOf(op.getX()).getRank() < 1 || !isFloat(op.getX()))
    return fail(where, "softmax", 1, "x must be a float tensor of rank 1 or more, not ",
                op.getX().getType());
  types.push_back(op.getX().getType());
  return success();
}

static LogicalResult inferAttention(Where where, StringRef name, Value q, Value k, Value v,
                                    Value mask, Value lengths, RankedTensorType &result) {
  for (auto [what, value] : {std::pair("Q", q), std::pair("K", k), std::pair("V", v)})
    if (typeOf(value).getRank() != 4 || !isFloat(value))
      return fail(where, name, 1, what,
                  " must be a [batch, sequence, heads, head dimension] float tensor, not ",
                  value.getType());
  for (auto [what, value] : {std::pair("K", k), std::pair("V", v)})
    if (!sameElements(value, q))
      return fail(where, name, 1, "Q and ", what, " have different element types: ", q.getType(),
                  " and ", value.getType());
  int64_t heads = shape(q)[2], groups = shape(k)[2];
  if (ShapedType::isDynamic(heads) || ShapedType::isDynamic(groups) ||
      ShapedType::isDynamic(lastDim(q)) || ShapedType::isDynamic(lastDim(v)))
    return fail(where, name, 7, "heads and head dimensions must be static, not ", q.getType(),
                " and ", k.getType());
  if (differ(lastDim(q), lastDim(k)))
    return fail(where, name, 2, "the head dimension of Q is ", lastDim(q), " and that of K ",
                lastDim(k));
  if (groups <= 0 || heads % groups)
    return fail(where, name, 3, heads, " heads of Q cannot share ", groups,
                " heads of K: the one must be a multiple of the other");
  if (shape(v)[2] != groups)
    return fail(where, name, 3, "K has ", groups, " heads and V ", text(shape(v)[2]));
  if (differ(shape(q)[0], shape(k)[0]) || differ(shape(k)[0], shape(v)[0]) ||
      differ(shape(k)[1], shape(v)[1]))
    return fail(where, name, 4, "batch or sequence dimensions do not agree: Q ", q.getType(),
                ", K ", k.getType(), ", V ", v.getType());
  if (mask) {
    int64_t scores[] = {shape(q)[0], heads, shape(q)[1], shape(k)[1]};
    ArrayRef<int64_t> dims = shape(mask);
    bool broadcasts = dims.size() <= 4 && sameElements(mask, q);
    for (size_t i = 0; broadcasts && i < dims.size(); ++i)
      broadcasts = dims[i] == 1 || !differ(dims[i], scores[4 - dims.size() + i]);
    if (!broadcasts)
      return fail(where, name, 5, "mask ", mask.getType(), " does not broadcast to [",
                  text(scores[0]), ", ", text(scores[1]), ", ", text(scores[2]), ", ",
                  text(scores[3]), "]");
  }
  if (lengths &&
      (typeOf(lengths).getRank() != 1 || !isI32(lengths) || differ(shape(lengths)[0], shape(q)[0])))
    return fail(where, name, 6, "lengths must be a vector of ", text(shape(q)[0]), " i32, not ",
                lengths.getType());
  result = withShape(q, {known(shape(q)[0], shape(k)[0]), shape(q)[1], heads, lastDim(v)});
  return success();
}

INFER(AttentionOp) {
  RankedTensorType result;
  if (failed(inferAttention(where, "attention", op.getQ(), op.getK(), op.getV(), op.getMask(),
                            op.getLengths(), result)) ||
      failed(checkOffset(where, "attention", op.getOffset())))
    return failure();
  types.push_back(result);
  return success();
}

double AttentionOp::getEffectiveScale() {
  return getScale() ? getScale()->convertToDouble()
                    : 1.0 / std::sqrt(static_cast<double>(lastDim(getQ())));
}

INFER(AttentionForwardOp) {
  RankedTensorType result;
  if (failed(inferAttention(where, "attention_forward", op.getQ(), op.getK(), op.getV(),
                            op.getMask(), op.getLengths(), result)))
    return failure();
  types.push_back(result);
  types.push_back(
      withShape(op.getQ(), {result.getDimSize(0), result.getDimSize(2), result.getDimSize(1)}));
  return success();
}

static LogicalResult inferUnary(Where where, StringRef name, Value x, Types &types) {
  if (!isFloat(x))
    return fail(where, name, 1, "x must be a float tensor, not ", x.getType());
  types.push_back(x.getType());
  return success();
}
INFER(GeluOp) { return inferUnary(where, "gelu", op.getX(), types); }
INFER(SiluOp) { return inferUnary(where, "silu", op.getX(), types); }
INFER(ReluOp) { return inferUnary(where, "relu", op.getX(), types); }

INFER(SwigluOp) {
  if (op.getGate().getType() != op.getUp().getType() || !isFloat(op.getGate()))
    return fail(where, "swiglu", 1, "gate and up must be float tensors of the same type, not ",
                op.getGate().getType(), " and ", op.getUp().getType());
  types.push_back(op.getGate().getType());
  return success();
}

static LogicalResult checkTargets(Where where, StringRef name, int constraint,
                                  ArrayRef<int64_t> rows, Value targets) {
  if (!isI32(targets) || differ(rows, shape(targets)))
    return fail(where, name, constraint,
                "targets must be i32 in the shape of the logits without their last dimension, not ",
                targets.getType());
  return success();
}

INFER(CrossEntropyOp) {
  Value logits = op.getLogits();
  if (typeOf(logits).getRank() < 1 || !isFloat(logits))
    return fail(where, "cross_entropy", 1, "logits must be a float tensor of rank 1 or more, not ",
                logits.getType());
  if (failed(checkTargets(where, "cross_entropy", 1, shape(logits).drop_back(), op.getTargets())))
    return failure();
  types.push_back(withShape(logits, {}));
  return success();
}

INFER(LinearCrossEntropyOp) {
  int64_t outputs;
  if (failed(checkLinear(where, "linear_cross_entropy", 1, op.getX(), op.getWeight(), op.getBias(),
                         op.getTransposed(), outputs)) ||
      failed(checkTargets(where, "linear_cross_entropy", 2, shape(op.getX()).drop_back(),
                          op.getTargets())))
    return failure();
  types.push_back(withShape(op.getX(), {}));
  return success();
}
