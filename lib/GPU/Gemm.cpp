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
  Type compute = computeType(cast<MemRefType>(operands[0].getType()).getElementType());
  for (Value operand : operands) {
    Type element = cast<MemRefType>(operand.getType()).getElementType();
    if (computeType(element) != compute)
      return op->emitOpError("mixes f64 with narrower elements: ")
             << cast<MemRefType>(operands[0].getType()).getElementType() << " and " << element;
  }
  return success();
}

Problem describeGemm(kernel::GemmOp op, Code &code, ValueRange operands) {
  kernel::GemmOp::Adaptor in(operands, op);
  Problem problem;
  problem.a = Matrix(code, in.getA());
  problem.b = Matrix(code, in.getB());
  problem.depthInRowsOfA = !op.getTransposeA();
  problem.depthInRowsOfB = op.getTransposeB();
  problem.compute = computeType(problem.a.element);
  Epilogue &epilogue = problem.epilogue;
  epilogue.c = Matrix(code, in.getOutputs()[0]);
  epilogue.activation = op.getActivation();
  epilogue.accumulate = op.getAccumulate();
  if (in.getBias())
    epilogue.bias = Matrix(code, in.getBias());
  if (in.getOutputs().size() > 1)
    epilogue.preactivation = Matrix(code, in.getOutputs()[1]);
  if (in.getResidual())
    epilogue.residual = Matrix(code, in.getResidual());
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

/// Chooses by shape. Where M is dynamic the host chooses when it knows M.
void emitTiled(Emission &e, const Product &product) {
  Problem host = product.describe(e, product.operands);
  constexpr int64_t largeTile = 128, smallTile = 64;
  Value largeTiles = mulIndex(e, tileCount(e, host, largeTile, largeTile), host.batch);
  auto tiles = constantOf(largeTiles);
  if (!tiles) {
    Value isLarge = arith::CmpIOp::create(e.builder, e.loc, arith::CmpIPredicate::uge, largeTiles,
                                          e.index(fullGPU / 2));
    choose(
        e, isLarge, [&] { emitFMA(e, product, /*largeTile=*/true, 1); },
        [&] { emitFMA(e, product, /*largeTile=*/false, 1); });
    return;
  }
  if (*tiles >= fullGPU / 2 || !constantOf(host.rows) || !constantOf(host.columns) ||
      constantOf(host.batch) != 1) {
    emitFMA(e, product, *tiles >= fullGPU / 2, 1);
    return;
  }
  // Too few tiles: blocks share the depth of one. Large tiles read less, small ones waste less of
  // a narrow matrix.
  bool isNarrow = *constantOf(host.rows) <= smallTile || *constantOf(host.columns) <= smallTile;
  int64_t parts = partsOf(*tiles, host.depth);
  bool isLarge = !isNarrow && parts > 1;
  if (!isLarge)
    parts = partsOf(*constantOf(tileCount(e, host, smallTile, smallTile)), host.depth);
  emitFMA(e, product, isLarge, parts);
}

} // namespace

LogicalResult emit(kernel::GemmOp op, ValueRange operands, Emission &e) {
  if (failed(check(op, operands)))
    return failure();
  Product product{SmallVector<Value>(operands), [op](Code &code, ValueRange operands) {
                    return describeGemm(op, code, operands);
                  }};
  emitTiled(e, product);
  return success();
}

LogicalResult emit(kernel::BatchGemmOp op, ValueRange operands, Emission &e) {
  if (failed(check(op, operands)))
    return failure();
  Product product{SmallVector<Value>(operands), [op](Code &code, ValueRange operands) {
                    return describeBatch(op, code, operands);
                  }};
  emitTiled(e, product);
  return success();
}

} // namespace quern::nvidia
