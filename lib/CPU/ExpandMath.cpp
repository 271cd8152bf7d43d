//===- ExpandMath.cpp - Our own exp, log, tanh, erf -------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
///
/// \file
/// Elementary functions in f32 as straight-line code without branches or tables, so that a vector
/// of them is a vector of instructions. The polynomials are minimax fits (Lawson's iteration in
/// f64, the coefficients rounded to f32 one after another from the highest on, each time fitting
/// the rest anew). test/CPU/expand_math.py measures the error of each function.
///
//===---------------------------------------------------------------------------------------------===//

#include "quern/CPU/Machine.h"
#include "quern/CPU/Passes.h"
#include "quern/Emission/ElementaryFunctions.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/X86Vector/X86VectorDialect.h"

namespace quern::cpu {
#define GEN_PASS_DEF_EXPANDMATH
#include "quern/CPU/Passes.h.inc"
} // namespace quern::cpu

using namespace mlir;

namespace {

/// `type` with other elements: a scalar's type, or that of a vector.
Type like(Type type, Type element) {
  auto vector = dyn_cast<VectorType>(type);
  return vector ? Type(vector.clone(element)) : element;
}

/// An i32, or a vector of equal ones, beside values of type `type`.
Value number(OpBuilder &b, Location loc, Type type, int64_t value) {
  TypedAttr scalar = b.getI32IntegerAttr(static_cast<int32_t>(value));
  Type words = like(type, b.getI32Type());
  if (auto vector = dyn_cast<VectorType>(words))
    scalar = DenseElementsAttr::get(vector, scalar);
  return arith::ConstantOp::create(b, loc, scalar);
}

/// bf16 to f32: the upper half of its bits.
bool expandWidening(arith::ExtFOp op) {
  Type from = op.getIn().getType(), to = op.getType();
  if (!getElementTypeOrSelf(from).isBF16() || !getElementTypeOrSelf(to).isF32())
    return false;
  OpBuilder b(op);
  Location loc = op.getLoc();
  Value half = arith::BitcastOp::create(b, loc, like(from, b.getI16Type()), op.getIn());
  Value word = arith::ExtUIOp::create(b, loc, like(from, b.getI32Type()), half);
  Value bits = arith::ShLIOp::create(b, loc, word, number(b, loc, from, 16));
  op.replaceAllUsesWith(arith::BitcastOp::create(b, loc, to, bits).getResult());
  op.erase();
  return true;
}

/// f32 to bf16, rounded to nearest, ties to even. LLVM would call a library that not every system
/// has, or use AVX512-BF16's instruction, which makes denormal numbers zero.
bool expandRounding(arith::TruncFOp op) {
  Type from = op.getIn().getType(), to = op.getType();
  if (!getElementTypeOrSelf(from).isF32() || !getElementTypeOrSelf(to).isBF16())
    return false;
  OpBuilder b(op);
  Location loc = op.getLoc();
  Type words = like(from, b.getI32Type()), halves = like(from, b.getI16Type());
  auto number = [&](int64_t value) { return ::number(b, loc, from, value); };
  Value bits = arith::BitcastOp::create(b, loc, words, op.getIn());
  Value half = arith::ShRUIOp::create(b, loc, bits, number(16));
  Value odd = arith::AndIOp::create(b, loc, half, number(1));
  Value rounded =
      arith::AddIOp::create(b, loc, arith::AddIOp::create(b, loc, bits, odd), number(0x7FFF));
  rounded = arith::ShRUIOp::create(b, loc, rounded, number(16));
  // A NaN stays one, whatever its fraction.
  Value isNaN = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::UNO, op.getIn(), op.getIn());
  Value quiet = arith::OrIOp::create(b, loc, half, number(0x40));
  Value result = arith::SelectOp::create(b, loc, isNaN, quiet, rounded);
  result = arith::TruncIOp::create(b, loc, halves, result);
  op.replaceAllUsesWith(arith::BitcastOp::create(b, loc, to, result).getResult());
  op.erase();
  return true;
}

struct ExpandMath : quern::cpu::impl::ExpandMathBase<ExpandMath> {
  using ExpandMathBase::ExpandMathBase;

  void runOnOperation() override {
    llvm::Expected<quern::cpu::Machine> machine = quern::cpu::Machine::get(cpu);
    if (!machine) {
      getOperation()->emitError(llvm::toString(machine.takeError()));
      return signalPassFailure();
    }
    bool hasAvx512 = machine->vectorBytes == 64;
    // Code of other targets lies in modules of its own.
    SmallVector<Operation *> all;
    getOperation()->walk<WalkOrder::PreOrder>([&](Operation *op) {
      if (op != getOperation() && op->hasTrait<OpTrait::SymbolTable>())
        return WalkResult::skip();
      if (op->getNumOperands() == 1 && op->getNumResults() == 1)
        all.push_back(op);
      return WalkResult::advance();
    });
    for (Operation *op : all) {
      Type type = op->getResult(0).getType();
      auto vector = dyn_cast<VectorType>(type);
      if (vector && (vector.getRank() != 1 || vector.isScalable()))
        continue;
      if (auto rounding = dyn_cast<arith::TruncFOp>(op)) {
        numExpanded += expandRounding(rounding);
        continue;
      }
      if (auto widening = dyn_cast<arith::ExtFOp>(op)) {
        numExpanded += expandWidening(widening);
        continue;
      }
      if (!getElementTypeOrSelf(type).isF32() || (!vector && !type.isF32()))
        continue;
      OpBuilder builder(op);
      quern::emission::ElementaryFunctions functions(builder, op->getLoc(), type, hasAvx512);
      if (quern::emission::expand(op, functions))
        ++numExpanded;
    }
  }
};

} // namespace
