//===- AttentionForwardMma.cpp - Attention by tiles, by mma.sync ------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
// As AttentionForward.cpp, with products by tensor cores in the manner of FlashAttention-2 (Dao
// 2023): each of four warps has rows of its own of the scores and of O. Scores become P in
// registers and, rounded, the left factor of P V as they lie there. While one tile of keys and
// values is used, the next is copied beside it.

#include "AttentionMma.h"

using namespace mlir;

namespace quern::nvidia {

using namespace emission;

namespace {

constexpr int64_t warps = 4, stages = 2;

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
  }

  int64_t rowTiles; ///< of 16 queries, of a warp
  int64_t keys;     ///< of a tile of scores: a power of two

  int64_t rowsOfWarp() const { return 16 * rowTiles; }
  int64_t queries() const { return rowsOfWarp() * warps; }
};

class Forward {
public:
  Forward(kernel::AttentionOp op, ValueRange onDevice, Thread &thread, Tile tile)
      : op(op), in(onDevice, op), t(thread),
        p(thread, in.getQ(), in.getK(), in.getV(), in.getMask(), in.getLengths(), in.getOffset(),
          op.getCausal()),
        tile(tile), element(cast<MemRefType>(in.getQ().getType()).getElementType()),
        scale(op.getScale().convertToDouble()) {}

  void run();

private:
  struct State {
    RowSoftmax softmax;
    WarpSums output;
  };
  State initialState() {
    return {RowSoftmax(t, tile.rowTiles, scale, /*isScaled=*/p.mask != nullptr),
            WarpSums(t, tile.rowTiles, p.valueWidth / 8)};
  }
  SmallVector<Value> flatten(const State &state);
  State unflatten(ValueRange values);

  void place();
  void copyTile(Value firstKey);
  /// The part of `matrix` where the tile of keys that begins with `firstKey` is.
  HalfMatrix stageOf(const HalfMatrix &matrix, Value firstKey);
  /// The scores of this warp for a tile of keys.
  ScoreTile scores(Value firstKey) {
    Value first = addIndex(t, t.int32(firstQuery), warpRow);
    return {first, firstKey, tile.rowsOfWarp(), tile.keys, /*rowsAreKeys=*/false};
  }
  State step(State state, Value firstKey);
  State weigh(State state, Value firstKey);
  void finish(State state);

  int64_t rows() const { return 2 * tile.rowTiles; }

  kernel::AttentionOp op;
  kernel::AttentionOp::Adaptor in;
  Thread &t;
  AttentionProblem p;
  Tile tile;
  Type element;
  double scale;

  Value sequence, head, firstQuery; ///< indices, of the block
  Value end;                        ///< i32: of the keys that the block sees
  Value warpRow;                    ///< i32: the first row of this warp
  std::optional<Visibility> visibility;
  HalfMatrix queries, keys, values;
};

SmallVector<Value> Forward::flatten(const State &state) {
  SmallVector<Value> all(state.softmax.maxima);
  llvm::append_range(all, state.softmax.sums);
  llvm::append_range(all, state.output.values);
  return all;
}

Forward::State Forward::unflatten(ValueRange all) {
  State state = initialState();
  state.softmax.maxima = all.take_front(rows());
  state.softmax.sums = all.slice(rows(), rows());
  state.output.values = all.drop_front(2 * rows());
  return state;
}

HalfMatrix Forward::stageOf(const HalfMatrix &matrix, Value firstKey) {
  Value row = arith::AndIOp::create(t.builder, t.loc, firstKey, t.int32(tile.keys));
  return matrix.part(t, row, tile.keys);
}

void Forward::copyTile(Value firstKey) {
  Value first = t.toIndex(firstKey), last = t.toIndex(end);
  // Addresses are found again each time: products need the registers.
  Value from = t.anew(sequence), group = p.groupOf(t.anew(head));
  startCopy(t, stageOf(keys, firstKey), HalfRows(t, headOf(t, in.getK(), from, group)), first, last,
            p.keyWidth);
  startCopy(t, stageOf(values, firstKey), HalfRows(t, headOf(t, in.getV(), from, group)), first,
            last, p.valueWidth);
}

Forward::State Forward::weigh(State state, Value firstKey) {
  WarpSums sums =
      rowProducts(t, queries, warpRow, tile.rowTiles, stageOf(keys, firstKey), p.keyWidth);
  visibility->apply(sums, scores(firstKey), head, scale);
  scaleRows(t, state.output, state.softmax.weigh(t, sums));
  addWeighted(t, state.output, asFactor(t, sums, element), stageOf(values, firstKey));
  return state;
}

Forward::State Forward::step(State state, Value firstKey) {
  // This tile is there, and no warp reads the last one any more, whose place the next one takes.
  awaitCopies(t, 0);
  t.barrier();
  Value next = addIndex(t, firstKey, t.int32(tile.keys));
  t.when(t.less(next, end), [&] { copyTile(next); });
  closeCopies(t);
  // A causal mask hides some tiles from this warp that others see.
  if (!p.causal)
    return weigh(state, firstKey);
  auto weighed = [&] { return flatten(weigh(state, firstKey)); };
  return unflatten(t.when(visibility->some(scores(firstKey)), flatten(state), weighed));
}

void Forward::finish(State state) {
  SmallVector<Value> inverses;
  for (int64_t i = 0; i < rows(); ++i) {
    SoftmaxEnd softmax = state.softmax.finish(t, i);
    inverses.push_back(softmax.inverse);
    if (in.getOutputs().size() < 2)
      continue;
    Value row = addIndex(t, addIndex(t, warpRow, fragmentGroup(t)), t.int32(8 * i));
    Value query = addIndex(t, firstQuery, t.toIndex(row));
    Value first = t.equal(fragmentPlace(t), t.int32(0));
    t.when(t.both(first, t.less(query, p.queries)),
           [&] { t.store(softmax.logSumExp, in.getOutputs()[1], {sequence, head, query}); });
  }
  scaleRows(t, state.output, inverses);
  writeSums(t, state.output, queries, warpRow, headOf(t, in.getOutputs()[0], sequence, head),
            firstQuery);
}

/// Finds what this block computes.
void Forward::place() {
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
  end = t.int32(p.keysOfAny(firstQuery, tile.queries(), p.visibleKeys(sequence)));
  visibility.emplace(p, sequence);
  warpRow = mulIndex(t, t.int32(t.warp()), t.int32(tile.rowsOfWarp()));
}

void Forward::run() {
  place();
  queries = HalfMatrix(t, tile.queries(), std::max(p.keyWidth, p.valueWidth), element);
  keys = HalfMatrix(t, stages * tile.keys, p.keyWidth, element);
  values = HalfMatrix(t, stages * tile.keys, p.valueWidth, element);
  Value zero = t.int32(0);
  HalfRows queryRows(t, headOf(t, in.getQ(), sequence, head));
  startCopy(t, queries, queryRows, firstQuery, p.queries, p.keyWidth);
  copyTile(zero);
  closeCopies(t);
  State last = unflatten(t.strided(zero, end, t.int32(tile.keys), flatten(initialState()),
                                   [&](Value firstKey, ValueRange carried) {
                                     return flatten(step(unflatten(carried), firstKey));
                                   }));
  // Without a key, Q may still be on its way to where O goes.
  awaitCopies(t, 0);
  t.barrier();
  finish(last);
}

} // namespace

void emitTensorAttention(kernel::AttentionOp op, ValueRange operands, Emission &e) {
  kernel::AttentionOp::Adaptor host(operands, op);
  Value q = host.getQ();
  Tile tile(sizeOf(q, 3), sizeOf(host.getV(), 3), sizeOf(q, 1));
  Value blocks = mulIndex(e, mulIndex(e, e.dim(q, 0), e.dim(q, 2)),
                          ceilDiv(e, e.dim(q, 1), e.index(tile.queries())));
  e.launch({blocks, {}, {}}, warps * warpSize, operands,
           [&](Thread &t, ValueRange onDevice) { Forward(op, onDevice, t, tile).run(); });
}

} // namespace quern::nvidia
