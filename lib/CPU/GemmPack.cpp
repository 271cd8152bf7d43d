//===- GemmPack.cpp - Panels of A and B in the order in which the micro-kernel reads ---------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "DotProduct.h"
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

/// Calls `body(step, rows)` for each step of a panel over the block of K, with the positions of the
/// rows of `matrix` ([k][...]) that it takes: one, or of pairs two unless K ends between them.
static void forSteps(Emission &e, const RegisterTile &tile, const Matrix &matrix,
                     const DepthBlock &block,
                     llvm::function_ref<void(Value step, ArrayRef<Value> rows)> body) {
  auto run = [&](Value from, Value to, int64_t count) {
    e.forLoop(from, to, 1, [&](Value step) {
      Value k = add(e, block.start, mul(e, step, tile.stepDepth()));
      SmallVector<Value, 2> rows;
      for (int64_t i = 0; i < count; ++i)
        rows.push_back(matrix.position(e, add(e, k, i)));
      body(step, rows);
    });
  };
  Value whole = divide(e, block.size, e.index(tile.stepDepth()));
  run(e.index(0), whole, tile.stepDepth());
  std::optional<int64_t> size = getConstantIntValue(block.size);
  if (tile.pairs && (!size || *size % 2))
    run(whole, ceilDivide(e, block.size, 2), 1);
}

void packRows(Emission &e, const RegisterTile &tile, const Matrix &a, Value row,
              const DepthBlock &block, Value panel, Value position) {
  Value last = sub(e, a.rows, e.index(1));
  SmallVector<Value> starts;
  for (int64_t i = 0; i < tile.rows; ++i)
    starts.push_back(add(e, a.position(e, minimum(e, add(e, row, i), last)), block.start));
  forDepthVectors(e, block, alongVector(tile), [&](Value k, Value mask) {
    SmallVector<Value> vectors;
    for (Value start : starts)
      vectors.push_back(loadAlong(e, tile, a.flat, add(e, start, k), mask));
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
  forSteps(e, tile, a, block, [&](Value step, ArrayRef<Value> sources) {
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

void packColumns(Emission &e, const RegisterTile &tile, const Matrix &b, bool transposed,
                 Value column, const DepthBlock &block, ArrayRef<Value> masks, Value panel) {
  if (!transposed) {
    forSteps(e, tile, b, block, [&](Value step, ArrayRef<Value> rows) {
      Value to = mul(e, step, tile.columns());
      for (int64_t j = 0; j < tile.vectors; ++j) {
        Value from = add(e, column, j * tile.lanes);
        store(e, loadAcross(e, tile, tile.lanes, b.flat, rows, from, masks[j]), panel,
              add(e, to, j * tile.lanes));
      }
    });
    return;
  }
  // One group of columns after the other: a square of vectors at a time fits the registers.
  Value last = sub(e, b.rows, e.index(1));
  e.forLoop(e.index(0), e.index(tile.columns()), tile.lanes, [&](Value group) {
    SmallVector<Value> starts;
    for (int64_t i = 0; i < tile.lanes; ++i) {
      Value row = minimum(e, add(e, add(e, column, group), i), last);
      starts.push_back(add(e, b.position(e, row), block.start));
    }
    forDepthVectors(e, block, alongVector(tile), [&](Value k, Value mask) {
      SmallVector<Value> vectors;
      for (Value start : starts)
        vectors.push_back(loadAlong(e, tile, b.flat, add(e, start, k), mask));
      Value step = divide(e, k, e.index(tile.stepDepth()));
      for (auto [i, vector] : llvm::enumerate(transpose(e, vectors)))
        store(e, vector, panel, add(e, group, mul(e, add(e, step, i), tile.columns())));
    });
  });
}

} // namespace quern::cpu
