//===- GemmFewRows.cpp - Products with few rows ----------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
// A decoder multiplies one row, or a few, with each weight once: time goes into reading B. A thread
// reads 16 bytes of B at a time, several of them before it uses the first, and keeps sums for all
// rows of A, which comes from the first-level cache. The depth is shared out among lanes and warps,
// whose sums are added in order at the end.

#include "Gemm.h"

#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace quern::nvidia {

namespace {

/// How a block shares out B: every thread holds sums for `columns` columns, of which a block has
/// `columnsOfBlock`; the other threads are further down the depth.
struct FewRowsShape {
  int64_t rows, columns, columnsOfBlock, warps;
  int64_t vector; ///< elements of B in 16 bytes
  int64_t sums() const { return rows * columns; }
};

class FewRowsBlock {
public:
  FewRowsBlock(Thread &t, const FewRowsShape &shape, const Problem &problem)
      : t(t), shape(shape), problem(problem), compute(problem.compute) {
    first = mulIndex(t, t.block(0), t.index(shape.columnsOfBlock));
    lane = t.int32(t.lane());
    warp = t.int32(t.warp());
  }

  void run() {
    Value isVectors = problem.b.isVectors(t, shape.vector);
    bool alongDepth = problem.depthInRowsOfB;
    if (alongDepth)
      isVectors = t.builder.createOrFold<arith::AndIOp>(t.loc, isVectors,
                                                        problem.a.startsAligned(t, shape.vector));
    auto sumsBy = [&](bool vectors) {
      return [&, vectors] { return alongDepth ? sumRows(vectors) : sumColumns(vectors); };
    };
    finish(t.choose(isVectors, sumsBy(true), sumsBy(false)));
  }

private:
  SmallVector<Value> sumRows(bool vectors);
  SmallVector<Value> sumColumns(bool vectors);
  void finish(ArrayRef<Value> sums);

  /// `count` consecutive elements: in accesses of up to 16 bytes, or one by one where `exists`.
  SmallVector<Value> load(const Pointer &from, int64_t count, bool vectors,
                          llvm::function_ref<Value(int64_t)> exists);
  /// Row `row` of A, which is computed with as if it were zeros past the last one.
  Value rowExists(int64_t row) { return t.less(t.index(row), problem.rows); }

  Thread &t;
  const FewRowsShape &shape;
  const Problem &problem;
  Type compute;
  Value first;      ///< column of the block, index
  Value lane, warp; ///< i32
};

SmallVector<Value> FewRowsBlock::load(const Pointer &from, int64_t count, bool vectors,
                                      llvm::function_ref<Value(int64_t)> exists) {
  SmallVector<Value> values;
  int64_t step = vectors ? std::min<int64_t>(count, 16 / from.elementBytes()) : 1;
  for (int64_t i = 0; i < count; i += step) {
    auto loaded = [&] { return from.at(t, i).load(t, step, compute); };
    values.append(vectors ? loaded() : t.when(exists(i), t.number(compute, 0), loaded));
  }
  return values;
}

/// Rows of B run along the depth: a warp has `columns` of them, and its lanes take neighbouring
/// vectors.
SmallVector<Value> FewRowsBlock::sumRows(bool vectors) {
  int64_t vector = shape.vector;
  SmallVector<Pointer> rowsOfB;
  for (int64_t j = 0; j < shape.columns; ++j) {
    // Past the last column the last one is read again, and what comes out is not stored.
    Value last = arith::SubIOp::create(t.builder, t.loc, problem.columns, t.index(1));
    rowsOfB.push_back(problem.b.row(t, minIndex(t, addIndex(t, first, t.index(j)), last)));
  }
  SmallVector<Pointer> rowsOfA;
  for (int64_t i = 0; i < shape.rows; ++i)
    rowsOfA.push_back(problem.a.row(t, t.index(i)));
  Value place =
      mulIndex(t, addIndex(t, mulIndex(t, warp, t.int32(warpSize)), lane), t.int32(vector));
  SmallVector<Value> zeros(shape.sums(), t.number(compute, 0));
  return t.strided(
      place, t.int32(problem.depth), t.int32(shape.warps * warpSize * vector), zeros,
      [&](Value k, ValueRange carried) {
        SmallVector<Value> sums(carried);
        auto inDepth = [&](int64_t i) {
          return t.less(addIndex(t, k, t.int32(i)), t.int32(problem.depth));
        };
        SmallVector<SmallVector<Value>> ofB;
        for (const Pointer &row : rowsOfB)
          ofB.push_back(load(row.at(t, k), vector, vectors, inDepth));
        for (int64_t i = 0; i < shape.rows; ++i) {
          auto exists = [&](int64_t element) { return t.both(rowExists(i), inDepth(element)); };
          SmallVector<Value> zeros(vector, t.number(compute, 0));
          auto all = [&] { return load(rowsOfA[i].at(t, k), vector, vectors, exists); };
          SmallVector<Value> ofA = vectors ? t.when(rowExists(i), zeros, all) : all();
          for (int64_t j = 0; j < shape.columns; ++j)
            for (int64_t v = 0; v < vector; ++v) {
              Value &sum = sums[i * shape.columns + j];
              sum = t.fma(ofA[v], ofB[j][v], sum);
            }
        }
        return sums;
      });
}

/// Rows of B run across the depth: four lanes take neighbouring vectors of a row, eight rows a
/// warp.
SmallVector<Value> FewRowsBlock::sumColumns(bool vectors) {
  int64_t vector = shape.vector;
  SmallVector<Value> at = t.digits(lane, {8, 4});
  Value column = addIndex(t, first, t.toIndex(mulIndex(t, at[1], t.int32(vector))));
  Value place = addIndex(t, mulIndex(t, warp, t.int32(8)), at[0]);
  SmallVector<Pointer> rowsOfA;
  for (int64_t i = 0; i < shape.rows; ++i)
    rowsOfA.push_back(problem.a.row(t, t.index(i)));
  Value depth = t.int32(problem.depth);
  // So many rows of B are on their way before the first is used.
  constexpr int64_t ahead = 4;
  int64_t step = 8 * shape.warps;
  SmallVector<Value> zeros(shape.sums(), t.number(compute, 0));
  return t.strided(place, depth, t.int32(step * ahead), zeros, [&](Value k, ValueRange carried) {
    SmallVector<Value> sums(carried);
    SmallVector<SmallVector<Value>> ofB;
    SmallVector<Value> depths, inDepth;
    for (int64_t u = 0; u < ahead; ++u) {
      depths.push_back(addIndex(t, k, t.int32(u * step)));
      inDepth.push_back(t.less(depths[u], depth));
      Pointer row = problem.b.row(t, t.toIndex(depths[u])).at(t, column);
      SmallVector<Value> zeros(vector, t.number(compute, 0));
      auto exists = [&](int64_t i) {
        Value inRow = t.less(addIndex(t, column, t.index(i)), problem.columns);
        return t.both(inDepth[u], inRow);
      };
      auto all = [&] { return load(row, vector, vectors, exists); };
      Value some = t.both(inDepth[u], t.less(column, problem.columns));
      ofB.push_back(vectors ? t.when(some, zeros, all) : all());
    }
    for (int64_t u = 0; u < ahead; ++u)
      for (int64_t i = 0; i < shape.rows; ++i) {
        auto element = [&] { return rowsOfA[i].at(t, depths[u]).load(t, 1, compute); };
        Value ofA = t.when(t.both(rowExists(i), inDepth[u]), t.number(compute, 0), element)[0];
        for (int64_t v = 0; v < vector; ++v) {
          Value &sum = sums[i * shape.columns + v];
          sum = t.fma(ofA, ofB[u][v], sum);
        }
      }
    return sums;
  });
}

/// Adds up what lanes and warps have and finishes the block's columns.
void FewRowsBlock::finish(ArrayRef<Value> sums) {
  int64_t perWarp = shape.rows * shape.columnsOfBlock;
  Pointer memory(t, t.shared({shape.warps * perWarp}, compute));
  auto plus = [&](Value a, Value b) { return t.add(a, b); };
  bool alongDepth = problem.depthInRowsOfB;
  Value group = alongDepth ? t.int32(0) : t.digits(lane, {8, 4})[1];
  SmallVector<Value> totals;
  for (Value sum : sums) {
    for (int64_t distance = warpSize / 2; distance >= (alongDepth ? 1 : 4); distance /= 2)
      sum = plus(sum, t.exchange(sum, distance));
    totals.push_back(sum);
  }
  Value isWriter = t.less(lane, t.int32(alongDepth ? 1 : 4));
  t.when(isWriter, [&] {
    Value at = addIndex(t, mulIndex(t, warp, t.int32(perWarp)),
                        mulIndex(t, group, t.int32(shape.columns)));
    for (int64_t i = 0; i < shape.rows; ++i)
      for (int64_t j = 0; j < shape.columns; ++j)
        memory.at(t, at)
            .at(t, i * shape.columnsOfBlock + j)
            .store(t, totals[i * shape.columns + j]);
  });
  t.barrier();
  t.strided(t.thread(), t.index(perWarp), t.index(t.threads), [&](Value i) {
    SmallVector<Value> at = delinearize(t, i, {t.index(shape.rows), t.index(shape.columnsOfBlock)});
    Value column = addIndex(t, first, at[1]);
    t.when(t.both(t.less(at[0], problem.rows), t.less(column, problem.columns)), [&] {
      Pointer own = memory.at(t, i);
      Value total = own.load(t, 1, compute)[0];
      for (int64_t w = 1; w < shape.warps; ++w)
        total = plus(total, own.at(t, w * perWarp).load(t, 1, compute)[0]);
      problem.epilogue.finish(t, at[0], column, total);
    });
  });
}

FewRowsShape shapeFor(const Problem &host, int64_t rows) {
  FewRowsShape shape;
  shape.rows = rows;
  shape.vector = 16 / elementBytes(host.b.element);
  // Warps of a block share the depth: enough for each to have something, and so many that all of
  // them together keep memory busy.
  constexpr int64_t enough = 4096;
  int64_t depthOfWarp;
  if (host.depthInRowsOfB) {
    shape.columns = shape.columnsOfBlock = 4;
    depthOfWarp = warpSize * shape.vector;
  } else {
    shape.columns = shape.vector;
    shape.columnsOfBlock = 4 * shape.vector;
    depthOfWarp = 4 * 8;
  }
  int64_t depth = constantOf(host.depth).value_or(1024);
  int64_t columns = constantOf(host.columns).value_or(1024);
  int64_t blocks = llvm::divideCeil(std::max<int64_t>(columns, 1), shape.columnsOfBlock);
  // Sixteen warps leave 128 registers to a thread.
  int64_t held = shape.sums() + shape.vector * shape.columns;
  int64_t most = std::min<int64_t>(held > 64 ? 8 : 16,
                                   llvm::divideCeil(std::max<int64_t>(depth, 1), depthOfWarp));
  shape.warps = llvm::PowerOf2Ceil(std::clamp<int64_t>(enough / blocks, 1, most));
  return shape;
}

} // namespace

void emitFewRows(Emission &e, const Product &product, int64_t rows) {
  Problem host = product.describe(e, product.operands);
  FewRowsShape shape = shapeFor(host, rows);
  Value blocks = ceilDiv(e, host.columns, e.index(shape.columnsOfBlock));
  // No rows: no work.
  Value grid = mulIndex(e, blocks, minIndex(e, host.rows, e.index(1)));
  e.launch({grid, {}, {}}, shape.warps * warpSize, product.operands,
           [&](Thread &t, ValueRange onDevice) {
             Problem problem = product.describe(t, onDevice).on(t, t.index(0));
             FewRowsBlock(t, shape, problem).run();
           });
}

} // namespace quern::nvidia
