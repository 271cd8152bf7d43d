//===- Rotary.cpp - Rotary position embedding -------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
// Cosines and sines of a position are computed once, in f64 vectors, and serve all heads and
// sequences. The angle of a far position has to be reduced with care: f32 would have no digits left
// at position 10^6. Here the quarter turns are subtracted in three parts of pi/2 (Cody and Waite
// 1980), and Taylor series on [-pi/4, pi/4] give 1e-11, far below the rounding to f32.

#include "Emitters.h"
#include "Rows.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/BuiltinOps.h"

#include <cmath>

using namespace mlir;

namespace quern::cpu {

namespace {

/// The constant table base^(-2i/D), i < D/2, of the module.
Value frequencies(Emission &e, int64_t width, double base) {
  OpBuilder &b = e.builder;
  auto module = b.getInsertionBlock()->getParent()->getParentOfType<ModuleOp>();
  int64_t pairs = width / 2;
  // Whole vectors: the rest of the last one is 0.
  int64_t lanes = e.machine.lanes(b.getF64Type());
  SmallVector<double> values(llvm::alignTo(pairs, lanes), 0.0);
  for (int64_t i = 0; i < pairs; ++i)
    values[i] = std::pow(base, -2.0 * static_cast<double>(i) / static_cast<double>(width));
  auto tensor = RankedTensorType::get({static_cast<int64_t>(values.size())}, b.getF64Type());
  auto initial = DenseElementsAttr::get(tensor, llvm::ArrayRef<double>(values));
  auto type = MemRefType::get(tensor.getShape(), b.getF64Type());
  memref::GlobalOp table;
  int64_t number = 0;
  for (auto global : module.getOps<memref::GlobalOp>()) {
    if (!global.getSymName().starts_with("rotary_frequencies."))
      continue;
    ++number;
    if (global.getInitialValue() == Attribute(initial))
      table = global;
  }
  if (!table) {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(module.getBody());
    table = memref::GlobalOp::create(b, e.loc, ("rotary_frequencies." + Twine(number)).str(),
                                     b.getStringAttr("private"), type, initial, /*constant=*/true,
                                     b.getI64IntegerAttr(64));
  }
  return memref::GetGlobalOp::create(b, e.loc, type, table.getSymName());
}

/// Sine and cosine of f64 angles (0 <= angle < 2^31) as vectors of f64.
std::pair<Value, Value> sineAndCosine(Vectors &v, Value angle) {
  Emission &e = v.emission;
  OpBuilder &b = e.builder;
  Location loc = e.loc;
  // pi/2, in parts of 33 bits: their products with up to 2^20 turns are exact, fused or not.
  constexpr double parts[] = {0x1.921fb544p+0, 0x1.0b4611a6p-34, 0x1.3198a2e037073p-69};
  Value turns = math::RoundEvenOp::create(b, loc, v.mul(angle, v.splat(2 / M_PI)));
  Value x = angle;
  for (double part : parts)
    x = v.fma(turns, v.splat(-part), x);
  Value square = v.mul(x, x);
  auto series = [&](ArrayRef<double> coefficients) {
    Value sum = v.splat(coefficients.front());
    for (double coefficient : coefficients.drop_front())
      sum = v.fma(sum, square, v.splat(coefficient));
    return sum;
  };
  // 1 / n! with alternating signs, from the highest down.
  Value sine = v.mul(x, series({1.0 / 6227020800, -1.0 / 39916800, 1.0 / 362880, -1.0 / 5040,
                                1.0 / 120, -1.0 / 6, 1.0}));
  Value cosine =
      series({1.0 / 479001600, -1.0 / 3628800, 1.0 / 40320, -1.0 / 720, 1.0 / 24, -0.5, 1.0});
  auto integers = VectorType::get({v.lanes}, b.getI32Type());
  Value quarter = arith::FPToSIOp::create(b, loc, integers, turns);
  auto splat = [&](int32_t value) -> Value {
    return arith::ConstantOp::create(b, loc,
                                     DenseElementsAttr::get(integers, b.getI32IntegerAttr(value)));
  };
  auto bit = [&](Value value, int32_t mask) -> Value {
    Value kept = arith::AndIOp::create(b, loc, value, splat(mask));
    return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ne, kept, splat(0));
  };
  // Quarters 1 and 3 swap the two; the sine is negative in 2 and 3, the cosine in 1 and 2.
  Value odd = bit(quarter, 1);
  Value newSine = arith::SelectOp::create(b, loc, odd, cosine, sine);
  Value newCosine = arith::SelectOp::create(b, loc, odd, sine, cosine);
  auto negateWhere = [&](Value condition, Value value) -> Value {
    Value negated = arith::NegFOp::create(b, loc, value);
    return arith::SelectOp::create(b, loc, condition, negated, value);
  };
  Value after = arith::AddIOp::create(b, loc, quarter, splat(1));
  return {negateWhere(bit(quarter, 2), newSine), negateWhere(bit(after, 2), newCosine)};
}

class Rotary {
public:
  Rotary(kernel::RotaryOp op, ValueRange operands, Emission &emission, Type compute)
      : op(op), in(operands, op), e(emission), v(emission, compute) {}

  void run();

private:
  void fillTables(Value position);
  void rotateHalves(Value source, Value target);
  void rotatePairs(Value source, Value target);

  kernel::RotaryOp op;
  kernel::RotaryOp::Adaptor in;
  Emission &e;
  Vectors v;
  int64_t width = 0;
  Value table;          ///< base^(-2i/D)
  Value cosines, sines; ///< of the position at hand: [D/2], or [D] when interleaved
};

void Rotary::fillTables(Value position) {
  OpBuilder &b = e.builder;
  Vectors wide(e, b.getF64Type());
  Value integer = arith::IndexCastOp::create(b, e.loc, b.getI64Type(), position);
  Value angle = wide.splat(arith::SIToFPOp::create(b, e.loc, b.getF64Type(), integer).getResult());
  e.forLoop(e.index(0), e.index(llvm::alignTo(width / 2, wide.lanes)), wide.lanes, [&](Value pair) {
    auto [sine, cosine] = sineAndCosine(wide, wide.mul(angle, wide.load(table, pair)));
    if (op.getInverse())
      sine = arith::NegFOp::create(b, e.loc, sine);
    if (!op.getInterleaved()) {
      wide.store(sine, sines, pair);
      wide.store(cosine, cosines, pair);
      return;
    }
    // Each twice, the sine with the sign of its place: y = x * c + swapped(x) * s.
    Value twice = mulIndex(e, pair, e.index(2));
    SmallVector<int64_t> low, high;
    for (int64_t i = 0; i < wide.lanes; ++i) {
      (i < wide.lanes / 2 ? low : high).push_back(i);
      (i < wide.lanes / 2 ? low : high).push_back(wide.lanes + i);
    }
    Value negative = arith::NegFOp::create(b, e.loc, sine);
    auto interleave = [&](Value even, Value odd, Value into) {
      wide.store(vector::ShuffleOp::create(b, e.loc, even, odd, low), into, twice);
      wide.store(vector::ShuffleOp::create(b, e.loc, even, odd, high), into,
                 addIndex(e, twice, e.index(wide.lanes)));
    };
    interleave(cosine, cosine, cosines);
    interleave(negative, sine, sines);
  });
}

void Rotary::rotateHalves(Value source, Value target) {
  Value half = e.index(width / 2);
  v.forColumns(e.index(0), half, [&](Value column, Value mask) {
    Value partner = addIndex(e, column, half);
    Value x = v.load(source, column, mask), y = v.load(source, partner, mask);
    Value c = v.load(cosines, column, mask), s = v.load(sines, column, mask);
    v.store(v.sub(v.mul(x, c), v.mul(y, s)), target, column, mask);
    v.store(v.fma(x, s, v.mul(y, c)), target, partner, mask);
  });
}

void Rotary::rotatePairs(Value source, Value target) {
  SmallVector<int64_t> swap;
  for (int64_t i = 0; i < v.lanes; ++i)
    swap.push_back(i ^ 1);
  v.forColumns(e.index(0), e.index(width), [&](Value column, Value mask) {
    Value x = v.load(source, column, mask);
    Value swapped = vector::ShuffleOp::create(e.builder, e.loc, x, x, swap);
    Value c = v.load(cosines, column, mask), s = v.load(sines, column, mask);
    v.store(v.fma(swapped, s, v.mul(x, c)), target, column, mask);
  });
}

void Rotary::run() {
  OpBuilder &b = e.builder;
  Value x = in.getX(), y = in.getOutputs()[0];
  auto type = cast<MemRefType>(x.getType());
  width = type.getDimSize(3);
  table = frequencies(e, width, op.getBase().convertToDouble());
  int64_t lanes = e.machine.lanes(b.getF64Type());
  auto row = MemRefType::get(
      {static_cast<int64_t>(llvm::alignTo(width / 2, lanes)) * (op.getInterleaved() ? 2 : 1)},
      v.compute);
  cosines = e.privateScratch(row);
  sines = e.privateScratch(row);
  Value first = loadOffset(e, in.getOffset()), zero = e.index(0);
  e.forUnits(e.dim(x, 1), [&](Value t) {
    fillTables(addIndex(e, first, t));
    e.forLoop(zero, e.dim(x, 0), 1, [&](Value batch) {
      e.forLoop(zero, e.dim(x, 2), 1, [&](Value head) {
        Value source = rowAt(e, x, {batch, t, head}), target = rowAt(e, y, {batch, t, head});
        if (op.getInterleaved())
          rotatePairs(source, target);
        else
          rotateHalves(source, target);
      });
    });
  });
}

} // namespace

LogicalResult emit(kernel::RotaryOp op, ValueRange operands, Emission &e) {
  if (failed(checkRows(op, operands)))
    return failure();
  if (double base = op.getBase().convertToDouble(); !(base > 0))
    return op.emitOpError("base ") << base << " is not positive";
  Type element = cast<MemRefType>(operands[0].getType()).getElementType();
  Rotary(op, operands, e, computeType(element)).run();
  return success();
}

} // namespace quern::cpu
