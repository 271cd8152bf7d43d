//===- Rotary.cpp - Rotary position embedding -------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
// Cosines and sines of a position are computed once, in f64 vectors, and serve all heads and
// sequences.

#include "quern/Emission/Rotary.h"
#include "Emitters.h"
#include "Rows.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/BuiltinOps.h"

using namespace mlir;

namespace quern::cpu {

namespace {

/// The constant table base^(-2i/D), i < D/2, of the module.
Value frequencies(Emission &e, int64_t width, double base) {
  OpBuilder &b = e.builder;
  auto module = b.getInsertionBlock()->getParent()->getParentOfType<ModuleOp>();
  SmallVector<double> values = rotaryFrequencies(width, base);
  // Whole vectors: the rest of the last one is 0.
  values.resize(llvm::alignTo(values.size(), e.machine.lanes(b.getF64Type())), 0.0);
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
    auto [sine, cosine] =
        sineAndCosine(b, e.loc, wide.mul(angle, wide.load(table, pair)),
                      [&](Value x, Value y, Value z) { return wide.fma(x, y, z); });
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
