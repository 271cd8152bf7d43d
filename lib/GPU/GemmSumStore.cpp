//===- GemmSumStore.cpp - From the sums of warp groups to C ----------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "GemmSumStore.h"

#include "Wgmma.h"

using namespace mlir;

namespace quern::nvidia {

namespace {

/// Of a warp, in a tile and in its room: f32, or twice as many columns of 16 bits.
constexpr int64_t warpRows = 16, columnsOfSums = 64, columnsRounded = 128;
/// Loads that are under way together.
constexpr int64_t together = 4;

/// A row of a part and columns of it that one lane takes (i32), and where they are in C (index).
struct Segment {
  Value row, column, rowOfC, columnOfC;
  Value exists; ///< i1: in C
};

Segment segmentOf(Thread &t, const Problem &problem, Value number, int64_t columns, int64_t count,
                  Value firstRow, Value firstColumn) {
  SmallVector<Value> place = t.digits(number, {warpRows, columns / count});
  Segment segment;
  segment.row = place[0];
  segment.column = mulIndex(t, place[1], t.int32(count));
  segment.rowOfC = addIndex(t, firstRow, t.toIndex(segment.row));
  segment.columnOfC = addIndex(t, firstColumn, t.toIndex(segment.column));
  segment.exists =
      t.both(t.less(segment.rowOfC, problem.rows), t.less(segment.columnOfC, problem.columns));
  return segment;
}

/// Where the element of a row and column (i32) of a part is, whose rows have `columns` elements.
/// Groups of eight columns change places with others by row, in `turns` ways, so that those of
/// neighbouring rows lie in different banks.
Pointer placeOf(Thread &t, const Pointer &memory, Value row, Value column, int64_t columns,
                int64_t turns) {
  OpBuilder &b = t.builder;
  Value turn = mulIndex(t, arith::AndIOp::create(b, t.loc, row, t.int32(turns - 1)), t.int32(8));
  Value place = arith::XOrIOp::create(b, t.loc, column, turn);
  return memory.at(t, addIndex(t, mulIndex(t, row, t.int32(columns)), place));
}

/// Stores this lane's sums of a part, two neighbours at a time. `put` gets those of row `lane / 4`
/// and of the eighth row after it, which has the same turn.
void putPairs(Thread &t, const Pointer &memory, ValueRange sums, int64_t columns, int64_t turns) {
  SmallVector<Value> lane = t.digits(t.int32(t.lane()), {8, 4});
  Value first = mulIndex(t, lane[1], t.int32(2));
  for (int64_t column = 0; column < columns; column += 8) {
    Pointer place =
        placeOf(t, memory, lane[0], addIndex(t, first, t.int32(column)), columns, turns);
    place.store(t, sums.slice(0, 2));
    place.at(t, 8 * columns).store(t, sums.slice(2, 2));
    sums = sums.drop_front(4);
  }
}

constexpr int64_t turnsOfSums = 4, turnsRounded = 8;

} // namespace

SumStore::SumStore(Thread &t, int64_t warps, Value mapOfC)
    : t(t), memory(t, t.shared({warps * warpRows * columnsOfSums}, t.builder.getF32Type(),
                               sharedAlignment)),
      mapOfC(mapOfC) {}

void SumStore::finish(const Problem &problem, const TilePlace &tile, int64_t tileColumns,
                      Value warp, ValueRange sums) {
  Pointer own = memory.at(t, mulIndex(t, warp, t.int32(warpRows * columnsOfSums)));
  Value row = addIndex(t, tile.row, t.toIndex(mulIndex(t, warp, t.int32(warpRows))));
  auto forParts = [&](int64_t columns, llvm::function_ref<void(const Part &, ValueRange)> body) {
    for (int64_t from = 0; from < tileColumns; from += columns) {
      Value column = addIndex(t, tile.column, t.index(from));
      body({problem, own, row, column}, sums.slice(sumsOfThread(from), sumsOfThread(columns)));
      t.syncWarp(); // before the room is used again
    }
  };
  auto general = [&] {
    forParts(columnsOfSums, [&](const Part &part, ValueRange sums) { finishSums(part, sums); });
  };
  if (!isRoundedFirst(problem.epilogue))
    return general();
  Value layer = tile.layer;
  auto rounded = [&] {
    forParts(columnsRounded, [&](const Part &part, ValueRange sums) {
      mapOfC ? finishBoxes(part, layer, sums) : finishRounded(part, sums);
    });
  };
  if (Value condition = mayRound(problem.epilogue))
    choose(t, condition, rounded, general);
  else
    rounded();
}

void SumStore::finishSums(const Part &part, ValueRange sums) {
  putPairs(t, part.memory, sums, columnsOfSums, turnsOfSums);
  t.syncWarp();
  int64_t count = vectorSize(part.problem.compute);
  choose(
      t, part.problem.epilogue.isVectors(t, count), [&] { takeSums(part, count); },
      [&] { takeSums(part, 1); });
}

/// Finishes the elements of a part, `count` at a time.
void SumStore::takeSums(const Part &part, int64_t count) {
  const Epilogue &epilogue = part.problem.epilogue;
  Type type = part.problem.compute;
  int64_t segments = warpRows * columnsOfSums / count;
  SmallVector<Value> none(count * epilogue.addendCount(), t.number(type, 0));
  t.strided(t.int32(t.lane()), t.int32(segments), t.int32(warpSize * together), [&](Value first) {
    SmallVector<Segment> places;
    SmallVector<SmallVector<Value>> sums, addends;
    for (int64_t i = 0; i < together; ++i) {
      Segment at = segmentOf(t, part.problem, addIndex(t, first, t.int32(i * warpSize)),
                             columnsOfSums, count, part.row, part.column);
      sums.push_back(placeOf(t, part.memory, at.row, at.column, columnsOfSums, turnsOfSums)
                         .load(t, count, type));
      addends.push_back(t.when(at.exists, none, [&] {
        return epilogue.loadAddends(t, at.rowOfC, at.columnOfC, count, type);
      }));
      places.push_back(at);
    }
    for (auto [at, sum, addend] : llvm::zip(places, sums, addends))
      t.when(at.exists, [&, &at = at, &sum = sum, &addend = addend] {
        epilogue.finish(t, at.rowOfC, at.columnOfC, sum, addend);
      });
  });
}

/// Whether sums, with their bias, can become elements of C, of 16 bits, before they go through
/// shared memory, which then has half as much to do.
bool SumStore::isRoundedFirst(const Epilogue &epilogue) {
  return epilogue.c.element.getIntOrFloatBitWidth() == 16 && !epilogue.accumulate &&
         !epilogue.residual && !epilogue.preactivation && !epilogue.region &&
         epilogue.activation == kernel::Activation::None;
}

/// i1, the same in all threads: whether memory is as that needs it; null where it always is.
Value SumStore::mayRound(const Epilogue &epilogue) {
  Value bias = epilogue.bias ? epilogue.bias->isVectors(t, 2) : Value();
  if (mapOfC)
    return bias;
  Value c = epilogue.c.isVectors(t, 8);
  return bias ? t.both(c, bias) : c;
}

SmallVector<Value> SumStore::addBias(const Part &part, ValueRange sums) {
  const Problem &problem = part.problem;
  SmallVector<Value> result(sums);
  if (!problem.epilogue.bias)
    return result;
  Value pair = t.digits(t.int32(t.lane()), {8, 4})[1];
  Value first = addIndex(t, part.column, t.toIndex(mulIndex(t, pair, t.int32(2))));
  SmallVector<Value> zeros(2, t.number(problem.compute, 0));
  for (int64_t column = 0; column < columnsRounded; column += 8) {
    Value place = addIndex(t, first, t.index(column));
    SmallVector<Value> bias = t.when(t.less(place, problem.columns), zeros, [&] {
      return problem.epilogue.bias->row(t, t.index(0)).at(t, place).load(t, 2, problem.compute);
    });
    for (int64_t i = 0; i < 4; ++i) {
      Value &sum = result[column / 2 + i];
      sum = t.add(sum, bias[i % 2]);
    }
  }
  return result;
}

void SumStore::finishRounded(const Part &part, ValueRange sums) {
  Part rounded = part;
  rounded.memory.element = part.problem.epilogue.c.element;
  putPairs(t, rounded.memory, addBias(part, sums), columnsRounded, turnsRounded);
  t.syncWarp();
  takeRounded(rounded);
}

/// Copies the elements of a part to C, 16 bytes at a time.
void SumStore::takeRounded(const Part &part) {
  constexpr int64_t count = 8, segments = warpRows * columnsRounded / count;
  Type element = part.memory.element;
  Value lane = t.int32(t.lane());
  for (int64_t first = 0; first < segments; first += warpSize * together) {
    SmallVector<Segment> places;
    SmallVector<SmallVector<Value>> values;
    for (int64_t i = 0; i < together; ++i) {
      places.push_back(segmentOf(t, part.problem, addIndex(t, lane, t.int32(first + i * warpSize)),
                                 columnsRounded, count, part.row, part.column));
      values.push_back(placeOf(t, part.memory, places.back().row, places.back().column,
                               columnsRounded, turnsRounded)
                           .load(t, count, element));
    }
    for (auto [at, value] : llvm::zip(places, values))
      t.when(at.exists, [&, &at = at, &value = value] {
        part.problem.epilogue.c.row(t, at.rowOfC).at(t, at.columnOfC).store(t, value);
      });
  }
}

} // namespace quern::nvidia
