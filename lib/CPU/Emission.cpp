//===- Emission.cpp - Where an emitter writes the code of one kernel --------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "quern/CPU/Emission.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/OpenMP/OpenMPDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace quern::cpu {

void Emission::barrier() { omp::BarrierOp::create(builder, loc); }

void Emission::forUnits(Value count, llvm::function_ref<void(Value)> body) {
  // Thread t takes [count t / threads, count (t + 1) / threads): ranges differ by one unit at most.
  Value scaled = arith::MulIOp::create(builder, loc, count, thread);
  Value from = arith::DivUIOp::create(builder, loc, scaled, threads);
  Value scaledEnd = arith::AddIOp::create(builder, loc, scaled, count);
  Value to = arith::DivUIOp::create(builder, loc, scaledEnd, threads);
  forLoop(from, to, 1, body);
}

void Emission::forOwnUnits(Value count, llvm::function_ref<void(Value)> body) {
  Value sharedThread = thread, sharedThreads = threads;
  if (ownResult) {
    thread = arith::SelectOp::create(builder, loc, ownResult, index(0), thread);
    threads = arith::SelectOp::create(builder, loc, ownResult, index(1), threads);
  }
  forUnits(count, body);
  thread = sharedThread;
  threads = sharedThreads;
}

void Emission::onFirstThread(llvm::function_ref<void()> body) {
  Value first = arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::eq, thread, index(0));
  auto conditional = scf::IfOp::create(builder, loc, first, /*withElseRegion=*/false);
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToStart(conditional.thenBlock());
  body();
}

static int64_t alignedBytes(MemRefType type) {
  int64_t bits = type.getElementType().isIndex() ? 64 : type.getElementTypeBitWidth();
  return llvm::alignTo(type.getNumElements() * llvm::divideCeil(bits, 8), 64);
}

Value Emission::sharedScratch(MemRefType type) {
  Value scratch =
      memref::ViewOp::create(builder, loc, type, scratchBase, index(scratchBytes), ValueRange());
  scratchBytes += alignedBytes(type);
  return scratch;
}

Value Emission::privateScratch(MemRefType type) {
  // In the function's entry block, so that a loop does not grow the stack.
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToStart(&builder.getInsertionBlock()
                                        ->getParent()
                                        ->getParentOfType<FunctionOpInterface>()
                                        .getFunctionBody()
                                        .front());
  return memref::AllocaOp::create(builder, loc, type, builder.getI64IntegerAttr(64));
}

} // namespace quern::cpu
