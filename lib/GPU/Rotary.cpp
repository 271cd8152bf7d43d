//===- Rotary.cpp - Rotary position embedding -------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
// A block takes one position and some rows (a row is one head of one sequence). It computes the
// cosines and sines of the position once, in f64 as the CPU does, and rotates its rows with them.

#include "quern/Emission/Rotary.h"
#include "Emitters.h"
#include "Rows.h"

using namespace mlir;

namespace quern::nvidia {

namespace {

/// Rows of a block: enough to hide the arithmetic in f64, few enough to fill a GPU.
constexpr int64_t blockRows = 32;
constexpr int64_t rotaryThreads = 128;

class Rotary {
public:
  Rotary(kernel::RotaryOp op, ValueRange onDevice, Thread &thread, Value table)
      : op(op), in(onDevice, op), t(thread), table(table),
        compute(computeType(cast<MemRefType>(in.getX().getType()).getElementType())),
        pairs(cast<MemRefType>(in.getX().getType()).getDimSize(3) / 2),
        cosines(t.shared({pairs}, compute)), sines(t.shared({pairs}, compute)) {}

  void run();

private:
  void fillTables(Value position);
  void rotate(Value batch, Value position, Value head, Value pair);

  kernel::RotaryOp op;
  kernel::RotaryOp::Adaptor in;
  Thread &t;
  Value table; ///< base^(-2i/D), in f64
  Type compute;
  int64_t pairs; ///< D / 2
  Value cosines, sines;
};

void Rotary::fillTables(Value position) {
  Type f64 = t.builder.getF64Type();
  Value first = t.convert(position, f64);
  t.strided(t.thread(), t.index(pairs), t.index(t.threads), [&](Value pair) {
    Value angle = t.mul(first, t.load(table, pair));
    auto [sine, cosine] = sineAndCosine(t.builder, t.loc, angle,
                                        [&](Value x, Value y, Value z) { return t.fma(x, y, z); });
    if (op.getInverse())
      sine = arith::NegFOp::create(t.builder, t.loc, sine);
    t.store(cosine, cosines, pair);
    t.store(sine, sines, pair);
  });
  t.barrier();
}

void Rotary::rotate(Value batch, Value position, Value head, Value pair) {
  Value first = pair, second = addIndex(t, pair, t.index(pairs));
  if (op.getInterleaved()) {
    first = mulIndex(t, pair, t.index(2));
    second = addIndex(t, first, t.index(1));
  }
  Value x = in.getX(), y = in.getOutputs()[0];
  Value u = t.load(x, {batch, position, head, first}, compute);
  Value v = t.load(x, {batch, position, head, second}, compute);
  Value c = t.load(cosines, pair), s = t.load(sines, pair);
  t.store(t.sub(t.mul(u, c), t.mul(v, s)), y, {batch, position, head, first});
  t.store(t.fma(u, s, t.mul(v, c)), y, {batch, position, head, second});
}

void Rotary::run() {
  Value x = in.getX(), batches = t.dim(x, 0), heads = t.dim(x, 2);
  Value rows = mulIndex(t, batches, heads), perBlock = t.index(blockRows);
  SmallVector<Value> place = delinearize(t, t.block(0), {t.dim(x, 1), ceilDiv(t, rows, perBlock)});
  fillTables(addIndex(t, loadOffset(t, in.getOffset()), place[0]));
  Value firstRow = mulIndex(t, place[1], perBlock);
  Value left = arith::SubIOp::create(t.builder, t.loc, rows, firstRow);
  Value count = mulIndex(t, minIndex(t, left, perBlock), t.index(pairs));
  t.strided(t.thread(), count, t.index(t.threads), [&](Value i) {
    SmallVector<Value> inBlock = delinearize(t, i, {perBlock, t.index(pairs)});
    SmallVector<Value> row = delinearize(t, addIndex(t, firstRow, inBlock[0]), {batches, heads});
    rotate(row[0], place[0], row[1], inBlock[1]);
  });
}

} // namespace

LogicalResult emit(kernel::RotaryOp op, ValueRange operands, Emission &e) {
  if (failed(checkRows(op, operands)))
    return failure();
  double base = op.getBase().convertToDouble();
  if (!(base > 0))
    return op.emitOpError("base ") << base << " is not positive";
  kernel::RotaryOp::Adaptor host(operands, op);
  Value x = host.getX();
  int64_t width = cast<MemRefType>(x.getType()).getDimSize(3);
  Value rows = mulIndex(e, e.dim(x, 0), e.dim(x, 2));
  Value blocks = mulIndex(e, e.dim(x, 1), ceilDiv(e, rows, e.index(blockRows)));
  e.launch({blocks, {}, {}}, rotaryThreads, operands, [&](Thread &t, ValueRange onDevice) {
    Value table = e.constants(t, "frequencies", ArrayRef(rotaryFrequencies(width, base)));
    Rotary(op, onDevice, t, table).run();
  });
  return success();
}

} // namespace quern::nvidia
