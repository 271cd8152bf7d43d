//===- GemmEpilogue.cpp - From sums of products to C ------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "Gemm.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/IRMapping.h"

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
    // (1 + tanh(u)) / 2 = 1 / (1 + e^(-2u)): cheaper than tanh, and exact where 1 + tanh(u)
    // cancels.
    double slope = -2 * std::sqrt(2 / M_PI);
    Value cubic = t.fma(t.mul(x, x), constant(0.044715 * slope), constant(slope));
    Value exp = math::ExpOp::create(t.builder, t.loc, t.mul(x, cubic));
    return t.divFast(x, t.add(exp, constant(1)));
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

SmallVector<Value> EpilogueRegion::yield(Thread &t, Value value, ValueRange elements) const {
  IRMapping mapping;
  mapping.map(block->getArgument(0), value);
  for (auto [operand, argument] : llvm::zip(operands, block->getArguments().drop_front())) {
    if (operand.matrix) {
      mapping.map(argument, elements.front());
      elements = elements.drop_front();
      continue;
    }
    Value scalar = t.load(operand.scalar, {});
    if (scalar.getType() != argument.getType()) // 16 bits
      scalar = t.convert(scalar, argument.getType());
    mapping.map(argument, scalar);
  }
  for (Operation &inside : block->without_terminator())
    t.builder.clone(inside, mapping);
  SmallVector<Value> results;
  for (Value result : block->getTerminator()->getOperands())
    results.push_back(mapping.lookup(result));
  return results;
}

/// The matrices among the operands.
static SmallVector<const Matrix *> readBy(const EpilogueRegion &region) {
  SmallVector<const Matrix *> matrices;
  for (const EpilogueRegion::Operand &operand : region.operands)
    if (operand.matrix)
      matrices.push_back(&*operand.matrix);
  return matrices;
}

SmallVector<const Matrix *> Epilogue::others() const {
  SmallVector<const Matrix *> matrices;
  for (const std::optional<Matrix> *matrix : {&preactivation, &residual, &bias})
    if (*matrix)
      matrices.push_back(&**matrix);
  if (region) {
    matrices.append(readBy(*region));
    for (const Matrix &output : region->outputs)
      matrices.push_back(&output);
  }
  return matrices;
}

Epilogue Epilogue::on(Thread &t, Value batchIndex) const {
  Epilogue result = *this;
  result.c = c.on(t, batchIndex);
  for (std::optional<Matrix> *matrix : {&result.preactivation, &result.residual, &result.bias})
    if (*matrix)
      **matrix = (*matrix)->on(t, batchIndex);
  if (!region)
    return result;
  for (EpilogueRegion::Operand &operand : result.region->operands)
    if (operand.matrix)
      operand.matrix = operand.matrix->on(t, batchIndex);
  for (Matrix &output : result.region->outputs)
    output = output.on(t, batchIndex);
  return result;
}

Value Epilogue::isVectors(Thread &t, int64_t count) const {
  Value result = c.isVectors(t, count);
  for (const Matrix *matrix : others())
    result = t.builder.createOrFold<arith::AndIOp>(t.loc, result, matrix->isVectors(t, count));
  return result;
}

int64_t Epilogue::addendCount() const {
  return int64_t{accumulate} + int64_t{bias.has_value()} + int64_t{residual.has_value()} +
         (region ? static_cast<int64_t>(readBy(*region).size()) : 0);
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
  if (region)
    for (const Matrix *matrix : readBy(*region))
      add(*matrix);
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
  if (!region)
    return storeTo(c);
  // All is read by now: an output may lie where an operand does.
  SmallVector<SmallVector<Value>> results(region->outputs.size());
  for (auto [i, value] : llvm::enumerate(values)) {
    SmallVector<Value> elements;
    for (size_t j = i; j < addends.size(); j += values.size())
      elements.push_back(addends[j]);
    for (auto [list, result] : llvm::zip(results, region->yield(t, value, elements)))
      list.push_back(result);
  }
  for (auto [output, list] : llvm::zip(region->outputs, results))
    output.row(t, row).at(t, column).store(t, list);
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
