//===- AttentionDecode.cpp - Attention of one query over a cache ------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
// With one query, each key and each value is used once a head: the time is that of reading them. No
// tile is copied; lanes run over the head dimension. The heads of a group share what was read.
//
// A unit of work is one piece of the keys of one sequence and group. The number of pieces follows
// from the sizes alone; each leaves its maximum m, its sum l and its unscaled output in shared
// scratch, and they are combined in their order.

#include "AttentionTiles.h"
#include "Emitters.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

#include <limits>

using namespace mlir;

namespace quern::cpu {

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr int64_t tileKeys = 64;     ///< keys whose scores are held at a time
constexpr int64_t wantedUnits = 32;  ///< units to split the work into, when there are keys enough
constexpr int64_t keysOfPiece = 128; ///< at least: a piece must be worth its overhead

class Decode {
public:
  Decode(const DecodeAttention &in, Emission &e)
      : in(in), t(e, in.q, in.keys, in.values, in.mask, in.lengths, in.offset, in.causal,
                  /*queryTiles=*/2, /*keysOfTile=*/64),
        e(e), b(e.builder), loc(e.loc), v(t.v), scale(in.scale), repeat(t.heads / t.groups) {}

  void run();

private:
  void append(Value batchIndex, Value group);
  void piece(Value batchIndex, Value group, Value from, Value to, Value slot);
  void scores(Value batchIndex, Value group, Value firstKey, Value count);
  void weigh(Value batchIndex, Value group, Value head, Value firstKey, Value count, Value slot);
  void combine(Value batchIndex, Value group, Value firstSlot);
  SmallVector<Value> addUp(SmallVector<Value> rows);

  Value head(Value group, Value i) { return t.add(mulIndex(e, group, e.index(repeat)), i); }
  /// Head i of a slot: row slot x repeat + i of the partial results.
  Value partialRow(Value slot, Value i) { return t.add(mulIndex(e, slot, e.index(repeat)), i); }

  const DecodeAttention &in;
  AttentionTiles t;
  Emission &e;
  OpBuilder &b;
  Location loc;
  Vectors v;
  double scale;
  int64_t repeat; ///< heads of a group

  Value queryTile, scoreTile; ///< [repeat, padded D], [repeat, tileKeys]
  Value partials;             ///< [slots x repeat, m | l | output]
  Value pieces;               ///< how many
  int64_t maximumColumn = 0, sumColumn, outputColumn;
};

/// The sums of the lanes of each of `lanes` vectors, as one vector.
SmallVector<Value> Decode::addUp(SmallVector<Value> rows) {
  for (int64_t bit = 1; bit < t.lanes; bit *= 2) {
    SmallVector<int64_t> low(t.lanes), high(t.lanes);
    for (int64_t lane = 0; lane < t.lanes; ++lane) {
      low[lane] = lane & bit ? t.lanes + lane - bit : lane;
      high[lane] = lane & bit ? t.lanes + lane : lane + bit;
    }
    SmallVector<Value> next;
    for (size_t i = 0; i < rows.size(); i += 2) {
      Value first = vector::ShuffleOp::create(b, loc, rows[i], rows[i + 1], low);
      Value second = vector::ShuffleOp::create(b, loc, rows[i], rows[i + 1], high);
      next.push_back(v.add(first, second));
    }
    rows = next;
  }
  return rows;
}

/// Scores of all heads of the group for `count` keys; -infinity up to a whole vector.
void Decode::scores(Value batchIndex, Value group, Value firstKey, Value count) {
  Value zero = e.index(0);
  auto keyRow = [&](Value i) { return rowAt(e, in.keys, {batchIndex, t.add(firstKey, i), group}); };
  Value whole =
      mulIndex(e, b.createOrFold<arith::DivUIOp>(loc, count, e.index(t.lanes)), e.index(t.lanes));
  e.forLoop(zero, whole, t.lanes, [&](Value key) {
    SmallVector<Value> rows;
    for (int64_t i = 0; i < t.lanes; ++i)
      rows.push_back(keyRow(t.add(key, i)));
    e.forLoop(zero, e.index(repeat), 1, [&](Value i) {
      SmallVector<Value> sums(t.lanes, v.splat(0.0));
      sums = e.forLoop(zero, e.index(t.paddedKeyWidth), t.lanes, sums,
                       [&](Value column, ValueRange carried) {
                         SmallVector<Value> next;
                         Value query = t.load(queryTile, i, column);
                         Value mask = t.columnMask(column, t.keyWidth);
                         for (int64_t r = 0; r < t.lanes; ++r)
                           next.push_back(v.fma(v.load(rows[r], column, mask), query, carried[r]));
                         return next;
                       });
      t.store(addUp(sums)[0], scoreTile, i, key);
    });
  });
  t.when(t.less(whole, count), [&] {
    e.forLoop(zero, e.index(repeat), 1, [&](Value i) {
      t.store(v.splat(-infinity), scoreTile, i, whole);
      e.forLoop(whole, count, 1, [&](Value key) {
        Value row = keyRow(key);
        Value sum =
            e.forLoop(zero, e.index(t.paddedKeyWidth), t.lanes, v.splat(0.0),
                      [&](Value column, ValueRange carried) {
                        Value mask = t.columnMask(column, t.keyWidth);
                        return SmallVector<Value>{v.fma(v.load(row, column, mask),
                                                        t.load(queryTile, i, column), carried[0])};
                      })[0];
        memref::StoreOp::create(b, loc, v.sum(sum), scoreTile, ValueRange{i, key});
      });
    });
  });
  if (t.mask)
    e.forLoop(zero, e.index(repeat), 1, [&](Value i) {
      e.forLoop(zero, count, 1, [&](Value key) {
        Value added = t.maskElement(batchIndex, head(group, i), zero, t.add(firstKey, key));
        Value score = memref::LoadOp::create(b, loc, scoreTile, ValueRange{i, key});
        score = arith::AddFOp::create(b, loc, score, added);
        memref::StoreOp::create(b, loc, score, scoreTile, ValueRange{i, key});
      });
    });
}

/// The online softmax of one head over a tile: m, l and the output of the slot.
void Decode::weigh(Value batchIndex, Value group, Value i, Value firstKey, Value count,
                   Value slot) {
  Value zero = e.index(0), row = partialRow(slot, i), to = t.roundUp(count, t.lanes);
  Value before = t.load(partials, row, e.index(maximumColumn));
  Value largest = e.forLoop(zero, to, t.lanes, before, [&](Value key, ValueRange carried) {
    return SmallVector<Value>{t.larger(t.load(scoreTile, i, key), carried[0])};
  })[0];
  // In all lanes, by exchanging halves.
  for (int64_t bit = 1; bit < t.lanes; bit *= 2) {
    SmallVector<int64_t> exchange(t.lanes);
    for (int64_t lane = 0; lane < t.lanes; ++lane)
      exchange[lane] = lane ^ bit;
    largest = t.larger(largest, vector::ShuffleOp::create(b, loc, largest, largest, exchange));
  }
  t.store(largest, partials, row, e.index(maximumColumn));
  Value shift = t.select(t.equals(largest, -infinity), v.splat(0.0), largest);
  Value rescale = t.exponential(before, shift);
  Value sum = v.mul(t.load(partials, row, e.index(sumColumn)), rescale);
  sum = e.forLoop(zero, to, t.lanes, sum, [&](Value key, ValueRange carried) {
    Value p = t.exponential(t.load(scoreTile, i, key), shift);
    t.store(p, scoreTile, i, key);
    return SmallVector<Value>{v.add(carried[0], p)};
  })[0];
  t.store(sum, partials, row, e.index(sumColumn));

  // Up to 8 vectors of the output at a time, so that their additions overlap.
  int64_t vectors = t.paddedValueWidth / t.lanes, width = std::min<int64_t>(vectors, 8);
  for (int64_t first = 0; first < vectors; first += width) {
    int64_t many = std::min(width, vectors - first);
    auto column = [&](int64_t j) { return e.index((first + j) * t.lanes); };
    auto place = [&](int64_t j) { return e.index(outputColumn + (first + j) * t.lanes); };
    SmallVector<Value> output;
    for (int64_t j = 0; j < many; ++j)
      output.push_back(v.mul(t.load(partials, row, place(j)), rescale));
    output = e.forLoop(zero, count, 1, output, [&](Value key, ValueRange carried) {
      Value source = rowAt(e, in.values, {batchIndex, t.add(firstKey, key), group});
      Value p = memref::LoadOp::create(b, loc, scoreTile, ValueRange{i, key});
      Value weight = v.splat(p);
      SmallVector<Value> next;
      for (int64_t j = 0; j < many; ++j) {
        Value mask = t.columnMask(column(j), t.valueWidth);
        next.push_back(v.fma(weight, v.load(source, column(j), mask), carried[j]));
      }
      return next;
    });
    for (int64_t j = 0; j < many; ++j)
      t.store(output[j], partials, row, place(j));
  }
}

/// The new row of keys and that of values, at the offset of the query.
void Decode::append(Value batchIndex, Value group) {
  for (auto [row, cache, width] :
       {std::tuple(in.key, in.keys, t.keyWidth), {in.value, in.values, t.valueWidth}}) {
    Value source = rowAt(e, row, {batchIndex, e.index(0), group});
    Value target = rowAt(e, cache, {batchIndex, t.offset, group});
    v.forColumns(e.index(0), e.index(width), [&](Value column, Value mask) {
      v.store(v.load(source, column, mask), target, column, mask);
    });
  }
}

void Decode::piece(Value batchIndex, Value group, Value from, Value to, Value slot) {
  Value zero = e.index(0), heads = e.index(repeat);
  e.forLoop(zero, heads, 1, [&](Value i) {
    Value row = partialRow(slot, i);
    t.store(v.splat(-infinity), partials, row, e.index(maximumColumn));
    t.store(v.splat(0.0), partials, row, e.index(sumColumn));
    e.forLoop(zero, e.index(t.paddedValueWidth), t.lanes, [&](Value column) {
      t.store(v.splat(0.0), partials, row, t.add(column, outputColumn));
    });
    Value query = rowAt(e, in.q, {batchIndex, zero, head(group, i)});
    e.forLoop(zero, e.index(t.paddedKeyWidth), t.lanes, [&](Value column) {
      Value x = v.load(query, column, t.columnMask(column, t.keyWidth));
      t.store(v.mul(x, v.splat(scale * t.scoreUnit())), queryTile, i, column);
    });
  });
  e.forLoop(from, to, tileKeys, [&](Value firstKey) {
    Value count = t.minimum(e.index(tileKeys), t.subtract(to, firstKey));
    scores(batchIndex, group, firstKey, count);
    e.forLoop(zero, heads, 1, [&](Value i) { weigh(batchIndex, group, i, firstKey, count, slot); });
  });
}

/// The results of all pieces of one sequence and group, in the order of the pieces.
void Decode::combine(Value batchIndex, Value group, Value firstSlot) {
  Value zero = e.index(0);
  e.forLoop(zero, e.index(repeat), 1, [&](Value i) {
    auto row = [&](Value p) { return partialRow(t.add(firstSlot, p), i); };
    Value largest =
        e.forLoop(zero, pieces, 1, v.splat(-infinity), [&](Value p, ValueRange carried) {
          Value m = t.load(partials, row(p), e.index(maximumColumn));
          return SmallVector<Value>{t.larger(m, carried[0])};
        })[0];
    Value shift = t.select(t.equals(largest, -infinity), v.splat(0.0), largest);
    auto weight = [&](Value p) {
      return t.exponential(t.load(partials, row(p), e.index(maximumColumn)), shift);
    };
    Value lanesSum = e.forLoop(zero, pieces, 1, v.splat(0.0), [&](Value p, ValueRange carried) {
      return SmallVector<Value>{
          v.fma(t.load(partials, row(p), e.index(sumColumn)), weight(p), carried[0])};
    })[0];
    Value sum = v.splat(v.sum(lanesSum));
    Value empty = t.equals(sum, 0.0);
    Value inverse = t.select(empty, v.splat(0.0), v.div(v.splat(1.0), sum));
    Value target = rowAt(e, in.output, {batchIndex, zero, head(group, i)});
    e.forLoop(zero, e.index(t.paddedValueWidth), t.lanes, [&](Value column) {
      Value output = e.forLoop(zero, pieces, 1, v.splat(0.0), [&](Value p, ValueRange carried) {
        Value part = t.load(partials, row(p), t.add(column, outputColumn));
        return SmallVector<Value>{v.fma(part, weight(p), carried[0])};
      })[0];
      v.store(v.mul(output, inverse), target, column, t.columnMask(column, t.valueWidth));
    });
    if (in.logSumExp) {
      Value logSumExp = t.logSumExp(largest, sum);
      Value first = vector::ConstantMaskOp::create(
          b, loc, VectorType::get({t.lanes}, b.getI1Type()), ArrayRef<int64_t>{1});
      v.store(t.select(empty, v.splat(-infinity), logSumExp),
              rowAt(e, in.logSumExp, {batchIndex, head(group, i)}), zero, first);
    }
  });
}

void Decode::run() {
  // As many sequences at a time as the shared scratch, whose size is static, has slots for.
  int64_t sequences = std::max<int64_t>(wantedUnits / t.groups, 1);
  int64_t slots = std::max(wantedUnits, t.groups);
  sumColumn = t.lanes;
  outputColumn = 2 * t.lanes;
  queryTile = t.tile(repeat, t.paddedKeyWidth);
  scoreTile = t.tile(repeat, tileKeys);
  partials = e.sharedScratch(
      MemRefType::get({slots * repeat, outputColumn + t.paddedValueWidth}, v.compute));

  Value zero = e.index(0), one = e.index(1), groups = e.index(t.groups);
  Value longest = t.visibleKeysUntil(t.keys, one);
  e.forLoop(zero, t.batch, sequences, [&](Value firstBatch) {
    Value many = t.minimum(e.index(sequences), t.subtract(t.batch, firstBatch));
    Value units = mulIndex(e, many, groups);
    Value wanted = b.createOrFold<arith::DivUIOp>(loc, e.index(slots), units);
    pieces = t.maximum(one, t.minimum(wanted, ceilDiv(e, longest, e.index(keysOfPiece))));
    Value length = t.roundUp(ceilDiv(e, longest, pieces), tileKeys);
    e.forUnits(mulIndex(e, units, pieces), [&](Value unit) {
      SmallVector<Value> at = delinearize(e, unit, {many, groups, pieces});
      Value batchIndex = t.add(firstBatch, at[0]);
      Value end = t.visibleKeysUntil(t.visibleKeys(batchIndex), one);
      Value from = mulIndex(e, at[2], length);
      if (in.key) {
        Value holder = b.createOrFold<arith::DivUIOp>(loc, t.offset, length);
        Value holds = b.createOrFold<arith::CmpIOp>(loc, arith::CmpIPredicate::eq, at[2], holder);
        t.when(holds, [&] { append(batchIndex, at[1]); });
      }
      piece(batchIndex, at[1], from, t.minimum(t.add(from, length), end), unit);
    });
    // With one piece, the same thread combines what it computed, unless it combines all.
    Value waits = t.less(one, pieces);
    if (e.ownResult)
      waits = arith::OrIOp::create(b, loc, waits, e.ownResult);
    t.when(waits, [&] { e.barrier(); });
    e.forOwnUnits(units, [&](Value unit) {
      SmallVector<Value> at = delinearize(e, unit, {many, groups});
      combine(t.add(firstBatch, at[0]), at[1], mulIndex(e, unit, pieces));
    });
    t.when(t.less(t.add(firstBatch, sequences), t.batch), [&] { e.barrier(); });
  });
}

} // namespace

void emitDecodeAttention(const DecodeAttention &in, Emission &e) { Decode(in, e).run(); }

} // namespace quern::cpu
