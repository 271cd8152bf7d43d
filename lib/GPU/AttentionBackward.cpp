//===- AttentionBackward.cpp - Gradients of attention by tiles, in f32 ------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
// Three launches, none of which adds to what another block wrote: D = rowsum(dO * O); dK and dV, a
// block for each tile of keys, which walks over the queries of all heads of its group that see
// them; dQ, a block for each tile of queries. The scores are computed twice for that. With
//
//   P = exp(scale Q K^T + mask - lse)      dV = P^T dO
//   dS = P * (dO V^T - D)                  dK = dS^T (scale Q)      dQ = scale dS K

#include "Attention.h"
#include "Emitters.h"
#include "ThreadTiles.h"

using namespace mlir;

namespace quern::nvidia {

namespace {

using Op = kernel::AttentionBackwardOp;

/// Two pairs of matrices stand in shared memory, of the rows and of the columns of the scores.
int64_t sharedBytes(TileSizes tile, int64_t keyWidth, int64_t valueWidth) {
  int64_t bytes = ThreadTiles::weightsBytes(tile.rows, tile.columns);
  for (int64_t rows : {tile.rows, tile.columns})
    bytes += ThreadTiles::matrixBytes(rows, keyWidth) + ThreadTiles::matrixBytes(rows, valueWidth);
  return bytes;
}

/// What the blocks of both kernels know.
class Backward {
public:
  Backward(Op op, ValueRange onDevice, Thread &thread, TileSizes size)
      : op(op), in(onDevice, op), t(thread),
        p(thread, in.getQ(), in.getK(), in.getV(), in.getMask(), in.getLengths(), Value(),
          op.getCausal()),
        tiles(thread), size(size), f32(thread.builder.getF32Type()),
        scale(t.number(f32, op.getScale().convertToDouble())) {}

protected:
  /// The matrices of scores' rows and columns, for two widths each.
  void allocate() {
    rowKeys = tiles.matrix(size.rows, p.keyWidth);
    rowValues = tiles.matrix(size.rows, p.valueWidth);
    columnKeys = tiles.matrix(size.columns, p.keyWidth);
    columnValues = tiles.matrix(size.columns, p.valueWidth);
    weights = tiles.weights(size.rows, size.columns);
  }
  void loadQueries(Value keyTile, Value valueTile, Value head, Value first) {
    tiles.load(keyTile, headOf(t, in.getQ(), sequence, head), first, p.queries, p.keyWidth, scale);
    tiles.load(valueTile, headOf(t, in.getGradient(), sequence, head), first, p.queries,
               p.valueWidth);
  }
  void loadKeys(Value keyTile, Value valueTile, Value group, Value first, Value end) {
    tiles.load(keyTile, headOf(t, in.getK(), sequence, group), first, end, p.keyWidth);
    tiles.load(valueTile, headOf(t, in.getV(), sequence, group), first, end, p.valueWidth);
  }

  /// What a query's row of scores needs: the log-sum-exp, finite, and D. 0 for queries past the
  /// end.
  struct Statistics {
    Value logSumExp, rowSum;
  };
  Statistics statistics(Value head, Value query) {
    Value exists = t.less(query, p.queries);
    auto load = [&](Value from) { return t.loadWhere(exists, from, {sequence, head, query}, f32); };
    return {finiteShift(t, load(in.getLse())), load(in.getOutputs()[3])};
  }

  /// Writes tile * factor.
  void store(const RegisterTile &tile, Value target, Value head, Value first, Value end,
             int64_t width, Value factor) {
    tiles.store(tile, headOf(t, target, sequence, head), first, end, width,
                SmallVector<Value>(tile.rows, factor));
  }

  Op op;
  Op::Adaptor in;
  Thread &t;
  AttentionProblem p;
  ThreadTiles tiles;
  TileSizes size;
  Type f32;
  Value scale, sequence;
  Value rowKeys, rowValues, columnKeys, columnValues, weights;
};

/// dQ of a tile of queries: these are the rows of the scores.
class QueryGradient : public Backward {
public:
  using Backward::Backward;
  static Value count(Emission &e, Op::Adaptor host, TileSizes size) {
    return ceilDiv(e, e.dim(host.getQ(), 1), e.index(size.rows));
  }

  void run() {
    Value blocks = ceilDiv(t, p.queries, t.index(size.rows));
    SmallVector<Value> place = delinearize(t, t.block(0), {p.batch, t.index(p.heads), blocks});
    sequence = place[0];
    Value head = place[1], firstQuery = mulIndex(t, place[2], t.index(size.rows));
    Value visible = p.visibleKeys(sequence), group = p.groupOf(head);
    Value end = p.keysOfAny(firstQuery, size.rows, visible);
    Value fewest = p.keysOf(firstQuery, visible);
    SmallVector<Value> queries, bounds;
    SmallVector<Statistics> known;
    for (int64_t i = 0; i < size.rows / ThreadTiles::side; ++i) {
      queries.push_back(addIndex(t, firstQuery, tiles.row(i)));
      bounds.push_back(p.keysOf(queries[i], visible));
      known.push_back(statistics(head, queries[i]));
    }
    allocate();
    loadQueries(rowKeys, rowValues, head, firstQuery);
    RegisterTile gradient = tiles.accumulator(size.rows, p.keyWidth);
    auto step = [&](Value firstKey, ValueRange carried) {
      gradient.values = SmallVector<Value>(carried);
      loadKeys(columnKeys, columnValues, group, firstKey, end);
      t.barrier();
      RegisterTile scores = tiles.rowProducts(rowKeys, columnKeys, p.keyWidth);
      Value keyEnd = addIndex(t, firstKey, t.index(size.columns));
      scores.values = p.masked(scores.values, keyEnd, fewest, [&](int64_t i) {
        int64_t row = i / scores.columns;
        Value key = addIndex(t, firstKey, tiles.productColumn(i % scores.columns));
        return AttentionProblem::Place{sequence, head, queries[row], key, bounds[row]};
      });
      RegisterTile change = tiles.rowProducts(rowValues, columnValues, p.valueWidth);
      for (int64_t i = 0; i < scores.rows; ++i)
        for (int64_t j = 0; j < scores.columns; ++j) {
          Value weight = exponential(t, scores.at(i, j), known[i].logSumExp);
          change.at(i, j) = t.mul(weight, t.sub(change.at(i, j), known[i].rowSum));
        }
      tiles.storeWeights(change, weights);
      t.syncWarp();
      gradient = tiles.accumulate(gradient, weights, columnKeys);
      t.barrier();
      return gradient.values;
    };
    gradient.values = t.forLoop(t.index(0), end, size.columns, gradient.values, step);
    store(gradient, in.getOutputs()[0], head, firstQuery, p.queries, p.keyWidth, scale);
  }
};

/// dK and dV of a tile of keys: these are the rows of the scores, which are transposed.
class KeyGradients : public Backward {
public:
  using Backward::Backward;
  static Value count(Emission &e, Op::Adaptor host, TileSizes size) {
    return ceilDiv(e, e.dim(host.getK(), 1), e.index(size.rows));
  }

  void run() {
    Value blocks = ceilDiv(t, p.keys, t.index(size.rows));
    SmallVector<Value> place = delinearize(t, t.block(0), {p.batch, t.index(p.groups), blocks});
    sequence = place[0];
    Value group = place[1];
    firstKey = mulIndex(t, place[2], t.index(size.rows));
    visible = p.visibleKeys(sequence);
    allocate();
    loadKeys(rowKeys, rowValues, group, firstKey, visible);
    keyGradient = tiles.accumulator(size.rows, p.keyWidth);
    valueGradient = tiles.accumulator(size.rows, p.valueWidth);

    // Queries before the first of these keys do not see them; keys that are not visible have none.
    Value end = t.select(t.less(firstKey, visible), p.queries, t.index(0)), begin = t.index(0);
    if (p.causal) {
      Value tile = t.index(size.columns);
      begin = mulIndex(t, arith::DivUIOp::create(t.builder, t.loc, firstKey, tile), tile);
    }
    int64_t repeat = p.heads / p.groups;
    auto forHead = [&](Value i, ValueRange carried) {
      Value head = addIndex(t, mulIndex(t, group, t.index(repeat)), i);
      return t.forLoop(begin, end, size.columns, carried, [&](Value firstQuery, ValueRange inner) {
        set(inner);
        step(head, firstQuery);
        return all();
      });
    };
    set(t.forLoop(t.index(0), t.index(repeat), 1, all(), forHead));
    Value one = t.number(f32, 1);
    store(keyGradient, in.getOutputs()[1], group, firstKey, p.keys, p.keyWidth, one);
    store(valueGradient, in.getOutputs()[2], group, firstKey, p.keys, p.valueWidth, one);
  }

private:
  SmallVector<Value> all() {
    SmallVector<Value> values(keyGradient.values);
    llvm::append_range(values, valueGradient.values);
    return values;
  }
  void set(ValueRange values) {
    keyGradient.values = values.take_front(keyGradient.values.size());
    valueGradient.values = values.take_back(valueGradient.values.size());
  }

  void step(Value head, Value firstQuery) {
    loadQueries(columnKeys, columnValues, head, firstQuery);
    SmallVector<Value> queries, bounds;
    SmallVector<Statistics> known;
    for (int64_t j = 0; j < size.columns / ThreadTiles::side; ++j) {
      queries.push_back(addIndex(t, firstQuery, tiles.productColumn(j)));
      bounds.push_back(p.keysOf(queries[j], visible));
      known.push_back(statistics(head, queries[j]));
    }
    t.barrier();
    RegisterTile scores = tiles.rowProducts(rowKeys, columnKeys, p.keyWidth);
    Value keyEnd = addIndex(t, firstKey, t.index(size.rows));
    scores.values = p.masked(scores.values, keyEnd, p.keysOf(firstQuery, visible), [&](int64_t i) {
      int64_t row = i / scores.columns, column = i % scores.columns;
      return AttentionProblem::Place{sequence, head, queries[column],
                                     addIndex(t, firstKey, tiles.row(row)), bounds[column]};
    });
    for (int64_t i = 0; i < scores.rows; ++i)
      for (int64_t j = 0; j < scores.columns; ++j)
        scores.at(i, j) = exponential(t, scores.at(i, j), known[j].logSumExp);
    tiles.storeWeights(scores, weights);
    t.syncWarp();
    valueGradient = tiles.accumulate(valueGradient, weights, columnValues);
    RegisterTile change = tiles.rowProducts(rowValues, columnValues, p.valueWidth);
    for (int64_t i = 0; i < scores.rows; ++i)
      for (int64_t j = 0; j < scores.columns; ++j)
        change.at(i, j) = t.mul(scores.at(i, j), t.sub(change.at(i, j), known[j].rowSum));
    t.syncWarp();
    tiles.storeWeights(change, weights);
    t.syncWarp();
    keyGradient = tiles.accumulate(keyGradient, weights, columnKeys);
    t.barrier();
  }

  Value firstKey, visible;
  RegisterTile keyGradient, valueGradient;
};

/// D = rowsum(dO * O).
void emitRowSums(Op op, ValueRange operands, Emission &e) {
  Op::Adaptor host(operands, op);
  Value rows = e.leadingSize(host.getO(), 3), columns = e.dim(host.getO(), 3);
  forRows(e, rows, columns, operands, [&](Team &team, Value row, ValueRange onDevice) {
    Thread &t = team.t;
    Op::Adaptor in(onDevice, op);
    Type f32 = t.builder.getF32Type();
    SmallVector<Value> place = rowIndices(t, in.getO(), row);
    SmallVector<Team::Part> parts{team.read(rowAt(t, in.getO(), place), f32),
                                  team.read(rowAt(t, in.getGradient(), place), f32)};
    Value sum = team.sums(parts, 1, f32, [&](ValueRange element) {
      return Team::Values{t.mul(element[0], element[1])};
    })[0];
    team.onFirst([&] { t.store(sum, in.getOutputs()[3], {place[0], place[2], place[1]}); });
  });
}

template <typename Kernel>
void emitGradient(Op op, ValueRange operands, Value heads, TileSizes size, Emission &e) {
  Op::Adaptor host(operands, op);
  Value blocks =
      mulIndex(e, mulIndex(e, e.dim(host.getQ(), 0), heads), Kernel::count(e, host, size));
  e.launch({blocks, {}, {}}, ThreadTiles::threads, operands,
           [&](Thread &t, ValueRange onDevice) { Kernel(op, onDevice, t, size).run(); });
}

} // namespace

LogicalResult emit(Op op, ValueRange operands, Emission &e) {
  Op::Adaptor host(operands, op);
  if (failed(checkAttention(op, operands, host.getQ(), host.getV())))
    return failure();
  emitRowSums(op, operands, e);
  if (hasTensorBackward(op, operands)) {
    emitTensorBackward(op, operands, e);
    return success();
  }
  auto width = [](Value x) { return cast<MemRefType>(x.getType()).getDimSize(3); };
  // Two tiles of scores and two of gradients have to fit in registers.
  constexpr TileSizes choice[] = {{64, 32}, {32, 32}, {32, 16}, {16, 16}};
  TileSizes size = chooseTiles(e.architecture, choice, [&](TileSizes tile) {
    return sharedBytes(tile, width(host.getQ()), width(host.getV()));
  });
  emitGradient<KeyGradients>(op, operands, e.dim(host.getK(), 2), size, e);
  emitGradient<QueryGradient>(op, operands, e.dim(host.getQ(), 2), size, e);
  return success();
}

} // namespace quern::nvidia
