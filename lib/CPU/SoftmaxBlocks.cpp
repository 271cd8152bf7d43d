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

/// 1 / ln 2 in the type that is computed in.
static double log2EOf(Vectors &v) {
  constexpr double log2E = 1.4426950408889634;
  return v.compute.isF32() ? static_cast<double>(static_cast<float>(log2E)) : log2E;
}

bool BlockedExponentials::canTake(Value matrix) {
  auto type = cast<MemRefType>(matrix.getType());
  int64_t columns = type.getShape().back();
  // A row that waits for its factor is on the stack of its thread.
  constexpr int64_t longestUnrounded = 256 << 10; // 1 MiB of f32
  return !ShapedType::isDynamic(columns) &&
         (type.getElementTypeBitWidth() > 16 || columns <= longestUnrounded);
}

BlockedExponentials::BlockedExponentials(Vectors &v, Value matrix, bool replaces)
    : v(v), replaces(replaces),
      columns(v.emission.dim(matrix, cast<MemRefType>(matrix.getType()).getRank() - 1)) {
  Emission &e = v.emission;
  int64_t step = 4 * v.lanes; // as `sums` and `largestOf` take them
  size = std::max<int64_t>(step,
                           llvm::alignDown(e.machine.l1Bytes / 4 / elementBytes(v.compute), step));
  count = llvm::divideCeil(*constantOf(columns), size);
  maxima = e.privateScratch(MemRefType::get({std::max<int64_t>(count, 1)}, v.compute));
  if (replaces && cast<MemRefType>(matrix.getType()).getElementType() != v.compute)
    unrounded = e.privateScratch(MemRefType::get({*constantOf(columns)}, v.compute));
}

RowSum BlockedExponentials::sum(Value row) {
  Emission &e = v.emission;
  OpBuilder &b = e.builder;
  Location loc = e.loc;
  auto scalar = [&](double value) -> Value {
    return arith::ConstantOp::create(b, loc, b.getFloatAttr(v.compute, value));
  };
  auto power = [&](Value x, Value shift) -> Value {
    return math::Exp2Op::create(b, loc, arith::SubFOp::create(b, loc, x, shift).getResult());
  };
  Value factor = scalar(log2EOf(v)), factors = v.splat(log2EOf(v));
  Value lowest = scalar(-std::numeric_limits<double>::infinity());
  SmallVector<Value> total = e.forLoop(
      e.index(0), e.index(count), 1, ValueRange{lowest, scalar(0)},
      [&](Value block, ValueRange carried) {
        Value from = mulIndex(e, block, e.index(size));
        Value to = minIndex(e, addIndex(e, from, e.index(size)), columns);
        Value most = arith::MulFOp::create(b, loc, largestOf(v, row, from, to), factor);
        memref::StoreOp::create(b, loc, most, maxima, ValueRange{block});
        Value shift = v.splat(arith::NegFOp::create(b, loc, finiteShift(v, most)).getResult());
        // One accumulator: an exponential takes longer than an addition, and its constants need the
        // registers.
        Value part = v.sums(
            from, to, 1,
            [&](Value column, Value mask) {
              Value y = v.exp2NonPositive(v.fma(v.load(row, column, mask), factors, shift));
              if (replaces)
                v.store(y, unrounded ? unrounded : row, column, mask);
              return SmallVector<Value>{y};
            },
            /*ways=*/1,
            [&](Value column) { v.prefetch(row, addIndex(e, column, e.index(size)), 4); })[0];
        Value larger = maximum(v, most, carried[0]);
        Value common = finiteShift(v, larger);
        Value before = arith::MulFOp::create(b, loc, carried[1], power(carried[0], common));
        Value now = arith::MulFOp::create(b, loc, part, power(most, common));
        return SmallVector<Value>{larger, arith::AddFOp::create(b, loc, before, now)};
      });
  return {finiteShift(v, total[0]), total[1]};
}

Value BlockedExponentials::logarithm(const RowSum &total) {
  OpBuilder &b = v.emission.builder;
  Location loc = v.emission.loc;
  auto wide = [&](Value value) -> Value {
    return v.compute.isF64() ? value
                             : arith::ExtFOp::create(b, loc, b.getF64Type(), value).getResult();
  };
  Value sum = wide(math::LogOp::create(b, loc, total.sum));
  // By the factor as it is rounded, so that its error does not grow with the numbers.
  Value inverse = arith::ConstantOp::create(b, loc, b.getF64FloatAttr(1 / log2EOf(v)));
  Value shift = arith::MulFOp::create(b, loc, wide(total.maximum), inverse);
  return arith::AddFOp::create(b, loc, sum, shift);
}

Value BlockedExponentials::exponential(Value x, const RowSum &total) {
  OpBuilder &b = v.emission.builder;
  Location loc = v.emission.loc;
  Value factor = arith::ConstantOp::create(b, loc, b.getFloatAttr(v.compute, log2EOf(v)));
  Value exponent;
  if (v.emission.machine.hasFma) {
    Value negated = arith::NegFOp::create(b, loc, total.maximum);
    exponent = math::FmaOp::create(b, loc, x, factor, negated);
  } else {
    Value scaled = arith::MulFOp::create(b, loc, x, factor);
    exponent = arith::SubFOp::create(b, loc, scaled, total.maximum);
  }
  return math::Exp2Op::create(b, loc, exponent);
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
    Value power = math::Exp2Op::create(b, loc, exponent);
    Value both = v.splat(arith::MulFOp::create(b, loc, power, factor).getResult());
    v.forLines(from, to, row, [&](ArrayRef<Value> line, Value mask) {
      for (Value column : line)
        v.store(v.mul(v.load(unrounded ? unrounded : row, column, mask), both), row, column, mask);
    });
  });
}

} // namespace quern::cpu
