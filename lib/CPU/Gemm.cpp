//===- Gemm.cpp - The emitters of matrix products
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "Gemm.h"
#include "Emitters.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace quern::cpu {
namespace {

/// C = op(A) op(B) by panels. A block of A (a chunk of rows, a block of K) is packed by all threads
/// into memory that they share; then each unit, a panel of columns times a strip of rows, packs its
/// panel of B for itself unless the unit before it had the same, and multiplies.
class TiledGemm {
public:
  TiledGemm(Emission &e, const Matrix &a, const Matrix &b, bool transposeA, bool transposeB,
            Value depth, const Epilogue &epilogue);
  void emit();

private:
  DepthBlock depthBlock(Value start);
  void packA(Value firstRow, Value rows, const DepthBlock &block, Value position);
  void multiply(Value firstRow, Value rows, const DepthBlock &block, Value position);
  void sweep(const RegisterTile &tile, ArrayRef<Value> masks, Value firstRow, Value from, Value to,
             Value column, const DepthBlock &block, Value position);

  Emission &e;
  const Matrix &a, &b;
  bool transposeA, transposeB;
  Value depth;
  const Epilogue &epilogue;
  RegisterTile tile;
  ColumnPanels panels;

  int64_t blockDepth;  ///< K is taken in blocks of at most this many
  int64_t chunkRows;   ///< rows of A that are packed at a time
  int64_t panelPitch;  ///< elements from one packed panel of A to the next
  int64_t stripPanels; ///< panels of A in a unit
  bool oneBlock;       ///< K is one block for certain
  Value packedA, packedB, product, packedPanel;
};

/// Sizes by shape: `fallback` where the shape is dynamic.
int64_t known(Value size, int64_t fallback) { return getConstantIntValue(size).value_or(fallback); }

TiledGemm::TiledGemm(Emission &e, const Matrix &a, const Matrix &b, bool transposeA,
                     bool transposeB, Value depth, const Epilogue &epilogue)
    : e(e), a(a), b(b), transposeA(transposeA), transposeB(transposeB), depth(depth),
      epilogue(epilogue), tile(registerTile(e.machine, epilogue.c.type())),
      panels(e, epilogue.c.columns, tile) {
  int64_t bytes = epilogue.c.type().getIntOrFloatBitWidth() / 8;
  // A panel of B stays in the second-level cache with room to spare; blocks of K have equal sizes.
  int64_t most = llvm::alignDown(
      std::clamp<int64_t>(e.machine.l2Bytes / 6 / (tile.columns() * bytes), 128, 3072 / bytes),
      tile.lanes);
  int64_t k = std::max<int64_t>(1, known(depth, most));
  oneBlock = getConstantIntValue(depth) && k <= most;
  blockDepth = llvm::alignTo(llvm::divideCeil(k, llvm::divideCeil(k, most)), tile.lanes);
  panelPitch = blockDepth * tile.rows + 64 / bytes; // not a power of two
  stripPanels = 4;
  int64_t strip = stripPanels * tile.rows;
  int64_t budget = (2 << 20) / bytes / blockDepth;
  int64_t rows = known(epilogue.c.rows, budget);
  chunkRows = llvm::alignTo(std::clamp<int64_t>(std::min(rows, budget), 1, 4096), strip);
}

DepthBlock TiledGemm::depthBlock(Value start) {
  if (oneBlock)
    return {start, depth, {}, {}};
  Value left = sub(e, depth, start);
  Value isFirst =
      arith::CmpIOp::create(e.builder, e.loc, arith::CmpIPredicate::eq, start, e.index(0));
  Value isLast =
      arith::CmpIOp::create(e.builder, e.loc, arith::CmpIPredicate::sle, left, e.index(blockDepth));
  return {start, minimum(e, left, e.index(blockDepth)), isFirst, isLast};
}

void TiledGemm::packA(Value firstRow, Value rows, const DepthBlock &block, Value position) {
  Value count = ceilDivide(e, rows, tile.rows);
  Value firstPanel = divide(e, firstRow, e.index(tile.rows));
  auto at = [&](Value panel) { return add(e, position, mul(e, panel, panelPitch)); };
  if (!transposeA) {
    e.forUnits(count, [&](Value panel) {
      packRows(e, tile, a, add(e, firstRow, mul(e, panel, tile.rows)), block, packedA, at(panel));
    });
    return;
  }
  constexpr int64_t group = 8;
  e.forUnits(ceilDivide(e, count, group), [&](Value unit) {
    Value from = mul(e, unit, group);
    Value to = minimum(e, add(e, from, group), count);
    packTransposedRows(e, tile, a, add(e, firstPanel, from), add(e, firstPanel, to), block, packedA,
                       at(from), panelPitch);
  });
}

void TiledGemm::multiply(Value firstRow, Value rows, const DepthBlock &block, Value position) {
  Value zero = e.index(0);
  Value strips = ceilDivide(e, rows, stripPanels * tile.rows);
  Value rowPanels = ceilDivide(e, rows, tile.rows);
  memref::StoreOp::create(e.builder, e.loc, e.index(-1), packedPanel, ValueRange{zero});
  e.forUnits(mul(e, panels.count, strips), [&](Value unit) {
    Value panel = divide(e, unit, strips);
    Value from = mul(e, remainder(e, unit, strips), stripPanels);
    Value to = minimum(e, add(e, from, stripPanels), rowPanels);
    Value column = mul(e, panel, tile.columns());
    panels.visit(e, panel, [&](const RegisterTile &tile, int64_t width) {
      SmallVector<Value> masks = columnMasks(e, tile, column, epilogue.c.columns, width);
      Value before = memref::LoadOp::create(e.builder, e.loc, packedPanel, ValueRange{zero});
      Value isNew =
          arith::CmpIOp::create(e.builder, e.loc, arith::CmpIPredicate::ne, before, panel);
      auto pack = scf::IfOp::create(e.builder, e.loc, isNew, /*withElseRegion=*/false);
      {
        OpBuilder::InsertionGuard guard(e.builder);
        e.builder.setInsertionPointToStart(pack.thenBlock());
        packColumns(e, tile, b, transposeB, column, block, masks, packedB);
        memref::StoreOp::create(e.builder, e.loc, panel, packedPanel, ValueRange{zero});
      }
      sweep(tile, masks, firstRow, from, to, column, block, position);
    });
  });
}

void TiledGemm::sweep(const RegisterTile &tile, ArrayRef<Value> masks, Value firstRow, Value from,
                      Value to, Value column, const DepthBlock &block, Value position) {
  e.forLoop(from, to, 1, [&](Value panel) {
    SmallVector<Value> sums =
        multiplyPanels(e, tile, packedA, add(e, position, mul(e, panel, panelPitch)), packedB,
                       e.index(0), block.size);
    // Through memory, so that one copy of the epilogue serves all rows and any number of them.
    for (auto [i, sum] : llvm::enumerate(sums))
      store(e, sum, product, e.index(i * tile.lanes));
    Value row = add(e, firstRow, mul(e, panel, tile.rows));
    Value count = minimum(e, e.index(tile.rows), sub(e, epilogue.c.rows, row));
    e.forLoop(e.index(0), count, 1, [&](Value i) {
      SmallVector<Value> vectors;
      for (int64_t j = 0; j < tile.vectors; ++j)
        vectors.push_back(
            load(e, tile.vector, product, add(e, mul(e, i, tile.columns()), j * tile.lanes)));
      finishRow(e, epilogue, block, add(e, row, i), column, vectors, masks);
    });
  });
}

void TiledGemm::emit() {
  Type element = epilogue.c.type();
  auto buffer = [&](int64_t size, Type type) { return MemRefType::get({size}, type); };
  int64_t chunkSize = chunkRows / tile.rows * panelPitch;
  std::optional<int64_t> rows = getConstantIntValue(epilogue.c.rows);
  bool oneChunk = rows && *rows <= chunkRows;
  // Two buffers in turn let threads pack the next block while others still multiply the last one:
  // one barrier a block is enough.
  int64_t buffers = oneChunk && oneBlock ? 1 : 2;
  packedA = e.sharedScratch(buffer(buffers * chunkSize, element));
  packedB = e.privateScratch(buffer(blockDepth * tile.columns(), element));
  product = e.privateScratch(buffer(tile.rows * tile.columns(), element));
  packedPanel = e.privateScratch(buffer(1, e.builder.getIndexType()));

  // At least one block, so that C is written when K is 0.
  Value blocks =
      e.builder.createOrFold<arith::MaxSIOp>(e.loc, ceilDivide(e, depth, blockDepth), e.index(1));
  Value chunks = ceilDivide(e, epilogue.c.rows, chunkRows);
  e.forLoop(e.index(0), chunks, 1, [&](Value chunk) {
    Value firstRow = mul(e, chunk, chunkRows);
    Value rows = minimum(e, e.index(chunkRows), sub(e, epilogue.c.rows, firstRow));
    e.forLoop(e.index(0), blocks, 1, [&](Value k) {
      DepthBlock block = depthBlock(mul(e, k, blockDepth));
      Value turn = add(e, mul(e, chunk, blocks), k);
      Value position =
          buffers == 1 ? e.index(0) : mul(e, remainder(e, turn, e.index(2)), chunkSize);
      packA(firstRow, rows, block, position);
      e.barrier();
      multiply(firstRow, rows, block, position);
    });
  });
}

/// The first size that is known, for sizes that are equal.
Value sameSize(Value x, Value y) { return getConstantIntValue(y) ? y : x; }

LogicalResult check(Operation *op, ValueRange buffers) {
  Type element = cast<MemRefType>(buffers[0].getType()).getElementType();
  if (!element.isF32() && !element.isF64())
    return op->emitOpError("has no emitter for the CPU on elements of type ")
           << element << "; use f32 or f64";
  for (Value buffer : buffers) {
    auto type = cast<MemRefType>(buffer.getType());
    if (type.getElementType() != element)
      return op->emitOpError("mixes elements of type ")
             << element << " and " << type.getElementType();
    if (!hasContiguousRows(buffer))
      return op->emitOpError("needs contiguous rows (a last stride of 1), not ") << type;
  }
  return success();
}

} // namespace

LogicalResult emit(kernel::GemmOp op, ValueRange operands, Emission &e) {
  if (failed(check(op, operands)))
    return failure();
  kernel::GemmOp::Adaptor in(operands, op);
  Matrix a(e, in.getA()), b(e, in.getB());
  Epilogue epilogue;
  epilogue.c = Matrix(e, in.getOutputs()[0]);
  epilogue.activation = op.getActivation();
  epilogue.accumulate = op.getAccumulate();
  if (in.getBias())
    epilogue.bias = Matrix(e, in.getBias()).flat;
  if (in.getOutputs().size() > 1)
    epilogue.preactivation = Matrix(e, in.getOutputs()[1]);
  if (in.getResidual())
    epilogue.residual = Matrix(e, in.getResidual());
  bool transposeA = op.getTransposeA(), transposeB = op.getTransposeB();

  // The three sizes, each as well known as any operand knows it.
  Matrix &c = epilogue.c;
  Value &rowsOfA = transposeA ? a.columns : a.rows, &depthOfA = transposeA ? a.rows : a.columns;
  Value &columnsOfB = transposeB ? b.rows : b.columns, &depthOfB = transposeB ? b.columns : b.rows;
  rowsOfA = c.rows = sameSize(rowsOfA, c.rows);
  columnsOfB = c.columns = sameSize(columnsOfB, c.columns);
  depthOfA = depthOfB = sameSize(depthOfA, depthOfB);

  auto tiled = [&] { TiledGemm(e, a, b, transposeA, transposeB, depthOfA, epilogue).emit(); };
  std::optional<int64_t> rows = getConstantIntValue(c.rows);
  if (transposeA || (rows && *rows >= fewRows)) {
    tiled();
  } else if (rows) {
    emitFewRows(e, a, b, transposeB, epilogue);
  } else {
    auto choice = scf::IfOp::create(e.builder, e.loc, less(e, c.rows, e.index(fewRows)),
                                    /*withElseRegion=*/true);
    OpBuilder::InsertionGuard guard(e.builder);
    e.builder.setInsertionPointToStart(choice.thenBlock());
    emitFewRows(e, a, b, transposeB, epilogue);
    e.builder.setInsertionPointToStart(choice.elseBlock());
    tiled();
  }
  return success();
}

} // namespace quern::cpu
