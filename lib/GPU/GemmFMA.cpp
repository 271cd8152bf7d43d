//===- GemmFMA.cpp - Matrix products by fused multiply-adds -----------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
// A block computes a tile of C. It goes through the depth in steps: slices of A and B, [depth][row]
// and [depth][column], stand in a ring in shared memory, filled by asynchronous copies some steps
// ahead; each thread multiplies fragments of both and keeps its sums in registers.

#include "Gemm.h"

using namespace mlir;

namespace quern::nvidia {

namespace {

/// Shares of a tile: lanes of a warp stand 4 x 8, warps `warpRows` x `warpColumns`, and each thread
/// has `rowFragments` x `columnFragments` squares of one vector of rows and columns. So the lanes
/// of a warp read few different vectors of a slice, and those of different banks.
struct FMATile {
  FMATile(Type compute, bool large) : vector(vectorSize(compute)) {
    if (compute.isF64()) {
      warpRows = warpColumns = rowFragments = columnFragments = 2;
    } else {
      warpRows = large ? 4 : 2;
      warpColumns = rowFragments = 2;
      columnFragments = large ? 2 : 1;
    }
  }

  int64_t warpRows, warpColumns, rowFragments, columnFragments, vector;

  static constexpr int64_t depth = 8;  ///< of a slice
  static constexpr int64_t stages = 4; ///< slices in the ring, a power of two
  int64_t threads() const { return warpSize * warpRows * warpColumns; }
  /// Blocks beside each other on a multiprocessor, which hide each other's barriers.
  int64_t blocks() const { return 512 / threads(); }
  int64_t fragmentRows() const { return 4 * warpRows * vector; } ///< of all threads
  int64_t fragmentColumns() const { return 8 * warpColumns * vector; }
  int64_t rows() const { return rowFragments * fragmentRows(); }
  int64_t columns() const { return columnFragments * fragmentColumns(); }
  /// Rows of slices are a vector longer than the tile, so that copies that transpose write to
  /// different banks.
  int64_t pitchA() const { return rows() + vector; }
  int64_t pitchB() const { return columns() + vector; }
  int64_t slices() const { return depth * (pitchA() + pitchB()); }
  int64_t sums() const { return rowFragments * columnFragments * vector * vector; }
};

/// Copies slices of A or B to shared memory, one after the other. `first` is where the tile begins
/// across the depth, `extent` its size there.
class SliceLoader {
public:
  SliceLoader(Thread &t, const Problem &problem, const Matrix &matrix, bool depthInRows,
              Value first, int64_t extent, int64_t pitch, const DepthRange &range)
      : t(t), matrix(matrix), compute(problem.compute), depthInRows(depthInRows), first(first),
        extent(extent), pitch(pitch), range(range) {
    if (depthInRows)
      findRows();
    else
      isAligned = matrix.startsAligned(t, vectorSize(compute));
  }

  /// Starts to copy the slice that begins `done` (i32) into the range, to `slice`. Zeros stand for
  /// what lies past the end.
  void start(Value done, const Pointer &slice) {
    if (depthInRows)
      return copyTransposed(done, slice);
    auto known = constantOf(isAligned);
    if (matrix.element != compute || known == 0)
      return copyRows(done, slice, 1, t.thread());
    choose(
        t, isAligned, [&] { copyRows(done, slice, vectorSize(compute), t.thread()); },
        [&] { copyRows(done, slice, 1, t.rereadThread()); });
  }

private:
  static constexpr int64_t depth = FMATile::depth;

  /// What this thread copies of a matrix whose rows run along the depth: eight lanes take
  /// neighbours of one row.
  void findRows() {
    SmallVector<Value> at = t.digits(t.int32(t.thread()), {t.threads / depth, depth});
    depthOfThread = at[1];
    place = at[0];
    for (int64_t further = 0; further < extent; further += t.threads / depth) {
      Value row = addIndex(t, first, t.toIndex(addIndex(t, place, t.int32(further))));
      exists.push_back(t.less(row, matrix.rows));
      if (rows.empty() || !matrix.hasRowStride())
        rows.push_back(matrix.row(t, row).at(t, addIndex(t, range.from, t.toIndex(at[1]))));
    }
  }

  void copyTransposed(Value done, const Pointer &slice) {
    Value inDepth = inRange(addIndex(t, done, depthOfThread));
    Pointer to = slice.at(t, addIndex(t, mulIndex(t, depthOfThread, t.int32(pitch)), place));
    Pointer from;
    for (size_t i = 0; i < exists.size(); ++i) {
      // One address for all rows where it can be: registers are short.
      from =
          i < rows.size() ? rows[i].at(t, done) : matrix.below(t, from, t.index(t.threads / depth));
      copy(from, to.at(t, i * (t.threads / depth)), 1,
           t.select(t.both(exists[i], inDepth), t.int32(1), t.int32(0)));
    }
  }

  /// The same of a matrix whose rows run across the depth, `vector` elements at a time.
  void copyRows(Value done, const Pointer &slice, int64_t vector, Value thread) {
    int64_t segments = extent / vector, rowsAtATime = t.threads / segments;
    SmallVector<Value> at = t.digits(t.int32(thread), {rowsAtATime, segments});
    Value place = mulIndex(t, at[1], t.int32(vector));
    Value column = addIndex(t, first, t.toIndex(place));
    Value left = arith::SubIOp::create(t.builder, t.loc, matrix.columns, column);
    Value valid = t.select(t.less(column, matrix.columns),
                           t.int32(minIndex(t, left, t.index(vector))), t.int32(0));
    Pointer to = slice.at(t, addIndex(t, mulIndex(t, at[0], t.int32(pitch)), place));
    Pointer from;
    for (int64_t row = 0; row < depth; row += rowsAtATime) {
      Value k = addIndex(t, addIndex(t, done, at[0]), t.int32(row));
      from = row && matrix.hasRowStride()
                 ? matrix.below(t, from, t.index(rowsAtATime))
                 : matrix.row(t, addIndex(t, range.from, t.toIndex(k))).at(t, column);
      copy(from, to.at(t, row * pitch), vector, t.select(inRange(k), valid, t.int32(0)));
    }
  }

  Value inRange(Value k) {
    Value size = arith::SubIOp::create(t.builder, t.loc, range.to, range.from);
    return t.less(k, t.int32(size));
  }

  /// Copies `vector` elements, of which the first `valid` (i32) exist; zeros are the others.
  void copy(const Pointer &from, const Pointer &to, int64_t vector, Value valid) {
    if (matrix.element == compute) {
      int64_t bytes = from.elementBytes();
      return copyAsync(t, to, from, vector * bytes, mulIndex(t, valid, t.int32(bytes)));
    }
    Value isValid =
        arith::CmpIOp::create(t.builder, t.loc, arith::CmpIPredicate::ne, valid, t.int32(0));
    to.store(t, t.when(isValid, t.number(compute, 0), [&] { return from.load(t, 1, compute); }));
  }

  Thread &t;
  const Matrix &matrix;
  Type compute;
  bool depthInRows;
  Value first;
  int64_t extent, pitch;
  const DepthRange &range;
  Value isAligned;
  Value depthOfThread, place; ///< where this thread's first element stands in a slice, i32
  SmallVector<Value> exists;  ///< whether its rows do
  SmallVector<Pointer> rows;  ///< where they begin: all, or the first
};

/// The code of a block.
class FMABlock {
public:
  FMABlock(Thread &t, const FMATile &tile, const Problem &problem, const TilePlace &place,
           const DepthRange &range);

  void run() { finish(multiplySlices()); }

private:
  SmallVector<Value> multiplySlices();
  SmallVector<Value> multiplySlice(const Pointer &slice, ValueRange sums);
  void startSlice(Value number);
  Pointer slice(Value number);
  void finish(ArrayRef<Value> sums);

  Thread &t;
  const FMATile &tile;
  const Problem &problem;
  const TilePlace &place;
  const DepthRange &range;
  SliceLoader a, b;
  Value row, column; ///< of this thread's first fragments in the tile, i32
  Pointer memory;
};

FMABlock::FMABlock(Thread &t, const FMATile &tile, const Problem &problem, const TilePlace &place,
                   const DepthRange &range)
    : t(t), tile(tile), problem(problem), place(place), range(range),
      a(t, problem, problem.a, problem.depthInRowsOfA, place.row, tile.rows(), tile.pitchA(),
        range),
      b(t, problem, problem.b, problem.depthInRowsOfB, place.column, tile.columns(), tile.pitchB(),
        range) {
  SmallVector<Value> at = t.digits(t.int32(t.thread()), {tile.warpRows, tile.warpColumns, 4, 8});
  auto joined = [&](Value warp, int64_t lanes, Value lane) {
    Value fragment = addIndex(t, mulIndex(t, warp, t.int32(lanes)), lane);
    return mulIndex(t, fragment, t.int32(tile.vector));
  };
  row = joined(at[0], 4, at[2]);
  column = joined(at[1], 8, at[3]);
  int64_t elements = std::max(FMATile::stages * tile.slices(),
                              tile.fragmentRows() * (tile.columns() + tile.vector));
  memory = Pointer(t, t.shared({elements}, problem.compute));
}

/// Where slice `number` (i32) of A stands in the ring; that of B follows.
Pointer FMABlock::slice(Value number) {
  Value stage = t.builder.createOrFold<arith::AndIOp>(t.loc, number, t.int32(FMATile::stages - 1));
  return memory.at(t, mulIndex(t, stage, t.int32(tile.slices())));
}

/// Starts the copies of a slice of both; past the end of the range it gets zeros.
void FMABlock::startSlice(Value number) {
  Value done = mulIndex(t, number, t.int32(FMATile::depth));
  Pointer to = slice(number);
  a.start(done, to);
  b.start(done, to.at(t, FMATile::depth * tile.pitchA()));
  closeCopies(t);
}

SmallVector<Value> FMABlock::multiplySlices() {
  for (int64_t number = 0; number + 1 < FMATile::stages; ++number)
    startSlice(t.int32(number));
  Value size = arith::SubIOp::create(t.builder, t.loc, range.to, range.from);
  Value count = t.int32(ceilDiv(t, size, t.index(FMATile::depth)));
  SmallVector<Value> zeros(tile.sums(), t.number(problem.compute, 0));
  SmallVector<Value> sums =
      t.strided(t.int32(0), count, t.int32(1), zeros, [&](Value number, ValueRange sums) {
        // The slice is here, all threads' parts of it, and nobody reads the one before any more.
        awaitCopies(t, FMATile::stages - 2);
        t.barrier();
        startSlice(addIndex(t, number, t.int32(FMATile::stages - 1)));
        return multiplySlice(slice(number), sums);
      });
  awaitCopies(t, 0);
  return sums;
}

SmallVector<Value> FMABlock::multiplySlice(const Pointer &slice, ValueRange sums) {
  SmallVector<Value> result(sums);
  Pointer sliceA = slice.at(t, row);
  Pointer sliceB = slice.at(t, column).at(t, FMATile::depth * tile.pitchA());
  auto fragments = [&](const Pointer &from, int64_t count, int64_t step) {
    SmallVector<Value> all;
    for (int64_t i = 0; i < count; ++i)
      all.append(from.at(t, i * step).load(t, tile.vector, problem.compute));
    return all;
  };
  for (int64_t k = 0; k < FMATile::depth; ++k) {
    SmallVector<Value> inA =
        fragments(sliceA.at(t, k * tile.pitchA()), tile.rowFragments, tile.fragmentRows());
    SmallVector<Value> inB =
        fragments(sliceB.at(t, k * tile.pitchB()), tile.columnFragments, tile.fragmentColumns());
    for (auto [i, x] : llvm::enumerate(inA))
      for (auto [j, y] : llvm::enumerate(inB)) {
        Value &sum = result[i * inB.size() + j];
        sum = t.fma(x, y, sum);
      }
  }
  return result;
}

/// Through shared memory, a fragment of rows at a time, so that rows of C are written as a whole
/// and one copy of the epilogue's code serves all elements.
void FMABlock::finish(ArrayRef<Value> sums) {
  int64_t vector = tile.vector, pitch = tile.columns() + vector;
  Pointer own = memory.at(t, addIndex(t, mulIndex(t, row, t.int32(pitch)), column));
  for (int64_t r = 0; r < tile.rowFragments; ++r) {
    t.barrier();
    for (int64_t i = 0; i < vector; ++i)
      for (int64_t c = 0; c < tile.columnFragments; ++c) {
        own.at(t, i * pitch + c * tile.fragmentColumns()).store(t, sums.take_front(vector));
        sums = sums.drop_front(vector);
      }
    t.barrier();
    finishTile(t, problem, place, memory, tile.fragmentRows(), tile.columns(), pitch,
               [&](Value row) { return addIndex(t, row, t.index(r * tile.fragmentRows())); });
  }
}

/// Whether copies take few registers. Not when where rows begin is found out as the product goes,
/// nor when elements pass through registers to become those of the compute type, nor when neither
/// operand's rows run along the depth and one is copied element by element.
bool isPlain(Thread &t, const Problem &problem) {
  if (!problem.a.hasStaticRows() || !problem.b.hasStaticRows() ||
      problem.a.element != problem.compute || problem.b.element != problem.compute)
    return false;
  auto isScattered = [&](const Matrix &matrix) {
    return constantOf(matrix.startsAligned(t, vectorSize(problem.compute))) == 0;
  };
  return problem.depthInRowsOfA || problem.depthInRowsOfB ||
         (!isScattered(problem.a) && !isScattered(problem.b));
}

} // namespace

std::pair<int64_t, int64_t> tileOfFMA(Type compute, bool large) {
  FMATile tile(compute, large);
  return {tile.rows(), tile.columns()};
}

void emitFMA(Emission &e, const Product &product, bool large, int64_t parts) {
  FMATile tile(product.describe(e, product.operands).compute, large);
  TileShape shape{tile.threads(), tile.rows(), tile.columns(), FMATile::depth};
  launchTiles(
      e, product, shape, parts,
      [&](Thread &t, const Problem &problem, const TilePlace &place, const DepthRange &range) {
        t.residentBlocks = isPlain(t, problem) ? tile.blocks() : 1;
        FMABlock(t, tile, problem, place, range).run();
      });
}

} // namespace quern::nvidia
