//===- Gemm.cpp - The emitters of matrix products ---------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "Gemm.h"

#include "Emitters.h"

#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace quern::nvidia {

namespace {

/// The one of two equal sizes that is known, if any is.
Value sameSize(Value x, Value y) { return constantOf(y) ? y : x; }

/// Gives the matrices sizes as well known as any of them knows them, and the problem M, N and K.
void shareSizes(Problem &problem) {
  Matrix &a = problem.a, &b = problem.b, &c = problem.epilogue.c;
  Value &rowsOfA = problem.depthInRowsOfA ? a.rows : a.columns;
  Value &depthOfA = problem.depthInRowsOfA ? a.columns : a.rows;
  Value &columnsOfB = problem.depthInRowsOfB ? b.rows : b.columns;
  Value &depthOfB = problem.depthInRowsOfB ? b.columns : b.rows;
  problem.rows = rowsOfA = c.rows = sameSize(rowsOfA, c.rows);
  problem.columns = columnsOfB = c.columns = sameSize(columnsOfB, c.columns);
  problem.depth = depthOfA = depthOfB = sameSize(depthOfA, depthOfB);
  problem.batch = sameSize(sameSize(a.batch, b.batch), c.batch);
}

LogicalResult check(Operation *op, ValueRange operands) {
  if (failed(checkRows(op, operands)))
    return failure();
  if (auto gemm = dyn_cast<kernel::GemmOp>(op); gemm && (gemm.getPanelsB() || gemm.getPanelsC()))
    return op->emitOpError("has no emitter for GPUs on matrices in panels; compile with "
                           "--layout=rows");
  Type compute = computeType(cast<MemRefType>(operands[0].getType()).getElementType());
  for (Value operand : operands) {
    auto type = cast<MemRefType>(operand.getType());
    Type element = type.getElementType();
    if (type.getRank() == 0) // a region takes numbers of any type
      continue;
    if (!element.isFloat())
      return op->emitOpError("has a region on elements of type ")
             << element << ", which has no emitter for GPUs; use those of the product";
    if (computeType(element) != compute)
      return op->emitOpError("mixes f64 with narrower elements: ")
             << cast<MemRefType>(operands[0].getType()).getElementType() << " and " << element;
  }
  return success();
}

Problem describeGemm(kernel::GemmOp op, Code &code, ValueRange operands, bool even) {
  kernel::GemmOp::Adaptor in(operands, op);
  auto matrix = [&](Value memref) { return Matrix(code, memref, /*batchDims=*/0, even); };
  Problem problem;
  problem.a = matrix(in.getA());
  problem.b = matrix(in.getB());
  problem.depthInRowsOfA = !op.getTransposeA();
  problem.depthInRowsOfB = op.getTransposeB();
  problem.compute = computeType(problem.a.element);
  Epilogue &epilogue = problem.epilogue;
  epilogue.c = matrix(in.getOutputs()[0]);
  epilogue.activation = op.getActivation();
  epilogue.accumulate = op.getAccumulate();
  if (in.getBias())
    epilogue.bias = matrix(in.getBias());
  if (op.hasRegion()) {
    EpilogueRegion &region = epilogue.region.emplace();
    region.block = &op.getEpilogue().front();
    for (Value extra : in.getExtras()) {
      EpilogueRegion::Operand &operand = region.operands.emplace_back();
      if (cast<MemRefType>(extra.getType()).getRank())
        operand.matrix = matrix(extra);
      else
        operand.scalar = extra;
    }
    for (Value output : in.getOutputs())
      region.outputs.push_back(matrix(output));
  } else if (in.getOutputs().size() > 1) {
    epilogue.preactivation = matrix(in.getOutputs()[1]);
  }
  if (in.getResidual())
    epilogue.residual = matrix(in.getResidual());
  shareSizes(problem);
  return problem;
}

Problem describeBatch(kernel::BatchGemmOp op, Code &code, ValueRange operands) {
  kernel::BatchGemmOp::Adaptor in(operands, op);
  int64_t leading = cast<MemRefType>(in.getA().getType()).getRank() - 2;
  Problem problem;
  problem.a = Matrix(code, in.getA(), leading);
  problem.b = Matrix(code, in.getB(), leading);
  problem.depthInRowsOfA = !op.getTransposeA();
  problem.depthInRowsOfB = op.getTransposeB();
  problem.compute = computeType(problem.a.element);
  problem.epilogue.c = Matrix(code, in.getOutputs()[0], leading);
  shareSizes(problem);
  return problem;
}

/// So many blocks fill a GPU with one of them on each of its multiprocessors (132 on an H100).
constexpr int64_t fullGPU = 128;
/// A part of a shared depth is no shorter than this.
constexpr int64_t shortestPart = 256;

/// Into how many parts to divide the depth of a product of so many tiles.
int64_t partsOf(int64_t tiles, Value depth) {
  int64_t wanted = 2 * fullGPU / std::max<int64_t>(tiles, 1);
  int64_t most = 32;
  if (auto known = constantOf(depth))
    most = std::min(most, *known / shortestPart);
  return std::max<int64_t>(1, std::min(wanted, most));
}

/// An emitter of tiles of C, of which it has large and small ones.
struct TileEmitter {
  std::function<std::pair<int64_t, int64_t>(bool large)> sizeOf; ///< rows and columns of a tile
  std::function<void(bool large, int64_t parts)> emit;
};

/// Large tiles where they are many enough to fill a GPU by half, small ones otherwise.
void emitBySize(Emission &e, const Product &product, const TileEmitter &emitter) {
  Problem host = product.describe(e, product.operands);
  auto tilesOf = [&](bool large) {
    auto [rows, columns] = emitter.sizeOf(large);
    return mulIndex(e, tileCount(e, host, rows, columns), host.batch);
  };
  Value largeTiles = tilesOf(true);
  auto known = constantOf(largeTiles);
  if (!known) {
    Value isLarge = arith::CmpIOp::create(e.builder, e.loc, arith::CmpIPredicate::uge, largeTiles,
                                          e.index(fullGPU / 2));
    return either(
        e, isLarge, [&] { emitter.emit(/*large=*/true, 1); },
        [&] { emitter.emit(/*large=*/false, 1); });
  }
  if (*known >= fullGPU / 2 || constantOf(host.batch) != 1)
    return emitter.emit(/*large=*/*known >= fullGPU / 2, 1);
  // Too few tiles: blocks share the depth of one. Large tiles read less, small ones waste less of
  // a narrow matrix.
  auto [rows, columns] = emitter.sizeOf(/*large=*/false);
  bool isNarrow = *constantOf(host.rows) <= rows || *constantOf(host.columns) <= columns;
  int64_t parts = partsOf(*known, host.depth);
  bool isLarge = !isNarrow && parts > 1;
  if (!isLarge)
    parts = partsOf(*constantOf(tilesOf(false)), host.depth);
  emitter.emit(isLarge, parts);
}

/// Products by instructions that all architectures have.
void emitWithoutWgmma(Emission &e, const Product &product) {
  Problem host = product.describe(e, product.operands);
  if (!hasMma(e, host))
    return emitBySize(e, product,
                      {[&](bool large) { return tileOfFMA(host.compute, large); },
                       [&](bool large, int64_t parts) { emitFMA(e, product, large, parts); }});
  TileEmitter mma{
      [](bool large) { return std::pair(tileOfMma(large), tileOfMma(large)); },
      [&](bool large, int64_t parts) { emitMma(e, product, large, parts, /*aligned=*/true); }};
  Value isAligned = isAlignedForMma(e, host);
  if (constantOf(isAligned))
    return emitBySize(e, product, mma);
  either(
      e, isAligned, [&] { emitBySize(e, product, mma); },
      [&] { emitMma(e, product, /*largeTile=*/false, 1, /*aligned=*/false); });
}

/// Products by tiles. Which instructions multiply, by architecture and operands, is chosen here.
void emitTiled(Emission &e, const Product &product) {
  emitWgmma(e, product, [&](bool isRest) {
    // Code for what hardly ever comes is to be short, not fast.
    if (isRest)
      emitMma(e, product, /*largeTile=*/false, 1, /*aligned=*/false);
    else
      emitWithoutWgmma(e, product);
  });
}

/// Chooses by the number of rows. Where M is dynamic the host chooses when it knows M: one row, as
/// a decoder has it, few, or many.
void emitByRows(Emission &e, const Product &product) {
  Problem host = product.describe(e, product.operands);
  auto rows = constantOf(host.rows);
  bool isWeightGradient = !host.depthInRowsOfA;
  if (isWeightGradient || (rows && (*rows > fewRows || *rows == 0)))
    return emitTiled(e, product);
  if (rows)
    return emitFewRows(e, product, *rows);
  auto atMost = [&](int64_t bound) -> Value {
    return arith::CmpIOp::create(e.builder, e.loc, arith::CmpIPredicate::ule, host.rows,
                                 e.index(bound));
  };
  auto few = [&] {
    either(
        e, atMost(1), [&] { emitFewRows(e, product, 1); },
        [&] { emitFewRows(e, product, fewRows); });
  };
  either(e, atMost(fewRows), few, [&] { emitTiled(e, product); });
}

/// i1: whether all matrices lie as they are taken to; null where types say it.
Value liesEven(Code &code, const Problem &problem) {
  const Epilogue &epilogue = problem.epilogue;
  SmallVector<Value> conditions{problem.a.isEven, problem.b.isEven, epilogue.c.isEven};
  for (const Matrix *matrix : epilogue.others())
    conditions.push_back(matrix->isEven);
  Value all;
  for (Value condition : conditions)
    if (condition)
      all = all ? code.builder.createOrFold<arith::AndIOp>(code.loc, all, condition) : condition;
  return all;
}

} // namespace

LogicalResult emit(kernel::GemmOp op, ValueRange operands, Emission &e) {
  if (failed(check(op, operands)))
    return failure();
  Product product{SmallVector<Value>(operands), [op](Code &code, ValueRange operands, bool even) {
                    return describeGemm(op, code, operands, even);
                  }};
  Value isEven = liesEven(e, product.describe(e, product.operands));
  if (!isEven) {
    emitByRows(e, product);
    return success();
  }
  // Rows lie evenly but for slices of an inner dimension; those get what is right, not fast.
  Product uneven = product;
  uneven.even = false;
  either(
      e, isEven, [&] { emitByRows(e, product); },
      [&] { emitFMA(e, uneven, /*largeTile=*/false, 1); });
  return success();
}

LogicalResult emit(kernel::BatchGemmOp op, ValueRange operands, Emission &e) {
  if (failed(check(op, operands)))
    return failure();
  emitTiled(e, {SmallVector<Value>(operands), [op](Code &code, ValueRange operands, bool) {
                  return describeBatch(op, code, operands);
                }});
  return success();
}

} // namespace quern::nvidia
