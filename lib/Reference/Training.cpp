//===- Training.cpp - Gradients, the optimizer, the decoder's cache --------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "Evaluators.h"

#include <cmath>

using namespace mlir;
using namespace quern;
using namespace quern::reference;

/// dX += addend, when there is one.
static void accumulate(Array &array, const Array *addend) {
  for (int64_t i = 0; addend && i < array.size(); ++i)
    array.flat(i) += addend->flat(i);
}

Array quern::reference::sumRows(const Array &x) {
  Array y = Array::floats({x.width()});
  for (int64_t r = 0; r < x.rows(); ++r)
    for (int64_t i = 0; i < x.width(); ++i)
      y.flat(i) += x.row(r)[i];
  return y;
}

//===- Embeddings
//--------------------------------------------------------------------------------===//

static LogicalResult embeddingBackward(EmbeddingBackwardOp op, Interpreter &in) {
  const Array &tokens = in.get(op.getTokens()), &dy = in.get(op.getGradient());
  Array dtable = Array::floats({static_cast<int64_t>(op.getRows()), dy.width()});
  for (int64_t r = 0; r < tokens.size(); ++r) {
    int64_t token = tokens.flatInteger(r);
    if (token < 0 || token >= dtable.dim(0))
      return op.emitError("token ") << token << " is no row of a table of " << dtable.dim(0);
    for (int64_t c = 0; c < dy.width(); ++c)
      dtable(token, c) += dy.row(r)[c];
  }
  accumulate(dtable, in.find(op.getInit()));
  in.set(op.getResult(), std::move(dtable));
  return success();
}

static LogicalResult positionEmbeddingBackward(PositionEmbeddingBackwardOp op, Interpreter &in) {
  const Array &dy = in.get(op.getGradient());
  Array dtable = Array::floats({static_cast<int64_t>(op.getRows()), dy.width()});
  if (dy.dim(1) > dtable.dim(0))
    return op.emitError("a sequence of ")
           << dy.dim(1) << " is longer than a table of " << dtable.dim(0);
  for (int64_t b = 0; b < dy.dim(0); ++b)
    for (int64_t t = 0; t < dy.dim(1); ++t)
      for (int64_t c = 0; c < dy.width(); ++c)
        dtable(t, c) += dy(b, t, c);
  accumulate(dtable, in.find(op.getInit()));
  in.set(op.getResult(), std::move(dtable));
  return success();
}

//===- Norms and linear maps
//---------------------------------------------------------------------===//

static void normBackward(NormBackwardOp op, Interpreter &in) {
  const Array &x = in.get(op.getX()), &dy = in.get(op.getGradient());
  const Array *weight = in.find(op.getWeight());
  bool layer = op.getKind() == NormKind::Layer;
  double epsilon = op.getEpsilon().convertToDouble();
  int64_t n = x.width();
  Array dx = Array::zerosLike(x), dweight = Array::floats({n});
  std::vector<double> xhat(n), g(n);
  for (int64_t r = 0; r < x.rows(); ++r) {
    double mean = 0, variance = 0;
    for (int64_t i = 0; layer && i < n; ++i)
      mean += x.row(r)[i] / n;
    for (int64_t i = 0; i < n; ++i)
      variance += (x.row(r)[i] - mean) * (x.row(r)[i] - mean) / n;
    double inverse = 1 / std::sqrt(variance + epsilon), meanG = 0, meanGX = 0;
    for (int64_t i = 0; i < n; ++i) {
      xhat[i] = (x.row(r)[i] - mean) * inverse;
      g[i] = dy.row(r)[i] * (weight ? weight->flat(i) : 1.0);
      meanG += layer ? g[i] / n : 0.0;
      meanGX += g[i] * xhat[i] / n;
      dweight.flat(i) += dy.row(r)[i] * xhat[i];
    }
    for (int64_t i = 0; i < n; ++i)
      dx.row(r)[i] = inverse * (g[i] - meanG - xhat[i] * meanGX);
  }
  accumulate(dx, in.find(op.getAddend()));
  auto result = op.getResults().begin();
  in.set(*result++, std::move(dx));
  if (weight)
    in.set(*result++, std::move(dweight));
  if (op.getHasBias())
    in.set(*result++, sumRows(dy));
}

Array quern::reference::weightGradient(const Array &x, const Array &gradient, bool transposed) {
  int64_t inputs = x.width(), outputs = gradient.width();
  Array dw = transposed ? Array::floats({outputs, inputs}) : Array::floats({inputs, outputs});
  for (int64_t r = 0; r < x.rows(); ++r)
    for (int64_t i = 0; i < inputs; ++i)
      for (int64_t o = 0; o < outputs; ++o)
        (transposed ? dw(o, i) : dw(i, o)) += x.row(r)[i] * gradient.row(r)[o];
  return dw;
}

static void linearWeightGradient(LinearWeightGradientOp op, Interpreter &in) {
  Array dw = weightGradient(in.get(op.getX()), in.get(op.getGradient()), op.getTransposed());
  accumulate(dw, in.find(op.getInit()));
  in.set(op.getResult(), std::move(dw));
}

//===- Activations
//-------------------------------------------------------------------------------===//

static LogicalResult activationBackward(ActivationBackwardOp op, Interpreter &in) {
  const Activation *activation = findActivation(op.getFunction());
  if (!activation)
    return op.emitError("unknown activation function ") << op.getFunction();
  const Array &x = in.get(op.getX()), &dy = in.get(op.getGradient());
  Array dx = Array::zerosLike(x);
  for (int64_t i = 0; i < x.size(); ++i)
    dx.flat(i) = dy.flat(i) * activation->derivative(x.flat(i));
  in.set(op.getResult(), std::move(dx));
  return success();
}

static void swigluBackward(SwigluBackwardOp op, Interpreter &in) {
  const Array &gate = in.get(op.getGate()), &up = in.get(op.getUp());
  const Array &dy = in.get(op.getGradient());
  Array dgate = Array::zerosLike(gate), dup = Array::zerosLike(gate);
  for (int64_t i = 0; i < gate.size(); ++i) {
    double g = gate.flat(i), s = 1 / (1 + std::exp(-g));
    dgate.flat(i) = dy.flat(i) * up.flat(i) * s * (1 + g * (1 - s));
    dup.flat(i) = dy.flat(i) * g * s;
  }
  in.set(op.getDgate(), std::move(dgate));
  in.set(op.getDup(), std::move(dup));
}

//===- Losses
//------------------------------------------------------------------------------------===//

static LogicalResult crossEntropyBackward(CrossEntropyBackwardOp op, Interpreter &in) {
  double loss;
  Array gradient;
  if (failed(crossEntropy(op, in.get(op.getLogits()), in.get(op.getTargets()), op.getIgnoreIndex(),
                          loss, &gradient)))
    return failure();
  for (int64_t i = 0; i < gradient.size(); ++i)
    gradient.flat(i) *= in.get(op.getGradient()).flat(0);
  in.set(op.getResult(), std::move(gradient));
  return success();
}

static LogicalResult linearCrossEntropyGradient(LinearCrossEntropyGradientOp op, Interpreter &in) {
  const Array &x = in.get(op.getX()), &weight = in.get(op.getWeight());
  Array logits = linear(x, weight, in.find(op.getBias()), op.getTransposed()), g;
  double loss;
  if (failed(crossEntropy(op, logits, in.get(op.getTargets()), op.getIgnoreIndex(), loss, &g)))
    return failure();
  for (int64_t i = 0; i < g.size(); ++i)
    g.flat(i) *= in.get(op.getGradient()).flat(0);
  Array dw = weightGradient(x, g, op.getTransposed());
  accumulate(dw, in.find(op.getInit()));
  auto result = op.getResults().begin();
  in.set(*result++, Array::floats({}, loss));
  in.set(*result++, linear(g, weight, nullptr, !op.getTransposed())); // dX = G W^T
  in.set(*result++, std::move(dw));
  if (op.getBias())
    in.set(*result++, sumRows(g));
  return success();
}

//===- Optimizer
//---------------------------------------------------------------------------------===//

static void squaredNorm(SquaredNormOp op, Interpreter &in) {
  double sum = 0;
  for (Value input : op.getInputs())
    for (int64_t i = 0; i < in.get(input).size(); ++i)
      sum += in.get(input).flat(i) * in.get(input).flat(i);
  in.set(op.getResult(), Array::floats({}, sum));
}

static void adamW(AdamWOp op, Interpreter &in) {
  auto option = [&](Value value) { return in.get(value).flat(0); };
  double scale = op.getScale() ? option(op.getScale()) : 1, rate = option(op.getLearningRate());
  double beta1 = option(op.getBeta1()), beta2 = option(op.getBeta2());
  double epsilon = option(op.getEpsilon()), decay = option(op.getWeightDecay());
  double step = option(op.getStep());
  Array p = in.get(op.getParameter()), m = in.get(op.getFirstMoment()),
        v = in.get(op.getSecondMoment());
  for (int64_t i = 0; i < p.size(); ++i) {
    double g = in.get(op.getGradient()).flat(i) * scale;
    m.flat(i) = beta1 * m.flat(i) + (1 - beta1) * g;
    v.flat(i) = beta2 * v.flat(i) + (1 - beta2) * g * g;
    double mhat = m.flat(i) / (1 - std::pow(beta1, step));
    double vhat = v.flat(i) / (1 - std::pow(beta2, step));
    p.flat(i) = p.flat(i) * (1 - rate * decay) - rate * mhat / (std::sqrt(vhat) + epsilon);
  }
  in.set(op.getNewParameter(), std::move(p));
  in.set(op.getNewFirstMoment(), std::move(m));
  in.set(op.getNewSecondMoment(), std::move(v));
}

//===- Decoding
//----------------------------------------------------------------------------------===//

static LogicalResult cacheAppend(CacheAppendOp op, Interpreter &in) {
  const Array &x = in.get(op.getX());
  Array cache = in.get(op.getCache());
  int64_t offset = in.get(op.getOffset()).flatInteger(0);
  if (offset < 0 || offset + x.dim(1) > cache.dim(1))
    return op.emitError("positions ") << offset << " to " << offset + x.dim(1) - 1
                                      << " do not fit a cache of " << cache.dim(1);
  for (int64_t from = 0; from < x.size(); ++from) {
    Array::Shape index = x.indices(from);
    index[1] += offset;
    cache.copy(cache.place(index), x, from);
  }
  in.set(op.getResult(), std::move(cache));
  return success();
}

static LogicalResult last(LastOp op, Interpreter &in) {
  const Array &x = in.get(op.getX());
  int64_t dimension = op.getDimension(), size = x.dim(dimension);
  if (size == 0)
    return op.emitError("dimension ") << dimension << " is empty";
  Array::Shape shape(x.shape());
  shape[dimension] = 1;
  Array y = Array::zeros(shape, x.isFloat());
  for (int64_t to = 0; to < y.size(); ++to) {
    Array::Shape index = y.indices(to);
    index[dimension] = size - 1;
    y.copy(to, x, x.place(index));
  }
  in.set(op.getResult(), std::move(y));
  return success();
}

void quern::reference::addTraining(Table &table) {
  add<EmbeddingBackwardOp, embeddingBackward>(table);
  add<PositionEmbeddingBackwardOp, positionEmbeddingBackward>(table);
  add<NormBackwardOp, normBackward>(table);
  add<LinearWeightGradientOp, linearWeightGradient>(table);
  add<ActivationBackwardOp, activationBackward>(table);
  add<SwigluBackwardOp, swigluBackward>(table);
  add<CrossEntropyBackwardOp, crossEntropyBackward>(table);
  add<LinearCrossEntropyGradientOp, linearCrossEntropyGradient>(table);
  add<SquaredNormOp, squaredNorm>(table);
  add<AdamWOp, adamW>(table);
  add<CacheAppendOp, cacheAppend>(table);
  add<LastOp, last>(table);
}
