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

RowStatistics rowStatistics(Vectors &v, Value row, Value columns, kernel::NormKind kind,
                            double epsilon) {
  Emission &e = v.emission;
  OpBuilder &b = e.builder;
  Value zero = e.index(0);
  Value integer = arith::IndexCastOp::create(b, e.loc, b.getI64Type(), columns);
  Value count = arith::SIToFPOp::create(b, e.loc, v.compute, integer);
  RowStatistics statistics;
  if (kind == kernel::NormKind::Layer) {
    Value total = v.sums(zero, columns, 1, [&](Value column, Value mask) {
      return SmallVector<Value>{v.load(row, column, mask)};
    })[0];
    statistics.mean = v.splat(arith::DivFOp::create(b, e.loc, total, count).getResult());
  }
  Value squares = v.sums(zero, columns, 1, [&](Value column, Value mask) {
    Value centered = v.load(row, column, mask);
    if (statistics.mean)
      centered = v.sub(centered, statistics.mean);
    return SmallVector<Value>{v.mul(centered, centered)};
  })[0];
  Value variance = arith::DivFOp::create(b, e.loc, squares, count);
  Value eps = arith::ConstantOp::create(b, e.loc, b.getFloatAttr(v.compute, epsilon));
  Value root =
      math::SqrtOp::create(b, e.loc, arith::AddFOp::create(b, e.loc, variance, eps).getResult());
  Value one = arith::ConstantOp::create(b, e.loc, b.getFloatAttr(v.compute, 1.0));
  statistics.scale = v.splat(arith::DivFOp::create(b, e.loc, one, root).getResult());
  return statistics;
}

Value normalize(Vectors &v, Value x, const RowStatistics &statistics) {
  if (statistics.mean)
    x = v.sub(x, statistics.mean);
  return v.mul(x, statistics.scale);
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
  Value x = mergeRows(e, in.getX()), y = mergeRows(e, in.getOutputs()[0]);
  Value residual, total;
  if (in.getResidual()) {
    residual = mergeRows(e, in.getResidual());
    total = mergeRows(e, in.getOutputs()[1]);
  }
  // With 16-bit elements the sum is rounded when it is stored; the norm is that of the stored sum,
  // which is what a backward pass will see.
  Value zero = e.index(0);
  int64_t bytes = elementBytes(type.getElementType()) * (residual ? 4 : 2);
  forRows(e, rows, rowsPerUnit(e, columns, bytes), [&](Value row) {
    Value source = rowOf(e, x, row), target = rowOf(e, y, row);
    if (residual) {
      Value other = rowOf(e, residual, row), stored = rowOf(e, total, row);
      v.forColumns(zero, columns, [&](Value column, Value mask) {
        Value value = v.add(v.load(source, column, mask), v.load(other, column, mask));
        v.store(value, stored, column, mask);
      });
      source = stored;
    }
    RowStatistics statistics =
        rowStatistics(v, source, columns, op.getKind(), op.getEpsilon().convertToDouble());
    Value next = rowToPrefetch(e, x, row, rows);
    Value nextOther = residual ? rowToPrefetch(e, residual, row, rows) : Value();
    v.forColumns(zero, columns, [&](Value column, Value mask) {
      v.prefetch(next, column);
      v.prefetch(nextOther, column);
      Value value = normalize(v, v.load(source, column, mask), statistics);
      if (in.getWeight() && in.getBias())
        value =
            v.fma(value, v.load(in.getWeight(), column, mask), v.load(in.getBias(), column, mask));
      else if (in.getWeight())
        value = v.mul(value, v.load(in.getWeight(), column, mask));
      else if (in.getBias())
        value = v.add(value, v.load(in.getBias(), column, mask));
      v.store(value, target, column, mask);
    });
  });
  return success();
}

} // namespace quern::cpu
