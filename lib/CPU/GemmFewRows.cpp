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
#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace quern::cpu {

static Value plus(Emission &e, Value a, Value b) {
  return arith::AddFOp::create(e.builder, e.loc, a, b);
}

/// C = A B with static sizes: a unit is a range of rows of B times a strip of columns as wide as
/// the cache allows, so that B is read in long runs. Units add into memory of their own; what they
/// leave is summed in the order of the rows.
static void alongMemory(Emission &e, const Matrix &a, const Matrix &b, int64_t depth,
                        int64_t columns, const Epilogue &epilogue) {
  RegisterTile tile = registerTile(e.machine, epilogue.compute());
  int64_t bytes = epilogue.compute().getIntOrFloatBitWidth() / 8;
  constexpr int64_t together = 4; // rows of B at a time
  int64_t strip = llvm::alignTo(std::min<int64_t>(columns, 16384 / bytes), tile.lanes);
  int64_t strips = llvm::divideCeil(columns, strip);
  // Enough units for many threads; the sums of a unit should be small beside what it reads.
  int64_t ranges = std::clamp<int64_t>(depth / 64, 1, llvm::divideCeil(48, strips));
  int64_t rangeRows =
      std::max<int64_t>(together, llvm::alignTo(llvm::divideCeil(depth, ranges), together));
  ranges = std::max<int64_t>(1, llvm::divideCeil(depth, rangeRows));
  int64_t pitch = llvm::alignTo(columns, tile.lanes);
  Value sums = e.sharedScratch(MemRefType::get({ranges * fewRows * pitch}, epilogue.compute()));
  auto sumPosition = [&](Value range, Value row, Value column) {
    return add(e, mul(e, add(e, mul(e, range, fewRows), row), pitch), column);
  };

  e.forUnits(e.index(strips * ranges), [&](Value unit) {
    Value range = remainder(e, unit, e.index(ranges));
    Value from = mul(e, divide(e, unit, e.index(ranges)), strip);
    Value width = minimum(e, e.index(strip), sub(e, e.index(columns), from));
    Value whole = mul(e, divide(e, width, e.index(tile.lanes)), tile.lanes);
    Value firstK = mul(e, range, rangeRows);
    Value endK = minimum(e, add(e, firstK, rangeRows), e.index(depth));
    auto forColumns = [&](llvm::function_ref<void(Value column, Value mask)> body) {
      e.forLoop(e.index(0), whole, tile.lanes, [&](Value i) { body(add(e, from, i), {}); });
      if (columns % tile.lanes)
        e.forLoop(whole, width, tile.lanes, [&](Value i) {
          body(add(e, from, i), laneMask(e, tile.vector, sub(e, width, i)));
        });
    };
    e.forLoop(e.index(0), epilogue.c.rows, 1, [&](Value row) {
      e.forLoop(e.index(0), width, tile.lanes, [&](Value i) {
        store(e, splat(e, tile.vector, 0), sums, sumPosition(range, row, add(e, from, i)));
      });
    });
    auto addRows = [&](Value k, int64_t count) {
      SmallVector<Value> starts;
      for (int64_t i = 0; i < count; ++i)
        starts.push_back(b.position(e, add(e, k, i)));
      e.forLoop(e.index(0), epilogue.c.rows, 1, [&](Value row) {
        SmallVector<Value> factors;
        for (int64_t i = 0; i < count; ++i) {
          Value factor =
              element(e, epilogue.compute(), a.flat, add(e, a.position(e, row), add(e, k, i)));
          factors.push_back(vector::BroadcastOp::create(e.builder, e.loc, tile.vector, factor));
        }
        forColumns([&](Value column, Value mask) {
          Value position = sumPosition(range, row, column);
          Value sum = load(e, tile.vector, sums, position);
          // The processor does not see that one run of B follows another.
          for (int64_t i = 0; i < count; ++i) {
            Value next = minimum(e, add(e, k, i + count), e.index(depth - 1));
            memref::PrefetchOp::create(e.builder, e.loc, b.flat,
                                       ValueRange{add(e, b.position(e, next), column)},
                                       /*isWrite=*/false, /*localityHint=*/2, /*isDataCache=*/true);
          }
          for (int64_t i = 0; i < count; ++i)
            sum = fma(e, factors[i], load(e, tile.vector, b.flat, add(e, starts[i], column), mask),
                      sum);
          store(e, sum, sums, position);
        });
      });
    };
    Value groups = mul(e, divide(e, sub(e, endK, firstK), e.index(together)), together);
    Value endGroups = add(e, firstK, groups);
    e.forLoop(firstK, endGroups, together, [&](Value k) { addRows(k, together); });
    if (depth % together)
      e.forLoop(endGroups, endK, 1, [&](Value k) { addRows(k, 1); });
  });
  e.barrier();

  RegisterTile piece = tile;
  piece.vectors = 4;
  ColumnPanels panels(e, e.index(columns), piece);
  DepthBlock all{e.index(0), a.columns, {}, {}};
  e.forUnits(panels.count, [&](Value panel) {
    Value column = mul(e, panel, piece.columns());
    panels.visit(e, panel, [&](const RegisterTile &tile, int64_t width) {
      SmallVector<Value> masks = columnMasks(e, tile, column, epilogue.c.columns, width);
      e.forLoop(e.index(0), epilogue.c.rows, 1, [&](Value row) {
        SmallVector<Value> none(tile.vectors, splat(e, tile.vector, 0));
        SmallVector<Value> totals =
            e.forLoop(e.index(0), e.index(ranges), 1, none, [&](Value range, ValueRange totals) {
              Value position = sumPosition(range, row, column);
              SmallVector<Value> next;
              for (int64_t j = 0; j < tile.vectors; ++j)
                next.push_back(plus(e, totals[j],
                                    load(e, tile.vector, sums, add(e, position, j * tile.lanes))));
              return next;
            });
        finishRow(e, epilogue, all, row, column, totals, masks);
      });
    });
  });
}

/// C = A B with dynamic sizes: a unit is a strip of columns in registers, over all of K.
static void alongColumns(Emission &e, const Matrix &a, const Matrix &b, const Epilogue &epilogue) {
  RegisterTile strip = registerTile(e.machine, epilogue.compute());
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
              Value factor = element(e, epilogue.compute(), a.flat, add(e, x, k));
              factor = vector::BroadcastOp::create(e.builder, e.loc, tile.vector, factor);
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

/// C = A B^T: a unit is a vector of columns, each a dot product along a row of B. One row after the
/// other, so that B is read as it lies in memory.
static void alongRows(Emission &e, const Matrix &a, const Matrix &b, const Epilogue &epilogue) {
  RegisterTile tile = registerTile(e.machine, epilogue.compute());
  constexpr int64_t together = 4; // independent sums hide the latency of their additions
  tile.vectors = 1;
  DepthBlock all{e.index(0), a.columns, {}, {}};
  Value dots = e.privateScratch(MemRefType::get({tile.lanes}, epilogue.compute()));
  auto multipleOf = [&](int64_t step) { return mul(e, divide(e, all.size, e.index(step)), step); };
  Value whole = multipleOf(tile.lanes * together), single = multipleOf(tile.lanes);
  std::optional<int64_t> depth = getConstantIntValue(all.size);
  std::optional<int64_t> columns = getConstantIntValue(epilogue.c.columns);
  e.forUnits(ceilDivide(e, epilogue.c.columns, tile.lanes), [&](Value unit) {
    Value column = mul(e, unit, tile.lanes);
    Value count = minimum(e, e.index(tile.lanes), sub(e, epilogue.c.columns, column));
    e.forLoop(e.index(0), epilogue.c.rows, 1, [&](Value row) {
      Value x = a.position(e, row);
      e.forLoop(e.index(0), count, 1, [&](Value i) {
        Value y = b.position(e, add(e, column, i));
        auto product = [&](Value k, Value sum, Value mask) {
          return fma(e, load(e, tile.vector, a.flat, add(e, x, k), mask),
                     load(e, tile.vector, b.flat, add(e, y, k), mask), sum);
        };
        SmallVector<Value> sums(together, splat(e, tile.vector, 0));
        sums = e.forLoop(e.index(0), whole, tile.lanes * together, sums,
                         [&](Value k, ValueRange sums) {
                           SmallVector<Value> next;
                           for (int64_t j = 0; j < together; ++j)
                             next.push_back(product(add(e, k, j * tile.lanes), sums[j], {}));
                           return next;
                         });
        Value sum = plus(e, plus(e, sums[0], sums[1]), plus(e, sums[2], sums[3]));
        if (!depth || *depth % (tile.lanes * together) >= tile.lanes)
          sum = e.forLoop(whole, single, tile.lanes, sum, [&](Value k, ValueRange sums) {
            return SmallVector<Value>{product(k, sums[0], {})};
          })[0];
        if (!depth || *depth % tile.lanes)
          sum = e.forLoop(single, all.size, tile.lanes, sum, [&](Value k, ValueRange sums) {
            Value mask = laneMask(e, tile.vector, sub(e, all.size, k));
            return SmallVector<Value>{product(k, sums[0], mask)};
          })[0];
        Value dot = vector::ReductionOp::create(e.builder, e.loc, vector::CombiningKind::ADD, sum);
        memref::StoreOp::create(e.builder, e.loc, dot, dots, ValueRange{i});
      });
      SmallVector<Value> masks(1);
      if (!columns || *columns % tile.lanes)
        masks[0] = laneMask(e, tile.vector, count);
      finishRow(e, epilogue, all, row, column, load(e, tile.vector, dots, e.index(0)), masks);
    });
  });
}

/// C = A B, B in panels: a unit is one of them, read from its first element to its last.
static void alongPanels(Emission &e, const Matrix &a, const Matrix &b, const Epilogue &epilogue) {
  RegisterTile tile = registerTile(e.machine, epilogue.compute());
  constexpr int64_t together = 4; // steps whose sums do not wait for each other
  DepthBlock all{e.index(0), a.columns, {}, {}};
  Value whole = mul(e, divide(e, all.size, e.index(together)), together);
  ColumnPanels panels(e, epilogue.c.columns, tile);
  e.forUnits(panels.count, [&](Value panel) {
    Value column = mul(e, panel, tile.columns());
    Value width = b.panelColumns(e, column), start = b.place(e, e.index(0), column);
    panels.visit(e, panel, [&](const RegisterTile &tile, int64_t known) {
      SmallVector<Value> masks = columnMasks(e, tile, column, epilogue.c.columns, known);
      e.forLoop(e.index(0), epilogue.c.rows, 1, [&](Value row) {
        Value x = a.position(e, row);
        auto step = [&](Value k, ValueRange sums) {
          Value factor = element(e, epilogue.compute(), a.flat, add(e, x, k));
          factor = vector::BroadcastOp::create(e.builder, e.loc, tile.vector, factor);
          Value from = add(e, start, mul(e, k, width));
          SmallVector<Value> next;
          for (int64_t j = 0; j < tile.vectors; ++j)
            next.push_back(fma(e, factor,
                               load(e, tile.vector, b.flat, add(e, from, j * tile.lanes), masks[j]),
                               sums[j]));
          return next;
        };
        auto count = static_cast<size_t>(tile.vectors);
        SmallVector<Value> sums(together * count, splat(e, tile.vector, 0));
        sums = e.forLoop(e.index(0), whole, together, sums, [&](Value k, ValueRange sums) {
          SmallVector<Value> next;
          for (int64_t i = 0; i < together; ++i)
            llvm::append_range(next, step(add(e, k, i), sums.slice(i * count, count)));
          return next;
        });
        SmallVector<Value> totals;
        for (size_t j = 0; j < count; ++j)
          totals.push_back(plus(e, plus(e, sums[j], sums[count + j]),
                                plus(e, sums[2 * count + j], sums[3 * count + j])));
        totals = e.forLoop(whole, all.size, 1, totals, step);
        finishRow(e, epilogue, all, row, column, totals, masks);
      });
    });
  });
}

void emitFewRows(Emission &e, const Matrix &a, const Matrix &b, bool transposeB,
                 const Epilogue &epilogue) {
  std::optional<int64_t> depth = getConstantIntValue(a.columns);
  std::optional<int64_t> columns = getConstantIntValue(epilogue.c.columns);
  if (b.panel)
    alongPanels(e, a, b, epilogue);
  else if (transposeB)
    alongRows(e, a, b, epilogue);
  else if (depth && columns && *columns)
    alongMemory(e, a, b, *depth, *columns, epilogue);
  else
    alongColumns(e, a, b, epilogue);
}

} // namespace quern::cpu
