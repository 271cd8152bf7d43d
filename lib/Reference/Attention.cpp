//===- Attention.cpp - Attention, its gradients, softmax, rotary embedding -------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "Evaluators.h"

#include <cmath>
#include <limits>

using namespace mlir;
using namespace quern;
using namespace quern::reference;

//===- Softmax
//-----------------------------------------------------------------------------------===//

/// The softmax of `n` numbers, in place; gives their log-sum-exp. Where all are -inf, it is 0.
static double softmaxRow(double *row, int64_t n) {
  const double hidden = -std::numeric_limits<double>::infinity();
  double largest = *std::max_element(row, row + n), sum = 0;
  if (largest == hidden) {
    std::fill_n(row, n, 0.0);
    return hidden;
  }
  for (int64_t i = 0; i < n; ++i)
    sum += row[i] = std::exp(row[i] - largest);
  for (int64_t i = 0; i < n; ++i)
    row[i] /= sum;
  return largest + std::log(sum);
}

static void softmax(SoftmaxOp op, Interpreter &in) {
  Array y = in.get(op.getX());
  for (int64_t r = 0; r < y.rows(); ++r)
    softmaxRow(y.row(r), y.width());
  in.set(op.getResult(), std::move(y));
}

static void softmaxBackward(SoftmaxBackwardOp op, Interpreter &in) {
  const Array &y = in.get(op.getY()), &dy = in.get(op.getGradient());
  Array dx = Array::zerosLike(y);
  for (int64_t r = 0; r < y.rows(); ++r) {
    double dot = 0;
    for (int64_t i = 0; i < y.width(); ++i)
      dot += dy.row(r)[i] * y.row(r)[i];
    for (int64_t i = 0; i < y.width(); ++i)
      dx.row(r)[i] = y.row(r)[i] * (dy.row(r)[i] - dot);
  }
  in.set(op.getResult(), std::move(dx));
}

//===- Rotary embedding
//--------------------------------------------------------------------------===//

static void rotaryEmbedding(RotaryEmbeddingOp op, Interpreter &in) {
  const Array &x = in.get(op.getX());
  const Array *given = in.find(op.getOffset());
  int64_t offset = given ? given->flatInteger(0) : 0, half = x.dim(3) / 2;
  double base = op.getBase().convertToDouble(), sign = op.getInverse() ? -1 : 1;
  Array y = Array::zerosLike(x);
  for (int64_t b = 0; b < x.dim(0); ++b)
    for (int64_t t = 0; t < x.dim(1); ++t)
      for (int64_t h = 0; h < x.dim(2); ++h)
        for (int64_t i = 0; i < half; ++i) {
          double angle = sign * (offset + t) * std::pow(base, -2.0 * i / x.dim(3));
          int64_t first = op.getInterleaved() ? 2 * i : i;
          int64_t second = op.getInterleaved() ? 2 * i + 1 : i + half;
          double u = x(b, t, h, first), v = x(b, t, h, second);
          y(b, t, h, first) = u * std::cos(angle) - v * std::sin(angle);
          y(b, t, h, second) = u * std::sin(angle) + v * std::cos(angle);
        }
  in.set(op.getResult(), std::move(y));
}

//===- Attention
//---------------------------------------------------------------------------------===//

namespace {
/// What the three attention ops have in common.
struct Attention {
  const Array &q, &k, &v;
  const Array *mask, *lengths;
  bool causal;
  int64_t offset;
  double scale;

  int64_t batches() const { return q.dim(0); }
  int64_t queries() const { return q.dim(1); }
  int64_t heads() const { return q.dim(2); }
  int64_t keys() const { return k.dim(1); }
  /// The head of K and V that head `h` of Q uses.
  int64_t group(int64_t h) const { return h / (heads() / k.dim(2)); }

  /// The masked, scaled scores of one query with all keys; -inf where it may not look.
  void scores(int64_t b, int64_t h, int64_t t, std::vector<double> &row) const {
    row.assign(keys(), -std::numeric_limits<double>::infinity());
    for (int64_t s = 0; s < keys(); ++s) {
      if ((causal && s > offset + t) || (lengths && s >= lengths->flatInteger(b)))
        continue;
      double dot = 0;
      for (int64_t d = 0; d < q.dim(3); ++d)
        dot += q(b, t, h, d) * k(b, s, group(h), d);
      row[s] = scale * dot + (mask ? mask->flat(broadcastPlace(*mask, {b, h, t, s})) : 0.0);
    }
  }

  Array forward(Array *lse) const {
    Array y = Array::floats({batches(), queries(), heads(), v.dim(3)});
    if (lse)
      *lse = Array::floats({batches(), heads(), queries()});
    std::vector<double> p;
    for (int64_t b = 0; b < batches(); ++b)
      for (int64_t h = 0; h < heads(); ++h)
        for (int64_t t = 0; t < queries(); ++t) {
          scores(b, h, t, p);
          double logSumExp = softmaxRow(p.data(), keys());
          if (lse)
            (*lse)(b, h, t) = logSumExp;
          for (int64_t s = 0; s < keys(); ++s)
            for (int64_t e = 0; e < v.dim(3); ++e)
              y(b, t, h, e) += p[s] * v(b, s, group(h), e);
        }
    return y;
  }
};
} // namespace

static void attention(AttentionOp op, Interpreter &in) {
  const Array *offset = in.find(op.getOffset());
  Attention a{in.get(op.getQ()),
              in.get(op.getK()),
              in.get(op.getV()),
              in.find(op.getMask()),
              in.find(op.getLengths()),
              op.getCausal(),
              offset ? offset->flatInteger(0) : 0,
              op.getEffectiveScale()};
  in.set(op.getResult(), a.forward(nullptr));
}

static void attentionForward(AttentionForwardOp op, Interpreter &in) {
  Attention a{in.get(op.getQ()),
              in.get(op.getK()),
              in.get(op.getV()),
              in.find(op.getMask()),
              in.find(op.getLengths()),
              op.getCausal(),
              0,
              op.getScale().convertToDouble()};
  Array lse;
  in.set(op.getResult(), a.forward(&lse));
  in.set(op.getLse(), std::move(lse));
}

/// P = exp(scores - lse), D = rowsum(dO * O), dS = P * (dO V^T - D).
static void attentionBackward(AttentionBackwardOp op, Interpreter &in) {
  Attention a{in.get(op.getQ()),
              in.get(op.getK()),
              in.get(op.getV()),
              in.find(op.getMask()),
              in.find(op.getLengths()),
              op.getCausal(),
              0,
              op.getScale().convertToDouble()};
  const Array &o = in.get(op.getO()), &lse = in.get(op.getLse()), &dO = in.get(op.getGradient());
  Array dq = Array::zerosLike(a.q), dk = Array::zerosLike(a.k), dv = Array::zerosLike(a.v);
  std::vector<double> row;
  for (int64_t b = 0; b < a.batches(); ++b)
    for (int64_t h = 0; h < a.heads(); ++h)
      for (int64_t t = 0; t < a.queries(); ++t) {
        a.scores(b, h, t, row);
        int64_t g = a.group(h);
        double delta = 0;
        for (int64_t e = 0; e < a.v.dim(3); ++e)
          delta += dO(b, t, h, e) * o(b, t, h, e);
        for (int64_t s = 0; s < a.keys(); ++s) {
          // A query that sees no key has neither a sum nor a gradient.
          double p = std::isinf(lse(b, h, t)) ? 0 : std::exp(row[s] - lse(b, h, t)), dp = 0;
          for (int64_t e = 0; e < a.v.dim(3); ++e) {
            dv(b, s, g, e) += p * dO(b, t, h, e);
            dp += dO(b, t, h, e) * a.v(b, s, g, e);
          }
          double ds = p * (dp - delta);
          for (int64_t d = 0; d < a.q.dim(3); ++d) {
            dq(b, t, h, d) += a.scale * ds * a.k(b, s, g, d);
            dk(b, s, g, d) += a.scale * ds * a.q(b, t, h, d);
          }
        }
      }
  in.set(op.getDq(), std::move(dq));
  in.set(op.getDk(), std::move(dk));
  in.set(op.getDv(), std::move(dv));
}

void quern::reference::addAttention(Table &table) {
  add<SoftmaxOp, softmax>(table);
  add<SoftmaxBackwardOp, softmaxBackward>(table);
  add<RotaryEmbeddingOp, rotaryEmbedding>(table);
  add<AttentionOp, attention>(table);
  add<AttentionForwardOp, attentionForward>(table);
  add<AttentionBackwardOp, attentionBackward>(table);
}
