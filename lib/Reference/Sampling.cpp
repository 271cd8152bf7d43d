//===- Sampling.cpp - A token drawn from logits -----------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "Evaluators.h"
#include "quern/Runtime/Philox.h"

#include <algorithm>
#include <cmath>
#include <numeric>

using namespace mlir;
using namespace quern;
using namespace quern::reference;

/// The token of a row of `width` logits with the random number `uniform`, or -1.
static int64_t drawToken(const double *logits, int64_t width, double temperature, int64_t topK,
                         double topP, double uniform) {
  if (std::any_of(logits, logits + width, [](double logit) { return std::isnan(logit); }))
    return -1;
  std::vector<int64_t> order(width);
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    return logits[a] != logits[b] ? logits[a] > logits[b] : a < b;
  });
  if (!(temperature > 0))
    return order[0];
  if (topK > 0)
    order.resize(std::min(width, topK));
  double largest = logits[order[0]];
  std::vector<double> sums; // of the weights up to each token
  for (int64_t token : order) {
    double weight =
        logits[token] == largest ? 1 : std::exp((logits[token] - largest) / temperature);
    sums.push_back((sums.empty() ? 0 : sums.back()) + weight);
  }
  if (topP < 1)
    sums.resize(std::lower_bound(sums.begin(), sums.end(), topP * sums.back()) - sums.begin() + 1);
  auto drawn = std::upper_bound(sums.begin(), sums.end(), uniform * sums.back());
  return order[std::min<int64_t>(drawn - sums.begin(), sums.size() - 1)];
}

static void sample(SampleOp op, Interpreter &in) {
  const Array &logits = in.get(op.getLogits());
  auto real = [&](Value value) { return in.get(value).flat(0); };
  auto integer = [&](Value value) { return in.get(value).flatInteger(0); };
  Array tokens = Array::integers(logits.shape().drop_back());
  for (int64_t row = 0; row < logits.rows(); ++row) {
    runtime::PhiloxCounter words = runtime::draw(integer(op.getSeed()), runtime::Stream::Sampling,
                                                 row, integer(op.getIndex()));
    tokens.flatInteger(row) =
        drawToken(logits.row(row), logits.width(), real(op.getTemperature()), integer(op.getTopK()),
                  real(op.getTopP()), runtime::uniform(words[0], words[1]));
  }
  Array next = tokens;
  for (int64_t i = 0; i < next.size(); ++i)
    next.flatInteger(i) = std::max<int64_t>(next.flatInteger(i), 0);
  in.set(op.getToken(), std::move(tokens));
  in.set(op.getNext(), std::move(next));
}

void quern::reference::addSampling(Table &table) { add<SampleOp, sample>(table); }
