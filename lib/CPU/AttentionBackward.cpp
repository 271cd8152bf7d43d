//===- AttentionBackward.cpp - Gradients of attention by tiles --------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
// A unit of work is one sequence and one group of heads, so that dK and dV belong to one thread.
// They are summed over queries and heads in place. Where they are stored in 16 bits, they are
// summed in a window of keys that the thread's own memory holds; dQ is a sum over all keys, which a
// pass of its own computes when there are more keys than that. For each block of queries and each
// tile of keys, with scores and their gradients transposed (rows are keys, see AttentionTiles.h):
//
//   P = exp(scale K Q^T + mask - lse)      dV += P dO
//   dS = P * (V dO^T - D)                  dK += dS (scale Q)      dQ += dS^T K (scaled at the end)
//
// The tile of (scale Q) has the factor of AttentionTiles::scoreUnit, which dK loses when it is
// added.

#include "AttentionTiles.h"
#include "Emitters.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

#include <limits>

using namespace mlir;

namespace quern::cpu {

namespace {

class Backward {
public:
  Backward(kernel::AttentionBackwardOp op, kernel::AttentionBackwardOp::Adaptor in, Emission &e)
      : in(in), t(e, in.getQ(), in.getK(), in.getV(), in.getMask(), in.getLengths(), Value(),
                  op.getCausal(), /*queryTiles=*/5, /*keysOfTile=*/32),
        e(e), b(e.builder), loc(e.loc), v(t.v), scale(op.getScale().convertToDouble()) {}

  void run();

private:
  /// What is computed of the tiles of keys [from, to), multiples of a tile's.
  struct Pass {
    Value from, to;
    Value keyGradients, queryGradients; ///< i1; null: these are
  };

  /// dK or dV, and what it is computed from.
  struct KeyGradient {
    Value gradient, window; ///< where it is summed: in memory, or in a window of keys
    Value weights, rows;    ///< [keys, queries], [queries, width]
    int64_t width;
    double factor;
  };

  void clear(Value gradient, Value batchIndex, Value group, int64_t width);
  void writeWindow(Value window, Value gradient, Value batchIndex, Value group, int64_t width,
                   const Pass &pass);
  void group(Value batchIndex, Value group, const Pass &pass);
  void groupByWindows(Value batchIndex, Value group);
  void block(Value batchIndex, Value group, Value head, Value firstQuery, const Pass &pass);
  void loadStatistics(Value batchIndex, Value head, Value firstQuery, Value count);
  void keyTiles(Value batchIndex, Value group, Value head, Value firstQuery, Value count,
                const Pass &pass);
  void scores(const AttentionTiles::ScoreTile &s);
  void keyGradient(const KeyGradient &g, Value batchIndex, Value group, Value firstKey,
                   Value keyCount, Value firstQuery, Value count, const Pass &pass);
  void queryGradient(Value firstKey, Value keyCount, Value firstQuery, Value count);

  /// Register tiles over `width` columns: as wide as the width allows.
  int64_t vectorsOver(int64_t width) const {
    return width % (t.microVectors * t.lanes) ? 1 : t.microVectors;
  }

  kernel::AttentionBackwardOp::Adaptor in;
  AttentionTiles t;
  Emission &e;
  OpBuilder &b;
  Location loc;
  Vectors v;
  double scale;

  // Tiles in private scratch.
  Value queryTile, transposedQueries;  ///< scaled
  Value outputTile, transposedOutputs; ///< of dO
  Value keyTile, valueTile, probabilities, scoreGradients, queryGradients;
  Value statistics; ///< rows: log-sum-exp, D; columns: queries
  int64_t windowKeys = 0;
  Value keyWindow, valueWindow; ///< sums of dK and dV; null where memory itself holds them
};

/// dK or dV of one group to 0, also of keys that nobody sees.
void Backward::clear(Value gradient, Value batchIndex, Value group, int64_t width) {
  e.forLoop(e.index(0), t.keys, 1, [&](Value key) {
    Value row = rowAt(e, gradient, {batchIndex, key, group});
    v.forColumns(e.index(0), e.index(width),
                 [&](Value column, Value mask) { v.store(v.splat(0.0), row, column, mask); });
  });
}

/// The log-sum-exp of each query, finite, and D = rowsum(dO * O), which is an output as well; 0 for
/// queries past the end.
void Backward::loadStatistics(Value batchIndex, Value head, Value firstQuery, Value count) {
  Value zero = e.index(0), one = e.index(1);
  Value logSumExp = rowAt(e, in.getLse(), {batchIndex, head});
  Value rowSums = rowAt(e, in.getOutputs()[3], {batchIndex, head});
  Value firstLane = vector::ConstantMaskOp::create(
      b, loc, VectorType::get({t.lanes}, b.getI1Type()), ArrayRef<int64_t>{1});
  Value none = v.splat(-std::numeric_limits<double>::infinity());
  e.forLoop(zero, t.roundUp(count, t.microQueries), t.lanes, [&](Value column) {
    Value left = t.maximum(t.subtract(count, column), zero);
    Value inside = vector::CreateMaskOp::create(b, loc, VectorType::get({t.lanes}, b.getI1Type()),
                                                ValueRange{left});
    // No lane reads: the address must not matter then.
    Value at = t.minimum(t.add(firstQuery, column), t.queries);
    Value value = v.load(logSumExp, at, inside);
    Value empty = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OEQ, value, none);
    value = v.mul(value, v.splat(t.scoreUnit()));
    t.store(t.select(empty, v.splat(0.0), value), statistics, zero, column);
    t.store(v.splat(0.0), statistics, one, column);
  });
  e.forLoop(zero, count, 1, [&](Value row) {
    Value output = rowAt(e, in.getO(), {batchIndex, t.add(firstQuery, row), head});
    Value sum = v.splat(0.0);
    sum = e.forLoop(zero, e.index(t.paddedValueWidth), t.lanes, sum,
                    [&](Value column, ValueRange carried) {
                      Value o = v.load(output, column, t.columnMask(column, t.valueWidth));
                      Value gradient = t.load(outputTile, row, column);
                      return SmallVector<Value>{v.fma(o, gradient, carried[0])};
                    })[0];
    Value total = v.sum(sum);
    memref::StoreOp::create(b, loc, total, statistics, ValueRange{one, row});
    v.store(v.splat(total), rowSums, t.add(firstQuery, row), firstLane);
  });
}

/// P and dS of one register tile wide of queries and one tile of keys.
void Backward::scores(const AttentionTiles::ScoreTile &s) {
  int64_t vectors = t.microVectors, rows = t.microRows;
  t.writeMask(s);
  SmallVector<Value> logSumExp, rowSums;
  for (int64_t j = 0; j < vectors; ++j) {
    Value column = t.add(s.column, j * t.lanes);
    logSumExp.push_back(t.load(statistics, e.index(0), column));
    rowSums.push_back(t.load(statistics, e.index(1), column));
  }
  auto columnOf = [&](int64_t j) { return t.add(s.column, j * t.lanes); };
  e.forLoop(e.index(0), s.rows, rows, [&](Value row) {
    SmallVector<Value> values = t.scoreRows(s, row, keyTile, transposedQueries);
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < vectors; ++j)
        t.store(t.exponential(values[i * vectors + j], logSumExp[j]), probabilities, t.add(row, i),
                columnOf(j));
    SmallVector<Value> zeros(rows * vectors, v.splat(0.0));
    values = t.multiply(
        zeros, rows, vectors, e.index(0), e.index(t.valueWidth),
        [&](Value k, int64_t i) -> Value {
          return memref::LoadOp::create(b, loc, valueTile, ValueRange{t.add(row, i), k});
        },
        [&](Value k, int64_t j) { return t.load(transposedOutputs, k, columnOf(j)); });
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < vectors; ++j) {
        Value p = t.load(probabilities, t.add(row, i), columnOf(j));
        Value gradient = v.mul(p, v.sub(values[i * vectors + j], rowSums[j]));
        t.store(gradient, scoreGradients, t.add(row, i), columnOf(j));
      }
  });
}

/// gradient[keys of the tile], or the window's rows of them, += factor * weights x rows: dV from P
/// and dO, dK from dS and Q.
void Backward::keyGradient(const KeyGradient &g, Value batchIndex, Value group, Value firstKey,
                           Value keyCount, Value firstQuery, Value count, const Pass &pass) {
  int64_t padded = llvm::alignTo(g.width, t.lanes), vectors = vectorsOver(padded);
  int64_t rows = t.microRows;
  Value zero = e.index(0), factor = v.splat(g.factor);
  // Columns outside: a strip of them stays in the first-level cache for all keys.
  e.forLoop(zero, e.index(padded), vectors * t.lanes, [&](Value column) {
    auto columnOf = [&](int64_t j) { return t.add(column, j * t.lanes); };
    e.forLoop(zero, keyCount, rows, [&](Value row) {
      // Queries before the first of these keys do not see them.
      Value from = zero;
      if (t.causal)
        from = t.maximum(zero, t.subtract(t.add(firstKey, row), firstQuery));
      SmallVector<Value> sums(rows * vectors, v.splat(0.0));
      sums = t.multiply(
          sums, rows, vectors, from, count,
          [&](Value k, int64_t i) -> Value {
            return memref::LoadOp::create(b, loc, g.weights, ValueRange{t.add(row, i), k});
          },
          [&](Value k, int64_t j) { return t.load(g.rows, k, columnOf(j)); });
      auto gain = [&](int64_t i, int64_t j, Value before) {
        Value sum = sums[i * vectors + j];
        return g.factor == 1.0 ? v.add(before, sum) : v.fma(sum, factor, before);
      };
      for (int64_t i = 0; i < rows; ++i) {
        Value key = t.add(row, i);
        if (g.window) {
          // Rows past the last key gain nothing that anyone reads.
          Value place = t.add(t.subtract(firstKey, pass.from), key);
          for (int64_t j = 0; j < vectors; ++j)
            t.store(gain(i, j, t.load(g.window, place, columnOf(j))), g.window, place, columnOf(j));
          continue;
        }
        // A branch, as stores under a mask are slow where a vector is whole.
        t.when(t.less(key, keyCount), [&] {
          Value target = rowAt(e, g.gradient, {batchIndex, t.add(firstKey, key), group});
          for (int64_t j = 0; j < vectors; ++j) {
            Value mask = t.columnMask(columnOf(j), g.width);
            v.store(gain(i, j, v.load(target, columnOf(j), mask)), target, columnOf(j), mask);
          }
        });
      }
    });
  });
}

void Backward::queryGradient(Value firstKey, Value keyCount, Value firstQuery, Value count) {
  int64_t vectors = vectorsOver(t.paddedKeyWidth), rows = t.microRows;
  Value zero = e.index(0);
  e.forLoop(zero, count, rows, [&](Value row) {
    Value to = keyCount;
    if (t.causal)
      to = t.minimum(to, t.subtract(t.add(t.add(firstQuery, row), rows), firstKey));
    e.forLoop(zero, e.index(t.paddedKeyWidth), vectors * t.lanes, [&](Value column) {
      SmallVector<Value> sums;
      for (int64_t i = 0; i < rows; ++i)
        for (int64_t j = 0; j < vectors; ++j)
          sums.push_back(t.load(queryGradients, t.add(row, i), t.add(column, j * t.lanes)));
      sums = t.multiply(
          sums, rows, vectors, zero, to,
          [&](Value k, int64_t i) -> Value {
            return memref::LoadOp::create(b, loc, scoreGradients, ValueRange{k, t.add(row, i)});
          },
          [&](Value k, int64_t j) { return t.load(keyTile, k, t.add(column, j * t.lanes)); });
      for (int64_t i = 0; i < rows; ++i)
        for (int64_t j = 0; j < vectors; ++j)
          t.store(sums[i * vectors + j], queryGradients, t.add(row, i), t.add(column, j * t.lanes));
    });
  });
}

void Backward::keyTiles(Value batchIndex, Value group, Value head, Value firstQuery, Value count,
                        const Pass &pass) {
  Value zero = e.index(0);
  Value visible = t.visibleKeys(batchIndex);
  Value end = t.visibleKeysUntil(visible, t.add(firstQuery, count));
  if (pass.to)
    end = t.minimum(end, pass.to);
  auto where = [&](Value condition, llvm::function_ref<void()> body) {
    return condition ? t.when(condition, body) : body();
  };
  e.forLoop(pass.from, end, t.blockKeys, [&](Value firstKey) {
    Value keyCount = t.minimum(e.index(t.blockKeys), t.subtract(end, firstKey));
    Value rows = t.roundUp(keyCount, t.microRows);
    t.packRows(keyTile, rows, in.getK(), batchIndex, firstKey, keyCount, group, t.keyWidth);
    t.packRows(valueTile, rows, in.getV(), batchIndex, firstKey, keyCount, group, t.valueWidth);
    e.forLoop(zero, count, t.microQueries, [&](Value column) {
      AttentionTiles::ScoreTile s;
      s.tile = probabilities;
      s.column = column;
      s.batchIndex = batchIndex;
      s.head = head;
      s.firstKey = firstKey;
      s.firstQuery = t.add(firstQuery, column);
      s.queryBase = firstQuery;
      s.keyCount = keyCount;
      s.visible = visible;
      t.bound(s);
      scores(s);
    });
    where(pass.keyGradients, [&] {
      keyGradient({in.getOutputs()[2], valueWindow, probabilities, outputTile, t.valueWidth, 1.0},
                  batchIndex, group, firstKey, keyCount, firstQuery, count, pass);
      keyGradient(
          {in.getOutputs()[1], keyWindow, scoreGradients, queryTile, t.keyWidth, 1 / t.scoreUnit()},
          batchIndex, group, firstKey, keyCount, firstQuery, count, pass);
    });
    where(pass.queryGradients, [&] { queryGradient(firstKey, keyCount, firstQuery, count); });
  });
}

void Backward::block(Value batchIndex, Value group, Value head, Value firstQuery,
                     const Pass &pass) {
  Value zero = e.index(0);
  Value count = t.minimum(e.index(t.blockQueries), t.subtract(t.queries, firstQuery));
  Value rows = t.roundUp(count, t.microQueries);
  t.packRows(queryTile, rows, in.getQ(), batchIndex, firstQuery, count, head, t.keyWidth,
             v.splat(scale * t.scoreUnit()));
  t.transpose(queryTile, transposedQueries, rows, t.paddedKeyWidth, zero);
  t.packRows(outputTile, rows, in.getGradient(), batchIndex, firstQuery, count, head, t.valueWidth);
  t.transpose(outputTile, transposedOutputs, rows, t.paddedValueWidth, zero);
  loadStatistics(batchIndex, head, firstQuery, count);
  t.zero(queryGradients, zero, rows, e.index(t.paddedKeyWidth));
  keyTiles(batchIndex, group, head, firstQuery, count, pass);
  Value factor = v.splat(scale);
  // A pass without gradients of queries leaves zeros, which the pass that has them overwrites.
  e.forLoop(zero, count, 1, [&](Value row) {
    Value target = rowAt(e, in.getOutputs()[0], {batchIndex, t.add(firstQuery, row), head});
    e.forLoop(zero, e.index(t.paddedKeyWidth), t.lanes, [&](Value column) {
      v.store(v.mul(t.load(queryGradients, row, column), factor), target, column,
              t.columnMask(column, t.keyWidth));
    });
  });
}

/// dK or dV of the keys of a pass.
void Backward::writeWindow(Value window, Value gradient, Value batchIndex, Value group,
                           int64_t width, const Pass &pass) {
  e.forLoop(pass.from, pass.to, 1, [&](Value key) {
    Value target = rowAt(e, gradient, {batchIndex, key, group});
    Value row = t.subtract(key, pass.from);
    v.forColumns(e.index(0), e.index(width), [&](Value column, Value mask) {
      v.store(t.load(window, row, column), target, column, mask);
    });
  });
}

/// One pass over all heads of a group and all their queries.
void Backward::group(Value batchIndex, Value group, const Pass &pass) {
  Value headsPerGroup = e.index(t.heads / t.groups);
  e.forLoop(e.index(0), headsPerGroup, 1, [&](Value i) {
    Value head = t.add(mulIndex(e, group, headsPerGroup), i);
    e.forLoop(e.index(0), t.queries, t.blockQueries,
              [&](Value firstQuery) { block(batchIndex, group, head, firstQuery, pass); });
  });
}

/// All passes that a group needs, with its sums of dK and dV in windows of keys.
void Backward::groupByWindows(Value batchIndex, Value index) {
  Value zero = e.index(0), one = e.index(1), size = e.index(windowKeys);
  auto fill = [&](const Pass &pass) {
    // As many rows as there are keys, by whole register tiles.
    Value rows = t.minimum(size, t.roundUp(t.subtract(pass.to, pass.from), t.microRows));
    e.forLoop(zero, rows, 1, [&](Value row) {
      for (auto [window, width] :
           {std::pair(keyWindow, t.paddedKeyWidth), {valueWindow, t.paddedValueWidth}})
        e.forLoop(zero, e.index(width), t.lanes, [&, window = window](Value column) {
          t.store(v.splat(0.0), window, row, column);
        });
    });
    group(batchIndex, index, pass);
  };
  auto write = [&](const Pass &pass) {
    writeWindow(keyWindow, in.getOutputs()[1], batchIndex, index, t.keyWidth, pass);
    writeWindow(valueWindow, in.getOutputs()[2], batchIndex, index, t.valueWidth, pass);
  };
  if (auto known = constantOf(t.keys); known && *known <= windowKeys) {
    Pass pass{zero, t.keys, {}, {}};
    fill(pass);
    return write(pass);
  }
  // The last pass has dQ: of one window, that window's.
  Value windows = ceilDiv(e, t.keys, size);
  Value several = t.less(one, windows);
  Value passes = arith::SelectOp::create(b, loc, several, t.add(windows, one), one);
  e.forLoop(zero, passes, 1, [&](Value number) {
    Pass pass;
    pass.keyGradients = t.less(number, windows);
    pass.queryGradients =
        arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, number, t.subtract(passes, one));
    pass.from = arith::SelectOp::create(b, loc, pass.keyGradients, mulIndex(e, number, size), zero);
    Value length = arith::SelectOp::create(b, loc, pass.keyGradients, size, t.keys);
    pass.to = t.minimum(t.add(pass.from, length), t.keys);
    fill(pass);
    t.when(pass.keyGradients, [&] { write(pass); });
  });
}

void Backward::run() {
  queryTile = t.tile(t.blockQueries, t.paddedKeyWidth);
  transposedQueries = t.tile(t.paddedKeyWidth, t.blockQueries);
  outputTile = t.tile(t.blockQueries, t.paddedValueWidth);
  transposedOutputs = t.tile(t.paddedValueWidth, t.blockQueries);
  keyTile = t.tile(t.blockKeys, t.paddedKeyWidth);
  valueTile = t.tile(t.blockKeys, t.paddedValueWidth);
  probabilities = t.tile(t.blockKeys, t.blockQueries);
  scoreGradients = t.tile(t.blockKeys, t.blockQueries);
  queryGradients = t.tile(t.blockQueries, t.paddedKeyWidth);
  statistics = t.tile(2, t.blockQueries);

  auto isRounded = [&](Value x) {
    return cast<MemRefType>(x.getType()).getElementType() != v.compute;
  };
  bool byWindows = isRounded(in.getOutputs()[1]) || isRounded(in.getOutputs()[2]);
  if (byWindows) {
    constexpr int64_t bytes = 256 << 10; // as much again as the tiles have
    int64_t most = bytes / elementBytes(v.compute) / (t.paddedKeyWidth + t.paddedValueWidth);
    windowKeys = llvm::alignTo(std::min(most, constantOf(t.keys).value_or(most)), t.blockKeys);
    keyWindow = t.tile(windowKeys, t.paddedKeyWidth);
    valueWindow = t.tile(windowKeys, t.paddedValueWidth);
  }

  Value groups = e.index(t.groups);
  e.forUnits(mulIndex(e, t.batch, groups), [&](Value unit) {
    SmallVector<Value> at = delinearize(e, unit, {t.batch, groups});
    if (byWindows)
      return groupByWindows(at[0], at[1]);
    clear(in.getOutputs()[1], at[0], at[1], t.keyWidth);
    clear(in.getOutputs()[2], at[0], at[1], t.valueWidth);
    group(at[0], at[1], {e.index(0), {}, {}, {}});
  });
}

} // namespace

LogicalResult emit(kernel::AttentionBackwardOp op, ValueRange operands, Emission &e) {
  kernel::AttentionBackwardOp::Adaptor in(operands, op);
  if (failed(checkAttention(op, operands, in.getQ(), in.getK(), in.getV())))
    return failure();
  Backward(op, in, e).run();
  return success();
}

} // namespace quern::cpu
