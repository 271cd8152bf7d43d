//===- AttentionForwardMma.cpp - Attention by tiles, by mma.sync ------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
// As AttentionForward.cpp, with products by tensor cores in the manner of FlashAttention-2 (Dao
// 2023): each of four warps has rows of its own of the scores and of O. Scores become P in
// registers and, rounded, the left factor of P V as they lie there. The next tile of keys is copied
// while P V is computed, that of values during Q K^T.

#include "Attention.h"
#include "WarpMatrix.h"

#include <limits>

using namespace mlir;

namespace quern::nvidia {

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr int64_t warps = 4;

int64_t sizeOf(Value memref, int64_t dim) {
  return cast<MemRefType>(memref.getType()).getDimSize(dim);
}

/// What a block computes at a time; known when compiling.
struct Tile {
  /// `queries` is T, or dynamic. O and the scores of a warp have to fit in registers.
  Tile(int64_t keyWidth, int64_t valueWidth, int64_t queries) {
    int64_t width = std::max(keyWidth, valueWidth);
    bool isShort = !ShapedType::isDynamic(queries) && queries <= 16 * warps;
    rowTiles = width <= 128 && !isShort ? 2 : 1;
    keys = width <= 64 ? 64 : 32;
    keepsQueries = width <= 32;
  }

  int64_t rowTiles;  ///< of 16 queries, of a warp
  int64_t keys;      ///< of a tile of scores
  bool keepsQueries; ///< Q stays in registers

  int64_t queries() const { return 16 * rowTiles * warps; }
};

class Forward {
public:
  Forward(kernel::AttentionOp op, ValueRange onDevice, Thread &thread, Tile tile)
      : op(op), in(onDevice, op), t(thread),
        p(thread, in.getQ(), in.getK(), in.getV(), in.getMask(), in.getLengths(), in.getOffset(),
          op.getCausal()),
        tile(tile), f32(thread.builder.getF32Type()),
        element(cast<MemRefType>(in.getQ().getType()).getElementType()),
        scale(op.getScale().convertToDouble()) {}

  void run();

private:
  /// Of the rows of a lane (row tile, then the upper and lower half): maxima m, in units of the
  /// products, and sums l over the lane's columns; and outputs.
  struct State {
    SmallVector<Value> maxima, sums;
    WarpSums output;
  };
  SmallVector<Value> flatten(const State &state);
  State unflatten(ValueRange values);

  State step(State state, Value firstKey);
  WarpSums scores(Value firstKey);
  void hide(WarpSums &scores, Value firstKey);
  void softmax(State &state, WarpSums &scores);
  void finish(State state);

  int64_t rows() const { return 2 * tile.rowTiles; }
  /// The row, of the block's (i32), of which this lane has elements: in row tile i / 2, half i % 2.
  Value row(int64_t i) {
    return addIndex(t, addIndex(t, warpRow, fragmentGroup(t)), t.int32(8 * i));
  }
  /// How many keys row i sees (i32). Queries past the last see some as well, which are zeros.
  Value keysOf(int64_t i) {
    if (!p.causal)
      return visible;
    Value seen = addIndex(t, addIndex(t, before, row(i)), t.int32(1));
    return arith::MinSIOp::create(t.builder, t.loc, visible, seen);
  }
  Value queryOf(int64_t i) { return addIndex(t, firstQuery, t.toIndex(row(i))); }
  /// A score, which is a product, is times this an exponent of 2; with a mask it is scaled already.
  double exponentScale() const { return p.mask ? log2E : scale * log2E; }

  kernel::AttentionOp op;
  kernel::AttentionOp::Adaptor in;
  Thread &t;
  AttentionProblem p;
  Tile tile;
  Type f32, element;
  double scale;

  Value sequence, head, firstQuery, end, fewest; ///< as in AttentionForward.cpp
  Value warpRow;                                 ///< i32: the first row of this warp
  Value visible, before; ///< i32: keys that any query sees; those before the block's first query
  HalfMatrix queries, keys, values;
  std::optional<HalfRows> keyRows, valueRows;
  SmallVector<SmallVector<Value>> queryFragments; ///< when they stay in registers
};

SmallVector<Value> Forward::flatten(const State &state) {
  SmallVector<Value> all(state.maxima);
  llvm::append_range(all, state.sums);
  llvm::append_range(all, state.output.values);
  return all;
}

Forward::State Forward::unflatten(ValueRange all) {
  State state;
  state.maxima = all.take_front(rows());
  state.sums = all.slice(rows(), rows());
  state.output.rowTiles = tile.rowTiles;
  state.output.columnTiles = p.valueWidth / 8;
  state.output.values = all.drop_front(2 * rows());
  return state;
}

/// Products of queries and keys; scaled, with the mask added, where there is one.
WarpSums Forward::scores(Value firstKey) {
  WarpSums sums(t, tile.rowTiles, tile.keys / 8);
  FragmentReader left(t, queries, Role::A, warpRow), right(t, keys, Role::B);
  int64_t depth = p.keyWidth / 16;
  addProduct(
      t, element, sums, depth,
      [&](int64_t i, int64_t k) {
        return tile.keepsQueries ? queryFragments[i * depth + k] : left.load(t, 16 * i, 16 * k);
      },
      [&](int64_t k, int64_t j) { return right.load(t, 8 * j, 16 * k); });
  hide(sums, firstKey);
  return sums;
}

/// Adds the mask; -infinity for keys that are not visible.
void Forward::hide(WarpSums &sums, Value firstKey) {
  Value hidden = t.number(f32, -infinity), place = mulIndex(t, fragmentPlace(t), t.int32(2));
  auto columnOf = [](int64_t j, int64_t r) { return 8 * j + r % 2; };
  auto forEach = [&](llvm::function_ref<void(Value &, int64_t row, int64_t column)> body) {
    for (int64_t i = 0; i < sums.rowTiles; ++i)
      for (int64_t j = 0; j < sums.columnTiles; ++j)
        for (int64_t r = 0; r < 4; ++r)
          body(sums.at(i, j, r), 2 * i + r / 2, columnOf(j, r));
  };
  if (p.mask)
    forEach([&](Value &score, int64_t row, int64_t column) {
      Value key = addIndex(t, firstKey, t.toIndex(addIndex(t, place, t.int32(column))));
      Value added = p.maskElement(sequence, head, queryOf(row), key);
      score = t.fma(score, t.number(f32, scale), added);
    });
  Value keyEnd = addIndex(t, firstKey, t.index(tile.keys));
  SmallVector<Value> all(sums.values);
  sums.values = t.when(t.less(fewest, keyEnd), all, [&] {
    // How many columns of the tile, from this lane's first one on, a row sees: maybe less than
    // none. It is found again for each tile, since products need the registers.
    SmallVector<Value> seen;
    Value first = addIndex(t, t.int32(firstKey), place);
    for (int64_t i = 0; i < rows(); ++i)
      seen.push_back(arith::SubIOp::create(t.builder, t.loc, keysOf(i), first));
    forEach([&](Value &score, int64_t row, int64_t column) {
      Value visible = arith::CmpIOp::create(t.builder, t.loc, arith::CmpIPredicate::slt,
                                            t.int32(column), seen[row]);
      score = t.select(visible, score, hidden);
    });
    return sums.values;
  });
}

/// From scores to P; rescales what the state has.
void Forward::softmax(State &state, WarpSums &sums) {
  auto larger = [&](Value a, Value b) { return t.max(a, b); };
  Value factor = t.number(f32, exponentScale());
  for (int64_t i = 0; i < rows(); ++i) {
    auto score = [&](int64_t j, int64_t r) -> Value & {
      return sums.at(i / 2, j, 2 * (i % 2) + r);
    };
    Value now = state.maxima[i];
    for (int64_t j = 0; j < sums.columnTiles; ++j)
      for (int64_t r : {0, 1})
        now = larger(now, score(j, r));
    // The four lanes of a row are neighbours.
    now = t.overLanes(now, 4, larger);
    Value shift = t.mul(finiteShift(t, now), factor);
    Value negative = arith::NegFOp::create(t.builder, t.loc, shift);
    auto power = [&](Value score) {
      // With a mask of -3e38 the product alone would overflow.
      if (p.mask)
        return exponential(t, score, finiteShift(t, now));
      return exp2(t, t.fma(score, factor, negative));
    };
    Value rescale = power(state.maxima[i]);
    state.maxima[i] = now;
    state.sums[i] = t.mul(state.sums[i], rescale);
    for (int64_t j = 0; j < sums.columnTiles; ++j)
      for (int64_t r : {0, 1}) {
        score(j, r) = power(score(j, r));
        state.sums[i] = t.add(state.sums[i], score(j, r));
      }
    for (int64_t j = 0; j < state.output.columnTiles; ++j)
      for (int64_t r : {0, 1}) {
        Value &output = state.output.at(i / 2, j, 2 * (i % 2) + r);
        output = t.mul(output, rescale);
      }
  }
}

Forward::State Forward::step(State state, Value firstKey) {
  // The keys are there, and no warp reads the last values any more.
  awaitCopies(t, 0);
  t.barrier();
  startCopy(t, values, *valueRows, firstKey, end, p.valueWidth);
  closeCopies(t);
  WarpSums sums = scores(firstKey);
  awaitCopies(t, 0);
  t.barrier();
  Value next = addIndex(t, firstKey, t.index(tile.keys));
  t.when(t.less(next, end), [&] { startCopy(t, keys, *keyRows, next, end, p.keyWidth); });
  closeCopies(t);

  softmax(state, sums);
  SmallVector<SmallVector<Value>> weights = asFactor(t, sums, element);
  int64_t depth = tile.keys / 16;
  FragmentReader right(t, values, Role::TransposedB);
  addProduct(
      t, element, state.output, depth, [&](int64_t i, int64_t k) { return weights[i * depth + k]; },
      [&](int64_t k, int64_t j) { return right.load(t, 16 * k, 8 * j); });
  return state;
}

void Forward::finish(State state) {
  for (int64_t i = 0; i < rows(); ++i) {
    Value sum = t.overLanes(state.sums[i], 4, [&](Value a, Value b) { return t.add(a, b); });
    Value maximum = state.maxima[i];
    if (!p.mask)
      maximum = t.mul(maximum, t.number(f32, scale));
    SoftmaxEnd softmax = finishSoftmax(t, maximum, sum);
    for (int64_t j = 0; j < state.output.columnTiles; ++j)
      for (int64_t r : {0, 1}) {
        Value &output = state.output.at(i / 2, j, 2 * (i % 2) + r);
        output = t.mul(output, softmax.inverse);
      }
    if (in.getOutputs().size() < 2)
      continue;
    Value query = queryOf(i), first = t.equal(fragmentPlace(t), t.int32(0));
    t.when(t.both(first, t.less(query, p.queries)),
           [&] { t.store(softmax.logSumExp, in.getOutputs()[1], {sequence, head, query}); });
  }
  // Where Q was, a warp collects whole rows.
  t.syncWarp();
  storeSums(t, state.output, queries, warpRow);
  Value first = addIndex(t, firstQuery, t.toIndex(warpRow));
  HalfRows to(t, headOf(t, in.getOutputs()[0], sequence, head));
  writeRows(t, queries, warpRow, 16 * tile.rowTiles, to, first, p.queries, p.valueWidth);
}

void Forward::run() {
  Value blocks = ceilDiv(t, p.queries, t.index(tile.queries()));
  SmallVector<Value> place = delinearize(t, t.block(0), {p.batch, t.index(p.heads), blocks});
  sequence = place[0];
  head = place[1];
  // With a causal mask, late queries see more keys: they start first, so that none is left over.
  Value block = place[2];
  if (p.causal)
    block = arith::SubIOp::create(
        t.builder, t.loc, arith::SubIOp::create(t.builder, t.loc, blocks, t.index(1)), block);
  firstQuery = mulIndex(t, block, t.index(tile.queries()));
  Value seen = p.visibleKeys(sequence), group = p.groupOf(head);
  end = p.keysOfAny(firstQuery, tile.queries(), seen);
  fewest = p.keysOf(firstQuery, seen);
  visible = t.int32(seen);
  before = t.int32(addIndex(t, p.offset, firstQuery));
  warpRow = mulIndex(t, t.int32(t.warp()), t.int32(16 * tile.rowTiles));

  queries = HalfMatrix(t, tile.queries(), std::max(p.keyWidth, p.valueWidth), element);
  keys = HalfMatrix(t, tile.keys, p.keyWidth, element);
  values = HalfMatrix(t, tile.keys, p.valueWidth, element);
  keyRows.emplace(t, headOf(t, in.getK(), sequence, group));
  valueRows.emplace(t, headOf(t, in.getV(), sequence, group));
  HalfRows queryRows(t, headOf(t, in.getQ(), sequence, head));
  startCopy(t, queries, queryRows, firstQuery, p.queries, p.keyWidth);
  closeCopies(t);
  startCopy(t, keys, *keyRows, t.index(0), end, p.keyWidth);
  closeCopies(t);
  awaitCopies(t, 1);
  t.barrier();
  if (tile.keepsQueries) {
    FragmentReader reader(t, queries, Role::A, warpRow);
    for (int64_t i = 0; i < tile.rowTiles; ++i)
      for (int64_t k = 0; k < p.keyWidth / 16; ++k)
        queryFragments.push_back(reader.load(t, 16 * i, 16 * k));
  }
  State initial;
  initial.maxima.assign(rows(), t.number(f32, -infinity));
  initial.sums.assign(rows(), t.number(f32, 0));
  initial.output = WarpSums(t, tile.rowTiles, p.valueWidth / 8);
  State last = unflatten(t.forLoop(t.index(0), end, tile.keys, flatten(initial),
                                   [&](Value firstKey, ValueRange carried) {
                                     return flatten(step(unflatten(carried), firstKey));
                                   }));
  awaitCopies(t, 0);
  finish(last);
}

} // namespace

bool hasTensorAttention(Value q, Value k, Value v, Value o) {
  Type element = cast<MemRefType>(q.getType()).getElementType();
  for (Value x : {q, k, v, o})
    if (cast<MemRefType>(x.getType()).getElementType() != element)
      return false;
  return hasWarpProducts(element) && sizeOf(q, 3) % 16 == 0 && sizeOf(v, 3) % 16 == 0;
}

void emitTensorAttention(kernel::AttentionOp op, ValueRange operands, Emission &e) {
  kernel::AttentionOp::Adaptor host(operands, op);
  Value q = host.getQ();
  Tile tile(sizeOf(q, 3), sizeOf(host.getV(), 3), sizeOf(q, 1));
  Value blocks = mulIndex(e, mulIndex(e, e.dim(q, 0), e.dim(q, 2)),
                          ceilDiv(e, e.dim(q, 1), e.index(tile.queries())));
  e.launch({blocks, {}, {}}, warps * warpSize, operands, [&](Thread &t, ValueRange onDevice) {
    t.residentBlocks = 1;
    Forward(op, onDevice, t, tile).run();
  });
}

} // namespace quern::nvidia
