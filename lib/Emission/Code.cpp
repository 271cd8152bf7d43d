//===- Code.cpp - Constants, sizes and loops --------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "quern/Emission/Code.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;

namespace quern::emission {

Value Code::index(int64_t value) { return arith::ConstantIndexOp::create(builder, loc, value); }

Value Code::dim(Value memref, int64_t dim) {
  auto type = cast<MemRefType>(memref.getType());
  if (!type.isDynamicDim(dim))
    return index(type.getDimSize(dim));
  return memref::DimOp::create(builder, loc, memref, dim);
}

Value Code::leadingSize(Value memref, int64_t count) {
  auto type = cast<MemRefType>(memref.getType());
  int64_t known = 1;
  Value size;
  for (int64_t i = 0; i < count; ++i) {
    if (!type.isDynamicDim(i)) {
      known *= type.getDimSize(i);
      continue;
    }
    Value factor = dim(memref, i);
    size = size ? arith::MulIOp::create(builder, loc, size, factor).getResult() : factor;
  }
  if (!size)
    return index(known);
  return known == 1 ? size : arith::MulIOp::create(builder, loc, size, index(known)).getResult();
}

void Code::forLoop(Value from, Value to, int64_t step, llvm::function_ref<void(Value)> body) {
  auto loop = scf::ForOp::create(builder, loc, from, to, index(step));
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToStart(loop.getBody());
  body(loop.getInductionVar());
}

SmallVector<Value> Code::forLoop(Value from, Value to, int64_t step, ValueRange carried,
                                 llvm::function_ref<SmallVector<Value>(Value, ValueRange)> body) {
  auto loop = scf::ForOp::create(builder, loc, from, to, index(step), carried);
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToStart(loop.getBody());
  SmallVector<Value> next = body(loop.getInductionVar(), loop.getRegionIterArgs());
  if (!carried.empty())
    scf::YieldOp::create(builder, loc, next);
  return SmallVector<Value>(loop.getResults());
}

void Code::when(Value condition, llvm::function_ref<void()> body) {
  auto conditional = scf::IfOp::create(builder, loc, condition, /*withElseRegion=*/false);
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToStart(conditional.thenBlock());
  body();
}

SmallVector<Value> Code::when(Value condition, ValueRange otherwise,
                              llvm::function_ref<SmallVector<Value>()> body) {
  return choose(condition, body, [&] { return SmallVector<Value>(otherwise); });
}

SmallVector<Value> Code::choose(Value condition, llvm::function_ref<SmallVector<Value>()> one,
                                llvm::function_ref<SmallVector<Value>()> other) {
  auto write = [&](llvm::function_ref<SmallVector<Value>()> values) {
    return [&, values](OpBuilder &, Location) { scf::YieldOp::create(builder, loc, values()); };
  };
  // The builder that the callbacks get is ours.
  auto conditional = scf::IfOp::create(builder, loc, condition, write(one), write(other));
  return SmallVector<Value>(conditional.getResults());
}

SmallVector<Value> Code::repeatWhile(ValueRange initial,
                                     llvm::function_ref<Value(ValueRange)> condition,
                                     llvm::function_ref<SmallVector<Value>(ValueRange)> body) {
  auto loop = scf::WhileOp::create(
      builder, loc, initial.getTypes(), initial,
      [&](OpBuilder &, Location, ValueRange carried) {
        scf::ConditionOp::create(builder, loc, condition(carried), carried);
      },
      [&](OpBuilder &, Location, ValueRange carried) {
        scf::YieldOp::create(builder, loc, body(carried));
      });
  return SmallVector<Value>(loop.getResults());
}

} // namespace quern::emission
