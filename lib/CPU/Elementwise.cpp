//===- Elementwise.cpp - linalg.generic -------------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
// One loop runs in vectors; the others, counted together, are rows. Units are blocks of short rows
// or chunks of long ones.

#include "Elementwise.h"
#include "Emitters.h"

using namespace mlir;

namespace quern::cpu {

static void emitScalars(const LoopNest &nest, Emission &e) {
  Value count = e.index(1);
  for (Value size : nest.sizes)
    count = mulIndex(e, count, size);
  int64_t bytes = 0;
  for (const Access &access : nest.accesses)
    bytes += elementBytes(access.element());
  Body body(nest, e, -1, 1);
  if (nest.sizes.empty())
    return e.onFirstThread([&] {
      body.setRow({});
      body.store(body.yield());
    });
  // The last loop stays a loop, so that its indices need no divisions.
  ArrayRef<Value> outer = ArrayRef<Value>(nest.sizes).drop_back();
  Value rows = e.index(1);
  for (Value size : outer)
    rows = mulIndex(e, rows, size);
  auto emitRow = [&](ArrayRef<Value> at, Value from, Value to) {
    e.forLoop(from, to, 1, [&](Value last) {
      SmallVector<Value> indices(at);
      indices.push_back(last);
      body.setRow(indices);
      body.store(body.yield());
    });
  };
  if (outer.empty()) {
    Value chunk = e.index(std::max<int64_t>(unitBytes / bytes, 1));
    return e.forUnits(ceilDiv(e, count, chunk), [&](Value unit) {
      Value from = mulIndex(e, unit, chunk);
      emitRow({}, from, minIndex(e, addIndex(e, from, chunk), count));
    });
  }
  forRows(e, rows, rowsPerUnit(e, nest.sizes.back(), bytes),
          [&](Value row) { emitRow(delinearize(e, row, outer), e.index(0), nest.sizes.back()); });
}

/// Transposes: the output is contiguous in the loop `inner`, some input in the loop `outer`. Tiles
/// of both, so that each cache line is used whole while it is there.
static void emitTiles(const LoopNest &nest, Emission &e, int64_t inner, int64_t outer) {
  OpBuilder &b = e.builder;
  constexpr int64_t tile = 16;
  SmallVector<int64_t> rest;
  SmallVector<Value> sizes;
  Value rows = e.index(1), size = nest.sizes[outer], columns = nest.sizes[inner];
  for (int64_t loop = 0; loop < static_cast<int64_t>(nest.sizes.size()); ++loop)
    if (loop != inner && loop != outer) {
      rest.push_back(loop);
      sizes.push_back(nest.sizes[loop]);
      rows = mulIndex(e, rows, nest.sizes[loop]);
    }
  Body body(nest, e, -1, 1);
  Value tiles = ceilDiv(e, size, e.index(tile)), zero = e.index(0);
  e.forUnits(mulIndex(e, rows, tiles), [&](Value unit) {
    SmallVector<Value> indices(nest.sizes.size());
    Value row = b.createOrFold<arith::DivUIOp>(e.loc, unit, tiles);
    for (auto [loop, index] : llvm::zip(rest, delinearize(e, row, sizes)))
      indices[loop] = index;
    Value first = mulIndex(e, b.createOrFold<arith::RemUIOp>(e.loc, unit, tiles), e.index(tile));
    Value last = minIndex(e, addIndex(e, first, e.index(tile)), size);
    e.forLoop(zero, columns, tile, [&](Value from) {
      Value to = minIndex(e, addIndex(e, from, e.index(tile)), columns);
      e.forLoop(first, last, 1, [&](Value i) {
        e.forLoop(from, to, 1, [&](Value j) {
          indices[outer] = i;
          indices[inner] = j;
          body.setRow(indices);
          body.store(body.yield());
        });
      });
    });
  });
}

/// Emits a transpose as such; false where the nest is none.
static bool emitTransposed(const LoopNest &nest, Emission &e) {
  int64_t inner = -1, outer = -1;
  for (int64_t loop = 0; loop < static_cast<int64_t>(nest.sizes.size()); ++loop)
    if (nest.accesses.back().isContiguous(loop))
      inner = loop;
  for (int64_t loop = 0; loop < static_cast<int64_t>(nest.sizes.size()); ++loop)
    for (const Access &access : nest.accesses)
      if (!access.output && access.isContiguous(loop) && loop != inner)
        outer = loop;
  if (inner < 0 || outer < 0)
    return false;
  emitTiles(nest, e, inner, outer);
  return true;
}

static void emitVectors(const LoopNest &nest, Emission &e, int64_t loop) {
  OpBuilder &b = e.builder;
  int64_t lanes = e.machine.vectorBytes * 8 / nest.widestBits(loop),
          bytes = nest.bytesPerIteration(loop);
  Body body(nest, e, loop, lanes);
  SmallVector<Value> outer;
  Value rows = e.index(1);
  for (int64_t other = 0; other < static_cast<int64_t>(nest.sizes.size()); ++other)
    if (other != loop) {
      outer.push_back(nest.sizes[other]);
      rows = mulIndex(e, rows, nest.sizes[other]);
    }
  auto emitRow = [&](Value row, Value from, Value to) {
    SmallVector<Value> indices = delinearize(e, row, outer);
    indices.insert(indices.begin() + loop, Value());
    body.setRow(indices);
    forColumns(e, lanes, from, to, [&](Value column, Value mask) {
      body.store(body.yield(column, mask), column, mask);
    });
  };

  Value columns = nest.sizes[loop], zero = e.index(0);
  int64_t chunkSize = std::max<int64_t>(unitBytes / bytes / lanes, 1) * lanes;
  auto known = constantOf(columns);
  if (known && *known <= chunkSize)
    return forRows(e, rows, rowsPerUnit(e, columns, bytes),
                   [&](Value row) { emitRow(row, zero, columns); });
  Value chunk = e.index(chunkSize);
  Value chunks = ceilDiv(e, columns, chunk);
  Value perUnit = rowsPerUnit(e, columns, bytes);
  Value units = mulIndex(e, ceilDiv(e, rows, perUnit), chunks);
  e.forUnits(units, [&](Value unit) {
    // One of the two is 1: short rows come in blocks, long ones in chunks.
    Value block = b.createOrFold<arith::DivUIOp>(e.loc, unit, chunks);
    Value from = mulIndex(e, arith::RemUIOp::create(b, e.loc, unit, chunks), chunk);
    Value to = minIndex(e, addIndex(e, from, chunk), columns);
    Value first = mulIndex(e, block, perUnit);
    Value last = minIndex(e, addIndex(e, first, perUnit), rows);
    e.forLoop(first, last, 1, [&](Value row) { emitRow(row, from, to); });
  });
}

LogicalResult emit(linalg::GenericOp op, ValueRange operands, Emission &e) {
  FailureOr<LoopNest> nest = LoopNest::get(op, operands, e);
  if (failed(nest))
    return failure();
  if (!nest->isParallel())
    return emitReduction(*nest, e);
  if (int64_t loop = nest->vectorLoop(/*reduction=*/false); loop >= 0)
    emitVectors(*nest, e, loop);
  else if (!emitTransposed(*nest, e))
    emitScalars(*nest, e);
  return success();
}

} // namespace quern::cpu
