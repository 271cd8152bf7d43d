//===- Thread.cpp - Arithmetic, memory and control flow of one thread -------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "quern/GPU/Thread.h"

#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace quern::nvidia {

static mlir::gpu::Dimension dimension(int64_t dim) {
  return static_cast<mlir::gpu::Dimension>(dim);
}

Value Thread::thread() {
  return mlir::gpu::ThreadIdOp::create(builder, loc, mlir::gpu::Dimension::x);
}
Value Thread::lane() { return arith::AndIOp::create(builder, loc, thread(), index(warpSize - 1)); }
Value Thread::warp() { return arith::DivUIOp::create(builder, loc, thread(), index(warpSize)); }
Value Thread::block(int64_t dim) {
  return mlir::gpu::BlockIdOp::create(builder, loc, dimension(dim));
}
Value Thread::blocks(int64_t dim) {
  return mlir::gpu::GridDimOp::create(builder, loc, dimension(dim));
}

Value Thread::number(Type type, double value) {
  return arith::ConstantOp::create(builder, loc, builder.getFloatAttr(type, value));
}
Value Thread::add(Value a, Value b) { return arith::AddFOp::create(builder, loc, a, b); }
Value Thread::sub(Value a, Value b) { return arith::SubFOp::create(builder, loc, a, b); }
Value Thread::mul(Value a, Value b) { return arith::MulFOp::create(builder, loc, a, b); }
Value Thread::div(Value a, Value b) { return arith::DivFOp::create(builder, loc, a, b); }
Value Thread::max(Value a, Value b) { return arith::MaximumFOp::create(builder, loc, a, b); }
Value Thread::fma(Value a, Value b, Value c) { return math::FmaOp::create(builder, loc, a, b, c); }

Value Thread::convert(Value value, Type type) {
  Type from = value.getType();
  if (from == type)
    return value;
  if (from.isIndex()) {
    value = arith::IndexCastOp::create(builder, loc, builder.getI64Type(), value);
    from = value.getType();
  }
  if (from.isInteger())
    return arith::SIToFPOp::create(builder, loc, type, value);
  if (from.getIntOrFloatBitWidth() < type.getIntOrFloatBitWidth())
    return arith::ExtFOp::create(builder, loc, type, value);
  return arith::TruncFOp::create(builder, loc, type, value);
}

Value Thread::less(Value a, Value b) {
  return arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::ult, a, b);
}
Value Thread::equal(Value a, Value b) {
  return arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::eq, a, b);
}
Value Thread::both(Value a, Value b) { return arith::AndIOp::create(builder, loc, a, b); }
Value Thread::select(Value condition, Value a, Value b) {
  return arith::SelectOp::create(builder, loc, condition, a, b);
}

void Thread::when(Value condition, llvm::function_ref<void()> body) {
  auto conditional = scf::IfOp::create(builder, loc, condition, /*withElseRegion=*/false);
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToStart(conditional.thenBlock());
  body();
}

SmallVector<Value> Thread::when(Value condition, ValueRange otherwise,
                                llvm::function_ref<SmallVector<Value>()> body) {
  return choose(condition, body, [&] { return SmallVector<Value>(otherwise); });
}

SmallVector<Value> Thread::choose(Value condition, llvm::function_ref<SmallVector<Value>()> one,
                                  llvm::function_ref<SmallVector<Value>()> other) {
  auto write = [&](llvm::function_ref<SmallVector<Value>()> values) {
    return [&, values](OpBuilder &, Location) { scf::YieldOp::create(builder, loc, values()); };
  };
  // The builder that the callbacks get is ours.
  auto conditional = scf::IfOp::create(builder, loc, condition, write(one), write(other));
  return SmallVector<Value>(conditional.getResults());
}

Value Thread::load(Value memref, ValueRange indices, Type type) {
  Value value = memref::LoadOp::create(builder, loc, memref, indices);
  return type ? convert(value, type) : value;
}

void Thread::store(Value value, Value memref, ValueRange indices) {
  value = convert(value, cast<MemRefType>(memref.getType()).getElementType());
  memref::StoreOp::create(builder, loc, value, memref, indices);
}

Value Thread::loadWhere(Value condition, Value memref, ValueRange indices, Type type) {
  if (!type)
    type = cast<MemRefType>(memref.getType()).getElementType();
  Value zero = arith::ConstantOp::create(builder, loc, builder.getZeroAttr(type));
  return when(condition, zero, [&] { return SmallVector<Value>{load(memref, indices, type)}; })[0];
}

SmallVector<Value> Thread::loadVector(Value memref, ValueRange indices, int64_t count) {
  if (count == 1)
    return {load(memref, indices)};
  Type element = cast<MemRefType>(memref.getType()).getElementType();
  int64_t bytes = count * llvm::divideCeil(element.getIntOrFloatBitWidth(), 8);
  Value vector = vector::LoadOp::create(builder, loc, VectorType::get({count}, element), memref,
                                        indices, /*nontemporal=*/false, llvm::MaybeAlign(bytes));
  SmallVector<Value> values;
  for (int64_t i = 0; i < count; ++i)
    values.push_back(vector::ExtractOp::create(builder, loc, vector, i));
  return values;
}

Value Thread::isAligned(Value memref, int64_t bytes) {
  auto type = cast<MemRefType>(memref.getType());
  int64_t size = llvm::divideCeil(type.getElementTypeBitWidth(), 8);
  auto metadata = memref::ExtractStridedMetadataOp::create(builder, loc, memref);
  Value address = memref::ExtractAlignedPointerAsIndexOp::create(builder, loc, memref);
  auto inBytes = [&](Value elements) { return emission::mulIndex(*this, elements, index(size)); };
  Value all = emission::addIndex(*this, address, inBytes(metadata.getOffset()));
  for (Value stride : metadata.getStrides().drop_back())
    all = arith::OrIOp::create(builder, loc, all, inBytes(stride));
  return equal(arith::AndIOp::create(builder, loc, all, index(bytes - 1)), index(0));
}

Value Thread::shared(ArrayRef<int64_t> shape, Type element) {
  MLIRContext *context = builder.getContext();
  auto space = mlir::gpu::AddressSpaceAttr::get(context, mlir::gpu::AddressSpace::Workgroup);
  auto bytes = MemRefType::get({ShapedType::kDynamic}, builder.getI8Type(),
                               MemRefLayoutAttrInterface(), space);
  Value all = mlir::gpu::DynamicSharedMemoryOp::create(builder, loc, bytes);
  auto type = MemRefType::get(shape, element, MemRefLayoutAttrInterface(), space);
  Value memory = memref::ViewOp::create(builder, loc, type, all, index(sharedBytes), ValueRange());
  int64_t size = type.getNumElements() * llvm::divideCeil(element.getIntOrFloatBitWidth(), 8);
  sharedBytes += static_cast<int64_t>(llvm::alignTo(size, 16));
  return memory;
}

void Thread::barrier() { mlir::gpu::BarrierOp::create(builder, loc); }
void Thread::syncWarp() {
  Value all = arith::ConstantOp::create(builder, loc, builder.getI32IntegerAttr(-1));
  NVVM::SyncWarpOp::create(builder, loc, all);
}

Value Thread::exchange(Value value, int64_t distance) {
  return mlir::gpu::ShuffleOp::create(builder, loc, value, static_cast<int32_t>(distance),
                                      static_cast<int32_t>(warpSize), mlir::gpu::ShuffleMode::XOR)
      .getShuffleResult();
}

Value Thread::overLanes(Value value, int64_t lanes, Combine combine) {
  for (int64_t distance = lanes / 2; distance; distance /= 2)
    value = combine(value, exchange(value, distance));
  return value;
}
Value Thread::overWarp(Value value, Combine combine) { return overLanes(value, warpSize, combine); }

Value Thread::overBlock(Value value, Combine combine) {
  value = overWarp(value, combine);
  int64_t warps = threads / warpSize;
  if (warps == 1)
    return value;
  Value results = shared({warps}, value.getType());
  when(equal(lane(), index(0)), [&] { store(value, results, warp()); });
  barrier();
  Value total = load(results, index(0));
  for (int64_t i = 1; i < warps; ++i)
    total = combine(total, load(results, index(i)));
  // A loop around may come here again.
  barrier();
  return total;
}

Value Thread::sumOverWarp(Value value) {
  return overWarp(value, [&](Value a, Value b) { return add(a, b); });
}
Value Thread::sumOverBlock(Value value) {
  return overBlock(value, [&](Value a, Value b) { return add(a, b); });
}
Value Thread::maxOverBlock(Value value) {
  return overBlock(value, [&](Value a, Value b) { return max(a, b); });
}

SmallVector<Value> Thread::strided(Value first, Value end, Value step, ValueRange carried,
                                   llvm::function_ref<SmallVector<Value>(Value, ValueRange)> body) {
  auto loop = scf::ForOp::create(builder, loc, first, end, step, carried);
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToStart(loop.getBody());
  SmallVector<Value> next = body(loop.getInductionVar(), loop.getRegionIterArgs());
  if (!carried.empty())
    scf::YieldOp::create(builder, loc, next);
  return SmallVector<Value>(loop.getResults());
}

void Thread::strided(Value first, Value end, Value step, llvm::function_ref<void(Value)> body) {
  strided(first, end, step, ValueRange(), [&](Value i, ValueRange) {
    body(i);
    return SmallVector<Value>();
  });
}

} // namespace quern::nvidia
