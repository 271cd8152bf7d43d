//===- Gemm.cpp - The emitters of matrix products --------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "Gemm.h"

#include "DotProduct.h"
#include "Emitters.h"

#include "mlir/Dialect/SCF/IR/SCF.h"
#include "llvm/Support/MathExtras.h"

#include <utility>

using namespace mlir;

namespace quern::cpu {
namespace {

/// The first size that is known, for sizes that are equal.
Value sameSize(Value x, Value y) { return getConstantIntValue(y) ? y : x; }

/// Gives the three matrices sizes as well known as any of them knows them; returns K.
Value shareSizes(Matrix &a, Matrix &b, Matrix &c, bool transposeA, bool transposeB) {
  Value &rowsOfA = transposeA ? a.columns : a.rows, &depthOfA = transposeA ? a.rows : a.columns;
  Value &columnsOfB = transposeB ? b.rows : b.columns, &depthOfB = transposeB ? b.columns : b.rows;
  rowsOfA = c.rows = sameSize(rowsOfA, c.rows);
  columnsOfB = c.columns = sameSize(columnsOfB, c.columns);
  depthOfA = depthOfB = sameSize(depthOfA, depthOfB);
  return depthOfA;
}

/// All buffers are f64, or each of them is f32 or bf16.
LogicalResult check(Operation *op, ValueRange buffers) {
  Type first = cast<MemRefType>(buffers.back().getType()).getElementType();
  for (Value buffer : buffers) {
    auto type = cast<MemRefType>(buffer.getType());
    Type element = type.getElementType();
    if (!element.isF32() && !element.isF64() && !element.isBF16())
      return op->emitOpError("has no emitter for the CPU on elements of type ")
             << element << "; use f32, f64 or bf16";
    if (element.isF64() != first.isF64())
      return op->emitOpError("mixes elements of type ") << first << " and " << element;
    if (!hasContiguousRows(buffer))
      return op->emitOpError("needs contiguous rows (a last stride of 1), not ") << type;
  }
  return success();
}

/// A matrix in panels is dense, and they are as wide as the tile of this processor.
LogicalResult checkPanels(Operation *op, Value matrix, kernel::PanelsAttr panels, Emission &e) {
  if (!panels)
    return success();
  auto type = cast<MemRefType>(matrix.getType());
  SmallVector<int64_t> strides;
  int64_t offset;
  if (type.getRank() != 2 || failed(type.getStridesAndOffset(strides, offset)) ||
      strides[0] != type.getDimSize(1))
    return op->emitOpError("takes panels of a dense matrix, not of ") << type;
  Type compute = emission::computeType(type.getElementType());
  int64_t width = registerTile(e.machine, compute).columns();
  if (panels.getWidth() != width)
    return op->emitOpError("has panels of ")
           << panels.getWidth() << ", and the tile of " << e.machine.cpu << " is " << width
           << " columns of " << compute << " wide";
  return success();
}

bool isOfRows(kernel::PanelsAttr panels) {
  return panels && panels.getSide() == kernel::PanelSide::Rows;
}

} // namespace

/// What a region reads and writes may be of any type that vectors have.
static LogicalResult checkRegion(kernel::GemmOp op, ValueRange buffers) {
  for (Value buffer : buffers) {
    auto type = cast<MemRefType>(buffer.getType());
    Type element = type.getElementType();
    bool isBytes = element.isF32() || element.isF64() || element.isBF16() ||
                   (element.isInteger() && element.getIntOrFloatBitWidth() % 8 == 0);
    if (type.getRank() > 0 && !isBytes)
      return op.emitOpError("has a region on elements of type ")
             << element << ", which has no emitter for the CPU; use f32, f64, bf16 or integers of "
             << "whole bytes";
    if (!hasContiguousRows(buffer))
      return op.emitOpError("needs contiguous rows (a last stride of 1), not ") << type;
  }
  return success();
}

LogicalResult emit(kernel::GemmOp op, ValueRange operands, Emission &e) {
  kernel::GemmOp::Adaptor in(operands, op);
  if (op.hasRegion()) {
    SmallVector<Value> factors(
        operands.take_front(operands.size() - in.getExtras().size() - in.getOutputs().size()));
    if (failed(check(op, factors)) || failed(checkRegion(op, in.getExtras())) ||
        failed(checkRegion(op, in.getOutputs())))
      return failure();
  } else if (failed(check(op, operands))) {
    return failure();
  }
  if (failed(checkPanels(op, in.getB(), op.getPanelsBAttr(), e)) ||
      failed(checkPanels(op, in.getOutputs()[0], op.getPanelsCAttr(), e)))
    return failure();
  kernel::PanelsAttr panelsB = op.getPanelsBAttr(), panelsC = op.getPanelsCAttr();
  Matrix a(e, in.getA()), b(e, in.getB(), panelsB);
  Epilogue epilogue;
  epilogue.c = Matrix(e, in.getOutputs()[0], panelsC);
  epilogue.activation = op.getActivation();
  epilogue.accumulate = op.getAccumulate();
  if (in.getBias())
    epilogue.bias = Matrix(e, in.getBias()).flat;
  if (op.hasRegion())
    epilogue.region.emplace(e, op, in, e.machine.lanes(op.getEpilogue().getArgument(0).getType()));
  else if (in.getOutputs().size() > 1)
    epilogue.preactivation = Matrix(e, in.getOutputs()[1]);
  if (in.getResidual())
    epilogue.residual = Matrix(e, in.getResidual());
  // Panels of rows are panels of columns of the transposed matrix (see Matrix).
  bool transposeA = op.getTransposeA();
  bool transposeB = op.getTransposeB() != isOfRows(panelsB);
  if (isOfRows(panelsC)) // C^T = (A^T B)^T = B^T A
    std::swap(a, b);

  Value depth = shareSizes(a, b, epilogue.c, transposeA, transposeB);
  const Matrix &c = epilogue.c;

  auto tiled = [&] { emitTiled(e, a, b, transposeA, transposeB, depth, epilogue); };
  std::optional<int64_t> rows = getConstantIntValue(c.rows);
  if (transposeA || (b.panel && transposeB) || (rows && *rows >= fewRows)) {
    tiled();
  } else if (rows) {
    emitFewRows(e, a, b, transposeB, epilogue);
  } else {
    auto choice = scf::IfOp::create(e.builder, e.loc, less(e, c.rows, e.index(fewRows)),
                                    /*withElseRegion=*/true);
    OpBuilder::InsertionGuard guard(e.builder);
    e.builder.setInsertionPointToStart(choice.thenBlock());
    int64_t before = e.scratchBytes;
    emitFewRows(e, a, b, transposeB, epilogue);
    // Only one of the two runs: they use the same scratch memory.
    int64_t afterFew = std::exchange(e.scratchBytes, before);
    e.builder.setInsertionPointToStart(choice.elseBlock());
    tiled();
    e.scratchBytes = std::max(e.scratchBytes, afterFew);
  }
  return success();
}

LogicalResult emit(kernel::GemmAdamWOp op, ValueRange operands, Emission &e) {
  kernel::GemmAdamWOp::Adaptor in(operands, op);
  SmallVector<Value> matrices{in.getA(), in.getB()};
  llvm::append_range(matrices, in.getOutputs());
  kernel::PanelsAttr panels = op.getPanelsAttr();
  if (failed(check(op, matrices)))
    return failure();
  for (Value output : in.getOutputs())
    if (failed(checkPanels(op, output, panels, e)))
      return failure();
  Matrix a(e, in.getA()), b(e, in.getB());
  if (isOfRows(panels)) // as for panels_c of a product
    std::swap(a, b);
  Epilogue epilogue;
  epilogue.c = Matrix(e, in.getOutputs()[0], panels);
  Vectors v(e, epilogue.compute());
  epilogue.update = {Matrix(e, in.getOutputs()[1], panels), Matrix(e, in.getOutputs()[2], panels),
                     stepFactors(v, {/*scale=*/{}, in.getLearningRate(), in.getBeta1(),
                                     in.getBeta2(), in.getEpsilon(), in.getStep()}),
                     shrinkage(v, in.getLearningRate(), in.getWeightDecay())};
  Value depth = shareSizes(a, b, epilogue.c, /*transposeA=*/true, /*transposeB=*/false);
  emitTiled(e, a, b, /*transposeA=*/true, /*transposeB=*/false, depth, epilogue);
  return success();
}

/// Each unit is a matrix of the batch times a chunk of rows, and packs for itself.
LogicalResult emit(kernel::BatchGemmOp op, ValueRange operands, Emission &e) {
  if (failed(check(op, operands)))
    return failure();
  kernel::BatchGemmOp::Adaptor in(operands, op);
  int64_t leading = cast<MemRefType>(in.getA().getType()).getRank() - 2;
  Matrix a(e, in.getA(), leading), b(e, in.getB(), leading), c(e, in.getOutputs()[0], leading);
  bool transposeA = op.getTransposeA(), transposeB = op.getTransposeB();
  Value depth = shareSizes(a, b, c, transposeA, transposeB);
  // The batch, as well known as any operand knows it.
  Value batch = e.index(1);
  for (int64_t d = 0; d < leading; ++d) {
    Value size = e.dim(in.getA(), d);
    for (Value other : {in.getB(), in.getOutputs()[0]})
      size = sameSize(size, e.dim(other, d));
    batch = mul(e, batch, size);
  }

  Epilogue whole;
  whole.c = c;
  Type element = whole.compute();
  RegisterTile tile = productTile(e.machine, a.type(), b.type(), element);
  int64_t bytes = element.getIntOrFloatBitWidth() / 8;
  constexpr int64_t panelsAtATime = 16;
  int64_t chunkRows = panelsAtATime * tile.rows;
  int64_t blockDepth =
      depthBlockSize(depth, 1024 / bytes * tile.stepDepth(), tile.lanes * tile.stepDepth());
  std::optional<int64_t> knownDepth = getConstantIntValue(depth);
  bool hasPartialSums = whole.keepsSumsApart() && !(knownDepth && *knownDepth <= blockDepth);
  ColumnStrips strips(tile, c.columns, hasPartialSums, /*most=*/256);
  auto buffer = [&](int64_t size, Type type) {
    return e.privateScratch(MemRefType::get({size}, type));
  };
  Type packed = tile.panelVector().getElementType();
  Panels panels;
  panels.pitch = tile.steps(blockDepth) * tile.rows;
  panels.a = buffer(panelsAtATime * panels.pitch, packed);
  panels.b = buffer(tile.steps(blockDepth) * tile.columns(), packed);
  panels.product = buffer(tile.rows * tile.columns(), element);
  Value partial = hasPartialSums ? buffer(chunkRows * strips.pitch, element) : Value();

  Value chunks = ceilDivide(e, c.rows, chunkRows);
  e.forUnits(mul(e, batch, chunks), [&](Value unit) {
    Value i = divide(e, unit, chunks), chunk = remainder(e, unit, chunks);
    Matrix ai = a.at(a.batchPosition(e, i)), bi = b.at(b.batchPosition(e, i));
    Epilogue epilogue = whole;
    epilogue.c = c.at(c.batchPosition(e, i));
    Value firstRow = mul(e, chunk, chunkRows);
    Value rows = minimum(e, e.index(chunkRows), sub(e, c.rows, firstRow));
    Value rowPanels = ceilDivide(e, rows, tile.rows);
    auto packA = [&](const DepthBlock &block) {
      if (transposeA) {
        Value first = mul(e, chunk, panelsAtATime);
        return packTransposedRows(e, tile, ai, first, add(e, first, rowPanels), block, panels.a,
                                  e.index(0), panels.pitch);
      }
      e.forLoop(e.index(0), rowPanels, 1, [&](Value panel) {
        packRows(e, tile, ai, add(e, firstRow, mul(e, panel, tile.rows)), block, panels.a,
                 mul(e, panel, panels.pitch));
      });
    };
    strips.visit(e, [&](Value firstColumn, Value columns) {
      if (partial)
        epilogue.partial = {partial, firstRow, firstColumn, strips.pitch};
      ColumnPanels columnPanels(e, columns, tile);
      e.forLoop(e.index(0), depthBlockCount(e, depth, blockDepth), 1, [&](Value k) {
        DepthBlock block = depthBlock(e, depth, mul(e, k, blockDepth), blockDepth);
        packA(block);
        e.forLoop(e.index(0), columnPanels.count, 1, [&](Value panel) {
          Value column = add(e, firstColumn, mul(e, panel, tile.columns()));
          columnPanels.visit(e, panel, [&](const RegisterTile &tile, int64_t width) {
            SmallVector<Value> masks = columnMasks(e, tile, column, c.columns, width);
            packColumns(e, tile, bi, transposeB, column, block, masks, panels.b);
            multiplyStrip(e, tile, panels, e.index(0), epilogue, block, firstRow, e.index(0),
                          rowPanels, column, masks);
          });
        });
      });
    });
  });
  return success();
}

} // namespace quern::cpu
