//===- Norm.cpp - Layer and RMS normalization -------------------------------------------------===//
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

RowStatistics rowStatistics(Team &team, const Team::Part &row, kernel::NormKind kind,
                            double epsilon) {
  Thread &t = team.t;
  Type type = row.type;
  Value count = t.convert(team.columns, type);
  RowStatistics statistics;
  if (kind == kernel::NormKind::Layer)
    statistics.mean = t.div(team.sum(row, [](Value x) { return x; }), count);
  Value squares = team.sum(row, [&](Value x) {
    if (statistics.mean)
      x = t.sub(x, statistics.mean);
    return t.mul(x, x);
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
  Type compute = computeType(type.getElementType());
  SmallVector<Value> merged = withMergedRows(e, operands);
  Value rows = e.leadingSize(operands[0], type.getRank() - 1);
  Value columns = e.dim(operands[0], type.getRank() - 1);
  forRows(e, rows, columns, merged, [&](Team &team, Value row, ValueRange onDevice) {
    Thread &t = team.t;
    kernel::NormOp::Adaptor in(onDevice, op);
    auto read = [&](Value memref) { return team.read(memref, compute); };
    Team::Part x = read(rowOf(t, in.getX(), row));
    if (in.getResidual())
      // The norm is that of the stored sum, which is what a backward pass will see.
      x = team.write({x, read(rowOf(t, in.getResidual(), row))}, rowOf(t, in.getOutputs()[1], row),
                     [&](ValueRange both) { return t.add(both[0], both[1]); });
    RowStatistics statistics =
        rowStatistics(team, x, op.getKind(), op.getEpsilon().convertToDouble());
    SmallVector<Team::Part> inputs{x};
    for (Value vector : {in.getWeight(), in.getBias()})
      if (vector)
        inputs.push_back(read(vector));
    team.write(inputs, rowOf(t, in.getOutputs()[0], row), [&](ValueRange element) {
      Value value = normalize(t, element[0], statistics);
      if (in.getWeight() && in.getBias())
        return t.fma(value, element[1], element[2]);
      if (in.getWeight())
        return t.mul(value, element[1]);
      return in.getBias() ? t.add(value, element[1]) : value;
    });
  });
  return success();
}

} // namespace quern::nvidia
