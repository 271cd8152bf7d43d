//===- AttentionBackwardWgmmaQueries.cpp - dQ by warp groups of sm_90a ------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "AttentionBackwardWgmma.h"

#include <limits>

using namespace mlir;

namespace quern::nvidia {

using namespace emission;

namespace {

/// dQ of a tile of queries: these are the rows of the scores.
class QueryGradient : public GradientBlock {
public:
  QueryGradient(Op op, ValueRange onDevice, ValueRange maps, Thread &thread,
                const GradientTile &tile, int64_t stages)
      : GradientBlock(op, onDevice, maps, thread, tile, stages, /*producers=*/1) {}

  void run() {
    Value blocks = ceilDiv(t, p.queries, t.index(GradientTile::rows));
    HeadWork work =
        workOfBlock(t, p.batch, p.heads, blocks, p.keys, 2 * (p.keyWidth + p.valueWidth));
    sequence = work.sequence;
    head = work.head;
    // With a causal mask, late queries see more keys: they start first.
    Value block = work.tile;
    if (p.causal)
      block = arith::SubIOp::create(
          t.builder, t.loc, arith::SubIOp::create(t.builder, t.loc, blocks, t.index(1)), block);
    Value first = mulIndex(t, block, t.index(GradientTile::rows));
    firstQuery = t.int32(first);
    begin = t.int32(0);
    end = t.int32(p.keysOfAny(first, GradientTile::rows, p.visibleKeys(sequence)));
    if (p.lengths) {
      // Behind a length there may be anything: tiles end with it, and so the first one may begin
      // before the first key, where the accelerator finds zeros.
      Value columns = t.int32(tile.columns);
      Value stages = arith::CeilDivUIOp::create(t.builder, t.loc, end, columns);
      begin = arith::SubIOp::create(t.builder, t.loc, end, mulIndex(t, stages, columns));
    }
    share([&] { fill(); }, {}, [&] { consume(); });
  }

private:
  void fill() {
    copyRows(t.int32(head), firstQuery);
    Value of = t.int32(p.groupOf(head));
    forColumns(begin, end, firstPlace(), [&](Value firstKey, const Place &place, ValueRange) {
      copyColumns(of, firstKey, place);
      return SmallVector<Value>();
    });
  }

  void consume() {
    Value place = addIndex(t, warpRow, fragmentGroup(t));
    for (int64_t further : {0, 8}) {
      Value row = addIndex(t, place, t.int32(further));
      auto [shift, sum] = statisticsOf(head, t.toIndex(addIndex(t, firstQuery, row)));
      shifts.push_back(shift);
      rowSums.push_back(sum);
    }
    gradient = WarpSums(t, 1, p.keyWidth / 8);
    SmallVector<Value> carried = firstPlace();
    llvm::append_range(carried, gradient.values);
    auto add = [&](Value from, Value to, bool hides) {
      carried =
          forColumns(from, to, carried, [&](Value firstKey, const Place &place, ValueRange sums) {
            gradient.values = SmallVector<Value>(sums);
            addTile(firstKey, place, hides);
            return gradient.values;
          });
    };
    // Then come whole stages of keys that all queries of this warp group see.
    Value columns = t.int32(tile.columns), from = begin, whole = end;
    if (p.lengths) {
      from = arith::MinSIOp::create(t.builder, t.loc, addIndex(t, begin, columns), end);
      add(begin, from, /*hides=*/true);
    }
    if (p.causal) {
      Value row = addIndex(t, firstQuery, mulIndex(t, group, t.int32(GradientTile::groupRows)));
      whole = minIndex(t, whole, addIndex(t, row, t.int32(1)));
    }
    whole = arith::SubIOp::create(t.builder, t.loc, whole, begin);
    whole = mulIndex(t, arith::DivUIOp::create(t.builder, t.loc, whole, columns), columns);
    whole = arith::MaxSIOp::create(t.builder, t.loc, addIndex(t, begin, whole), from);
    add(from, whole, /*hides=*/false);
    add(whole, end, /*hides=*/true);
    gradient.values = SmallVector<Value>(ArrayRef<Value>(carried).drop_front(2));
    awaitGroup();
    scaleSums(t, gradient, scale);
    store(gradient, firstQuery, in.getOutputs()[0], head);
  }

  void addTile(Value firstKey, const Place &place, bool hides) {
    ring.awaitFull(t, place);
    WarpSums weights, changes;
    startProducts(weights, changes, place);
    await(weights, 1);
    if (hides)
      hide(weights, firstKey);
    weigh(weights, [&](int64_t row, int64_t) { return shifts[row / 8]; });
    await(changes, 0);
    change(changes, weights, [&](int64_t row, int64_t) { return rowSums[row / 8]; });
    startGradient(gradient, changes, place, 0);
    await(gradient, 0);
    ring.release(t, place.stage, t.constant(true));
  }

  void hide(WarpSums &scores, Value firstKey) {
    Visibility(p, sequence)
        .hide(scores, {addIndex(t, firstQuery, warpRow), firstKey, 16, tile.columns,
                       /*rowsAreKeys=*/false});
    if (!p.lengths)
      return;
    Value hidden = t.number(f32, -std::numeric_limits<double>::infinity());
    Value column = addIndex(t, firstKey, mulIndex(t, fragmentPlace(t), t.int32(2)));
    scores.forElements([&](Value &score, int64_t, int64_t further) {
      Value isBefore = arith::CmpIOp::create(t.builder, t.loc, arith::CmpIPredicate::slt,
                                             addIndex(t, column, t.int32(further)), t.int32(0));
      score = t.select(isBefore, hidden, score);
    });
  }

  Value head;                         ///< index
  Value firstQuery, begin, end;       ///< i32; begin and end: of the stages of keys
  SmallVector<Value> shifts, rowSums; ///< of the rows of this lane
  WarpSums gradient;
};

} // namespace

GradientKernel queryGradient(kernel::AttentionBackwardOp op, ValueRange operands, Emission &e) {
  kernel::AttentionBackwardOp::Adaptor in(operands, op);
  auto widthOf = [](Value x) { return cast<MemRefType>(x.getType()).getDimSize(3); };
  int64_t keyWidth = widthOf(in.getQ()), valueWidth = widthOf(in.getV());
  // dQ, the scores and dP have to fit in registers.
  GradientTile tile{/*columns=*/128, keyWidth, valueWidth};
  return {tile,
          e.dim(in.getQ(), 2),
          {in.getQ(), in.getGradient(), in.getK(), in.getV()},
          [](auto op, ValueRange onDevice, ValueRange maps, Thread &t, const GradientTile &tile,
             int64_t stages) { QueryGradient(op, onDevice, maps, t, tile, stages).run(); }};
}

} // namespace quern::nvidia
