//===- Norm.cpp - Layer and RMS normalization
//--------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "Norm.h"
#include "Emitters.h"

#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;

namespace quern::nvidia {

RowStatistics rowStatistics(Team &team, Value columns, Type type, kernel::NormKind kind,
                            double epsilon, llvm::function_ref<Value(Value)> element) {
  Thread &t = team.t;
  Value count = t.convert(columns, type);
  RowStatistics statistics;
  if (kind == kernel::NormKind::Layer)
    statistics.mean = t.div(team.sum(columns, type, element), count);
  Value squares = team.sum(columns, type, [&](Value column) {
    Value centered = element(column);
    if (statistics.mean)
      centered = t.sub(centered, statistics.mean);
    return t.mul(centered, centered);
  });
  Value variance = t.add(t.div(squares, count), t.number(type, epsilon));
  Value root = math::SqrtOp::create(t.builder, t.loc, variance);
  statistics.scale = t.div(t.number(type, 1), root);
  return statistics;
}

Value normalize(Thread &t, Value x, const RowStatistics &statistics) {
  if (statistics.mean)
    x = t.sub(x, statistics.mean);
  return t.mul(x, statistics.scale);
}

LogicalResult emit(kernel::NormOp op, ValueRange operands, Emission &e) {
  if (failed(checkRows(op, operands)))
    return failure();
  auto type = cast<MemRefType>(op.getX().getType());
  if (type.getRank() == 0)
    return op.emitOpError("x has no dimension to normalize over");
  Type compute = computeType(type.getElementType());
  kernel::NormOp::Adaptor host(operands, op);
  Value rows = e.leadingSize(host.getX(), type.getRank() - 1);
  Value columns = e.dim(host.getX(), type.getRank() - 1);
  forRows(e, rows, columns, operands, [&](Team &team, Value row, ValueRange onDevice) {
    Thread &t = team.t;
    kernel::NormOp::Adaptor in(onDevice, op);
    Value size = t.dim(in.getX(), type.getRank() - 1), source = in.getX();
    SmallVector<Value> place = rowIndices(t, source, row);
    if (in.getResidual()) {
      // The norm is that of the stored sum, which is what a backward pass will see.
      Value total = in.getOutputs()[1];
      team.forColumns(size, [&](Value column) {
        SmallVector<Value> here = at(place, column);
        Value sum = t.add(t.load(source, here, compute), t.load(in.getResidual(), here, compute));
        t.store(sum, total, here);
      });
      source = total;
    }
    auto element = [&](Value column) { return t.load(source, at(place, column), compute); };
    RowStatistics statistics = rowStatistics(team, size, compute, op.getKind(),
                                             op.getEpsilon().convertToDouble(), element);
    team.forColumns(size, [&](Value column) {
      Value value = normalize(t, element(column), statistics);
      Value weight, bias;
      if (in.getWeight())
        weight = t.load(in.getWeight(), column, compute);
      if (in.getBias())
        bias = t.load(in.getBias(), column, compute);
      if (weight && bias)
        value = t.fma(value, weight, bias);
      else if (weight)
        value = t.mul(value, weight);
      else if (bias)
        value = t.add(value, bias);
      t.store(value, in.getOutputs()[0], at(place, column));
    });
  });
  return success();
}

} // namespace quern::nvidia
