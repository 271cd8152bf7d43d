//===- AttentionBackwardWgmmaKeys.cpp - dK and dV by warp groups of sm_90a --------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "AttentionBackwardWgmma.h"

using namespace mlir;

namespace quern::nvidia {

using namespace emission;

namespace {

/// dK and dV of a tile of keys: these are the rows of the scores, which are transposed.
class KeyGradients : public GradientBlock {
public:
  /// One thread starts copies, and a warp brings what belongs to the queries.
  KeyGradients(Op op, ValueRange onDevice, ValueRange maps, Thread &thread,
               const GradientTile &tile, int64_t stages)
      : GradientBlock(op, onDevice, maps, thread, tile, stages, /*producers=*/2),
        statistics(thread, thread.shared({stages, 2, tile.columns}, f32)) {}

  void run() {
    repeat = p.heads / p.groups;
    HeadWork work =
        workOfBlock(t, p.batch, p.groups, ceilDiv(t, p.keys, t.index(GradientTile::rows)),
                    p.queries, 2 * (p.keyWidth + p.valueWidth) * repeat);
    sequence = work.sequence;
    of = work.head;
    Value first = mulIndex(t, work.tile, t.index(GradientTile::rows)),
          visible = p.visibleKeys(sequence);
    firstKey = t.int32(first);
    // Queries before the first of these keys do not see them; keys that are not visible have none.
    begin = p.causal ? firstKey : t.int32(0);
    end = t.select(t.less(first, visible), t.int32(p.queries), t.int32(0));
    share([&] { fill(); }, [&] { fillStatistics(); }, [&] { consume(); });
  }

private:
  /// Runs `body(head, carried)` for the heads of the group, one after the other.
  SmallVector<Value> forHeads(ValueRange carried,
                              llvm::function_ref<SmallVector<Value>(Value, ValueRange)> body) {
    Value from = mulIndex(t, t.int32(of), t.int32(repeat));
    if (repeat == 1)
      return body(from, carried);
    return t.strided(from, addIndex(t, from, t.int32(repeat)), t.int32(1), carried, body);
  }

  void fill() {
    copyRows(t.int32(of), firstKey);
    forHeads(firstPlace(), [&](Value head, ValueRange carried) {
      return forColumns(begin, end, carried, [&](Value query, const Place &place, ValueRange) {
        copyColumns(head, query, place);
        return SmallVector<Value>();
      });
    });
  }

  /// Where the log-sum-exp (0) or D (1) of a stage's columns begin.
  Pointer statisticsOfStage(Value stage, int64_t which) {
    return statistics.at(t, mulIndex(t, stage, t.int32(2 * tile.columns)))
        .at(t, which * tile.columns);
  }
  void fillStatistics() {
    Value lane = t.int32(t.lane());
    forHeads(firstPlace(), [&](Value head, ValueRange carried) {
      return forColumns(begin, end, carried, [&](Value first, const Place &place, ValueRange) {
        SmallVector<std::pair<Value, Value>> values;
        for (int64_t column = 0; column < tile.columns; column += warpSize) {
          Value query = addIndex(t, addIndex(t, first, lane), t.int32(column));
          values.push_back(statisticsOf(t.toIndex(head), t.toIndex(query)));
        }
        ring.awaitEmpty(t, place);
        Pointer shifts = statisticsOfStage(place.stage, 0).at(t, lane);
        Pointer rowSums = statisticsOfStage(place.stage, 1).at(t, lane);
        for (auto [i, value] : llvm::enumerate(values)) {
          shifts.at(t, static_cast<int64_t>(i) * warpSize).store(t, value.first);
          rowSums.at(t, static_cast<int64_t>(i) * warpSize).store(t, value.second);
        }
        t.syncWarp();
        t.when(t.equal(lane, t.int32(0)), [&] { ring.full(t, place.stage).arrive(t); });
        return SmallVector<Value>();
      });
    });
  }

  void consume() {
    // The queries that see none of this warp group's keys come first, then those that do not see
    // all of them.
    Value hiding = begin, seeing = begin;
    if (p.causal) {
      Value before = mulIndex(t, group, t.int32(GradientTile::groupRows));
      auto stagesWithin = [&](Value queries) {
        Value whole = arith::DivUIOp::create(t.builder, t.loc, queries, t.int32(tile.columns));
        whole = addIndex(t, begin, mulIndex(t, whole, t.int32(tile.columns)));
        return minIndex(t, whole, end);
      };
      seeing = stagesWithin(before);
      hiding = stagesWithin(
          addIndex(t, before, t.int32(GradientTile::groupRows - 1 + tile.columns - 1)));
    }
    keyGradient = WarpSums(t, 1, p.keyWidth / 8);
    valueGradient = WarpSums(t, 1, p.valueWidth / 8);
    SmallVector<Value> carried = firstPlace();
    llvm::append_range(carried, all());
    carried = forHeads(carried, [&](Value, ValueRange before) {
      SmallVector<Value> now(before);
      auto add = [&](Value from, Value to, bool hides) {
        now = forColumns(from, to, now, [&](Value query, const Place &place, ValueRange sums) {
          set(sums);
          addTile(query, place, hides);
          return all();
        });
      };
      if (p.causal) {
        skip(begin, seeing, now);
        add(seeing, hiding, /*hides=*/true);
      }
      add(hiding, end, /*hides=*/false);
      return now;
    });
    set(ArrayRef<Value>(carried).drop_front(2));
    awaitGroup();
    scaleSums(t, keyGradient, scale);
    if (p.lengths)
      clearHidden();
    store(keyGradient, firstKey, in.getOutputs()[1], of);
    store(valueGradient, firstKey, in.getOutputs()[2], of);
  }

  SmallVector<Value> all() {
    SmallVector<Value> values(keyGradient.values);
    llvm::append_range(values, valueGradient.values);
    return values;
  }
  void set(ValueRange values) {
    keyGradient.values = values.take_front(keyGradient.values.size());
    valueGradient.values = values.take_back(valueGradient.values.size());
  }

  void addTile(Value query, const Place &place, bool hides) {
    ring.awaitFull(t, place);
    WarpSums weights, changes;
    startProducts(weights, changes, place);
    // A lane has two neighbouring columns of each tile.
    Value pair = mulIndex(t, fragmentPlace(t), t.int32(2));
    auto load = [&](int64_t which) {
      SmallVector<Value> values;
      Pointer from = statisticsOfStage(place.stage, which).at(t, pair);
      for (int64_t j = 0; j < tile.columns; j += 8)
        llvm::append_range(values, from.at(t, j).load(t, 2, f32));
      return values;
    };
    auto ofColumn = [](int64_t column) { return column / 8 * 2 + column % 8; };
    await(weights, 1);
    SmallVector<Value> shifts = load(0);
    if (hides) {
      Visibility visibility(p, sequence);
      visibility.hide(weights, {query, addIndex(t, firstKey, warpRow), tile.columns, 16,
                                /*rowsAreKeys=*/true});
    }
    weigh(weights, [&](int64_t, int64_t column) { return shifts[ofColumn(column)]; });
    startGradient(valueGradient, weights, place, tile.columnKeys().bytes());
    await(changes, 1);
    SmallVector<Value> rowSums = load(1);
    change(changes, weights, [&](int64_t, int64_t column) { return rowSums[ofColumn(column)]; });
    startGradient(keyGradient, changes, place, 0);
    await(valueGradient, 0);
    await(keyGradient, 0);
    ring.release(t, place.stage, t.constant(true));
  }

  /// Is done with the stages of queries [from, to); `carried` begins with the ring's place.
  void skip(Value from, Value to, MutableArrayRef<Value> carried) {
    SmallVector<Value> next =
        forColumns(from, to, carried.take_front(2), [&](Value, const Place &place, ValueRange) {
          ring.awaitFull(t, place);
          ring.release(t, place.stage, t.constant(true));
          return SmallVector<Value>();
        });
    llvm::copy(next, carried.begin());
  }

  /// Keys that no query sees have been taken along as if all did.
  void clearHidden() {
    Value row = addIndex(t, addIndex(t, firstKey, warpRow), fragmentGroup(t));
    Value visible = t.int32(p.visibleKeys(sequence)), zero = t.number(f32, 0);
    for (WarpSums *sums : {&keyGradient, &valueGradient})
      sums->forElements([&](Value &sum, int64_t further, int64_t) {
        sum = t.select(t.less(addIndex(t, row, t.int32(further)), visible), sum, zero);
      });
  }

  int64_t repeat;             ///< heads of a group
  Value of;                   ///< index: the group of keys and values
  Value firstKey, begin, end; ///< i32; begin and end: of the queries of each head
  Pointer statistics;         ///< f32, in shared memory
  WarpSums keyGradient, valueGradient;
};

} // namespace

GradientKernel keyGradients(kernel::AttentionBackwardOp op, ValueRange operands, Emission &e) {
  kernel::AttentionBackwardOp::Adaptor in(operands, op);
  auto widthOf = [](Value x) { return cast<MemRefType>(x.getType()).getDimSize(3); };
  int64_t keyWidth = widthOf(in.getQ()), valueWidth = widthOf(in.getV());
  // Two gradients, the scores and dP have to fit in registers.
  GradientTile tile{/*columns=*/keyWidth + valueWidth <= 128 ? 96 : 64, keyWidth, valueWidth};
  return {tile,
          e.dim(in.getK(), 2),
          {in.getK(), in.getV(), in.getQ(), in.getGradient()},
          [](auto op, ValueRange onDevice, ValueRange maps, Thread &t, const GradientTile &tile,
             int64_t stages) { KeyGradients(op, onDevice, maps, t, tile, stages).run(); }};
}

} // namespace quern::nvidia
