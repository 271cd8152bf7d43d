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
                  op.getCausal(), /*queryTiles=*/2, /*keysOfTile=*/64),
        e(e), b(e.builder), loc(e.loc), v(t.v), scale(op.getScale().convertToDouble()) {}

  void run();

private:
  Value unitQueries();
  void block(Value batchIndex, Value head, Value firstQuery, Value count);
  void start(Value batchIndex, Value head, Value firstQuery, Value count);
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
  Value transposedQueries, keyTile, valueTile, scoreTile, output;
  Value rowTile;    ///< as many rows of queries or of the output as a vector has lanes
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
  // One vector of queries after the other: the constants of an exponential need most registers.
  for (int64_t j = 0; j < vectors; ++j) {
    Value where = t.add(s.column, j * t.lanes);
    Value sum = e.forLoop(zero, s.rows, rows / 2, sums[j], [&](Value row, ValueRange carried) {
      Value next = carried[0];
      for (int64_t i = 0; i < rows / 2; ++i) {
        Value p = t.exponential(t.load(s.tile, t.add(row, i), where), shift[j]);
        t.store(p, s.tile, t.add(row, i), where);
        next = v.add(next, p);
      }
      return SmallVector<Value>{next};
    })[0];
    t.store(sum, statistics, one, columnOf(j));
  }

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
  e.forLoop(zero, count, t.lanes, [&](Value first) {
    Value sum = t.load(statistics, one, first);
    Value empty = t.equals(sum, 0.0);
    Value inverse = t.select(empty, v.splat(0.0), v.div(v.splat(1.0), sum));
    Value left = t.subtract(count, first);
    if (logSumExp) {
      Value value = t.logSumExp(t.load(statistics, zero, first), sum);
      Value inside = vector::CreateMaskOp::create(b, loc, VectorType::get({t.lanes}, b.getI1Type()),
                                                  ValueRange{left});
      v.store(t.select(empty, v.splat(-infinity), value), logSumExp, t.add(firstQuery, first),
              inside);
    }
    e.forLoop(zero, e.index(t.paddedValueWidth), t.lanes, [&](Value column) {
      SmallVector<Value> block;
      for (int64_t i = 0; i < t.lanes; ++i)
        block.push_back(v.mul(t.load(output, t.add(column, i), first), inverse));
      block = t.transposeBlock(block);
      for (int64_t i = 0; i < t.lanes; ++i)
        t.store(block[i], rowTile, e.index(i), column);
    });
    e.forLoop(zero, t.minimum(left, e.index(t.lanes)), 1, [&](Value row) {
      Value query = t.add(t.add(firstQuery, first), row);
      Value target = rowAt(e, result, {batchIndex, query, head});
      e.forLoop(zero, e.index(t.paddedValueWidth), t.lanes, [&](Value column) {
        v.store(t.load(rowTile, row, column), target, column, t.columnMask(column, t.valueWidth));
      });
    });
  });
}

/// Queries of a block, their output, maxima and sums before the first key.
void Forward::start(Value batchIndex, Value head, Value firstQuery, Value count) {
  Value zero = e.index(0), lanes = e.index(t.lanes), padded = t.roundUp(count, t.microQueries);
  e.forLoop(zero, padded, t.lanes, [&](Value first) {
    Value rows = t.minimum(lanes, t.maximum(zero, t.subtract(count, first)));
    t.packRows(rowTile, lanes, in.getQ(), batchIndex, t.add(firstQuery, first), rows, head,
               t.keyWidth, v.splat(scale * t.scoreUnit()));
    t.transpose(rowTile, transposedQueries, lanes, t.paddedKeyWidth, first);
    t.store(v.splat(-infinity), statistics, zero, first);
    t.store(v.splat(0.0), statistics, e.index(1), first);
  });
  t.zero(output, zero, e.index(t.paddedValueWidth), padded);
}

void Forward::block(Value batchIndex, Value head, Value firstQuery, Value count) {
  Value zero = e.index(0);
  Value group = b.createOrFold<arith::DivUIOp>(loc, head, e.index(t.heads / t.groups));
  start(batchIndex, head, firstQuery, count);
  Value visible = t.visibleKeys(batchIndex);
  Value end = t.visibleKeysUntil(visible, t.add(firstQuery, count));
  e.forLoop(zero, end, t.blockKeys, [&](Value firstKey) {
    Value keyCount = t.minimum(e.index(t.blockKeys), t.subtract(end, firstKey));
    Value rows = t.roundUp(keyCount, t.microRows);
    t.packRows(keyTile, rows, in.getK(), batchIndex, firstKey, keyCount, group, t.keyWidth);
    t.packRows(valueTile, rows, in.getV(), batchIndex, firstKey, keyCount, group, t.valueWidth);
    e.forLoop(zero, count, t.microQueries, [&](Value column) {
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

/// The queries of a unit of work: as many as tiles hold, but so few that there are units for many
/// threads, unless a unit would do little more than copy keys and values.
Value Forward::unitQueries() {
  constexpr int64_t enough = 32, fewest = 64;
  Value size = e.index(std::min(t.blockQueries, fewest));
  Value rows = mulIndex(e, t.batch, e.index(t.heads));
  for (int64_t larger = 2 * fewest; larger <= t.blockQueries; larger *= 2) {
    Value units = mulIndex(e, rows, ceilDiv(e, t.queries, e.index(larger)));
    Value few = t.less(units, e.index(enough));
    size = b.createOrFold<arith::SelectOp>(loc, few, size, e.index(larger));
  }
  return size;
}

void Forward::run() {
  rowTile = t.tile(t.lanes, std::max(t.paddedKeyWidth, t.paddedValueWidth));
  transposedQueries = t.tile(t.paddedKeyWidth, t.blockQueries);
  keyTile = t.tile(t.blockKeys, t.paddedKeyWidth);
  valueTile = t.tile(t.blockKeys, t.paddedValueWidth);
  scoreTile = t.tile(t.blockKeys, t.microQueries);
  output = t.tile(t.paddedValueWidth, t.blockQueries);
  statistics = t.tile(2, t.blockQueries);

  Value size = unitQueries();
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
    Value firstQuery = mulIndex(e, index, size);
    block(at[0], at[1], firstQuery, t.minimum(size, t.subtract(t.queries, firstQuery)));
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
