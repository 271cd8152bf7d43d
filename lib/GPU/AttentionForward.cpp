//===- AttentionForward.cpp - Attention by tiles, in f32 --------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
// A block takes some queries of one head. It walks over the keys that they see tile by tile with an
// online softmax (Milakov and Gimelshein 2018): scores, their maximum m, P = exp(scores - m), then
// O and the sum l, both rescaled by exp(old m - new m). O, m and l stay in registers.

#include "Attention.h"
#include "ThreadTiles.h"

#include <limits>

using namespace mlir;

namespace quern::nvidia {

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

int64_t sharedBytes(TileSizes tile, int64_t keyWidth, int64_t valueWidth) {
  return ThreadTiles::matrixBytes(tile.rows, keyWidth) +
         ThreadTiles::matrixBytes(tile.columns, keyWidth) +
         ThreadTiles::matrixBytes(tile.columns, valueWidth) +
         ThreadTiles::weightsBytes(tile.rows, tile.columns);
}

class Forward {
public:
  Forward(kernel::AttentionOp op, ValueRange onDevice, Thread &thread, TileSizes size)
      : op(op), in(onDevice, op), t(thread),
        p(thread, in.getQ(), in.getK(), in.getV(), in.getMask(), in.getLengths(), in.getOffset(),
          op.getCausal()),
        tiles(thread), size(size), f32(thread.builder.getF32Type()) {}

  void run();

private:
  /// Of the rows of a thread: maxima m, sums l over the thread's columns, outputs.
  struct State {
    SmallVector<Value> maxima, sums;
    RegisterTile output;
  };
  State initialState();
  SmallVector<Value> flatten(const State &state);
  State unflatten(ValueRange values);

  State step(State state, Value firstKey);
  void finish(State state);

  int64_t rows() const { return size.rows / ThreadTiles::side; }

  kernel::AttentionOp op;
  kernel::AttentionOp::Adaptor in;
  Thread &t;
  AttentionProblem p;
  ThreadTiles tiles;
  TileSizes size;
  Type f32;

  Value sequence, head, firstQuery, end; ///< of the block; `end`: of the keys that it sees
  Value fewest;                          ///< keys that each of its queries sees, at least
  SmallVector<Value> bounds;             ///< of the rows of a thread: how many keys they see
  Value queries, keys, values, weights;  ///< in shared memory
};

Forward::State Forward::initialState() {
  return {SmallVector<Value>(rows(), t.number(f32, -infinity)),
          SmallVector<Value>(rows(), t.number(f32, 0)), tiles.accumulator(size.rows, p.valueWidth)};
}

SmallVector<Value> Forward::flatten(const State &state) {
  SmallVector<Value> all(state.maxima);
  llvm::append_range(all, state.sums);
  llvm::append_range(all, state.output.values);
  return all;
}

Forward::State Forward::unflatten(ValueRange values) {
  State state;
  state.maxima = values.take_front(rows());
  state.sums = values.slice(rows(), rows());
  state.output.rows = rows();
  state.output.values = values.drop_front(2 * rows());
  state.output.columns = static_cast<int64_t>(state.output.values.size()) / rows();
  return state;
}

Forward::State Forward::step(State state, Value firstKey) {
  Value group = p.groupOf(head);
  tiles.load(keys, headOf(t, in.getK(), sequence, group), firstKey, end, p.keyWidth);
  tiles.load(values, headOf(t, in.getV(), sequence, group), firstKey, end, p.valueWidth);
  t.barrier();

  RegisterTile scores = tiles.rowProducts(queries, keys, p.keyWidth);
  Value keyEnd = addIndex(t, firstKey, t.index(size.columns));
  scores.values = p.masked(scores.values, keyEnd, fewest, [&](int64_t i) {
    int64_t row = i / scores.columns, column = i % scores.columns;
    return AttentionProblem::Place{sequence, head, addIndex(t, firstQuery, tiles.row(row)),
                                   addIndex(t, firstKey, tiles.productColumn(column)), bounds[row]};
  });

  auto larger = [&](Value a, Value b) { return t.max(a, b); };
  for (int64_t i = 0; i < rows(); ++i) {
    Value before = state.maxima[i], now = scores.at(i, 0);
    for (int64_t j = 1; j < scores.columns; ++j)
      now = larger(now, scores.at(i, j));
    now = larger(before, tiles.overRow(now, larger));
    // Where nothing was visible so far, the maximum is -infinity, and any finite shift will do.
    Value shift = finiteShift(t, now);
    Value rescale = exponential(t, before, shift);
    Value sum = t.mul(state.sums[i], rescale);
    for (int64_t j = 0; j < scores.columns; ++j) {
      scores.at(i, j) = exponential(t, scores.at(i, j), shift);
      sum = t.add(sum, scores.at(i, j));
    }
    for (int64_t j = 0; j < state.output.columns; ++j)
      state.output.at(i, j) = t.mul(state.output.at(i, j), rescale);
    state.maxima[i] = now;
    state.sums[i] = sum;
  }
  tiles.storeWeights(scores, weights);
  t.syncWarp();
  state.output = tiles.accumulate(state.output, weights, values);
  t.barrier();
  return state;
}

void Forward::finish(State state) {
  SmallVector<Value> inverses;
  for (int64_t i = 0; i < rows(); ++i) {
    Value sum = tiles.overRow(state.sums[i], [&](Value a, Value b) { return t.add(a, b); });
    SoftmaxEnd end = finishSoftmax(t, state.maxima[i], sum);
    inverses.push_back(end.inverse);
    if (in.getOutputs().size() < 2)
      continue;
    Value query = addIndex(t, firstQuery, tiles.row(i));
    Value writes = t.both(t.equal(tiles.x, t.index(0)), t.less(query, p.queries));
    t.when(writes, [&] { t.store(end.logSumExp, in.getOutputs()[1], {sequence, head, query}); });
  }
  tiles.store(state.output, headOf(t, in.getOutputs()[0], sequence, head), firstQuery, p.queries,
              p.valueWidth, inverses);
}

void Forward::run() {
  Value blocks = ceilDiv(t, p.queries, t.index(size.rows));
  SmallVector<Value> place = delinearize(t, t.block(0), {p.batch, t.index(p.heads), blocks});
  sequence = place[0];
  head = place[1];
  // With a causal mask, late queries see more keys: they start first, so that none is left over.
  Value block = place[2];
  if (p.causal)
    block = arith::SubIOp::create(
        t.builder, t.loc, arith::SubIOp::create(t.builder, t.loc, blocks, t.index(1)), block);
  firstQuery = mulIndex(t, block, t.index(size.rows));
  Value visible = p.visibleKeys(sequence);
  end = p.keysOfAny(firstQuery, size.rows, visible);
  fewest = p.keysOf(firstQuery, visible);
  for (int64_t i = 0; i < rows(); ++i)
    bounds.push_back(p.keysOf(addIndex(t, firstQuery, tiles.row(i)), visible));

  queries = tiles.matrix(size.rows, p.keyWidth);
  keys = tiles.matrix(size.columns, p.keyWidth);
  values = tiles.matrix(size.columns, p.valueWidth);
  weights = tiles.weights(size.rows, size.columns);
  tiles.load(queries, headOf(t, in.getQ(), sequence, head), firstQuery, p.queries, p.keyWidth,
             t.number(f32, op.getScale().convertToDouble()));
  State state = unflatten(t.forLoop(t.index(0), end, size.columns, flatten(initialState()),
                                    [&](Value firstKey, ValueRange carried) {
                                      return flatten(step(unflatten(carried), firstKey));
                                    }));
  finish(state);
}

} // namespace

void emitForwardAttention(kernel::AttentionOp op, ValueRange operands, Emission &e) {
  kernel::AttentionOp::Adaptor host(operands, op);
  Value q = host.getQ();
  auto width = [](Value x) { return cast<MemRefType>(x.getType()).getDimSize(3); };
  constexpr TileSizes choice[] = {{64, 64}, {64, 32}, {32, 32}, {32, 16}, {16, 16}};
  TileSizes size = chooseTiles(e.architecture, choice, [&](TileSizes tile) {
    return sharedBytes(tile, width(q), width(host.getV()));
  });
  Value blocks = mulIndex(e, mulIndex(e, e.dim(q, 0), e.dim(q, 2)),
                          ceilDiv(e, e.dim(q, 1), e.index(size.rows)));
  e.launch({blocks, {}, {}}, ThreadTiles::threads, operands,
           [&](Thread &t, ValueRange onDevice) { Forward(op, onDevice, t, size).run(); });
}

} // namespace quern::nvidia
