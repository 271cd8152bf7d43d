//===- AttentionMma.cpp - What the kernels of attention by tensor cores share -----------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "AttentionMma.h"

#include <limits>

using namespace mlir;

namespace quern::nvidia {

using namespace emission;

constexpr double infinity = std::numeric_limits<double>::infinity();

bool hasTensorTiles(ValueRange matrices) {
  Type element = cast<MemRefType>(matrices.front().getType()).getElementType();
  return hasWarpProducts(element) && llvm::all_of(matrices, [&](Value matrix) {
           auto type = cast<MemRefType>(matrix.getType());
           return type.getElementType() == element && type.getDimSize(3) % 16 == 0;
         });
}

Visibility::Visibility(AttentionProblem &problem, Value sequence)
    : p(problem), t(p.t), sequence(sequence), visible(t.int32(p.visibleKeys(sequence))),
      offset(t.int32(p.offset)) {}

Value Visibility::less(Value a, Value b) {
  return arith::CmpIOp::create(t.builder, t.loc, arith::CmpIPredicate::slt, a, b);
}

Value Visibility::some(const ScoreTile &tile) {
  Value exist = less(tile.firstKey, visible);
  if (!p.causal)
    return exist;
  Value seen = addIndex(t, addIndex(t, offset, tile.firstQuery), t.int32(tile.queries));
  return t.both(exist, less(tile.firstKey, seen));
}

Value Visibility::every(const ScoreTile &tile) {
  Value last = addIndex(t, tile.firstKey, t.int32(tile.keys - 1));
  Value exist = less(last, visible);
  if (!p.causal)
    return exist;
  Value seen = addIndex(t, addIndex(t, offset, tile.firstQuery), t.int32(1));
  return t.both(exist, less(last, seen));
}

void Visibility::apply(WarpSums &products, const ScoreTile &tile, Value head, double scale) {
  if (p.mask)
    addMask(products, tile, head, scale);
  SmallVector<Value> all(products.values);
  products.values = t.choose(
      every(tile), [&] { return all; },
      [&] {
        hide(products, tile);
        return products.values;
      });
}

void Visibility::addMask(WarpSums &products, const ScoreTile &tile, Value head, double scale) {
  Value group = fragmentGroup(t), place = mulIndex(t, fragmentPlace(t), t.int32(2));
  Value firstRow = tile.rowsAreKeys ? tile.firstKey : tile.firstQuery;
  Value firstColumn = tile.rowsAreKeys ? tile.firstQuery : tile.firstKey;
  Value factor = t.number(t.builder.getF32Type(), scale);
  products.forElements([&](Value &score, int64_t row, int64_t column) {
    auto at = [&](Value first, Value own, int64_t further) {
      return t.toIndex(addIndex(t, addIndex(t, first, own), t.int32(further)));
    };
    Value down = at(firstRow, group, row), right = at(firstColumn, place, column);
    Value added = tile.rowsAreKeys ? p.maskElement(sequence, head, right, down)
                                   : p.maskElement(sequence, head, down, right);
    score = t.fma(score, factor, added);
  });
}

void Visibility::hide(WarpSums &scores, const ScoreTile &tile) {
  Value group = fragmentGroup(t), place = mulIndex(t, fragmentPlace(t), t.int32(2));
  Value firstRow = addIndex(t, tile.rowsAreKeys ? tile.firstKey : tile.firstQuery, group);
  Value firstColumn = addIndex(t, tile.rowsAreKeys ? tile.firstQuery : tile.firstKey, place);
  // The first column, from this lane's first one on, that a row of queries does not see, or that
  // sees a row of keys: maybe one before it. Queries past the last are hidden from nobody.
  auto boundOf = [&](int64_t further) -> Value {
    Value row = addIndex(t, firstRow, t.int32(further)), bound;
    if (tile.rowsAreKeys) {
      Value none = t.int32(std::numeric_limits<int32_t>::max()), first = t.int32(0);
      if (p.causal)
        first = arith::SubIOp::create(t.builder, t.loc, row, offset);
      first = arith::SubIOp::create(t.builder, t.loc, first, firstColumn);
      return t.select(less(row, visible), first, none);
    }
    bound = visible;
    if (p.causal) {
      Value seen = addIndex(t, addIndex(t, offset, row), t.int32(1));
      bound = arith::MinSIOp::create(t.builder, t.loc, bound, seen);
    }
    return arith::SubIOp::create(t.builder, t.loc, bound, firstColumn);
  };
  llvm::SmallDenseMap<int64_t, Value> bounds;
  Value hidden = t.number(t.builder.getF32Type(), -infinity);
  scores.forElements([&](Value &score, int64_t row, int64_t column) {
    Value &bound = bounds[row];
    if (!bound)
      bound = boundOf(row);
    Value before = less(t.int32(column), bound);
    score = tile.rowsAreKeys ? t.select(before, hidden, score) : t.select(before, score, hidden);
  });
}

RowSoftmax::RowSoftmax(Thread &t, int64_t rowTiles, double scale, bool isScaled)
    : scale(scale), isScaled(isScaled),
      maxima(2 * rowTiles, t.number(t.builder.getF32Type(), -infinity)),
      sums(2 * rowTiles, t.number(t.builder.getF32Type(), 0)) {}

/// The sums of row `i`, in the order of RowSoftmax, as references.
static SmallVector<Value *> rowOf(WarpSums &sums, int64_t i) {
  SmallVector<Value *> row;
  for (int64_t j = 0; j < sums.columnTiles; ++j)
    for (int64_t r : {0, 1})
      row.push_back(&sums.at(i / 2, j, 2 * (i % 2) + r));
  return row;
}

SmallVector<Value> RowSoftmax::weigh(Thread &t, WarpSums &scores) {
  auto larger = [&](Value a, Value b) { return t.max(a, b); };
  Value factor = t.number(t.builder.getF32Type(), isScaled ? log2E : scale * log2E);
  SmallVector<Value> rescale;
  for (size_t i = 0; i < maxima.size(); ++i) {
    SmallVector<Value *> row = rowOf(scores, static_cast<int64_t>(i));
    // Two chains, which wait for each other half as long.
    Value now = maxima[i], odd = *row[1];
    for (size_t j = 0; j < row.size(); ++j)
      (j % 2 ? odd : now) = larger(j % 2 ? odd : now, *row[j]);
    // The four lanes of a row are neighbours.
    now = t.overLanes(larger(now, odd), 4, larger);
    Value shift = finiteShift(t, now);
    Value negative = arith::NegFOp::create(t.builder, t.loc, t.mul(shift, factor));
    auto power = [&](Value score) {
      // With a mask of -3e38 the product alone would overflow.
      return isScaled ? exponential(t, score, shift) : exp2(t, t.fma(score, factor, negative));
    };
    rescale.push_back(power(maxima[i]));
    maxima[i] = now;
    sums[i] = t.mul(sums[i], rescale.back());
    for (Value *score : row) {
      *score = power(*score);
      sums[i] = t.add(sums[i], *score);
    }
  }
  return rescale;
}

SoftmaxEnd RowSoftmax::finish(Thread &t, int64_t i) const {
  Value sum = t.overLanes(sums[i], 4, [&](Value a, Value b) { return t.add(a, b); });
  Value maximum = maxima[i];
  if (!isScaled)
    maximum = t.mul(maximum, t.number(sum.getType(), scale));
  return finishSoftmax(t, maximum, sum);
}

void scaleRows(Thread &t, WarpSums &sums, ValueRange factors) {
  for (auto [i, factor] : llvm::enumerate(factors))
    for (Value *sum : rowOf(sums, static_cast<int64_t>(i)))
      *sum = t.mul(*sum, factor);
}

void scaleSums(Thread &t, WarpSums &sums, double factor) {
  Value by = t.number(t.builder.getF32Type(), factor);
  for (Value &sum : sums.values)
    sum = t.mul(sum, by);
}

WarpSums rowProducts(Thread &t, const HalfMatrix &rows, Value row, int64_t rowTiles,
                     const HalfMatrix &columns, int64_t width) {
  WarpSums sums(t, rowTiles, columns.rows / 8);
  FragmentReader left(t, rows, Role::A, row), right(t, columns, Role::B);
  addProduct(
      t, rows.start.element, sums, width / 16,
      [&](int64_t i, int64_t k) { return left.load(t, 16 * i, 16 * k); },
      [&](int64_t k, int64_t j) { return right.load(t, 8 * j, 16 * k); });
  return sums;
}

void addWeighted(Thread &t, WarpSums &sums, ArrayRef<SmallVector<Value>> factors,
                 const HalfMatrix &b) {
  FragmentReader right(t, b, Role::TransposedB);
  int64_t depth = b.rows / 16;
  addProduct(
      t, b.start.element, sums, depth, [&](int64_t i, int64_t k) { return factors[i * depth + k]; },
      [&](int64_t k, int64_t j) { return right.load(t, 16 * k, 8 * j); });
}

void writeSums(Thread &t, WarpSums &sums, const HalfMatrix &by, Value row, Value to, Value first) {
  // What lanes of this warp read there has been read.
  t.syncWarp();
  storeSums(t, sums, by, row);
  HalfRows rows(t, to);
  Value begin = addIndex(t, first, t.toIndex(row));
  writeRows(t, by, row, 16 * sums.rowTiles, rows, begin, t.dim(to, 0), 8 * sums.columnTiles);
}

} // namespace quern::nvidia
