//===- GemmMma.cpp - Products of matrices by mma.sync -----------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
// As GemmFMA.cpp, with products by tensor cores: slices of A and B stand in a ring in shared memory
// as they lie in global memory, row by row, and ldmatrix transposes those that have to be. A copy
// moves 16 bytes; so rows have to begin at multiples of them. Matrices whose rows do not are read
// element by element. Elements are bf16, f16, or where that was asked for f32 as TF32.

#include "Gemm.h"
#include "WarpMatrix.h"

using namespace mlir;

namespace quern::nvidia {

namespace {

/// Elements in 16 bytes, what a thread copies at a time.
int64_t chunkOf(Type element) { return 16 / elementBytes(element); }

/// Shares of a square tile: warps stand `warpRows` x `warpColumns`, each with sums of a part.
struct MmaTile {
  MmaTile(bool large, Type element)
      : size(tileOfMma(large)), warpColumns(large ? 4 : 2), depth(64 / elementBytes(element)),
        element(element) {}

  int64_t size, warpColumns;
  int64_t depth; ///< of a slice: 64 bytes of a row
  Type element;

  static constexpr int64_t warpRows = 2;
  static constexpr int64_t stages = 4; ///< slices in the ring, a power of two
  int64_t threads() const { return warpSize * warpRows * warpColumns; }
  int64_t rowsOfWarp() const { return size / warpRows; }
  int64_t columnsOfWarp() const { return size / warpColumns; }
  /// Sums on their way to C stand in shared memory in rows of so many f32: pairs that half a warp
  /// writes, of four rows, are in different banks.
  int64_t pitch() const { return size + 8; }
  /// Rows and columns of a slice in shared memory.
  int64_t sliceRows(bool depthInRows) const { return depthInRows ? size : depth; }
  int64_t sliceColumns(bool depthInRows) const { return depthInRows ? depth : size; }
  /// Elements from one row to the next: those of halves as HalfMatrix has them. Rows of f32 across
  /// the depth are read by a quarter of a warp each, and so are 8 banks apart.
  int64_t slicePitch(bool depthInRows) const {
    return sliceColumns(depthInRows) + (depthInRows ? chunkOf(element) : 8);
  }
  int64_t ringBytes(bool depthInRows) const {
    return stages * sliceRows(depthInRows) * slicePitch(depthInRows) * elementBytes(element);
  }
  int64_t bytes(const Problem &problem) const {
    int64_t rings = ringBytes(problem.depthInRowsOfA) + ringBytes(problem.depthInRowsOfB);
    return std::max<int64_t>(rings, size * pitch() * 4);
  }
};

/// The ring of slices of A or B and the copies that fill it. `first` is where the tile begins
/// across the depth.
class SliceRing {
public:
  SliceRing(Thread &t, const MmaTile &tile, const Matrix &matrix, bool depthInRows, Value first,
            const DepthRange &range, bool assumeAligned, const Pointer &memory);

  /// Starts to copy the slice that begins `done` (i32) into the range to place `stage` (i32). Zeros
  /// stand for what lies past the end.
  void start(Value done, Value stage);

  HalfMatrix matrix; ///< slices of all stages, below each other
  bool isAligned;    ///< copies move 16 bytes
  /// Rows of the ring before those of a stage.
  Value rowOf(Value stage) { return mulIndex(t, stage, t.int32(rows)); }

private:
  /// Copies a chunk, of which the first `valid` elements (i32) exist.
  void copy(const Pointer &from, const Pointer &to, Value valid);
  /// How many elements of a chunk exist of which `left` (i32, signed) are before the end.
  Value elementsOf(Value left) {
    left = arith::MaxSIOp::create(t.builder, t.loc, left, t.int32(0));
    return arith::MinSIOp::create(t.builder, t.loc, left, t.int32(chunk));
  }

  Thread &t;
  const Matrix &source;
  bool depthInRows;
  int64_t chunk;             ///< elements that a thread copies at a time
  int64_t rows, rowsAtATime; ///< of a slice; of those, that the block copies at a time
  Value row, column;         ///< where this thread's first chunk stands in a slice, i32
  Value size;                ///< of the range, i32
  Pointer origin, target;    ///< that chunk of the range's first slice, and of stage 0
  /// i32, signed: so many rows exist from `row` on, of a matrix whose rows run along the depth;
  /// otherwise so many elements of the chunk, as no column is beyond the end.
  Value across;
};

SliceRing::SliceRing(Thread &t, const MmaTile &tile, const Matrix &source, bool depthInRows,
                     Value first, const DepthRange &range, bool assumeAligned,
                     const Pointer &memory)
    : matrix(memory, MmaTile::stages * tile.sliceRows(depthInRows), tile.sliceColumns(depthInRows),
             tile.slicePitch(depthInRows)),
      t(t), source(source), depthInRows(depthInRows), chunk(chunkOf(tile.element)),
      rows(tile.sliceRows(depthInRows)) {
  auto known = constantOf(source.startsAligned(t, chunk));
  isAligned = known ? *known != 0 : assumeAligned;
  int64_t chunksInRow = tile.sliceColumns(depthInRows) / chunk;
  rowsAtATime = t.threads / chunksInRow;
  // Eight lanes at a time write to shared memory: to a row, or where rows are shorter, to one place
  // in each of eight rows, which are in different banks.
  constexpr int64_t lanes = 8;
  int64_t lanesDown = chunksInRow < lanes ? lanes : 1;
  SmallVector<Value> at =
      t.digits(t.int32(t.thread()), {rowsAtATime / lanesDown, chunksInRow, lanesDown});
  row = addIndex(t, mulIndex(t, at[0], t.int32(lanesDown)), at[2]);
  column = mulIndex(t, at[1], t.int32(chunk));
  target = matrix.at(t, row, column);
  size = t.int32(arith::SubIOp::create(t.builder, t.loc, range.to, range.from));
  auto leftOf = [&](Value all, Value place) -> Value {
    return arith::SubIOp::create(t.builder, t.loc, t.int32(all), t.int32(place));
  };
  if (depthInRows) {
    Value place = addIndex(t, first, t.toIndex(row));
    origin = source.row(t, place).at(t, addIndex(t, range.from, t.toIndex(column)));
    across = leftOf(source.rows, place);
  } else {
    Value place = addIndex(t, first, t.toIndex(column));
    origin = source.row(t, addIndex(t, range.from, t.toIndex(row))).at(t, place);
    across = elementsOf(leftOf(source.columns, place));
  }
}

void SliceRing::start(Value done, Value stage) {
  Pointer to = target.at(t, mulIndex(t, stage, t.int32(rows * matrix.pitch)));
  Value left = arith::SubIOp::create(t.builder, t.loc, size, done);
  Pointer from =
      depthInRows ? origin.at(t, t.toIndex(done)) : source.below(t, origin, t.toIndex(done));
  // Of rows, so many are left, counted from this thread's first one; of a row, so many elements.
  Value rowsLeft = across, inRow;
  if (depthInRows) {
    inRow = elementsOf(arith::SubIOp::create(t.builder, t.loc, left, column));
  } else {
    rowsLeft = arith::SubIOp::create(t.builder, t.loc, left, row);
    inRow = across;
  }
  for (int64_t below = 0; below < rows; below += rowsAtATime) {
    Value exists = arith::CmpIOp::create(t.builder, t.loc, arith::CmpIPredicate::sgt, rowsLeft,
                                         t.int32(below));
    copy(source.below(t, from, t.index(below)), to.at(t, below * matrix.pitch),
         t.select(exists, inRow, t.int32(0)));
  }
}

void SliceRing::copy(const Pointer &from, const Pointer &to, Value valid) {
  int64_t bytes = elementBytes(source.element);
  if (isAligned)
    return copyAsync(t, to, from, chunk * bytes, mulIndex(t, valid, t.int32(bytes)));
  SmallVector<Value> values;
  Value zero = t.number(source.element, 0);
  for (int64_t i = 0; i < chunk; ++i)
    values.append(t.when(t.less(t.int32(i), valid), zero,
                         [&] { return from.at(t, i).load(t, 1, source.element); }));
  to.store(t, values);
}

/// The code of a block.
class MmaBlock {
public:
  MmaBlock(Thread &t, const MmaTile &tile, const Problem &problem, const TilePlace &place,
           const DepthRange &range, bool aligned)
      : t(t), tile(tile), problem(problem), place(place),
        memory(t, t.shared({tile.bytes(problem) / 4}, problem.compute)),
        a(t, tile, problem.a, problem.depthInRowsOfA, place.row, range, aligned,
          memory.as(t, problem.a.element)),
        b(t, tile, problem.b, problem.depthInRowsOfB, place.column, range, aligned,
          memory.at(t, tile.ringBytes(problem.depthInRowsOfA) / 4).as(t, problem.b.element)) {
    SmallVector<Value> warp = t.digits(t.int32(t.warp()), {MmaTile::warpRows, tile.warpColumns});
    row = mulIndex(t, warp[0], t.int32(tile.rowsOfWarp()));
    column = mulIndex(t, warp[1], t.int32(tile.columnsOfWarp()));
    Value size = arith::SubIOp::create(t.builder, t.loc, range.to, range.from);
    slices = t.int32(ceilDiv(t, size, t.index(tile.depth)));
  }

  void run() { finish(multiplySlices()); }
  /// Whether all copies move 16 bytes.
  bool isAligned() const { return a.isAligned && b.isAligned; }

private:
  WarpSums multiplySlices();
  void multiplySlice(const FragmentReader &ofA, const FragmentReader &ofB, WarpSums &sums);
  void finish(WarpSums sums);
  Value stageOf(Value number) {
    return t.builder.createOrFold<arith::AndIOp>(t.loc, number, t.int32(MmaTile::stages - 1));
  }
  /// Starts the copies of a slice of both; past the end of the range it gets zeros.
  void startSlice(Value number) {
    Value done = mulIndex(t, number, t.int32(tile.depth)), stage = stageOf(number);
    a.start(done, stage);
    b.start(done, stage);
    closeCopies(t);
  }

  Thread &t;
  const MmaTile &tile;
  const Problem &problem;
  const TilePlace &place;
  Pointer memory;
  SliceRing a, b;
  Value row, column; ///< of this warp's first sum in the tile, i32
  Value slices;      ///< how many, i32
};

WarpSums MmaBlock::multiplySlices() {
  for (int64_t number = 0; number + 1 < MmaTile::stages; ++number)
    startSlice(t.int32(number));
  FragmentReader ofA = problem.depthInRowsOfA
                           ? FragmentReader(t, a.matrix, Role::A, row)
                           : FragmentReader(t, a.matrix, Role::TransposedA, {}, row);
  FragmentReader ofB = problem.depthInRowsOfB
                           ? FragmentReader(t, b.matrix, Role::B, column)
                           : FragmentReader(t, b.matrix, Role::TransposedB, {}, column);
  WarpSums sums(t, tile.rowsOfWarp() / 16, tile.columnsOfWarp() / 8);
  sums.values =
      t.strided(t.int32(0), slices, t.int32(1), sums.values, [&](Value number, ValueRange carried) {
        // The slice is here, all threads' parts of it, and nobody reads the one before any more.
        awaitCopies(t, MmaTile::stages - 2);
        t.barrier();
        startSlice(addIndex(t, number, t.int32(MmaTile::stages - 1)));
        WarpSums next = sums;
        next.values.assign(carried.begin(), carried.end());
        Value stage = stageOf(number);
        multiplySlice(ofA.below(t, a.rowOf(stage)), ofB.below(t, b.rowOf(stage)), next);
        return next.values;
      });
  awaitCopies(t, 0);
  return sums;
}

void MmaBlock::multiplySlice(const FragmentReader &ofA, const FragmentReader &ofB, WarpSums &sums) {
  int64_t deep = fragmentDepth(tile.element);
  addProduct(
      t, tile.element, sums, tile.depth / deep,
      [&](int64_t i, int64_t k) {
        int64_t row = 16 * i, depth = deep * k;
        return problem.depthInRowsOfA ? ofA.load(t, row, depth) : ofA.load(t, depth, row);
      },
      [&](int64_t k, int64_t j) {
        int64_t column = 8 * j, depth = deep * k;
        return problem.depthInRowsOfB ? ofB.load(t, column, depth) : ofB.load(t, depth, column);
      });
}

/// Through shared memory, so that rows of C are written as a whole.
void MmaBlock::finish(WarpSums sums) {
  int64_t pitch = tile.pitch();
  t.barrier();
  // Found out anew, so that no registers hold it during the product.
  SmallVector<Value> at =
      t.digits(t.int32(t.rereadThread()), {MmaTile::warpRows, tile.warpColumns, warpSize / 4, 4});
  Value ownRow = addIndex(t, mulIndex(t, at[0], t.int32(tile.rowsOfWarp())), at[2]);
  Value ownColumn = addIndex(t, mulIndex(t, at[1], t.int32(tile.columnsOfWarp())),
                             mulIndex(t, at[3], t.int32(2)));
  Pointer own = memory.at(t, addIndex(t, mulIndex(t, ownRow, t.int32(pitch)), ownColumn));
  for (int64_t i = 0; i < sums.rowTiles; ++i)
    for (int64_t j = 0; j < sums.columnTiles; ++j)
      for (int64_t down : {0, 1}) {
        Value pair[] = {sums.at(i, j, 2 * down), sums.at(i, j, 2 * down + 1)};
        own.at(t, (16 * i + 8 * down) * pitch + 8 * j).store(t, pair);
      }
  t.barrier();
  finishTile(t, problem, place, memory, tile.size, tile.size, pitch, [](Value row) { return row; });
}

} // namespace

bool hasMma(const Emission &e, const Problem &problem) {
  Type element = problem.a.element;
  bool isMultiplied = hasWarpProducts(element) || (e.tensorFloat && element.isF32());
  return isMultiplied && problem.b.element == element && problem.a.hasRowStride() &&
         problem.b.hasRowStride();
}

Value isAlignedForMma(Code &code, const Problem &problem) {
  Value all = arith::ConstantOp::create(code.builder, code.loc, code.builder.getBoolAttr(true));
  for (const Matrix *matrix : {&problem.a, &problem.b}) {
    Value aligned = matrix->startsAligned(code, chunkOf(matrix->element));
    // Where it is known not to be, that is no assumption.
    if (constantOf(aligned) != 0)
      all = code.builder.createOrFold<arith::AndIOp>(code.loc, all, aligned);
  }
  return all;
}

int64_t tileOfMma(bool large) { return large ? 128 : 64; }

void emitMma(Emission &e, const Product &product, bool large, int64_t parts, bool aligned) {
  MmaTile tile(large, product.describe(e, product.operands).a.element);
  TileShape shape{tile.threads(), tile.size, tile.size, tile.depth};
  launchTiles(
      e, product, shape, parts,
      [&](Thread &t, const Problem &problem, const TilePlace &place, const DepthRange &range) {
        MmaBlock block(t, tile, problem, place, range, aligned);
        // Blocks beside each other hide each other's barriers and epilogues. Elements that are
        // copied one by one, where matrices of a batch begin, and loops so short that they are
        // unrolled need registers.
        int64_t unrolled = 8 * tile.depth;
        bool isPlain = block.isAligned() && constantOf(problem.batch) == 1 &&
                       constantOf(problem.depth).value_or(unrolled + 1) > unrolled;
        int64_t wanted = !isPlain ? 1 : large ? 2 : 4;
        t.residentBlocks =
            std::clamp<int64_t>(e.architecture.sharedBytes / tile.bytes(problem), 1, wanted);
        block.run();
      });
}

} // namespace quern::nvidia
