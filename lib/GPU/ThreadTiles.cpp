//===- ThreadTiles.cpp - Products of small matrices by the threads of a block -----------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "ThreadTiles.h"

using namespace mlir;

namespace quern::nvidia {

static int64_t sizeOf(Value memref, int64_t dim) {
  return cast<MemRefType>(memref.getType()).getDimSize(dim);
}

/// Numbers of 4 bytes in 16.
constexpr int64_t wordElements = 4;

ThreadTiles::ThreadTiles(Thread &thread) : t(thread), f32(t.builder.getF32Type()) {
  SmallVector<Value> place = delinearize(t, t.thread(), {t.index(side), t.index(side)});
  y = place[0];
  x = place[1];
}

int64_t ThreadTiles::paddedWidth(int64_t width) {
  // Each thread of a row gets the same number of columns, up to 4 neighbours at a time.
  if (width <= side)
    return side;
  return width <= 2 * side ? 2 * side
                           : static_cast<int64_t>(llvm::alignTo(width, side * wordElements));
}
int64_t ThreadTiles::vectorOf(int64_t paddedWidth) {
  return std::min(wordElements, paddedWidth / side);
}

static int64_t matrixPitch(int64_t paddedWidth) { return paddedWidth + wordElements; }
/// Two rows, of the halves of a warp, start 16 banks of 32 apart.
static int64_t weightsPitch(int64_t columns) { return columns % 32 ? columns : columns + 16; }

int64_t ThreadTiles::matrixBytes(int64_t rows, int64_t width) {
  return rows * matrixPitch(paddedWidth(width)) * 4;
}
int64_t ThreadTiles::weightsBytes(int64_t rows, int64_t columns) {
  return rows * weightsPitch(columns) * 4;
}

Value ThreadTiles::matrix(int64_t rows, int64_t width) {
  return t.shared({rows, matrixPitch(paddedWidth(width))}, f32);
}
Value ThreadTiles::weights(int64_t rows, int64_t columns) {
  return t.shared({rows, weightsPitch(columns)}, f32);
}

void ThreadTiles::load(Value matrix, Value source, Value first, Value end, int64_t width,
                       Value factor) {
  // Neighbours of a warp read neighbours of memory.
  int64_t rows = sizeOf(matrix, 0), padded = paddedWidth(width);
  int64_t columnsAtOnce = std::min<int64_t>(threads, padded & -padded);
  int64_t rowsAtOnce = threads / columnsAtOnce;
  SmallVector<Value> place =
      delinearize(t, t.thread(), {t.index(rowsAtOnce), t.index(columnsAtOnce)});
  Value zero = t.number(f32, 0), one = t.index(1);
  Value last = arith::SubIOp::create(t.builder, t.loc,
                                     arith::MaxUIOp::create(t.builder, t.loc, end, one), one);
  int64_t unroll = std::min<int64_t>(4, rows / rowsAtOnce);
  for (int64_t firstColumn = 0; firstColumn < padded; firstColumn += columnsAtOnce) {
    Value column = addIndex(t, place[1], t.index(firstColumn));
    Value inWidth = t.less(column, t.index(width));
    Value readColumn = minIndex(t, column, t.index(width - 1));
    t.forLoop(place[0], t.index(rows), unroll * rowsAtOnce, [&](Value row) {
      // All are read, from a place that exists, before the first is used.
      SmallVector<Value> values, targets;
      for (int64_t i = 0; i < unroll; ++i) {
        Value target = addIndex(t, row, t.index(i * rowsAtOnce));
        Value read = addIndex(t, first, target);
        Value value = t.load(source, {minIndex(t, read, last), readColumn}, f32);
        value = factor ? t.mul(value, factor) : value;
        values.push_back(t.select(t.both(inWidth, t.less(read, end)), value, zero));
        targets.push_back(target);
      }
      for (auto [target, value] : llvm::zip(targets, values))
        t.store(value, matrix, {target, column});
    });
  }
}

Value ThreadTiles::row(int64_t i) { return addIndex(t, y, t.index(i * side)); }
Value ThreadTiles::productColumn(int64_t j) { return addIndex(t, x, t.index(j * side)); }
Value ThreadTiles::accumulatorColumn(int64_t j, int64_t width) {
  int64_t vector = vectorOf(paddedWidth(width));
  Value first = mulIndex(t, x, t.index(vector));
  return addIndex(t, first, t.index(j / vector * vector * side + j % vector));
}

RegisterTile ThreadTiles::rowProducts(Value a, Value b, int64_t width) {
  RegisterTile tile{sizeOf(a, 0) / side, sizeOf(b, 0) / side, {}};
  tile.values.assign(tile.rows * tile.columns, t.number(f32, 0));
  Value end = t.index(llvm::alignTo(width, wordElements));
  tile.values =
      t.forLoop(t.index(0), end, wordElements, tile.values, [&](Value k, ValueRange carried) {
        RegisterTile next{tile.rows, tile.columns, SmallVector<Value>(carried)};
        SmallVector<SmallVector<Value>> left, right;
        for (int64_t i = 0; i < tile.rows; ++i)
          left.push_back(t.loadVector(a, {row(i), k}, wordElements));
        for (int64_t j = 0; j < tile.columns; ++j)
          right.push_back(t.loadVector(b, {productColumn(j), k}, wordElements));
        for (int64_t n = 0; n < wordElements; ++n)
          for (int64_t i = 0; i < tile.rows; ++i)
            for (int64_t j = 0; j < tile.columns; ++j)
              next.at(i, j) = t.fma(left[i][n], right[j][n], next.at(i, j));
        return next.values;
      });
  return tile;
}

RegisterTile ThreadTiles::accumulator(int64_t rows, int64_t width) {
  RegisterTile tile{rows / side, paddedWidth(width) / side, {}};
  tile.values.assign(tile.rows * tile.columns, t.number(f32, 0));
  return tile;
}

RegisterTile ThreadTiles::accumulate(RegisterTile accumulator, Value weights, Value b) {
  int64_t width = accumulator.columns * side, vector = vectorOf(width);
  Value end = t.index(sizeOf(b, 0));
  accumulator.values = t.forLoop(
      t.index(0), end, wordElements, accumulator.values, [&](Value k, ValueRange carried) {
        RegisterTile next{accumulator.rows, accumulator.columns, SmallVector<Value>(carried)};
        SmallVector<SmallVector<Value>> left;
        for (int64_t i = 0; i < next.rows; ++i)
          left.push_back(t.loadVector(weights, {row(i), k}, wordElements));
        for (int64_t n = 0; n < wordElements; ++n)
          for (int64_t j = 0; j < next.columns; j += vector) {
            SmallVector<Value> right =
                t.loadVector(b, {addIndex(t, k, t.index(n)), accumulatorColumn(j, width)}, vector);
            for (int64_t i = 0; i < next.rows; ++i)
              for (int64_t m = 0; m < vector; ++m)
                next.at(i, j + m) = t.fma(left[i][n], right[m], next.at(i, j + m));
          }
        return next.values;
      });
  return accumulator;
}

void ThreadTiles::storeWeights(RegisterTile tile, Value weights) {
  for (int64_t i = 0; i < tile.rows; ++i)
    for (int64_t j = 0; j < tile.columns; ++j)
      t.store(tile.at(i, j), weights, {row(i), productColumn(j)});
}

void ThreadTiles::store(RegisterTile tile, Value target, Value first, Value end, int64_t width,
                        ValueRange factors) {
  for (int64_t i = 0; i < tile.rows; ++i) {
    Value place = addIndex(t, first, row(i));
    t.when(t.less(place, end), [&] {
      for (int64_t j = 0; j < tile.columns; ++j) {
        Value column = accumulatorColumn(j, width);
        t.when(t.less(column, t.index(width)),
               [&] { t.store(t.mul(tile.at(i, j), factors[i]), target, {place, column}); });
      }
    });
  }
}

Value ThreadTiles::overRow(Value value, Thread::Combine combine) {
  return t.overLanes(value, side, combine);
}

} // namespace quern::nvidia
