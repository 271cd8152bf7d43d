//===- GemmTiles.cpp - How the work of a product is divided -----------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "Gemm.h"

using namespace mlir;

namespace quern::nvidia {

Problem Problem::on(Thread &t, Value batchIndex) const {
  Problem result = *this;
  result.a = a.on(t, batchIndex);
  result.b = b.on(t, batchIndex);
  result.epilogue = epilogue.on(t, batchIndex);
  // Sizes live as long as the block: let them do so in registers of 32 bits.
  for (Value *size : {&result.rows, &result.columns, &result.depth, &result.a.rows,
                      &result.a.columns, &result.b.rows, &result.b.columns})
    if (!constantOf(*size))
      *size = t.toIndex(t.int32(*size));
  return result;
}

Value tileCount(Code &code, const Problem &problem, int64_t tileRows, int64_t tileColumns) {
  return mulIndex(code, ceilDiv(code, problem.rows, code.index(tileRows)),
                  ceilDiv(code, problem.columns, code.index(tileColumns)));
}

TilePlace tilePlace(Thread &t, const Problem &problem, int64_t tileRows, int64_t tileColumns,
                    Value number) {
  // Blocks that run at the same time should find what they read in the second-level cache: they
  // take tiles column by column within bands of so many rows of tiles.
  constexpr int64_t bandRows = 8;
  Value rowsOfTiles = t.int32(ceilDiv(t, problem.rows, t.index(tileRows)));
  Value columnsOfTiles = t.int32(ceilDiv(t, problem.columns, t.index(tileColumns)));
  auto divide = [&](Value a, Value b) {
    return std::pair<Value, Value>(t.builder.createOrFold<arith::DivUIOp>(t.loc, a, b),
                                   t.builder.createOrFold<arith::RemUIOp>(t.loc, a, b));
  };
  auto [layer, inLayer] = divide(number, mulIndex(t, rowsOfTiles, columnsOfTiles));
  auto [band, inBand] = divide(inLayer, mulIndex(t, columnsOfTiles, t.int32(bandRows)));
  Value firstRow = mulIndex(t, band, t.int32(bandRows));
  Value rowsLeft = t.builder.createOrFold<arith::SubIOp>(t.loc, rowsOfTiles, firstRow);
  auto [column, row] = divide(inBand, minIndex(t, rowsLeft, t.int32(bandRows)));
  auto place = [&](Value tile, int64_t size) {
    return t.toIndex(mulIndex(t, tile, t.int32(size)));
  };
  return {place(addIndex(t, firstRow, row), tileRows), place(column, tileColumns),
          t.toIndex(layer)};
}

DepthRange depthRange(Thread &t, Value depth, Value part, int64_t parts, int64_t step) {
  Value size = mulIndex(t, ceilDiv(t, depth, t.index(parts * step)), t.index(step));
  Value from = minIndex(t, mulIndex(t, part, size), depth);
  Value to = minIndex(t, addIndex(t, from, size), depth);
  return {t.toIndex(t.int32(from)), t.toIndex(t.int32(to))};
}

/// The sums of `count` elements over all parts, and their epilogue, for this thread's share of C.
static void finishParts(Thread &t, const Problem &problem, Value parts, int64_t count) {
  Value segments = ceilDiv(t, problem.columns, t.index(count));
  Value all = mulIndex(t, problem.rows, segments);
  Value first = addIndex(t, mulIndex(t, t.block(0), t.index(t.threads)), t.thread());
  t.strided(first, all, mulIndex(t, t.blocks(0), t.index(t.threads)), [&](Value i) {
    SmallVector<Value> at = delinearize(t, i, {problem.rows, segments});
    Value column = mulIndex(t, at[1], t.index(count));
    SmallVector<Value> zeros(count, t.number(problem.compute, 0));
    Matrix part(t, parts, /*batchDims=*/1);
    SmallVector<Value> sums =
        t.forLoop(t.index(0), part.batch, 1, zeros, [&](Value number, ValueRange sums) {
          Pointer from = part.on(t, number).row(t, at[0]).at(t, column);
          SmallVector<Value> next;
          for (auto [sum, addend] : llvm::zip(sums, from.load(t, count, problem.compute)))
            next.push_back(t.add(sum, addend));
          return next;
        });
    problem.epilogue.finish(t, at[0], column, sums);
  });
}

void emitSumOfParts(Emission &e, const Product &product, Value parts) {
  constexpr int64_t threads = 256;
  Problem host = product.describe(e, product.operands);
  int64_t count = vectorSize(host.compute);
  SmallVector<Value> operands(product.operands);
  operands.push_back(parts);
  Value blocks = ceilDiv(e, mulIndex(e, host.rows, host.columns), e.index(threads * count));
  e.launch({blocks, {}, {}}, threads, operands, [&](Thread &t, ValueRange onDevice) {
    Problem problem = product.describe(t, onDevice.drop_back()).on(t, t.index(0));
    Value vectors = problem.epilogue.isVectors(t, count);
    choose(
        t, vectors, [&] { finishParts(t, problem, onDevice.back(), count); },
        [&] { finishParts(t, problem, onDevice.back(), 1); });
  });
}

void launchTiles(
    Emission &e, const Product &product, const TileShape &shape, int64_t parts,
    llvm::function_ref<void(Thread &, const Problem &, const TilePlace &, const DepthRange &)>
        body) {
  Problem host = product.describe(e, product.operands);
  SmallVector<Value> operands(product.operands);
  Value sums;
  if (parts > 1) {
    sums = e.scratch({parts, *constantOf(host.rows), *constantOf(host.columns)}, host.compute);
    operands.push_back(sums);
  }
  Value blocks = mulIndex(e, tileCount(e, host, shape.rows, shape.columns),
                          mulIndex(e, host.batch, e.index(parts)));
  e.launch({blocks, {}, {}}, shape.threads, operands, [&](Thread &t, ValueRange onDevice) {
    Problem whole = product.describe(t, onDevice.take_front(product.operands.size()));
    TilePlace place = tilePlace(t, whole, shape.rows, shape.columns, t.int32(t.block(0)));
    Problem problem = whole.on(t, parts > 1 ? t.index(0) : place.layer);
    DepthRange range{t.index(0), problem.depth};
    if (parts > 1) {
      range = depthRange(t, problem.depth, place.layer, parts, shape.depth);
      problem.epilogue = Epilogue();
      problem.epilogue.c = Matrix(t, onDevice.back(), /*batchDims=*/1).on(t, place.layer);
    }
    body(t, problem, place, range);
  });
  if (parts > 1)
    emitSumOfParts(e, product, sums);
}

} // namespace quern::nvidia
