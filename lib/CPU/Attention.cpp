//===- Attention.cpp - Attention by tiles -----------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
// A unit of work is a block of queries of one head. It walks over the visible keys tile by tile
// with an online softmax (Milakov and Gimelshein 2018): scores, their maximum m, P = exp(scores -
// m), then O and the sum l, both rescaled by exp(old m - new m).

#include "AttentionTiles.h"
#include "Emitters.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

#include <limits>

using namespace mlir;

namespace quern::cpu {

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

class Forward {
public:
  Forward(kernel::AttentionOp op, kernel::AttentionOp::Adaptor in, Emission &e)
      : in(in), t(e, in.getQ(), in.getK(), in.getV(), in.getMask(), in.getLengths(), in.getOffset(),
                  op.getCausal()),
        e(e), b(e.builder), loc(e.loc), v(t.v), scale(op.getScale().convertToDouble()) {}

  void run();

private:
  void block(Value batchIndex, Value head, Value firstQuery);
  void scores(const AttentionTiles::ScoreTile &s);
  void finish(Value batchIndex, Value head, Value firstQuery, Value count);

  kernel::AttentionOp::Adaptor in;
  AttentionTiles t;
  Emission &e;
  OpBuilder &b;
  Location loc;
  Vectors &v;
  double scale;

  // Tiles in private scratch. The output is transposed: [width, queries].
  Value queryTile, transposedQueries, keyTile, valueTile, scoreTile, output;
  Value statistics; ///< rows: maxima m, sums l; columns: queries
};

/// One register tile wide of queries against one tile of keys.
void Forward::scores(const AttentionTiles::ScoreTile &s) {
  int64_t vectors = t.microVectors, rows = t.microRows;
  Value zero = e.index(0), one = e.index(1);
  Value column = t.subtract(s.firstQuery, s.queryBase);
  auto columnOf = [&](int64_t j) { return t.add(column, j * t.lanes); };
  t.writeMask(s);

  SmallVector<Value> largest;
  for (int64_t j = 0; j < vectors; ++j)
    largest.push_back(t.load(statistics, zero, columnOf(j)));
  SmallVector<Value> before = largest;
  largest = e.forLoop(zero, s.rows, rows, largest, [&](Value row, ValueRange carried) {
    SmallVector<Value> next(carried);
    SmallVector<Value> values = t.scoreRows(s, row, keyTile, transposedQueries);
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < vectors; ++j) {
        Value value = values[i * vectors + j];
        t.store(value, s.tile, t.add(row, i), t.add(s.column, j * t.lanes));
        next[j] = t.larger(value, next[j]);
      }
    return next;
  });

  // Where nothing was visible so far, the maximum is -infinity, and any finite shift will do.
  SmallVector<Value> shift, rescale, sums;
  for (int64_t j = 0; j < vectors; ++j) {
    t.store(largest[j], statistics, zero, columnOf(j));
    shift.push_back(t.select(t.equals(largest[j], -infinity), v.splat(0.0), largest[j]));
    rescale.push_back(t.exponential(before[j], shift[j]));
    sums.push_back(v.mul(t.load(statistics, one, columnOf(j)), rescale[j]));
  }
  sums = e.forLoop(zero, s.rows, rows / 2, sums, [&](Value row, ValueRange carried) {
    SmallVector<Value> next(carried);
    for (int64_t i = 0; i < rows / 2; ++i)
      for (int64_t j = 0; j < vectors; ++j) {
        Value at = t.add(row, i), where = t.add(s.column, j * t.lanes);
        Value p = t.exponential(t.load(s.tile, at, where), shift[j]);
        t.store(p, s.tile, at, where);
        next[j] = v.add(next[j], p);
      }
    return next;
  });
  for (int64_t j = 0; j < vectors; ++j)
    t.store(sums[j], statistics, one, columnOf(j));

  // O^T = O^T rescaled + V^T P^T
  e.forLoop(zero, e.index(t.paddedValueWidth), rows, [&](Value row) {
    SmallVector<Value> accumulators;
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < vectors; ++j)
        accumulators.push_back(v.mul(t.load(output, t.add(row, i), columnOf(j)), rescale[j]));
    accumulators = t.multiply(
        accumulators, rows, vectors, zero, s.rows,
        [&](Value k, int64_t i) -> Value {
          return memref::LoadOp::create(b, loc, valueTile, ValueRange{k, t.add(row, i)});
        },
        [&](Value k, int64_t j) { return t.load(s.tile, k, t.add(s.column, j * t.lanes)); });
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < vectors; ++j)
        t.store(accumulators[i * vectors + j], output, t.add(row, i), columnOf(j));
  });
}

/// Divides by the sums, transposes back, writes the rows and their log-sum-exp.
void Forward::finish(Value batchIndex, Value head, Value firstQuery, Value count) {
  Value zero = e.index(0), one = e.index(1);
  Value result = in.getOutputs()[0];
  Value logSumExp =
      in.getOutputs().size() > 1 ? rowAt(e, in.getOutputs()[1], {batchIndex, head}) : Value();
  e.forLoop(zero, count, t.lanes, [&](Value row) {
    Value sum = t.load(statistics, one, row);
    Value empty = t.equals(sum, 0.0);
    Value inverse = t.select(empty, v.splat(0.0), v.div(v.splat(1.0), sum));
    if (logSumExp) {
      Value value = v.add(t.load(statistics, zero, row), math::LogOp::create(b, loc, sum));
      Value left = t.subtract(count, row);
      Value inside = vector::CreateMaskOp::create(b, loc, VectorType::get({t.lanes}, b.getI1Type()),
                                                  ValueRange{left});
      v.store(t.select(empty, v.splat(-infinity), value), logSumExp, t.add(firstQuery, row),
              inside);
    }
    e.forLoop(zero, e.index(t.paddedValueWidth), t.lanes, [&](Value column) {
      SmallVector<Value> block;
      for (int64_t i = 0; i < t.lanes; ++i)
        block.push_back(v.mul(t.load(output, t.add(column, i), row), inverse));
      block = t.transposeBlock(block);
      for (int64_t i = 0; i < t.lanes; ++i)
        t.store(block[i], queryTile, t.add(row, i), column);
    });
  });
  e.forLoop(zero, count, 1, [&](Value row) {
    Value target = rowAt(e, result, {batchIndex, t.add(firstQuery, row), head});
    e.forLoop(zero, e.index(t.paddedValueWidth), t.lanes, [&](Value column) {
      v.store(t.load(queryTile, row, column), target, column, t.columnMask(column, t.valueWidth));
    });
  });
}

void Forward::block(Value batchIndex, Value head, Value firstQuery) {
  Value zero = e.index(0);
  Value count = t.minimum(e.index(t.blockQueries), t.subtract(t.queries, firstQuery));
  Value group = b.createOrFold<arith::DivUIOp>(loc, head, e.index(t.heads / t.groups));
  t.packRows(queryTile, t.blockQueries, in.getQ(), batchIndex, firstQuery, count, head, t.keyWidth,
             v.splat(scale));
  t.transpose(queryTile, transposedQueries, t.blockQueries, t.paddedKeyWidth);
  t.zero(output, zero, t.paddedValueWidth, t.blockQueries);
  e.forLoop(zero, e.index(t.blockQueries), t.lanes, [&](Value column) {
    t.store(v.splat(-infinity), statistics, zero, column);
    t.store(v.splat(0.0), statistics, e.index(1), column);
  });
  Value visible = t.visibleKeys(batchIndex);
  Value end = t.visibleKeysUntil(visible, t.add(firstQuery, count));
  e.forLoop(zero, end, t.blockKeys, [&](Value firstKey) {
    Value keyCount = t.minimum(e.index(t.blockKeys), t.subtract(end, firstKey));
    t.packRows(keyTile, t.blockKeys, in.getK(), batchIndex, firstKey, keyCount, group, t.keyWidth);
    t.packRows(valueTile, t.blockKeys, in.getV(), batchIndex, firstKey, keyCount, group,
               t.valueWidth);
    e.forLoop(zero, e.index(t.blockQueries), t.microQueries, [&](Value column) {
      AttentionTiles::ScoreTile s;
      s.tile = scoreTile;
      s.column = zero;
      s.batchIndex = batchIndex;
      s.head = head;
      s.firstKey = firstKey;
      s.firstQuery = t.add(firstQuery, column);
      s.queryBase = firstQuery;
      s.keyCount = keyCount;
      s.visible = visible;
      t.bound(s);
      t.when(t.less(zero, s.rows), [&] { scores(s); });
    });
  });
  finish(batchIndex, head, firstQuery, count);
}

void Forward::run() {
  int64_t width = std::max(t.paddedKeyWidth, t.paddedValueWidth);
  queryTile = t.tile(t.blockQueries, width);
  transposedQueries = t.tile(t.paddedKeyWidth, t.blockQueries);
  keyTile = t.tile(t.blockKeys, t.paddedKeyWidth);
  valueTile = t.tile(t.blockKeys, t.paddedValueWidth);
  scoreTile = t.tile(t.blockKeys, t.microQueries);
  output = t.tile(t.paddedValueWidth, t.blockQueries);
  statistics = t.tile(2, t.blockQueries);

  Value size = e.index(t.blockQueries);
  Value blocks = ceilDiv(e, t.queries, size);
  Value units = mulIndex(e, mulIndex(e, t.batch, e.index(t.heads)), blocks);
  e.forUnits(units, [&](Value unit) {
    SmallVector<Value> at = delinearize(e, unit, {t.batch, e.index(t.heads), blocks});
    // With a causal mask, late blocks have more work: first, last, second, last but one, ... gives
    // every contiguous range of units about its share.
    Value half = b.createOrFold<arith::ShRUIOp>(loc, at[2], e.index(1));
    Value fromEnd = t.subtract(t.subtract(blocks, e.index(1)), half);
    Value odd = b.createOrFold<arith::AndIOp>(loc, at[2], e.index(1));
    Value isOdd = b.createOrFold<arith::CmpIOp>(loc, arith::CmpIPredicate::ne, odd, e.index(0));
    Value index = b.createOrFold<arith::SelectOp>(loc, isOdd, fromEnd, half);
    block(at[0], at[1], mulIndex(e, index, size));
  });
}

} // namespace

LogicalResult emit(kernel::AttentionOp op, ValueRange operands, Emission &e) {
  kernel::AttentionOp::Adaptor in(operands, op);
  if (failed(checkAttention(op, operands, in.getQ(), in.getK(), in.getV())))
    return failure();
  if (cast<MemRefType>(in.getQ().getType()).getDimSize(1) == 1)
    emitDecodeAttention({in.getQ(), in.getK(), in.getV(), in.getMask(), in.getLengths(),
                         in.getOffset(), in.getOutputs()[0],
                         in.getOutputs().size() > 1 ? in.getOutputs()[1] : Value(), op.getCausal(),
                         op.getScale().convertToDouble()},
                        e);
  else
    Forward(op, in, e).run();
  return success();
}

LogicalResult emit(kernel::CachedAttentionOp op, ValueRange operands, Emission &e) {
  kernel::CachedAttentionOp::Adaptor in(operands, op);
  Value keys = in.getOutputs()[1], values = in.getOutputs()[2];
  if (failed(checkAttention(op, operands, in.getQ(), keys, values)))
    return failure();
  emitDecodeAttention({in.getQ(), keys, values, in.getMask(), in.getLengths(), in.getOffset(),
                       in.getOutputs()[0], /*logSumExp=*/{}, /*causal=*/true,
                       op.getScale().convertToDouble(), in.getKey(), in.getValue()},
                      e);
  return success();
}

} // namespace quern::cpu
