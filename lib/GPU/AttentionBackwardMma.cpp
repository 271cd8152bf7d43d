//===- AttentionBackwardMma.cpp - Gradients of attention by tiles, by mma.sync ----------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
// As AttentionBackward.cpp, with products by tensor cores. Each warp has rows of its own of the
// scores: keys for dK and dV, queries for dQ. P and dS become, as they lie in registers, the left
// factors of the gradients. Tiles of what the rows are multiplied with are copied one ahead.

#include "AttentionMma.h"

using namespace mlir;

namespace quern::nvidia {

using namespace emission;

namespace {

using Op = kernel::AttentionBackwardOp;

constexpr int64_t stages = 2;

int64_t sizeOf(Value memref, int64_t dim) {
  return cast<MemRefType>(memref.getType()).getDimSize(dim);
}

/// What a block computes at a time; known when compiling.
struct Tile {
  int64_t warps;
  int64_t rowTiles; ///< of 16 rows of the scores, of a warp
  int64_t columns;  ///< of the scores: a power of two

  int64_t rowsOfWarp() const { return 16 * rowTiles; }
  int64_t rows() const { return rowsOfWarp() * warps; }
  int64_t threads() const { return warps * warpSize; }

  /// Rows and two stages of columns for both widths, and two numbers a column.
  int64_t sharedBytes(int64_t keyWidth, int64_t valueWidth) const {
    int64_t all = rows() + stages * columns;
    return HalfMatrix::bytes(all, keyWidth) + HalfMatrix::bytes(all, valueWidth) +
           stages * 2 * columns * 4;
  }
};

/// What the blocks of both kernels know.
class Backward {
public:
  Backward(Op op, ValueRange onDevice, Thread &thread, Tile tile)
      : op(op), in(onDevice, op), t(thread),
        p(thread, in.getQ(), in.getK(), in.getV(), in.getMask(), in.getLengths(), Value(),
          op.getCausal()),
        tile(tile), f32(thread.builder.getF32Type()),
        element(cast<MemRefType>(in.getQ().getType()).getElementType()),
        scale(op.getScale().convertToDouble()) {}

protected:
  void allocate() {
    rowKeys = HalfMatrix(t, tile.rows(), p.keyWidth, element);
    rowValues = HalfMatrix(t, tile.rows(), p.valueWidth, element);
    columnKeys = HalfMatrix(t, stages * tile.columns, p.keyWidth, element);
    columnValues = HalfMatrix(t, stages * tile.columns, p.valueWidth, element);
    warpRow = mulIndex(t, t.int32(t.warp()), t.int32(tile.rowsOfWarp()));
  }

  /// Starts the copies of rows [first, end) (indices) of two matrices of a head.
  void copyRows(const HalfMatrix &keyTile, const HalfMatrix &valueTile, Value keySource,
                Value valueSource, Value head, Value first, Value end) {
    // Addresses are found again each time: products need the registers.
    Value from = t.anew(sequence), of = t.anew(head);
    startCopy(t, keyTile, HalfRows(t, headOf(t, keySource, from, of)), first, end, p.keyWidth);
    startCopy(t, valueTile, HalfRows(t, headOf(t, valueSource, from, of)), first, end,
              p.valueWidth);
  }

  /// The part of a matrix of columns where stage `stage` (i32, 0 or 1) is.
  HalfMatrix stageOf(const HalfMatrix &matrix, Value stage) {
    return matrix.part(t, mulIndex(t, stage, t.int32(tile.columns)), tile.columns);
  }

  /// P of products of rows and columns. `logSumExp(row, column)` is that of an element's query:
  /// in units of exponents of 2, or with a mask, as it is.
  void weigh(WarpSums &products, const ScoreTile &scores, Value head,
             llvm::function_ref<Value(int64_t row, int64_t column)> logSumExp) {
    visibility->apply(products, scores, head, scale);
    Value factor = t.number(f32, scale * log2E);
    products.forElements([&](Value &score, int64_t row, int64_t column) {
      Value shift = logSumExp(row, column);
      score = p.mask
                  ? exponential(t, score, shift)
                  : exp2(t, t.fma(score, factor, arith::NegFOp::create(t.builder, t.loc, shift)));
    });
  }
  /// The log-sum-exp of a query in these units.
  Value shiftOf(Value logSumExp) {
    Value shift = finiteShift(t, logSumExp);
    return p.mask ? shift : t.mul(shift, t.number(f32, log2E));
  }

  /// dS, unscaled, of P and dO V^T.
  void change(WarpSums &products, WarpSums &weights,
              llvm::function_ref<Value(int64_t row, int64_t column)> rowSum) {
    size_t next = 0;
    products.forElements([&](Value &product, int64_t row, int64_t column) {
      product = t.mul(weights.values[next++], t.sub(product, rowSum(row, column)));
    });
  }

  Op op;
  Op::Adaptor in;
  Thread &t;
  AttentionProblem p;
  Tile tile;
  Type f32, element;
  double scale;
  Value sequence; ///< index
  Value warpRow;  ///< i32: the first row of this warp
  std::optional<Visibility> visibility;
  HalfMatrix rowKeys, rowValues, columnKeys, columnValues;
};

/// dQ of a tile of queries: these are the rows of the scores.
class QueryGradient : public Backward {
public:
  using Backward::Backward;

  static Tile tileOf(const Architecture &architecture, int64_t keyWidth, int64_t valueWidth) {
    // dQ, the scores and dS of a warp have to fit in registers.
    for (int64_t rowTiles : {2, 1}) {
      Tile tile{/*warps=*/4, rowTiles, /*columns=*/32};
      if (rowTiles * keyWidth <= 256 &&
          tile.sharedBytes(keyWidth, valueWidth) <= architecture.sharedBytes)
        return tile;
    }
    llvm_unreachable("the smallest tile has room for what hasTensorBackward lets pass");
  }
  static Value count(Emission &e, Op::Adaptor host, Tile tile) {
    return ceilDiv(e, e.dim(host.getQ(), 1), e.index(tile.rows()));
  }

  void run() {
    Value blocks = ceilDiv(t, p.queries, t.index(tile.rows()));
    SmallVector<Value> place = delinearize(t, t.block(0), {p.batch, t.index(p.heads), blocks});
    sequence = place[0];
    head = place[1];
    // With a causal mask, late queries see more keys: they start first.
    Value block = place[2], one = t.index(1);
    if (p.causal)
      block = arith::SubIOp::create(t.builder, t.loc,
                                    arith::SubIOp::create(t.builder, t.loc, blocks, one), block);
    firstQuery = mulIndex(t, block, t.index(tile.rows()));
    end = t.int32(p.keysOfAny(firstQuery, tile.rows(), p.visibleKeys(sequence)));
    visibility.emplace(p, sequence);
    allocate();
    copyRows(rowKeys, rowValues, in.getQ(), in.getGradient(), head, firstQuery, p.queries);
    copyKeys(t.int32(0));
    closeCopies(t);
    for (int64_t i = 0; i < 2 * tile.rowTiles; ++i)
      loadStatistics(i);

    gradient = WarpSums(t, tile.rowTiles, p.keyWidth / 8);
    gradient.values = t.strided(t.int32(0), end, t.int32(tile.columns), gradient.values,
                                [&](Value firstKey, ValueRange carried) {
                                  gradient.values = SmallVector<Value>(carried);
                                  step(firstKey);
                                  return gradient.values;
                                });
    // Without a key, Q may still be on its way to where dQ goes.
    awaitCopies(t, 0);
    t.barrier();
    scaleSums(t, gradient, scale);
    writeSums(t, gradient, rowKeys, warpRow, headOf(t, in.getOutputs()[0], sequence, head),
              firstQuery);
  }

private:
  /// Row 8 i of this lane: 0 for queries past the last.
  void loadStatistics(int64_t i) {
    Value row = addIndex(t, addIndex(t, warpRow, fragmentGroup(t)), t.int32(8 * i));
    Value query = addIndex(t, firstQuery, t.toIndex(row)), exists = t.less(query, p.queries);
    auto load = [&](Value from) { return t.loadWhere(exists, from, {sequence, head, query}, f32); };
    shifts.push_back(shiftOf(load(in.getLse())));
    rowSums.push_back(load(in.getOutputs()[3]));
  }

  Value stage(Value firstKey) {
    Value number = arith::DivUIOp::create(t.builder, t.loc, firstKey, t.int32(tile.columns));
    return arith::AndIOp::create(t.builder, t.loc, number, t.int32(stages - 1));
  }
  void copyKeys(Value firstKey) {
    Value at = stage(firstKey);
    copyRows(stageOf(columnKeys, at), stageOf(columnValues, at), in.getK(), in.getV(),
             p.groupOf(head), t.toIndex(firstKey), t.toIndex(end));
  }

  void step(Value firstKey) {
    // This tile is there, and no warp reads the last one any more, whose place the next one takes.
    awaitCopies(t, 0);
    t.barrier();
    Value next = addIndex(t, firstKey, t.int32(tile.columns));
    t.when(t.less(next, end), [&] { copyKeys(next); });
    closeCopies(t);
    Value first = addIndex(t, t.int32(firstQuery), warpRow);
    ScoreTile scores{first, firstKey, tile.rowsOfWarp(), tile.columns, /*rowsAreKeys=*/false};
    auto add = [&] {
      addTile(scores, stage(firstKey));
      return gradient.values;
    };
    SmallVector<Value> before = gradient.values;
    gradient.values = p.causal ? t.when(visibility->some(scores), before, add) : add();
  }

  void addTile(const ScoreTile &scores, Value stage) {
    HalfMatrix keys = stageOf(columnKeys, stage), values = stageOf(columnValues, stage);
    WarpSums weights = rowProducts(t, rowKeys, warpRow, tile.rowTiles, keys, p.keyWidth);
    weigh(weights, scores, head, [&](int64_t row, int64_t) { return shifts[row / 8]; });
    WarpSums changes = rowProducts(t, rowValues, warpRow, tile.rowTiles, values, p.valueWidth);
    change(changes, weights, [&](int64_t row, int64_t) { return rowSums[row / 8]; });
    addWeighted(t, gradient, asFactor(t, changes, element), keys);
  }

  Value head, firstQuery;             ///< indices
  Value end;                          ///< i32: of the keys that the block sees
  SmallVector<Value> shifts, rowSums; ///< of the rows of this lane
  WarpSums gradient;
};

/// dK and dV of a tile of keys: these are the rows of the scores, which are transposed.
class KeyGradients : public Backward {
public:
  using Backward::Backward;

  static Tile tileOf(const Architecture &architecture, int64_t keyWidth, int64_t valueWidth) {
    // Two gradients, the scores and dS of a warp have to fit in registers.
    int64_t rowTiles = keyWidth + valueWidth <= 128 ? 2 : 1;
    for (int64_t warps : {8, 4}) {
      Tile tile{warps / rowTiles, rowTiles, /*columns=*/32 / rowTiles};
      if (tile.sharedBytes(keyWidth, valueWidth) <= architecture.sharedBytes)
        return tile;
    }
    llvm_unreachable("the smallest tile has room for what hasTensorBackward lets pass");
  }
  static Value count(Emission &e, Op::Adaptor host, Tile tile) {
    return ceilDiv(e, e.dim(host.getK(), 1), e.index(tile.rows()));
  }

  void run() {
    Value blocks = ceilDiv(t, p.keys, t.index(tile.rows()));
    SmallVector<Value> place = delinearize(t, t.block(0), {p.batch, t.index(p.groups), blocks});
    sequence = place[0];
    group = place[1];
    firstKey = mulIndex(t, place[2], t.index(tile.rows()));
    visibility.emplace(p, sequence);
    allocate();
    statistics = Pointer(t, t.shared({stages, 2, tile.columns}, f32));
    Value visible = p.visibleKeys(sequence);
    copyRows(rowKeys, rowValues, in.getK(), in.getV(), group, firstKey, visible);

    // Queries before the first of these keys do not see them; keys that are not visible have none.
    int64_t repeat = p.heads / p.groups;
    Value columns = t.int32(tile.columns), zero = t.int32(0), steps = zero, queries = zero;
    end = t.int32(p.queries);
    begin = zero;
    if (p.causal) {
      Value before = arith::DivUIOp::create(t.builder, t.loc, t.int32(firstKey), columns);
      begin = mulIndex(t, before, columns);
      begin = arith::MinUIOp::create(t.builder, t.loc, begin, end);
    }
    queries = arith::SubIOp::create(t.builder, t.loc, end, begin);
    steps = arith::CeilDivUIOp::create(t.builder, t.loc, queries, columns);
    steps = mulIndex(t, steps, t.int32(repeat));
    steps = t.select(t.less(firstKey, visible), steps, zero);
    Value head = mulIndex(t, t.int32(group), t.int32(repeat));
    t.when(t.less(zero, steps), [&] { copyQueries(zero, head, begin); });
    closeCopies(t);

    keyGradient = WarpSums(t, tile.rowTiles, p.keyWidth / 8);
    valueGradient = WarpSums(t, tile.rowTiles, p.valueWidth / 8);
    SmallVector<Value> carried{head, begin};
    llvm::append_range(carried, all());
    auto last = t.strided(zero, steps, t.int32(1), carried, [&](Value number, ValueRange values) {
      set(values.drop_front(2));
      SmallVector<Value> next = step(number, steps, values[0], values[1]);
      llvm::append_range(next, all());
      return next;
    });
    set(ArrayRef<Value>(last).drop_front(2));
    // Without a query, K and V may still be on their way to where the gradients go.
    awaitCopies(t, 0);
    t.barrier();
    scaleSums(t, keyGradient, scale);
    writeSums(t, keyGradient, rowKeys, warpRow, headOf(t, in.getOutputs()[1], sequence, group),
              firstKey);
    writeSums(t, valueGradient, rowValues, warpRow, headOf(t, in.getOutputs()[2], sequence, group),
              firstKey);
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

  /// Where the log-sum-exp (0) or D (1) of a stage's columns begin.
  Pointer statisticsOf(Value stage, int64_t which) {
    return statistics.at(t, mulIndex(t, stage, t.int32(2 * tile.columns)))
        .at(t, which * tile.columns);
  }

  /// Copies what the columns of a step are: queries and what belongs to them. 0 for queries past
  /// the last.
  void copyQueries(Value stage, Value head, Value firstQuery) {
    Value of = t.toIndex(head), first = t.toIndex(firstQuery);
    copyRows(stageOf(columnKeys, stage), stageOf(columnValues, stage), in.getQ(), in.getGradient(),
             of, first, p.queries);
    Value thread = t.int32(t.rereadThread());
    for (int64_t which : {0, 1}) {
      Value column = arith::SubIOp::create(t.builder, t.loc, thread, t.int32(which * tile.columns));
      t.when(t.less(column, t.int32(tile.columns)), [&] {
        Pointer row(t, rowAt(t, which ? in.getOutputs()[3] : in.getLse(), {t.anew(sequence), of}));
        Value query = addIndex(t, firstQuery, column);
        Value bytes = t.select(t.less(query, end), t.int32(4), t.int32(0));
        copyAsync(t, statisticsOf(stage, which).at(t, column), row.at(t, t.toIndex(query)), 4,
                  bytes);
      });
    }
  }

  /// Adds a step; returns the head and first query of the next one.
  SmallVector<Value> step(Value number, Value steps, Value head, Value firstQuery) {
    // This tile is there, and no warp reads the last one any more, whose place the next one takes.
    awaitCopies(t, 0);
    t.barrier();
    Value one = t.int32(1), next = addIndex(t, number, one);
    Value query = addIndex(t, firstQuery, t.int32(tile.columns)), within = t.less(query, end);
    Value nextQuery = t.select(within, query, begin);
    Value nextHead = t.select(within, head, addIndex(t, head, one));
    auto stageOfStep = [&](Value step) -> Value {
      return arith::AndIOp::create(t.builder, t.loc, step, t.int32(stages - 1));
    };
    t.when(t.less(next, steps), [&] { copyQueries(stageOfStep(next), nextHead, nextQuery); });
    closeCopies(t);
    Value first = addIndex(t, t.int32(firstKey), warpRow);
    ScoreTile scores{firstQuery, first, tile.columns, tile.rowsOfWarp(), /*rowsAreKeys=*/true};
    auto add = [&] {
      addTile(scores, t.toIndex(head), stageOfStep(number));
      return all();
    };
    SmallVector<Value> before = all();
    set(p.causal ? t.when(visibility->some(scores), before, add) : add());
    return {nextHead, nextQuery};
  }

  void addTile(const ScoreTile &scores, Value head, Value stage) {
    HalfMatrix queries = stageOf(columnKeys, stage), gradients = stageOf(columnValues, stage);
    WarpSums weights = rowProducts(t, rowKeys, warpRow, tile.rowTiles, queries, p.keyWidth);
    // A lane has two neighbouring columns of each tile.
    Value place = mulIndex(t, fragmentPlace(t), t.int32(2));
    auto load = [&](int64_t which) {
      SmallVector<Value> values;
      Pointer from = statisticsOf(stage, which).at(t, place);
      for (int64_t j = 0; j < tile.columns; j += 8)
        llvm::append_range(values, from.at(t, j).load(t, 2, f32));
      return values;
    };
    auto ofColumn = [](int64_t column) { return column / 8 * 2 + column % 8; };
    SmallVector<Value> shifts = load(0);
    for (Value &shift : shifts)
      shift = shiftOf(shift);
    weigh(weights, scores, head, [&](int64_t, int64_t column) { return shifts[ofColumn(column)]; });
    addWeighted(t, valueGradient, asFactor(t, weights, element), gradients);
    WarpSums changes = rowProducts(t, rowValues, warpRow, tile.rowTiles, gradients, p.valueWidth);
    SmallVector<Value> rowSums = load(1);
    change(changes, weights, [&](int64_t, int64_t column) { return rowSums[ofColumn(column)]; });
    addWeighted(t, keyGradient, asFactor(t, changes, element), queries);
  }

  Value group, firstKey; ///< indices
  Value begin, end;      ///< i32: of the queries of each head
  Pointer statistics;    ///< f32, in shared memory
  WarpSums keyGradient, valueGradient;
};

template <typename Kernel>
void emitGradient(Op op, ValueRange operands, Value heads, Emission &e) {
  Op::Adaptor host(operands, op);
  Tile tile = Kernel::tileOf(e.architecture, sizeOf(host.getQ(), 3), sizeOf(host.getV(), 3));
  Value blocks =
      mulIndex(e, mulIndex(e, e.dim(host.getQ(), 0), heads), Kernel::count(e, host, tile));
  e.launch({blocks, {}, {}}, tile.threads(), operands,
           [&](Thread &t, ValueRange onDevice) { Kernel(op, onDevice, t, tile).run(); });
}

} // namespace

bool hasTensorBackward(Op op, ValueRange operands) {
  Op::Adaptor in(operands, op);
  auto outputs = in.getOutputs();
  auto isF32 = [](Value x) { return cast<MemRefType>(x.getType()).getElementType().isF32(); };
  // Both gradients of 16 keys have to fit in the registers of a warp.
  return hasTensorTiles({in.getQ(), in.getK(), in.getV(), in.getGradient(), outputs[0], outputs[1],
                         outputs[2]}) &&
         isF32(in.getLse()) && isF32(outputs[3]) &&
         sizeOf(in.getQ(), 3) + sizeOf(in.getV(), 3) <= 256;
}

void emitTensorBackward(Op op, ValueRange operands, Emission &e) {
  emitGroupBackward(op, operands, e, [&] {
    Op::Adaptor host(operands, op);
    emitGradient<KeyGradients>(op, operands, e.dim(host.getK(), 2), e);
    emitGradient<QueryGradient>(op, operands, e.dim(host.getQ(), 2), e);
  });
}

} // namespace quern::nvidia
