//===- Norm.cpp - Layer and RMS normalization -------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
// A row comes from memory once and stays in the first-level cache for the passes over it: the mean,
// the variance about that mean (the difference of two large sums would lose its digits), the
// result.

#include "Norm.h"
#include "Emitters.h"

#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;

namespace quern::cpu {

NormRows::NormRows(Vectors &v, Value rows, Value columns, ArrayRef<Value> inputs,
                   kernel::NormKind kind, double epsilonValue, int64_t extra)
    : v(v), rows(rows), columns(columns), inputs(inputs), isLayer(kind == kernel::NormKind::Layer),
      extra(extra) {
  Emission &e = v.emission;
  OpBuilder &b = e.builder;
  Value integer = arith::IndexCastOp::create(b, e.loc, b.getI64Type(), columns);
  count = arith::SIToFPOp::create(b, e.loc, v.compute, integer);
  epsilon = arith::ConstantOp::create(b, e.loc, b.getFloatAttr(v.compute, epsilonValue));
  one = arith::ConstantOp::create(b, e.loc, b.getFloatAttr(v.compute, 1.0));
  // Two rows hide each other's sums. More than two that are read at the same time, of one input or
  // of several, come from so many places at once that memory is slower.
  groupSize = inputs.size() == 1 ? 2 : 1;
  prefetches = false;
  int64_t bytes = elementBytes(cast<MemRefType>(inputs[0].getType()).getElementType());
  if (auto known = constantOf(columns)) {
    int64_t rowBytes = bytes * int64_t(inputs.size()) * *known;
    while (groupSize > 1 && groupSize * rowBytes > e.machine.l1Bytes / 2)
      groupSize /= 2;
    prefetches = groupSize * rowBytes <= e.machine.l2Bytes / 4;
  }
}

Value NormRows::mean(Value total) const {
  return arith::DivFOp::create(v.emission.builder, v.emission.loc, total, count);
}

SmallVector<Value> NormRows::ahead(ArrayRef<Value> group) const {
  SmallVector<Value> next;
  if (!prefetches)
    return next;
  Emission &e = v.emission;
  Value last = e.builder.createOrFold<arith::SubIOp>(e.loc, rows, e.index(1));
  auto size = int64_t(group.size());
  for (Value input : inputs)
    for (Value row : group)
      next.push_back(rowOf(e, input, minIndex(e, addIndex(e, row, e.index(size)), last)));
  return next;
}

SmallVector<RowStatistics> NormRows::statistics(ArrayRef<Value> group, ArrayRef<Value> ahead,
                                                Load load, Terms extraTerms) const {
  Emission &e = v.emission;
  OpBuilder &b = e.builder;
  Value zero = e.index(0);
  auto size = int64_t(group.size());
  SmallVector<RowStatistics> all(group.size());
  if (isLayer) {
    SmallVector<Value> totals = v.sums(
        zero, columns, size,
        [&](Value column, Value mask) {
          SmallVector<Value> terms;
          for (size_t row = 0; row < group.size(); ++row)
            terms.push_back(load(row, column, mask));
          return terms;
        },
        /*ways=*/2);
    for (auto [statistics, total] : llvm::zip(all, totals))
      statistics.mean = v.splat(mean(total));
  }
  int64_t each = 1 + extra;
  SmallVector<Value> totals = v.sums(
      zero, columns, size * each,
      [&](Value column, Value mask) {
        SmallVector<Value> terms;
        for (size_t row = 0; row < group.size(); ++row) {
          Value centered = all[row].center(v, load(row, column, mask));
          terms.push_back(v.mul(centered, centered));
          if (extra)
            llvm::append_range(terms, extraTerms(row, centered, column, mask));
        }
        return terms;
      },
      /*ways=*/extra ? 1 : 2,
      [&](Value column) {
        for (Value row : ahead)
          v.prefetch(row, column, 4);
      });
  for (auto [row, statistics] : llvm::enumerate(all)) {
    ArrayRef<Value> own = ArrayRef(totals).slice(row * size_t(each), size_t(each));
    Value shifted = arith::AddFOp::create(b, e.loc, mean(own[0]), epsilon);
    Value root = math::SqrtOp::create(b, e.loc, shifted);
    statistics.scale = v.splat(arith::DivFOp::create(b, e.loc, one, root).getResult());
    statistics.sums.assign(own.begin() + 1, own.end());
  }
  return all;
}

LogicalResult emit(kernel::NormOp op, ValueRange operands, Emission &e) {
  if (failed(checkRows(op, operands)))
    return failure();
  kernel::NormOp::Adaptor in(operands, op);
  auto type = cast<MemRefType>(in.getX().getType());
  if (type.getRank() == 0)
    return op.emitOpError("x has no dimension to normalize over");
  Vectors v(e, computeType(type.getElementType()));
  Value columns = e.dim(in.getX(), type.getRank() - 1);
  Value rows = e.leadingSize(in.getX(), type.getRank() - 1);
  SmallVector<Value> inputs{mergeRows(e, in.getX())}, outputs{mergeRows(e, in.getOutputs()[0])};
  if (in.getResidual()) {
    inputs.push_back(mergeRows(e, in.getResidual()));
    outputs.push_back(mergeRows(e, in.getOutputs()[1]));
  }
  NormRows norm(v, rows, columns, inputs, op.getKind(), op.getEpsilon().convertToDouble());
  auto emitGroup = [&](ArrayRef<Value> group, bool streaming) {
    // The sum with the residual is computed anew in each pass: that costs less than to write it
    // first and read it again.
    SmallVector<Value> x, residual;
    for (Value row : group) {
      x.push_back(rowOf(e, inputs[0], row));
      if (inputs.size() > 1)
        residual.push_back(rowOf(e, inputs[1], row));
    }
    // With 16-bit elements the sum is rounded when it is stored; the norm is that of the stored
    // sum, which is what a backward pass will see.
    auto load = [&](size_t row, Value column, Value mask) {
      Value value = v.load(x[row], column, mask);
      return residual.empty()
                 ? value
                 : v.asStored(v.add(value, v.load(residual[row], column, mask)), outputs[1]);
    };
    SmallVector<Value> ahead = norm.ahead(group);
    size_t half = ahead.size() / 2;
    SmallVector<RowStatistics> statistics =
        norm.statistics(group, ArrayRef(ahead).take_front(half), load);
    SmallVector<SmallVector<Value>> targets(outputs.size());
    for (auto [number, output] : llvm::enumerate(outputs))
      for (Value row : group)
        targets[number].push_back(rowOf(e, output, row));
    v.forLines(e.index(0), columns, outputs[0], [&](ArrayRef<Value> line, Value mask) {
      auto loadAll = [&](Value memref) {
        SmallVector<Value> vectors;
        for (Value column : line)
          vectors.push_back(memref ? v.load(memref, column, mask) : Value());
        return vectors;
      };
      for (Value row : ArrayRef(ahead).drop_front(half))
        v.prefetch(row, line.front(), int64_t(line.size()));
      SmallVector<Value> weights = loadAll(in.getWeight()), biases = loadAll(in.getBias());
      for (size_t row = 0; row < group.size(); ++row)
        for (auto [column, weight, bias] : llvm::zip(line, weights, biases)) {
          Value value = load(row, column, mask);
          if (!residual.empty())
            v.store(value, targets[1][row], column, mask, streaming);
          value = v.mul(statistics[row].center(v, value), statistics[row].scale);
          if (weight && bias)
            value = v.fma(value, weight, bias);
          else if (weight)
            value = v.mul(value, weight);
          else if (bias)
            value = v.add(value, bias);
          v.store(value, targets[0][row], column, mask, streaming);
        }
    });
  };
  int64_t bytes = elementBytes(type.getElementType()) * int64_t(inputs.size() + outputs.size());
  withStreaming(e, outputs, rows, columns, bytes, [&](bool streaming) {
    forRowGroupUnits(e, rows, rowsPerUnit(e, columns, bytes), norm.size(),
                     [&](ArrayRef<Value> group) { emitGroup(group, streaming); });
  });
  return success();
}

} // namespace quern::cpu
