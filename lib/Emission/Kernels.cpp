//===- Kernels.cpp - The kernels of a program -------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "quern/Emission/Kernels.h"
#include "dialects/Kernel/Description.h"
#include "dialects/Kernel/Kernel.h"
#include "quern/Emission/LoopNest.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;

namespace quern::emission {

bool isKernel(Operation *op) {
  return (isa<kernel::KernelDialect>(op->getDialect()) && !isa<kernel::YieldOp>(op)) ||
         isa<linalg::GenericOp>(op);
}

bool hasKernels(func::FuncOp function) {
  return function
      .walk([](Operation *op) {
        bool work = isKernel(op) || isa<linalg::LinalgOp, memref::CopyOp>(op);
        return work ? WalkResult::interrupt() : WalkResult::advance();
      })
      .wasInterrupted();
}

/// Copies and named linalg ops are elementwise work like any other.
static LogicalResult generalize(func::FuncOp program, StringRef target) {
  SmallVector<Operation *> named;
  program.walk([&](Operation *op) {
    if (isa<memref::CopyOp>(op) || (isa<linalg::LinalgOp>(op) && !isa<linalg::GenericOp>(op)))
      named.push_back(op);
  });
  IRRewriter rewriter(program.getContext());
  for (Operation *op : named) {
    rewriter.setInsertionPoint(op);
    if (auto copy = dyn_cast<memref::CopyOp>(op)) {
      if (copy.getSource() == copy.getTarget()) {
        rewriter.eraseOp(op);
        continue;
      }
      op = linalg::CopyOp::create(rewriter, op->getLoc(), copy.getSource(), copy.getTarget());
      rewriter.eraseOp(copy);
      rewriter.setInsertionPoint(op);
    }
    if (failed(linalg::generalizeNamedOp(rewriter, cast<linalg::LinalgOp>(op))))
      return op->emitOpError("has no emitter for ") << target;
  }
  return success();
}

FailureOr<SmallVector<Operation *>> takeKernels(func::FuncOp program, StringRef target) {
  if (failed(generalize(program, target)))
    return failure();
  SmallVector<Operation *> kernels;
  WalkResult walk = program.walk([&](Operation *op) {
    if (isKernel(op)) {
      if (auto generic = dyn_cast<linalg::GenericOp>(op); generic && failed(sinkConstants(generic)))
        return WalkResult::interrupt();
      kernels.push_back(op);
      return WalkResult::skip();
    }
    // Everything else is run by every thread, or on the host of a device, so it must not write.
    if (isa<memref::StoreOp, vector::StoreOp>(op)) {
      op->emitOpError("writes memory outside of a kernel");
      return WalkResult::interrupt();
    }
    return WalkResult::advance();
  });
  if (walk.wasInterrupted())
    return failure();
  return kernels;
}

bool sameKernel(Operation *a, Operation *b) {
  return a->getOperandTypes() == b->getOperandTypes() &&
         OperationEquivalence::isEquivalentTo(a, b, OperationEquivalence::ignoreValueEquivalence,
                                              nullptr, OperationEquivalence::IgnoreLocations);
}

/// Adds the memory to what the description of the program says that its arena is for.
static void describeScratch(func::FuncOp program, int64_t bytes) {
  auto module = program->getParentOfType<ModuleOp>();
  llvm::Expected<kernel::Description> model = kernel::Description::read(module);
  if (!model)
    return llvm::consumeError(model.takeError()); // the plan of the arena has complained before
  llvm::json::Object *described = model->find(program);
  llvm::StringRef key = program->hasAttr("quern.target") ? "device_arena" : "arena";
  llvm::json::Array *arena = described ? described->getArray(key) : nullptr;
  if (!arena)
    return;
  arena->push_back(llvm::json::Object{
      {"use", "scratch memory of kernels"},
      {"bytes", llvm::json::Array{llvm::json::Array{bytes, llvm::json::Object()}}}});
  model->write(module);
}

void growArena(SymbolTable &symbols, func::FuncOp program, int64_t bytes) {
  auto formula = symbols.lookup<func::FuncOp>((program.getSymName() + ".arena_bytes").str());
  if (!formula || !bytes)
    return;
  describeScratch(program, bytes);
  auto result = cast<func::ReturnOp>(formula.getBody().front().getTerminator());
  OpBuilder builder(result);
  Value more = arith::ConstantOp::create(
      builder, result.getLoc(), builder.getIntegerAttr(result.getOperand(0).getType(), bytes));
  result.setOperand(0, arith::AddIOp::create(builder, result.getLoc(), result.getOperand(0), more));
}

} // namespace quern::emission
