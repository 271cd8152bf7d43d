//===- GemmPack.cpp - Panels of A and B in the order in which the micro-kernel reads ---------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "Gemm.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
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

void packRows(Emission &e, const RegisterTile &tile, const Matrix &a, Value row,
              const DepthBlock &block, Value panel, Value position) {
  Value last = sub(e, a.rows, e.index(1));
  SmallVector<Value> starts;
  for (int64_t i = 0; i < tile.rows; ++i)
    starts.push_back(add(e, a.position(e, minimum(e, add(e, row, i), last)), block.start));
  forDepthVectors(e, block, tile.vector, [&](Value k, Value mask) {
    SmallVector<Value> vectors;
    for (Value start : starts)
      vectors.push_back(load(e, tile.vector, a.flat, add(e, start, k), mask));
    Value to = add(e, position, mul(e, k, tile.rows));
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
  e.forLoop(e.index(0), block.size, 1, [&](Value k) {
    Value source = a.position(e, add(e, block.start, k));
    Value target = add(e, position, mul(e, k, tile.rows));
    auto move = [&](Value panel, bool masked) {
      for (int64_t i = 0; i < tile.rows; i += width) {
        Value row = add(e, mul(e, panel, tile.rows), i);
        Value mask = masked ? laneMask(e, type, sub(e, a.columns, row)) : Value();
        store(e, load(e, type, a.flat, add(e, source, row), mask), panels,
              add(e, target, add(e, mul(e, sub(e, panel, from), pitch), i)));
      }
    };
    e.forLoop(from, whole, 1, [&](Value panel) { move(panel, false); });
    if (!rows || *rows % tile.rows)
      e.forLoop(whole, to, 1, [&](Value panel) { move(panel, true); });
  });
}

/// Packs the part of a block that begins `before` steps after the block, from a transposed B whose
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
    forDepthVectors(e, part, tile.vector, [&](Value k, Value mask) {
      SmallVector<Value> vectors;
      for (Value start : starts)
        vectors.push_back(load(e, tile.vector, b.flat, add(e, start, k), mask));
      Value first = add(e, before, k);
      for (auto [i, vector] : llvm::enumerate(transpose(e, vectors)))
        store(e, vector, panel, add(e, group, mul(e, add(e, first, i), tile.columns())));
    });
  });
}

void packColumns(Emission &e, const RegisterTile &tile, const Matrix &b, bool transposed,
                 Value column, const DepthBlock &block, ArrayRef<Value> masks, Value panel) {
  if (!transposed) {
    e.forLoop(e.index(0), block.size, 1, [&](Value k) {
      Value from = b.place(e, add(e, block.start, k), column);
      Value to = mul(e, k, tile.columns());
      for (int64_t j = 0; j < tile.vectors; ++j)
        store(e, load(e, tile.vector, b.flat, add(e, from, j * tile.lanes), masks[j]), panel,
              add(e, to, j * tile.lanes));
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
