//===- GemmEpilogue.cpp - From sums of products to C ------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "Gemm.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

#include <cmath>

using namespace mlir;

namespace quern::nvidia {

/// Hendrycks and Gimpel 2016 (GELU, both forms); Elfwing et al. 2018 (SiLU).
static Value activate(Thread &t, kernel::Activation activation, Value x) {
  auto constant = [&](double value) { return t.number(x.getType(), value); };
  switch (activation) {
  case kernel::Activation::None:
    return x;
  case kernel::Activation::Relu: {
    // In this form a NaN stays one.
    Value isNegative =
        arith::CmpFOp::create(t.builder, t.loc, arith::CmpFPredicate::OLT, x, constant(0));
    return t.select(isNegative, constant(0), x);
  }
  case kernel::Activation::GeluTanh: {
    double slope = std::sqrt(2 / M_PI);
    Value cubic = t.fma(t.mul(x, x), constant(0.044715 * slope), constant(slope));
    Value tanh = math::TanhOp::create(t.builder, t.loc, t.mul(x, cubic));
    Value half = t.mul(x, constant(0.5));
    return t.fma(half, tanh, half);
  }
  case kernel::Activation::GeluErf: {
    Value erf = math::ErfOp::create(t.builder, t.loc, t.mul(x, constant(std::sqrt(0.5))));
    Value half = t.mul(x, constant(0.5));
    return t.fma(half, erf, half);
  }
  case kernel::Activation::Silu: {
    Value negative = arith::NegFOp::create(t.builder, t.loc, x);
    Value exp = math::ExpOp::create(t.builder, t.loc, negative);
    return t.divFast(x, t.add(exp, constant(1)));
  }
  }
  llvm_unreachable("an activation without its formula");
}

Epilogue Epilogue::on(Thread &t, Value batchIndex) const {
  Epilogue result = *this;
  result.c = c.on(t, batchIndex);
  for (std::optional<Matrix> *matrix : {&result.preactivation, &result.residual, &result.bias})
    if (*matrix)
      **matrix = (*matrix)->on(t, batchIndex);
  return result;
}

Value Epilogue::isVectors(Thread &t, int64_t count) const {
  Value result = c.isVectors(t, count);
  for (const std::optional<Matrix> *matrix : {&preactivation, &residual, &bias})
    if (*matrix)
      result = t.builder.createOrFold<arith::AndIOp>(t.loc, result, (*matrix)->isVectors(t, count));
  return result;
}

int64_t Epilogue::addendCount() const {
  return int64_t{accumulate} + int64_t{bias.has_value()} + int64_t{residual.has_value()};
}

SmallVector<Value> Epilogue::loadAddends(Thread &t, Value row, Value column, int64_t count,
                                         Type type) const {
  SmallVector<Value> addends;
  auto add = [&](const Matrix &matrix) {
    addends.append(matrix.row(t, row).at(t, column).load(t, count, type));
  };
  if (accumulate)
    add(c);
  if (bias)
    add(*bias);
  if (residual)
    add(*residual);
  return addends;
}

void Epilogue::finish(Thread &t, Value row, Value column, ValueRange sums,
                      ValueRange addends) const {
  SmallVector<Value> values(sums);
  auto addNext = [&] {
    for (auto [value, addend] : llvm::zip(values, addends.take_front(values.size())))
      value = t.add(value, addend);
    addends = addends.drop_front(values.size());
  };
  auto storeTo = [&](const Matrix &matrix) { matrix.row(t, row).at(t, column).store(t, values); };
  if (accumulate)
    addNext();
  if (bias)
    addNext();
  if (preactivation)
    storeTo(*preactivation);
  for (Value &value : values)
    value = activate(t, activation, value);
  if (residual)
    addNext();
  storeTo(c);
}

void Epilogue::finish(Thread &t, Value row, Value column, ValueRange sums) const {
  auto count = static_cast<int64_t>(sums.size());
  finish(t, row, column, sums, loadAddends(t, row, column, count, sums[0].getType()));
}

/// finishTile for elements taken `count` at a time.
static void finishSegments(Thread &t, const Problem &problem, const TilePlace &place,
                           const Pointer &tile, int64_t rows, int64_t columns, int64_t pitch,
                           llvm::function_ref<Value(Value)> rowOf, int64_t count) {
  int64_t segments = columns / count;
  t.strided(t.rereadThread(), t.index(rows * segments), t.index(t.threads), [&](Value i) {
    SmallVector<Value> at = delinearize(t, i, {t.index(rows), t.index(segments)});
    Value c = mulIndex(t, at[1], t.index(count));
    Value row = addIndex(t, place.row, rowOf(at[0])), column = addIndex(t, place.column, c);
    t.when(t.both(t.less(row, problem.rows), t.less(column, problem.columns)), [&] {
      Pointer from = tile.at(t, addIndex(t, mulIndex(t, at[0], t.index(pitch)), c));
      problem.epilogue.finish(t, row, column, from.load(t, count, problem.compute));
    });
  });
}

void finishTile(Thread &t, const Problem &problem, const TilePlace &place, const Pointer &tile,
                int64_t rows, int64_t columns, int64_t pitch,
                llvm::function_ref<Value(Value)> rowOf) {
  int64_t count = vectorSize(problem.compute);
  choose(
      t, problem.epilogue.isVectors(t, count),
      [&] { finishSegments(t, problem, place, tile, rows, columns, pitch, rowOf, count); },
      [&] { finishSegments(t, problem, place, tile, rows, columns, pitch, rowOf, 1); });
}

} // namespace quern::nvidia
