//===- GemmPack.cpp - Panels of A and B in the order in which the micro-kernel reads ---------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "DotProduct.h"
#include "Gemm.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;

namespace quern::cpu {

/// Calls `body(k, mask)` for each vector of the block's depth, k counted from its start; the mask
/// is null where the vector is whole.
static void forDepthVectors(Emission &e, const DepthBlock &block, VectorType type,
                            llvm::function_ref<void(Value k, Value mask)> body) {
  int64_t lanes = type.getNumElements();
  Value whole = mul(e, divide(e, block.size, e.index(lanes)), lanes);
  e.forLoop(e.index(0), whole, lanes, [&](Value k) { body(k, Value()); });
  if (std::optional<int64_t> size = getConstantIntValue(block.size); size && *size % lanes == 0)
    return;
  e.forLoop(whole, block.size, lanes,
            [&](Value k) { body(k, laneMask(e, type, sub(e, block.size, k))); });
}

/// Calls `body(step, places)` for each step of a panel over the block of K, with `place(k)` of the
/// rows of a matrix ([k][...]) that it takes: one, or of pairs two unless K ends between them.
static void forSteps(Emission &e, const RegisterTile &tile, const DepthBlock &block,
                     llvm::function_ref<Value(Value k)> place,
                     llvm::function_ref<void(Value step, ArrayRef<Value> places)> body) {
  auto run = [&](Value from, Value to, int64_t count) {
    e.forLoop(from, to, 1, [&](Value step) {
      Value k = add(e, block.start, mul(e, step, tile.stepDepth()));
      SmallVector<Value, 2> places;
      for (int64_t i = 0; i < count; ++i)
        places.push_back(place(add(e, k, i)));
      body(step, places);
    });
  };
  Value whole = divide(e, block.size, e.index(tile.stepDepth()));
  run(e.index(0), whole, tile.stepDepth());
  std::optional<int64_t> size = getConstantIntValue(block.size);
  if (tile.pairs && (!size || *size % 2))
    run(whole, ceilDivide(e, block.size, 2), 1);
}

SmallVector<Value> rowStarts(Emission &e, const RegisterTile &tile, const Matrix &a, Value row,
                             const DepthBlock &block) {
  Value last = sub(e, a.rows, e.index(1));
  SmallVector<Value> starts;
  for (int64_t i = 0; i < tile.rows; ++i)
    starts.push_back(add(e, a.position(e, minimum(e, add(e, row, i), last)), block.start));
  return starts;
}

void packRows(Emission &e, const RegisterTile &tile, const Matrix &a, Value row,
              const DepthBlock &block, Value panel, Value position, bool prefetchNext) {
  SmallVector<Value> starts = rowStarts(e, tile, a, row, block), next;
  if (prefetchNext)
    next = rowStarts(e, tile, a, add(e, row, tile.rows), block);
  forDepthVectors(e, block, alongVector(tile), [&](Value k, Value mask) {
    SmallVector<Value> vectors;
    for (Value start : starts)
      vectors.push_back(loadAlong(e, tile, a.flat, add(e, start, k), mask));
    // The processor follows a row, but does not see that another one comes after it.
    for (Value start : next)
      memref::PrefetchOp::create(e.builder, e.loc, a.flat, ValueRange{add(e, start, k)},
                                 /*isWrite=*/false, /*localityHint=*/2, /*isDataCache=*/true);
    Value step = divide(e, k, e.index(tile.stepDepth()));
    Value to = add(e, position, mul(e, step, tile.rows));
    for (auto [i, vector] : llvm::enumerate(transpose(e, vectors)))
      store(e, vector, panel, add(e, to, i * tile.lanes));
  });
}

void packTransposedRows(Emission &e, const RegisterTile &tile, const Matrix &a, Value from,
                        Value to, const DepthBlock &block, Value panels, Value position,
                        int64_t pitch) {
  // A row of A holds what goes into many panels: read along it. Panels may be narrower than a
  // vector (then they are half of one or less) or several vectors wide.
  int64_t width = std::min(tile.rows, tile.lanes);
  auto type = VectorType::get({width}, tile.vector.getElementType());
  Value whole = minimum(e, to, divide(e, a.columns, e.index(tile.rows)));
  std::optional<int64_t> rows = getConstantIntValue(a.columns);
  auto place = [&](Value k) { return a.position(e, k); };
  forSteps(e, tile, block, place, [&](Value step, ArrayRef<Value> sources) {
    Value target = add(e, position, mul(e, step, tile.rows));
    auto move = [&](Value panel, bool masked) {
      for (int64_t i = 0; i < tile.rows; i += width) {
        Value row = add(e, mul(e, panel, tile.rows), i);
        Value mask = masked ? laneMask(e, type, sub(e, a.columns, row)) : Value();
        store(e, loadAcross(e, tile, width, a.flat, sources, row, mask), panels,
              add(e, target, add(e, mul(e, sub(e, panel, from), pitch), i)));
      }
    };
    e.forLoop(from, whole, 1, [&](Value panel) { move(panel, false); });
    if (!rows || *rows % tile.rows)
      e.forLoop(whole, to, 1, [&](Value panel) { move(panel, true); });
  });
}

/// Packs the part of a block that begins `before` of K after the block, from a transposed B whose
/// rows begin at `start(row)` there.
static void packTransposedColumns(Emission &e, const RegisterTile &tile, const Matrix &b,
                                  Value column, const DepthBlock &part, Value before,
                                  llvm::function_ref<Value(Value row)> start, Value panel) {
  // One group of columns after the other: a square of vectors at a time fits the registers.
  Value last = sub(e, b.rows, e.index(1));
  e.forLoop(e.index(0), e.index(tile.columns()), tile.lanes, [&](Value group) {
    SmallVector<Value> starts;
    for (int64_t i = 0; i < tile.lanes; ++i)
      starts.push_back(start(minimum(e, add(e, add(e, column, group), i), last)));
    forDepthVectors(e, part, alongVector(tile), [&](Value k, Value mask) {
      SmallVector<Value> vectors;
      for (Value start : starts)
        vectors.push_back(loadAlong(e, tile, b.flat, add(e, start, k), mask));
      Value first = divide(e, add(e, before, k), e.index(tile.stepDepth()));
      for (auto [i, vector] : llvm::enumerate(transpose(e, vectors)))
        store(e, vector, panel, add(e, group, mul(e, add(e, first, i), tile.columns())));
    });
  });
}

void packColumns(Emission &e, const RegisterTile &tile, const Matrix &b, bool transposed,
                 Value column, const DepthBlock &block, ArrayRef<Value> masks, Value panel) {
  if (!transposed) {
    auto place = [&](Value k) { return b.place(e, k, column); };
    forSteps(e, tile, block, place, [&](Value step, ArrayRef<Value> sources) {
      Value to = mul(e, step, tile.columns());
      for (int64_t j = 0; j < tile.vectors; ++j) {
        Value shift = e.index(j * tile.lanes);
        store(e, loadAcross(e, tile, tile.lanes, b.flat, sources, shift, masks[j]), panel,
              add(e, to, shift));
      }
    });
    return;
  }
  if (!b.panel) {
    auto start = [&](Value row) { return add(e, b.position(e, row), block.start); };
    return packTransposedColumns(e, tile, b, column, block, e.index(0), start, panel);
  }
  // What is one step after another of the depth lies in panels of B: one of them after the other.
  std::optional<int64_t> depth = getConstantIntValue(b.columns);
  bool wholePanels = depth && *depth % b.panel == 0;
  e.forLoop(e.index(0), block.size, b.panel, [&](Value before) {
    Value first = add(e, block.start, before);
    Value left = sub(e, block.size, before);
    DepthBlock part{
        first, wholePanels ? e.index(b.panel) : minimum(e, e.index(b.panel), left), {}, {}};
    auto start = [&](Value row) { return b.place(e, row, first); };
    packTransposedColumns(e, tile, b, column, part, before, start, panel);
  });
}

} // namespace quern::cpu
