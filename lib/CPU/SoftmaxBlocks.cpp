//===- SoftmaxBlocks.cpp - Sums of exponentials of long rows ----------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
// A row of 50257 logits fits the second-level cache but not the first: three passes over it, for
// the maximum, the sum and the result, would wait for memory in the first of them and leave it idle
// in the others.

#include "Softmax.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "llvm/Support/MathExtras.h"

#include <limits>

using namespace mlir;

namespace quern::cpu {

bool BlockedExponentials::canTake(Vectors &v, Value matrix) {
  auto type = cast<MemRefType>(matrix.getType());
  return type.getElementType() == v.compute && !ShapedType::isDynamic(type.getShape().back());
}

BlockedExponentials::BlockedExponentials(Vectors &v, Value columns) : v(v), columns(columns) {
  Emission &e = v.emission;
  int64_t step = 4 * v.lanes; // as `sums` and `largestOf` take them
  size = std::max<int64_t>(step,
                           llvm::alignDown(e.machine.l1Bytes / 4 / elementBytes(v.compute), step));
  count = llvm::divideCeil(*constantOf(columns), size);
  maxima = e.privateScratch(MemRefType::get({std::max<int64_t>(count, 1)}, v.compute));
}

RowSum BlockedExponentials::sum(Value row, bool replace) {
  Emission &e = v.emission;
  OpBuilder &b = e.builder;
  Location loc = e.loc;
  auto scalar = [&](double value) -> Value {
    return arith::ConstantOp::create(b, loc, b.getFloatAttr(v.compute, value));
  };
  auto exponential = [&](Value x, Value shift) -> Value {
    return math::ExpOp::create(b, loc, arith::SubFOp::create(b, loc, x, shift).getResult());
  };
  Value lowest = scalar(-std::numeric_limits<double>::infinity());
  SmallVector<Value> total = e.forLoop(
      e.index(0), e.index(count), 1, ValueRange{lowest, scalar(0)},
      [&](Value block, ValueRange carried) {
        Value from = mulIndex(e, block, e.index(size));
        Value to = minIndex(e, addIndex(e, from, e.index(size)), columns);
        Value most = largestOf(v, row, from, to);
        memref::StoreOp::create(b, loc, most, maxima, ValueRange{block});
        Value shift = v.splat(finiteShift(v, most));
        Value part = v.sums(
            from, to, 1,
            [&](Value column, Value mask) {
              Value y = v.expNonPositive(v.sub(v.load(row, column, mask), shift));
              if (replace)
                v.store(y, row, column, mask);
              return SmallVector<Value>{y};
            },
            4, [&](Value column) { v.prefetch(row, addIndex(e, column, e.index(size)), 4); })[0];
        Value larger = maximum(v, most, carried[0]);
        Value common = finiteShift(v, larger);
        Value before = arith::MulFOp::create(b, loc, carried[1], exponential(carried[0], common));
        Value now = arith::MulFOp::create(b, loc, part, exponential(most, common));
        return SmallVector<Value>{larger, arith::AddFOp::create(b, loc, before, now)};
      });
  return {finiteShift(v, total[0]), total[1]};
}

void BlockedExponentials::scale(Value row, const RowSum &total, Value factor) {
  Emission &e = v.emission;
  OpBuilder &b = e.builder;
  Location loc = e.loc;
  e.forLoop(e.index(0), e.index(count), 1, [&](Value block) {
    Value from = mulIndex(e, block, e.index(size));
    Value to = minIndex(e, addIndex(e, from, e.index(size)), columns);
    Value most = memref::LoadOp::create(b, loc, maxima, ValueRange{block});
    Value exponent = arith::SubFOp::create(b, loc, most, total.maximum);
    Value power = math::ExpOp::create(b, loc, exponent);
    Value both = v.splat(arith::MulFOp::create(b, loc, power, factor).getResult());
    v.forLines(from, to, row, [&](ArrayRef<Value> line, Value mask) {
      for (Value column : line)
        v.store(v.mul(v.load(row, column, mask), both), row, column, mask);
    });
  });
}

} // namespace quern::cpu
