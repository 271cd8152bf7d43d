//===- NormBackward.cpp - Gradients of layer and RMS normalization ----------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
// The gradients of weight and bias are sums over all rows: each of a fixed number of row blocks
// keeps its own partial sums in shared scratch, and after a barrier the columns are divided to add
// up the blocks in their order.

#include "Emitters.h"
#include "Norm.h"

using namespace mlir;

namespace quern::cpu {

namespace {

/// Row blocks that keep partial sums of their own. More than that costs memory traffic, fewer would
/// leave threads without work.
constexpr int64_t rowBlocks = 16;

class NormBackward {
public:
  NormBackward(kernel::NormBackwardOp op, ValueRange operands, Emission &emission, Type compute)
      : op(op), in(operands, op), e(emission), v(emission, compute) {}

  LogicalResult run();

private:
  void emitRow(Value row, Value weightSums, Value biasSums);
  void combine(Value partial, Value target);

  kernel::NormBackwardOp op;
  kernel::NormBackwardOp::Adaptor in;
  Emission &e;
  Vectors v;
  Value rows, columns, x, gradient, addend, dx;
};

void NormBackward::emitRow(Value row, Value weightSums, Value biasSums) {
  Value zero = e.index(0);
  Value xRow = rowOf(e, x, row), gRow = rowOf(e, gradient, row), dxRow = rowOf(e, dx, row);
  bool layer = op.getKind() == kernel::NormKind::Layer;
  RowStatistics statistics =
      rowStatistics(v, xRow, columns, op.getKind(), op.getEpsilon().convertToDouble());
  auto weighted = [&](Value g, Value column, Value mask) {
    return in.getWeight() ? v.mul(g, v.load(in.getWeight(), column, mask)) : g;
  };
  SmallVector<Value> totals = v.sums(zero, columns, layer ? 2 : 1, [&](Value column, Value mask) {
    Value g = weighted(v.load(gRow, column, mask), column, mask);
    Value xhat = normalize(v, v.load(xRow, column, mask), statistics);
    SmallVector<Value> terms{v.mul(g, xhat)};
    if (layer)
      terms.push_back(g);
    return terms;
  });
  OpBuilder &b = e.builder;
  Value integer = arith::IndexCastOp::create(b, e.loc, b.getI64Type(), columns);
  Value count = arith::SIToFPOp::create(b, e.loc, v.compute, integer);
  for (Value &total : totals)
    total = v.splat(arith::DivFOp::create(b, e.loc, total, count).getResult());
  Value addendRow = addend ? rowOf(e, addend, row) : Value();
  SmallVector<Value> next{rowToPrefetch(e, x, row, rows), rowToPrefetch(e, gradient, row, rows),
                          addend ? rowToPrefetch(e, addend, row, rows) : Value()};
  v.forColumns(zero, columns, [&](Value column, Value mask) {
    for (Value soon : next)
      v.prefetch(soon, column);
    Value dy = v.load(gRow, column, mask);
    Value xhat = normalize(v, v.load(xRow, column, mask), statistics);
    Value g = weighted(dy, column, mask);
    if (layer)
      g = v.sub(g, totals[1]);
    Value result = v.mul(v.sub(g, v.mul(xhat, totals[0])), statistics.scale);
    if (addendRow)
      result = v.add(result, v.load(addendRow, column, mask));
    v.store(result, dxRow, column, mask);
    if (weightSums)
      v.store(v.fma(dy, xhat, v.load(weightSums, column, mask)), weightSums, column, mask);
    if (biasSums)
      v.store(v.add(dy, v.load(biasSums, column, mask)), biasSums, column, mask);
  });
}

void NormBackward::combine(Value partial, Value target) {
  Value chunk = e.index(16 * v.lanes);
  e.forUnits(ceilDiv(e, columns, chunk), [&](Value unit) {
    Value from = mulIndex(e, unit, chunk);
    v.forColumns(from, minIndex(e, addIndex(e, from, chunk), columns),
                 [&](Value column, Value mask) {
                   Value total = v.splat(0.0);
                   for (int64_t block = 0; block < rowBlocks; ++block)
                     total = v.add(total, v.load(rowOf(e, partial, e.index(block)), column, mask));
                   v.store(total, target, column, mask);
                 });
  });
}

LogicalResult NormBackward::run() {
  auto type = cast<MemRefType>(in.getX().getType());
  if (type.getRank() == 0)
    return op.emitOpError("x has no dimension to normalize over");
  int64_t last = type.getRank() - 1;
  columns = e.dim(in.getX(), last);
  rows = e.leadingSize(in.getX(), last);
  x = mergeRows(e, in.getX());
  gradient = mergeRows(e, in.getGradient());
  dx = mergeRows(e, in.getOutputs()[0]);
  if (in.getAddend())
    addend = mergeRows(e, in.getAddend());
  // Outputs past dX: the gradient of the weight where the norm has one, then that of the bias.
  size_t outputs = in.getOutputs().size();
  bool hasWeight = outputs == 3 || (outputs == 2 && in.getWeight());
  bool hasBias = outputs == 3 || (outputs == 2 && !in.getWeight());
  if (outputs == 1) {
    int64_t bytes = elementBytes(type.getElementType()) * 3;
    forRows(e, rows, rowsPerUnit(e, columns, bytes),
            [&](Value row) { emitRow(row, Value(), Value()); });
    return success();
  }
  if (type.isDynamicDim(last))
    return op.emitOpError("needs a static last dimension for the gradients of weight and bias: "
                          "their partial sums have a fixed place in the arena");
  auto partialType = MemRefType::get({rowBlocks, type.getDimSize(last)}, v.compute);
  Value weightPartial = hasWeight ? e.sharedScratch(partialType) : Value();
  Value biasPartial = hasBias ? e.sharedScratch(partialType) : Value();
  Value blocks = e.index(rowBlocks), zero = e.index(0), one = e.index(1);
  e.forUnits(blocks, [&](Value block) {
    Value weightSums, biasSums;
    for (auto [partial, sums] : {std::pair(weightPartial, &weightSums), {biasPartial, &biasSums}}) {
      if (!partial)
        continue;
      *sums = rowOf(e, partial, block);
      Value target = *sums;
      v.forColumns(zero, columns,
                   [&](Value column, Value mask) { v.store(v.splat(0.0), target, column, mask); });
    }
    OpBuilder &b = e.builder;
    Value from = arith::DivUIOp::create(b, e.loc, mulIndex(e, block, rows), blocks);
    Value to = arith::DivUIOp::create(b, e.loc, mulIndex(e, addIndex(e, block, one), rows), blocks);
    e.forLoop(from, to, 1, [&](Value row) { emitRow(row, weightSums, biasSums); });
  });
  e.barrier();
  if (hasWeight)
    combine(weightPartial, in.getOutputs()[1]);
  if (hasBias)
    combine(biasPartial, in.getOutputs()[hasWeight ? 2 : 1]);
  return success();
}

} // namespace

LogicalResult emit(kernel::NormBackwardOp op, ValueRange operands, Emission &e) {
  if (failed(checkRows(op, operands)))
    return failure();
  Type element = cast<MemRefType>(operands[0].getType()).getElementType();
  return NormBackward(op, operands, e, computeType(element)).run();
}

} // namespace quern::cpu
