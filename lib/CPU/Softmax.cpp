//===- Softmax.cpp - Softmax over rows and its gradient ---------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
// Exponentials are computed twice, for the sum and for the result: that costs less than to write
// and read them, and loses no digits in 16-bit results.

#include "Softmax.h"
#include "Emitters.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"

#include <limits>

using namespace mlir;

namespace quern::cpu {

constexpr double infinity = std::numeric_limits<double>::infinity();

Value maximum(Vectors &v, Value a, Value b) {
  // One instruction, unlike maximumf; a NaN goes on into the sum of exponentials.
  OpBuilder &builder = v.emission.builder;
  Location loc = v.emission.loc;
  Value larger = arith::CmpFOp::create(builder, loc, arith::CmpFPredicate::OGT, a, b);
  return arith::SelectOp::create(builder, loc, larger, a, b);
}

Value largestOf(Vectors &v, Value row, Value from, Value to) {
  Emission &e = v.emission;
  OpBuilder &b = e.builder;
  Value lowest = v.splat(-infinity);
  // Four maxima side by side, so that comparisons do not wait for each other.
  constexpr int64_t ways = 4;
  auto wholeSteps = [&](int64_t step) {
    Value length = b.createOrFold<arith::SubIOp>(e.loc, to, from);
    Value steps = b.createOrFold<arith::DivUIOp>(e.loc, length, e.index(step));
    return addIndex(e, from, mulIndex(e, steps, e.index(step)));
  };
  Value blocks = wholeSteps(ways * v.lanes);
  SmallVector<Value> largest =
      e.forLoop(from, blocks, ways * v.lanes, SmallVector<Value>(ways, lowest),
                [&](Value column, ValueRange carried) {
                  SmallVector<Value> next;
                  for (int64_t way = 0; way < ways; ++way)
                    next.push_back(maximum(
                        v, v.load(row, addIndex(e, column, e.index(way * v.lanes))), carried[way]));
                  return next;
                });
  Value most = maximum(v, maximum(v, largest[0], largest[1]), maximum(v, largest[2], largest[3]));
  // At most three whole vectors and a part of one are left.
  Value whole = wholeSteps(v.lanes);
  most = e.forLoop(blocks, whole, v.lanes, most, [&](Value column, ValueRange carried) {
    return SmallVector<Value>{maximum(v, v.load(row, column), carried[0])};
  })[0];
  Value left = b.createOrFold<arith::SubIOp>(e.loc, to, whole);
  if (constantOf(left) != 0) {
    Value mask = vector::CreateMaskOp::create(b, e.loc, VectorType::get({v.lanes}, b.getI1Type()),
                                              ValueRange{left});
    Value rest = v.load(row, whole, mask);
    rest = arith::SelectOp::create(b, e.loc, mask, rest, lowest);
    most = maximum(v, rest, most);
  }
  return vector::ReductionOp::create(b, e.loc, vector::CombiningKind::MAXNUMF, most);
}

Value finiteShift(Vectors &v, Value largest) {
  OpBuilder &b = v.emission.builder;
  Location loc = v.emission.loc;
  Value none = arith::ConstantOp::create(b, loc, b.getFloatAttr(v.compute, -infinity));
  Value nothing = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OEQ, largest, none);
  Value zero = arith::ConstantOp::create(b, loc, b.getFloatAttr(v.compute, 0.0));
  return arith::SelectOp::create(b, loc, nothing, zero, largest);
}

RowSum rowSumOfExponentials(Vectors &v, Value row, Value columns) {
  Emission &e = v.emission;
  Value zero = e.index(0);
  Value scalar = finiteShift(v, largestOf(v, row, zero, columns));
  Value shift = v.splat(scalar);
  Value sum = v.sums(zero, columns, 1, [&](Value column, Value mask) {
    Value x = v.sub(v.load(row, column, mask), shift);
    return SmallVector<Value>{v.expNonPositive(x)};
  })[0];
  return {scalar, sum};
}

LogicalResult emit(kernel::SoftmaxOp op, ValueRange operands, Emission &e) {
  if (failed(checkRows(op, operands)))
    return failure();
  kernel::SoftmaxOp::Adaptor in(operands, op);
  auto type = cast<MemRefType>(in.getX().getType());
  if (type.getRank() == 0)
    return op.emitOpError("x has no dimension to take the softmax over");
  OpBuilder &b = e.builder;
  Vectors v(e, computeType(type.getElementType()));
  Value columns = e.dim(in.getX(), type.getRank() - 1);
  Value rows = e.leadingSize(in.getX(), type.getRank() - 1);
  Value x = mergeRows(e, in.getX()), y = mergeRows(e, in.getOutputs()[0]);
  int64_t bytes = 2 * elementBytes(type.getElementType());
  forRows(e, rows, rowsPerUnit(e, columns, bytes), [&](Value row) {
    Value source = rowOf(e, x, row), target = rowOf(e, y, row);
    RowSum total = rowSumOfExponentials(v, source, columns);
    // A sum is 0 only where all exponentials are.
    Value one = arith::ConstantOp::create(b, e.loc, b.getFloatAttr(v.compute, 1.0));
    Value zero = arith::ConstantOp::create(b, e.loc, b.getFloatAttr(v.compute, 0.0));
    Value empty = arith::CmpFOp::create(b, e.loc, arith::CmpFPredicate::OEQ, total.sum, zero);
    Value inverse = arith::DivFOp::create(b, e.loc, one, total.sum);
    Value factor = v.splat(arith::SelectOp::create(b, e.loc, empty, zero, inverse).getResult());
    Value shift = v.splat(total.maximum);
    v.forColumns(e.index(0), columns, [&](Value column, Value mask) {
      Value exponent = v.sub(v.load(source, column, mask), shift);
      v.store(v.mul(v.expNonPositive(exponent), factor), target, column, mask);
    });
  });
  return success();
}

LogicalResult emit(kernel::SoftmaxBackwardOp op, ValueRange operands, Emission &e) {
  if (failed(checkRows(op, operands)))
    return failure();
  kernel::SoftmaxBackwardOp::Adaptor in(operands, op);
  auto type = cast<MemRefType>(in.getY().getType());
  if (type.getRank() == 0)
    return op.emitOpError("y has no dimension that the softmax was taken over");
  Vectors v(e, computeType(type.getElementType()));
  Value columns = e.dim(in.getY(), type.getRank() - 1);
  Value rows = e.leadingSize(in.getY(), type.getRank() - 1);
  Value y = mergeRows(e, in.getY()), gradient = mergeRows(e, in.getGradient()),
        x = mergeRows(e, in.getOutputs()[0]);
  int64_t bytes = 3 * elementBytes(type.getElementType());
  forRows(e, rows, rowsPerUnit(e, columns, bytes), [&](Value row) {
    Value result = rowOf(e, y, row), dy = rowOf(e, gradient, row), dx = rowOf(e, x, row);
    Value sum = v.splat(v.sums(e.index(0), columns, 1, [&](Value column, Value mask) {
      return SmallVector<Value>{v.mul(v.load(result, column, mask), v.load(dy, column, mask))};
    })[0]);
    v.forColumns(e.index(0), columns, [&](Value column, Value mask) {
      Value centered = v.sub(v.load(dy, column, mask), sum);
      v.store(v.mul(v.load(result, column, mask), centered), dx, column, mask);
    });
  });
  return success();
}

} // namespace quern::cpu
