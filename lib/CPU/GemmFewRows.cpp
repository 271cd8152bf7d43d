//===- GemmFewRows.cpp - Matrix products that are bound by reading B -------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "Gemm.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;

namespace quern::cpu {

/// C = A B: a unit is a strip of columns, over all of K.
static void alongColumns(Emission &e, const Matrix &a, const Matrix &b, const Epilogue &epilogue) {
  RegisterTile strip = registerTile(e.machine, epilogue.c.type());
  strip.rows = 1;
  strip.vectors = 8;
  ColumnPanels panels(e, epilogue.c.columns, strip);
  DepthBlock all{e.index(0), a.columns, {}, {}};
  e.forUnits(panels.count, [&](Value panel) {
    Value column = mul(e, panel, strip.columns());
    panels.visit(e, panel, [&](const RegisterTile &tile, int64_t width) {
      SmallVector<Value> masks = columnMasks(e, tile, column, epilogue.c.columns, width);
      e.forLoop(e.index(0), epilogue.c.rows, 1, [&](Value row) {
        Value x = a.position(e, row);
        SmallVector<Value> none(tile.vectors, splat(e, tile.vector, 0));
        SmallVector<Value> sums =
            e.forLoop(e.index(0), all.size, 1, none, [&](Value k, ValueRange sums) {
              Value element =
                  memref::LoadOp::create(e.builder, e.loc, a.flat, ValueRange{add(e, x, k)});
              Value factor = vector::BroadcastOp::create(e.builder, e.loc, tile.vector, element);
              Value from = add(e, b.position(e, k), column);
              SmallVector<Value> next;
              for (int64_t j = 0; j < tile.vectors; ++j)
                next.push_back(fma(
                    e, factor, load(e, tile.vector, b.flat, add(e, from, j * tile.lanes), masks[j]),
                    sums[j]));
              return next;
            });
        finishRow(e, epilogue, all, row, column, sums, masks);
      });
    });
  });
}

/// C = A B^T: a unit is a vector of columns, each a dot product along K.
static void alongRows(Emission &e, const Matrix &a, const Matrix &b, const Epilogue &epilogue) {
  RegisterTile tile = registerTile(e.machine, epilogue.c.type());
  int64_t together = std::min<int64_t>(4, tile.lanes); // dot products at a time
  tile.vectors = 1;
  DepthBlock all{e.index(0), a.columns, {}, {}};
  Value dots = e.privateScratch(MemRefType::get({tile.lanes}, epilogue.c.type()));
  Value lastColumn = sub(e, epilogue.c.columns, e.index(1));
  Value whole = mul(e, divide(e, all.size, e.index(tile.lanes)), tile.lanes);
  std::optional<int64_t> depth = getConstantIntValue(all.size);
  e.forUnits(ceilDivide(e, epilogue.c.columns, tile.lanes), [&](Value unit) {
    Value column = mul(e, unit, tile.lanes);
    e.forLoop(e.index(0), epilogue.c.rows, 1, [&](Value row) {
      Value x = a.position(e, row);
      e.forLoop(e.index(0), e.index(tile.lanes), together, [&](Value group) {
        SmallVector<Value> rows;
        for (int64_t i = 0; i < together; ++i)
          rows.push_back(b.position(e, minimum(e, add(e, add(e, column, group), i), lastColumn)));
        auto step = [&](Value k, ValueRange sums, Value mask) {
          Value factor = load(e, tile.vector, a.flat, add(e, x, k), mask);
          SmallVector<Value> next;
          for (int64_t i = 0; i < together; ++i)
            next.push_back(
                fma(e, factor, load(e, tile.vector, b.flat, add(e, rows[i], k), mask), sums[i]));
          return next;
        };
        SmallVector<Value> sums(together, splat(e, tile.vector, 0));
        sums = e.forLoop(e.index(0), whole, tile.lanes, sums,
                         [&](Value k, ValueRange sums) { return step(k, sums, {}); });
        if (!depth || *depth % tile.lanes)
          sums = e.forLoop(whole, all.size, tile.lanes, sums, [&](Value k, ValueRange sums) {
            return step(k, sums, laneMask(e, tile.vector, sub(e, all.size, k)));
          });
        for (int64_t i = 0; i < together; ++i) {
          Value dot =
              vector::ReductionOp::create(e.builder, e.loc, vector::CombiningKind::ADD, sums[i]);
          memref::StoreOp::create(e.builder, e.loc, dot, dots, ValueRange{add(e, group, i)});
        }
      });
      std::optional<int64_t> columns = getConstantIntValue(epilogue.c.columns);
      SmallVector<Value> masks(1);
      if (!columns || *columns % tile.lanes)
        masks[0] = laneMask(e, tile.vector, sub(e, epilogue.c.columns, column));
      finishRow(e, epilogue, all, row, column, load(e, tile.vector, dots, e.index(0)), masks);
    });
  });
}

void emitFewRows(Emission &e, const Matrix &a, const Matrix &b, bool transposeB,
                 const Epilogue &epilogue) {
  if (transposeB)
    alongRows(e, a, b, epilogue);
  else
    alongColumns(e, a, b, epilogue);
}

} // namespace quern::cpu
