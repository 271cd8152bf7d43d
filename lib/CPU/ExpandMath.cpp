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

struct ExpandMath : quern::cpu::impl::ExpandMathBase<ExpandMath> {
  using ExpandMathBase::ExpandMathBase;

  void runOnOperation() override {
    llvm::Expected<quern::cpu::Machine> machine = quern::cpu::Machine::get(cpu);
    if (!machine) {
      getOperation()->emitError(llvm::toString(machine.takeError()));
      return signalPassFailure();
    }
    bool hasAvx512 = machine->vectorBytes == 64;
    getOperation()->walk([&](Operation *op) {
      if (op->getNumOperands() != 1 || op->getNumResults() != 1)
        return;
      Type type = op->getResult(0).getType();
      auto vector = dyn_cast<VectorType>(type);
      if (vector && (vector.getRank() != 1 || vector.isScalable()))
        return;
      if (!getElementTypeOrSelf(type).isF32() || (!vector && !type.isF32()))
        return;
      OpBuilder builder(op);
      quern::emission::ElementaryFunctions functions(builder, op->getLoc(), type, hasAvx512);
      if (quern::emission::expand(op, functions))
        ++numExpanded;
    });
  }
};

} // namespace
