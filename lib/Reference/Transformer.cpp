//===- Transformer.cpp - Embeddings, norms, linear maps, activations, losses -----------------===//
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

//===- Embeddings
//--------------------------------------------------------------------------------===//

static LogicalResult embedding(EmbeddingOp op, Interpreter &in) {
  const Array &tokens = in.get(op.getTokens()), &table = in.get(op.getTable());
  Array y = Array::floats({tokens.dim(0), tokens.dim(1), table.dim(1)});
  for (int64_t i = 0; i < tokens.size(); ++i) {
    int64_t token = tokens.flatInteger(i);
    if (token < 0 || token >= table.dim(0))
      return op.emitError("token ") << token << " is no row of a table of " << table.dim(0);
    std::copy_n(table.row(token), table.width(), y.row(i));
  }
  in.set(op.getResult(), std::move(y));
  return success();
}

static LogicalResult positionEmbedding(PositionEmbeddingOp op, Interpreter &in) {
  const Array &tokens = in.get(op.getTokens()), &table = in.get(op.getTable());
  const Array *given = in.find(op.getOffset());
  int64_t offset = given ? given->flatInteger(0) : 0;
  Array y = Array::floats({tokens.dim(0), tokens.dim(1), table.dim(1)});
  for (int64_t b = 0; b < tokens.dim(0); ++b)
    for (int64_t t = 0; t < tokens.dim(1); ++t) {
      if (offset + t < 0 || offset + t >= table.dim(0))
        return op.emitError("position ")
               << offset + t << " is no row of a table of " << table.dim(0);
      std::copy_n(table.row(offset + t), table.width(), y.row(b * tokens.dim(1) + t));
    }
  in.set(op.getResult(), std::move(y));
  return success();
}

//===- Norms
//-------------------------------------------------------------------------------------===//

static Array norm(const Array &x, const Array *weight, const Array *bias, double epsilon,
                  NormKind kind) {
  Array y = Array::zerosLike(x);
  int64_t n = x.width();
  for (int64_t r = 0; r < x.rows(); ++r) {
    double mean = 0, variance = 0;
    if (kind == NormKind::Layer)
      for (int64_t i = 0; i < n; ++i)
        mean += x.row(r)[i] / n;
    for (int64_t i = 0; i < n; ++i)
      variance += (x.row(r)[i] - mean) * (x.row(r)[i] - mean) / n;
    for (int64_t i = 0; i < n; ++i)
      y.row(r)[i] =
          (x.row(r)[i] - mean) / std::sqrt(variance + epsilon) * (weight ? weight->flat(i) : 1.0) +
          (bias ? bias->flat(i) : 0.0);
  }
  return y;
}

static void layerNorm(LayerNormOp op, Interpreter &in) {
  in.set(op.getResult(), norm(in.get(op.getX()), in.find(op.getWeight()), in.find(op.getBias()),
                              op.getEpsilon().convertToDouble(), NormKind::Layer));
}

static void rmsNorm(RmsNormOp op, Interpreter &in) {
  in.set(op.getResult(), norm(in.get(op.getX()), in.find(op.getWeight()), nullptr,
                              op.getEpsilon().convertToDouble(), NormKind::Rms));
}

static void residualNorm(ResidualNormOp op, Interpreter &in) {
  Array sum = in.get(op.getX());
  for (int64_t i = 0; i < sum.size(); ++i)
    sum.flat(i) += in.get(op.getResidual()).flat(i);
  in.set(op.getResult(), norm(sum, in.find(op.getWeight()), in.find(op.getBias()),
                              op.getEpsilon().convertToDouble(), op.getKind()));
  in.set(op.getSum(), std::move(sum));
}

//===- Linear maps
//-------------------------------------------------------------------------------===//

Array quern::reference::linear(const Array &x, const Array &weight, const Array *bias,
                               bool transposed) {
  Array::Shape shape(x.shape());
  int64_t inputs = weight.dim(transposed ? 1 : 0);
  shape.back() = weight.dim(transposed ? 0 : 1);
  Array y = Array::floats(shape);
  for (int64_t r = 0; r < x.rows(); ++r)
    for (int64_t o = 0; o < y.width(); ++o) {
      double sum = bias ? bias->flat(o) : 0.0;
      for (int64_t i = 0; i < inputs; ++i)
        sum += x.row(r)[i] * (transposed ? weight(o, i) : weight(i, o));
      y.row(r)[o] = sum;
    }
  return y;
}

static void linearOp(LinearOp op, Interpreter &in) {
  in.set(op.getResult(), linear(in.get(op.getX()), in.get(op.getWeight()), in.find(op.getBias()),
                                op.getTransposed()));
}

static void fusedLinear(FusedLinearOp op, Interpreter &in) {
  for (auto [i, result] : llvm::enumerate(op.getResults())) {
    const Array *bias = op.getBiases().empty() ? nullptr : &in.get(op.getBiases()[i]);
    in.set(result, linear(in.get(op.getX()), in.get(op.getWeights()[i]), bias, op.getTransposed()));
  }
}

static void matmul(MatmulOp op, Interpreter &in) {
  const Array &a = in.get(op.getA()), &b = in.get(op.getB());
  bool transposeA = op.getTransposeA(), transposeB = op.getTransposeB();
  int64_t rows = a.dim(transposeA ? -1 : -2), inner = a.dim(transposeA ? -2 : -1);
  int64_t columns = b.dim(transposeB ? -2 : -1);
  Array::Shape shape(a.shape().drop_back(2));
  shape.append({rows, columns});
  Array c = Array::floats(shape);
  for (int64_t i = 0, batches = c.size() / (rows * columns); i < batches; ++i)
    for (int64_t m = 0; m < rows; ++m)
      for (int64_t n = 0; n < columns; ++n) {
        double sum = 0;
        for (int64_t k = 0; k < inner; ++k)
          sum += a.flat(i * rows * inner + (transposeA ? k * rows + m : m * inner + k)) *
                 b.flat(i * inner * columns + (transposeB ? n * inner + k : k * columns + n));
        c.flat((i * rows + m) * columns + n) = sum;
      }
  in.set(op.getResult(), std::move(c));
}

//===- Activations
//-------------------------------------------------------------------------------===//

static double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
static const double sqrt2OverPi = std::sqrt(2 / M_PI);
static double geluTanhInner(double x) { return sqrt2OverPi * (x + 0.044715 * x * x * x); }

static const llvm::StringMap<Activation> &activations() {
  static const llvm::StringMap<Activation> table = {
      {"gelu",
       {[](double x) { return x / 2 * (1 + std::erf(x / M_SQRT2)); },
        [](double x) {
          return (1 + std::erf(x / M_SQRT2)) / 2 + x * std::exp(-x * x / 2) / std::sqrt(2 * M_PI);
        }}},
      {"gelu_tanh",
       {[](double x) { return x / 2 * (1 + std::tanh(geluTanhInner(x))); },
        [](double x) {
          double t = std::tanh(geluTanhInner(x));
          return (1 + t) / 2 + x / 2 * (1 - t * t) * sqrt2OverPi * (1 + 3 * 0.044715 * x * x);
        }}},
      {"silu",
       {[](double x) { return x * sigmoid(x); },
        [](double x) { return sigmoid(x) * (1 + x * (1 - sigmoid(x))); }}},
      {"relu",
       {[](double x) { return x > 0           ? x
                              : std::isnan(x) ? x
                                              : 0.0; },
        [](double x) { return x > 0 ? 1.0 : 0.0; }}},
  };
  return table;
}

const Activation *quern::reference::findActivation(StringRef name) {
  auto found = activations().find(name);
  return found == activations().end() ? nullptr : &found->second;
}

static void activate(StringRef name, Value x, Value y, Interpreter &in) {
  Array array = in.get(x);
  for (int64_t i = 0; i < array.size(); ++i)
    array.flat(i) = findActivation(name)->value(array.flat(i));
  in.set(y, std::move(array));
}

static void gelu(GeluOp op, Interpreter &in) {
  activate(op.getTanh() ? "gelu_tanh" : "gelu", op.getX(), op.getResult(), in);
}
static void silu(SiluOp op, Interpreter &in) { activate("silu", op.getX(), op.getResult(), in); }
static void relu(ReluOp op, Interpreter &in) { activate("relu", op.getX(), op.getResult(), in); }

static void swiglu(SwigluOp op, Interpreter &in) {
  const Array &gate = in.get(op.getGate()), &up = in.get(op.getUp());
  Array y = Array::zerosLike(gate);
  for (int64_t i = 0; i < y.size(); ++i)
    y.flat(i) = gate.flat(i) * sigmoid(gate.flat(i)) * up.flat(i);
  in.set(op.getResult(), std::move(y));
}

//===- Losses
//------------------------------------------------------------------------------------===//

LogicalResult quern::reference::crossEntropy(Operation *op, const Array &logits,
                                             const Array &targets, int64_t ignoreIndex,
                                             double &loss, Array *gradient) {
  int64_t count = 0, vocabulary = logits.width();
  for (int64_t r = 0; r < targets.size(); ++r) {
    int64_t target = targets.flatInteger(r);
    if (target == ignoreIndex)
      continue;
    ++count;
    if (target < 0 || target >= vocabulary)
      return op->emitError("target ") << target << " is no index of a vocabulary of " << vocabulary;
  }
  loss = 0;
  if (gradient)
    *gradient = Array::zerosLike(logits);
  for (int64_t r = 0; r < targets.size(); ++r) {
    int64_t target = targets.flatInteger(r);
    if (target == ignoreIndex)
      continue;
    const double *row = logits.row(r);
    double largest = *std::max_element(row, row + vocabulary), sum = 0;
    for (int64_t v = 0; v < vocabulary; ++v)
      sum += std::exp(row[v] - largest);
    loss += largest + std::log(sum) - row[target];
    for (int64_t v = 0; gradient && v < vocabulary; ++v)
      gradient->row(r)[v] = (std::exp(row[v] - largest) / sum - (v == target)) / count;
  }
  loss /= count;
  return success();
}

static LogicalResult crossEntropyOp(CrossEntropyOp op, Interpreter &in) {
  double loss;
  if (failed(crossEntropy(op, in.get(op.getLogits()), in.get(op.getTargets()), op.getIgnoreIndex(),
                          loss, nullptr)))
    return failure();
  in.set(op.getLoss(), Array::floats({}, loss));
  return success();
}

static LogicalResult linearCrossEntropy(LinearCrossEntropyOp op, Interpreter &in) {
  double loss;
  Array logits =
      linear(in.get(op.getX()), in.get(op.getWeight()), in.find(op.getBias()), op.getTransposed());
  if (failed(crossEntropy(op, logits, in.get(op.getTargets()), op.getIgnoreIndex(), loss, nullptr)))
    return failure();
  in.set(op.getLoss(), Array::floats({}, loss));
  return success();
}

void quern::reference::addTransformer(Table &table) {
  add<EmbeddingOp, embedding>(table);
  add<PositionEmbeddingOp, positionEmbedding>(table);
  add<LayerNormOp, layerNorm>(table);
  add<RmsNormOp, rmsNorm>(table);
  add<ResidualNormOp, residualNorm>(table);
  add<LinearOp, linearOp>(table);
  add<FusedLinearOp, fusedLinear>(table);
  add<MatmulOp, matmul>(table);
  add<GeluOp, gelu>(table);
  add<SiluOp, silu>(table);
  add<ReluOp, relu>(table);
  add<SwigluOp, swiglu>(table);
  add<CrossEntropyOp, crossEntropyOp>(table);
  add<LinearCrossEntropyOp, linearCrossEntropy>(table);
}
