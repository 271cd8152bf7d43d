//===- Softmax.cpp - Softmax over rows and its gradient ---------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "Softmax.h"
#include "Emitters.h"
#include "Rows.h"

#include <limits>

using namespace mlir;

namespace quern::nvidia {

constexpr double infinity = std::numeric_limits<double>::infinity();

/// The larger one, b where a is a NaN: a NaN goes on into the sum of exponentials.
static Value larger(Thread &t, Value a, Value b) {
  return t.select(t.is(arith::CmpFPredicate::OGT, a, b), a, b);
}

/// What is subtracted before exponentials: the maximum, unless there is nothing but -infinity.
static Value shiftOf(Thread &t, Value maximum) {
  Value lowest = t.number(maximum.getType(), -infinity);
  return t.select(t.is(arith::CmpFPredicate::OEQ, maximum, lowest), t.number(maximum.getType(), 0),
                  maximum);
}

RowSum rowSumOfExponentials(Team &team, const Team::Part &row) {
  Thread &t = team.t;
  Team::Values initial{t.number(row.type, -infinity), t.number(row.type, 0)};
  Team::Values own =
      team.walk(row, initial, [&](ArrayRef<Team::Values> elements, ValueRange carried) {
        Value maximum = carried[0];
        for (const Team::Values &x : elements)
          maximum = larger(t, x[0], maximum);
        Value shift = shiftOf(t, maximum);
        Value sum = t.mul(carried[1], t.exp(t.sub(carried[0], shift)));
        Team::Values exponentials;
        for (const Team::Values &x : elements)
          exponentials.push_back(t.exp(t.sub(x[0], shift)));
        return Team::Values{maximum, t.add(sum, t.sumOf(exponentials))};
      });
  Value maximum =
      shiftOf(t, team.combine(own[0], [&](Value a, Value b) { return larger(t, a, b); }));
  Value share = t.mul(own[1], t.exp(t.sub(own[0], maximum)));
  return {maximum, team.sum(share)};
}

LogicalResult emit(kernel::SoftmaxOp op, ValueRange operands, Emission &e) {
  if (failed(checkRows(op, operands)))
    return failure();
  auto type = cast<MemRefType>(op.getX().getType());
  Type compute = computeType(type.getElementType());
  Value rows = e.leadingSize(operands[0], type.getRank() - 1);
  Value columns = e.dim(operands[0], type.getRank() - 1);
  forRows(e, rows, columns, withMergedRows(e, operands),
          [&](Team &team, Value row, ValueRange onDevice) {
            Thread &t = team.t;
            Team::Part x = team.read(rowOf(t, onDevice[0], row), compute);
            RowSum total = rowSumOfExponentials(team, x);
            // A sum is 0 only where all exponentials are.
            Value zero = t.number(compute, 0);
            Value factor = t.select(t.is(arith::CmpFPredicate::OEQ, total.sum, zero), zero,
                                    t.div(t.number(compute, 1), total.sum));
            team.write(x, rowOf(t, onDevice[1], row), [&](ValueRange element) {
              return t.mul(t.exp(t.sub(element[0], total.maximum)), factor);
            });
          });
  return success();
}

LogicalResult emit(kernel::SoftmaxBackwardOp op, ValueRange operands, Emission &e) {
  if (failed(checkRows(op, operands)))
    return failure();
  auto type = cast<MemRefType>(op.getY().getType());
  Type compute = computeType(type.getElementType());
  Value rows = e.leadingSize(operands[0], type.getRank() - 1);
  Value columns = e.dim(operands[0], type.getRank() - 1);
  forRows(e, rows, columns, withMergedRows(e, operands),
          [&](Team &team, Value row, ValueRange onDevice) {
            Thread &t = team.t;
            SmallVector<Team::Part> parts{team.read(rowOf(t, onDevice[0], row), compute),
                                          team.read(rowOf(t, onDevice[1], row), compute)};
            Value sum = team.sums(parts, 1, compute, [&](ValueRange element) {
              return Team::Values{t.mul(element[0], element[1])};
            })[0];
            team.write(parts, rowOf(t, onDevice[2], row), [&](ValueRange element) {
              return t.mul(element[0], t.sub(element[1], sum));
            });
          });
  return success();
}

} // namespace quern::nvidia
