//===- GemmTiled.cpp - Matrix products by packed panels --------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "DotProduct.h"
#include "Gemm.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace quern::cpu {

/// One panel of A, which holds `row` and what follows, with the panel of B.
static SmallVector<Value> multiplyPanel(Emission &e, const RegisterTile &tile, const Panels &panels,
                                        Value position, const DepthBlock &block, Value row,
                                        Value panel) {
  Value b = panels.bPosition ? panels.bPosition : e.index(0);
  if (!panels.rowsOfA) {
    Value a = add(e, position, mul(e, panel, panels.pitch));
    return multiplyPanels(e, tile, panels.a, a, panels.b, b, block.size);
  }
  const Matrix &a = *panels.rowsOfA;
  // The processor follows rows, but does not see that others come after them.
  int64_t line = 64 * 8 / a.type().getIntOrFloatBitWidth();
  for (Value next : rowStarts(e, tile, a, add(e, row, tile.rows), block))
    for (int64_t k = 0; k < 2 * line; k += line)
      memref::PrefetchOp::create(e.builder, e.loc, a.flat, ValueRange{add(e, next, k)},
                                 /*isWrite=*/false, /*localityHint=*/3, /*isDataCache=*/true);
  SmallVector<Value> starts = rowStarts(e, tile, a, row, block);
  return multiplyRows(e, tile, a.flat, starts, panels.b, b, block.size);
}

void multiplyStrip(Emission &e, const RegisterTile &tile, const Panels &panels, Value position,
                   const Epilogue &epilogue, const DepthBlock &block, Value firstRow, Value from,
                   Value to, Value column, ArrayRef<Value> masks,
                   llvm::function_ref<void(Value)> beforePanel) {
  e.forLoop(from, to, 1, [&](Value panel) {
    beforePanel(panel);
    Value row = add(e, firstRow, mul(e, panel, tile.rows));
    prefetchTile(e, tile, epilogue, block, row, column);
    SmallVector<Value> sums = multiplyPanel(e, tile, panels, position, block, row, panel);
    // Through memory, so that one copy of the epilogue serves all rows and any number of them.
    for (auto [i, sum] : llvm::enumerate(sums))
      store(e, sum, panels.product, e.index(i * tile.lanes));
    Value count = minimum(e, e.index(tile.rows), sub(e, epilogue.c.rows, row));
    e.forLoop(e.index(0), count, 1, [&](Value i) {
      SmallVector<Value> vectors;
      Value start = mul(e, i, tile.columns());
      for (int64_t j = 0; j < tile.vectors; ++j)
        vectors.push_back(load(e, tile.vector, panels.product, add(e, start, j * tile.lanes)));
      finishRow(e, epilogue, block, add(e, row, i), column, vectors, masks);
    });
  });
}

DepthBlock depthBlock(Emission &e, Value depth, Value start, int64_t size) {
  if (std::optional<int64_t> known = getConstantIntValue(depth); known && *known <= size)
    return {start, depth, {}, {}};
  Value left = sub(e, depth, start);
  Value isFirst =
      arith::CmpIOp::create(e.builder, e.loc, arith::CmpIPredicate::eq, start, e.index(0));
  Value isLast =
      arith::CmpIOp::create(e.builder, e.loc, arith::CmpIPredicate::sle, left, e.index(size));
  return {start, minimum(e, left, e.index(size)), isFirst, isLast};
}

int64_t depthBlockSize(Value depth, int64_t most, int64_t step) {
  // Blocks of about equal sizes.
  int64_t k = std::max<int64_t>(1, getConstantIntValue(depth).value_or(most));
  return llvm::alignTo(llvm::divideCeil(k, llvm::divideCeil(k, most)), step);
}

Value depthBlockCount(Emission &e, Value depth, int64_t size) {
  // At least one, so that C is written when K is 0.
  return e.builder.createOrFold<arith::MaxSIOp>(e.loc, ceilDivide(e, depth, size), e.index(1));
}

namespace {

/// C = op(A) op(B) by panels. A block of A (a chunk of rows, a block of K) is packed by all threads
/// into memory that they share, or read where it lies; then each unit, a panel of columns times a
/// strip of rows, packs its panel of B for itself unless the unit before it had the same, and
/// multiplies.
class TiledGemm {
public:
  TiledGemm(Emission &e, const Matrix &a, const Matrix &b, bool transposeA, bool transposeB,
            Value depth, const Epilogue &epilogue);
  void emit();

private:
  void strip(Value firstColumn, Value columns);
  void packA(Value firstRow, Value rows, const DepthBlock &block, Value position);
  void multiply(Value firstRow, Value rows, const DepthBlock &block, Value position);
  void prefetch(Value panel, Value part, Value parts, const DepthBlock &block);
  Value columnOf(Value panel) { return add(e, firstColumn, mul(e, panel, tile.columns())); }

  Emission &e;
  const Matrix &a, &b;
  bool transposeA, transposeB;
  Value depth;
  Epilogue epilogue;
  RegisterTile tile;

  // The strip of columns at hand.
  Value firstColumn;
  std::optional<ColumnPanels> columnPanels;

  bool alongPanels;    ///< B is packed along its panels, whole vectors of each
  int64_t blockDepth;  ///< K is taken in blocks of at most this many
  int64_t chunkRows;   ///< rows of A that are packed at a time
  int64_t stripPanels; ///< panels of A in a unit
  bool oneBlock;       ///< K is one block for certain
  int64_t buffers;     ///< of packed blocks of A
  Panels panels;
  Value packedPanel; ///< which panel of B is packed
};

/// For at most so many columns of C the micro-kernel reads the rows of A where they lie. Packing
/// takes time and a barrier once; four rows side by side take a little more time with each panel of
/// B, as the processor follows one stream better than four (3% of a product on a Zen 3).
constexpr int64_t mostColumnsInPlace = 512;

/// Sizes by shape: `fallback` where the shape is dynamic.
int64_t known(Value size, int64_t fallback) { return getConstantIntValue(size).value_or(fallback); }

TiledGemm::TiledGemm(Emission &e, const Matrix &a, const Matrix &b, bool transposeA,
                     bool transposeB, Value depth, const Epilogue &epilogue)
    : e(e), a(a), b(b), transposeA(transposeA), transposeB(transposeB), depth(depth),
      epilogue(epilogue), tile(productTile(e.machine, a.type(), b.type(), epilogue.compute())) {
  int64_t bytes = epilogue.compute().getIntOrFloatBitWidth() / 8;
  // Blocks of K have equal sizes.
  int64_t most = e.machine.tileDepth(epilogue.compute()) * tile.stepDepth();
  oneBlock = known(depth, most + 1) <= most;
  // A transposed B in panels is packed from one of them after the other.
  alongPanels = b.panel && transposeB;
  blockDepth = depthBlockSize(depth, most, alongPanels ? b.panel : tile.lanes * tile.stepDepth());
  int64_t steps = tile.steps(blockDepth);
  panels.pitch = steps * tile.rows + 64 / bytes; // not a power of two
  if (!transposeA && !a.panel && a.type() == epilogue.compute() && !tile.pairs &&
      known(epilogue.c.columns, mostColumnsInPlace + 1) <= mostColumnsInPlace)
    panels.rowsOfA = &a;
  stripPanels = 4;
  int64_t strip = stripPanels * tile.rows;
  int64_t budget = e.machine.packedBytes / bytes / steps;
  int64_t rows = known(epilogue.c.rows, budget);
  chunkRows = llvm::alignTo(std::clamp<int64_t>(std::min(rows, budget), 1, 4096), strip);
}

void TiledGemm::packA(Value firstRow, Value rows, const DepthBlock &block, Value position) {
  Value count = ceilDivide(e, rows, tile.rows);
  Value firstPanel = divide(e, firstRow, e.index(tile.rows));
  auto at = [&](Value panel) { return add(e, position, mul(e, panel, panels.pitch)); };
  if (!transposeA) {
    e.forUnits(count, [&](Value panel) {
      packRows(e, tile, a, add(e, firstRow, mul(e, panel, tile.rows)), block, panels.a, at(panel),
               /*prefetchNext=*/true);
    });
    return;
  }
  constexpr int64_t group = 8;
  e.forUnits(ceilDivide(e, count, group), [&](Value unit) {
    Value from = mul(e, unit, group);
    Value to = minimum(e, add(e, from, group), count);
    packTransposedRows(e, tile, a, add(e, firstPanel, from), add(e, firstPanel, to), block,
                       panels.a, at(from), panels.pitch);
  });
}

void TiledGemm::multiply(Value firstRow, Value rows, const DepthBlock &block, Value position) {
  Value zero = e.index(0);
  Value strips = ceilDivide(e, rows, stripPanels * tile.rows);
  Value rowPanels = ceilDivide(e, rows, tile.rows);
  memref::StoreOp::create(e.builder, e.loc, e.index(-1), packedPanel, ValueRange{zero});
  columnPanels->forUnits(e, strips, [&](Value panel, Value strip) {
    Value from = mul(e, strip, stripPanels);
    Value to = minimum(e, add(e, from, stripPanels), rowPanels);
    Value column = columnOf(panel);
    columnPanels->visit(e, panel, [&](const RegisterTile &tile, int64_t width) {
      SmallVector<Value> masks = columnMasks(e, tile, column, epilogue.c.columns, width);
      auto multiply = [&](const Panels &panels) {
        multiplyStrip(e, tile, panels, position, epilogue, block, firstRow, from, to, column, masks,
                      [&](Value rowPanel) { prefetch(panel, rowPanel, rowPanels, block); });
      };
      // What already lies in memory as the micro-kernel reads it.
      if (b.panel && !transposeB && width == b.panel && b.type() == epilogue.compute()) {
        Panels inPlace = panels;
        inPlace.b = b.flat;
        inPlace.bPosition = b.place(e, block.start, column);
        return multiply(inPlace);
      }
      Value before = memref::LoadOp::create(e.builder, e.loc, packedPanel, ValueRange{zero});
      Value isNew =
          arith::CmpIOp::create(e.builder, e.loc, arith::CmpIPredicate::ne, before, panel);
      auto pack = scf::IfOp::create(e.builder, e.loc, isNew, /*withElseRegion=*/false);
      {
        OpBuilder::InsertionGuard guard(e.builder);
        e.builder.setInsertionPointToStart(pack.thenBlock());
        packColumns(e, tile, b, transposeB, column, block, masks, panels.b);
        memref::StoreOp::create(e.builder, e.loc, panel, packedPanel, ValueRange{zero});
      }
      multiply(panels);
    });
  });
}

/// While a panel of B is multiplied with the panels of A, the next one comes from memory in as many
/// parts: packing would otherwise wait for each of its lines.
void TiledGemm::prefetch(Value panel, Value part, Value parts, const DepthBlock &block) {
  int64_t line = 64 * 8 / b.type().getIntOrFloatBitWidth();
  Value next = add(e, panel, 1);
  Value column = columnOf(next);
  Value lines = ceilDivide(e, block.size, line);
  int64_t panelLines = llvm::divideCeil(tile.columns() * b.panel, line); // of a square of a panel
  Value count = b.panel      ? mul(e, ceilDivide(e, block.size, b.panel), panelLines)
                : transposeB ? mul(e, lines, tile.columns())
                             : block.size;
  Value from = divide(e, mul(e, count, part), parts);
  Value to = divide(e, mul(e, count, add(e, part, 1)), parts);
  auto exists = scf::IfOp::create(e.builder, e.loc, less(e, next, columnPanels->count),
                                  /*withElseRegion=*/false);
  OpBuilder::InsertionGuard guard(e.builder);
  e.builder.setInsertionPointToStart(exists.thenBlock());
  // Beyond the matrix it does no harm.
  auto touch = [&](Value row, Value column) {
    memref::PrefetchOp::create(e.builder, e.loc, b.flat,
                               ValueRange{add(e, b.position(e, row), column)}, /*isWrite=*/false,
                               /*localityHint=*/2, /*isDataCache=*/true);
  };
  if (b.panel) {
    // Squares as long as they are wide: they follow each other in a panel of B, or stand in one
    // panel after the other.
    e.forLoop(from, to, 1, [&](Value i) {
      Value step = mul(e, divide(e, i, e.index(panelLines)), b.panel);
      Value start = add(e, block.start, step);
      Value place = transposeB ? b.place(e, column, start) : b.place(e, start, column);
      Value inSquare = mul(e, remainder(e, i, e.index(panelLines)), line);
      memref::PrefetchOp::create(e.builder, e.loc, b.flat, ValueRange{add(e, place, inSquare)},
                                 /*isWrite=*/false, /*localityHint=*/2, /*isDataCache=*/true);
    });
    return;
  }
  if (!transposeB) {
    e.forLoop(from, to, 1, [&](Value i) {
      for (int64_t j = 0; j < tile.columns(); j += line)
        touch(add(e, block.start, i), add(e, column, j));
      touch(add(e, block.start, i), add(e, column, tile.columns() - 1));
    });
    return;
  }
  // Along the rows of the block, one line after the other.
  SmallVector<Value> place{divide(e, from, lines), remainder(e, from, lines)};
  e.forLoop(from, to, 1, place, [&](Value, ValueRange place) -> SmallVector<Value> {
    touch(add(e, column, place[0]), add(e, block.start, mul(e, place[1], line)));
    Value next = add(e, place[1], 1);
    Value inRow = less(e, next, lines);
    return {arith::SelectOp::create(e.builder, e.loc, inRow, place[0], add(e, place[0], 1)),
            arith::SelectOp::create(e.builder, e.loc, inRow, next, e.index(0))};
  });
}

void TiledGemm::emit() {
  Type element = epilogue.compute(), packed = tile.panelVector().getElementType();
  auto buffer = [&](int64_t size, Type type) { return MemRefType::get({size}, type); };
  int64_t chunkSize = chunkRows / tile.rows * panels.pitch;
  std::optional<int64_t> rows = getConstantIntValue(epilogue.c.rows);
  bool oneChunk = rows && *rows <= chunkRows;
  // Two buffers in turn let threads pack the next block while others still multiply the last one:
  // one barrier a block is enough.
  buffers = oneChunk && oneBlock ? 1 : 2;
  if (!panels.rowsOfA)
    panels.a = e.sharedScratch(buffer(buffers * chunkSize, packed));
  // Panels of pairs are half as deep, and then no whole number of vectors: the last one of each
  // overlaps with the next panel's first.
  int64_t depth = tile.steps(blockDepth) + (alongPanels && tile.pairs ? tile.lanes : 0);
  panels.b = e.privateScratch(buffer(depth * tile.columns(), packed));
  panels.product = e.privateScratch(buffer(tile.rows * tile.columns(), element));
  packedPanel = e.privateScratch(buffer(1, e.builder.getIndexType()));

  bool hasPartialSums = epilogue.keepsSumsApart() && !oneBlock;
  ColumnStrips strips(tile, epilogue.c.columns, hasPartialSums, /*most=*/1024);
  if (hasPartialSums)
    epilogue.partial = {
        e.sharedScratch(buffer(chunkRows * strips.pitch, element)), {}, {}, strips.pitch};
  strips.visit(e, [&](Value column, Value columns) {
    strip(column, columns);
    // The next strip packs anew what threads may still multiply.
    if (hasPartialSums)
      e.barrier();
  });
}

void TiledGemm::strip(Value column, Value columns) {
  firstColumn = column;
  columnPanels.emplace(e, columns, tile);
  int64_t chunkSize = chunkRows / tile.rows * panels.pitch;
  Value blocks = depthBlockCount(e, depth, blockDepth);
  Value chunks = ceilDivide(e, epilogue.c.rows, chunkRows);
  e.forLoop(e.index(0), chunks, 1, [&](Value chunk) {
    Value firstRow = mul(e, chunk, chunkRows);
    Value rows = minimum(e, e.index(chunkRows), sub(e, epilogue.c.rows, firstRow));
    if (epilogue.partial) {
      epilogue.partial->firstRow = firstRow;
      epilogue.partial->firstColumn = firstColumn;
    }
    e.forLoop(e.index(0), blocks, 1, [&](Value k) {
      DepthBlock block = depthBlock(e, depth, mul(e, k, blockDepth), blockDepth);
      Value turn = add(e, mul(e, chunk, blocks), k);
      Value position =
          buffers == 1 ? e.index(0) : mul(e, remainder(e, turn, e.index(2)), chunkSize);
      if (!panels.rowsOfA)
        packA(firstRow, rows, block, position);
      // Partial sums stand where those of the last chunk did, which other threads may have had.
      if (!panels.rowsOfA || epilogue.partial)
        e.barrier();
      multiply(firstRow, rows, block, position);
    });
  });
}

} // namespace

void emitTiled(Emission &e, const Matrix &a, const Matrix &b, bool transposeA, bool transposeB,
               Value depth, const Epilogue &epilogue) {
  TiledGemm(e, a, b, transposeA, transposeB, depth, epilogue).emit();
}

} // namespace quern::cpu
