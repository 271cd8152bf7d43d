//===- Thread.cpp - Arithmetic, memory and control flow of one thread -------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "quern/GPU/Thread.h"
#include "quern/Emission/Indices.h"
#include "quern/Emission/Views.h"

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
Value Thread::rereadThread() {
  return toIndex(assembly("mov.u32 $0, %tid.x;", "=r", {}, builder.getI32Type()));
}
Value Thread::anew(Value value) {
  bool isIndex = value.getType().isIndex();
  Value same =
      assembly("mov.u32 $0, $1;", "=r,r", {isIndex ? int32(value) : value}, builder.getI32Type());
  return isIndex ? toIndex(same) : same;
}
Value Thread::lane() { return arith::AndIOp::create(builder, loc, thread(), index(warpSize - 1)); }
Value Thread::warp() { return arith::DivUIOp::create(builder, loc, thread(), index(warpSize)); }
Value Thread::block(int64_t dim) {
  return mlir::gpu::BlockIdOp::create(builder, loc, dimension(dim));
}
Value Thread::blocks(int64_t dim) {
  return mlir::gpu::GridDimOp::create(builder, loc, dimension(dim));
}

Value Thread::int32(int64_t value) {
  return arith::ConstantOp::create(builder, loc, builder.getI32IntegerAttr(value));
}
Value Thread::int32(Value index) {
  return builder.createOrFold<arith::IndexCastUIOp>(loc, builder.getI32Type(), index);
}
Value Thread::toIndex(Value value) {
  return builder.createOrFold<arith::IndexCastUIOp>(loc, builder.getIndexType(), value);
}
SmallVector<Value> Thread::digits(Value value, ArrayRef<int64_t> sizes) {
  SmallVector<Value> result(sizes.size());
  for (size_t i = sizes.size(); i-- > 1;) {
    result[i] = builder.createOrFold<arith::RemUIOp>(loc, value, int32(sizes[i]));
    value = builder.createOrFold<arith::DivUIOp>(loc, value, int32(sizes[i]));
  }
  result[0] = value;
  return result;
}

Value Thread::number(Type type, double value) {
  return arith::ConstantOp::create(builder, loc, builder.getFloatAttr(type, value));
}
Value Thread::add(Value a, Value b) { return arith::AddFOp::create(builder, loc, a, b); }
Value Thread::sub(Value a, Value b) { return arith::SubFOp::create(builder, loc, a, b); }
Value Thread::mul(Value a, Value b) { return arith::MulFOp::create(builder, loc, a, b); }
Value Thread::div(Value a, Value b) { return arith::DivFOp::create(builder, loc, a, b); }
Value Thread::divFast(Value a, Value b) {
  if (!a.getType().isF32())
    return div(a, b);
  auto name = builder.getStringAttr("llvm.nvvm.div.full");
  return LLVM::CallIntrinsicOp::create(builder, loc, a.getType(), name, ValueRange{a, b})
      .getResult(0);
}
Value Thread::max(Value a, Value b) { return arith::MaximumFOp::create(builder, loc, a, b); }
Value Thread::fma(Value a, Value b, Value c) { return math::FmaOp::create(builder, loc, a, b, c); }
Value Thread::exp(Value x) { return math::ExpOp::create(builder, loc, x); }
Value Thread::log(Value x) { return math::LogOp::create(builder, loc, x); }

Value Thread::sumOf(ValueRange values) {
  SmallVector<Value> left(values);
  while (left.size() > 1) {
    SmallVector<Value> pairs;
    for (size_t i = 0; i + 1 < left.size(); i += 2)
      pairs.push_back(add(left[i], left[i + 1]));
    if (left.size() % 2)
      pairs.push_back(left.back());
    left = pairs;
  }
  return left.front();
}

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
Value Thread::is(arith::CmpFPredicate predicate, Value a, Value b) {
  return arith::CmpFOp::create(builder, loc, predicate, a, b);
}
Value Thread::both(Value a, Value b) { return arith::AndIOp::create(builder, loc, a, b); }
Value Thread::constant(bool value) {
  return arith::ConstantOp::create(builder, loc, builder.getBoolAttr(value));
}
Value Thread::no(Value condition) {
  return arith::XOrIOp::create(builder, loc, condition, constant(true));
}
Value Thread::select(Value condition, Value a, Value b) {
  return arith::SelectOp::create(builder, loc, condition, a, b);
}

Value Thread::assembly(const Twine &text, const Twine &constraints, ValueRange operands,
                       Type result) {
  auto dialect = LLVM::AsmDialectAttr::get(builder.getContext(), LLVM::AsmDialect::AD_ATT);
  auto code = LLVM::InlineAsmOp::create(
      builder, loc, result ? TypeRange(result) : TypeRange(), operands, text.str(),
      constraints.str(), /*has_side_effects=*/true, /*is_align_stack=*/false,
      LLVM::tailcallkind::TailCallKind::None, dialect, ArrayAttr());
  return result ? code.getResult(0) : Value();
}

Value Thread::load(Value memref, ValueRange indices, Type type) {
  Value value = memref::LoadOp::create(builder, loc, memref, indices);
  return type ? convert(value, type) : value;
}

Value Thread::loadIndex(Value memref, ValueRange indices) {
  return arith::IndexCastOp::create(builder, loc, builder.getIndexType(), load(memref, indices));
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

Value Thread::shared(ArrayRef<int64_t> shape, Type element, int64_t alignment) {
  MLIRContext *context = builder.getContext();
  auto space = mlir::gpu::AddressSpaceAttr::get(context, mlir::gpu::AddressSpace::Workgroup);
  auto bytes = MemRefType::get({ShapedType::kDynamic}, builder.getI8Type(),
                               MemRefLayoutAttrInterface(), space);
  Value all = mlir::gpu::DynamicSharedMemoryOp::create(builder, loc, bytes);
  auto type = MemRefType::get(shape, element, MemRefLayoutAttrInterface(), space);
  sharedBytes = static_cast<int64_t>(llvm::alignTo(sharedBytes, alignment));
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

/// How many elements one access moves: 16 bytes at most.
static int64_t elementsOfAccess(Type element, int64_t count) {
  // i1 has a byte in memory, but a bit in a vector.
  return element.isInteger(1) ? 1 : std::min<int64_t>(count, 16 / emission::elementBytes(element));
}

/// `indices` with the last one `by` further.
static SmallVector<Value> shifted(Thread &t, ValueRange indices, int64_t by) {
  SmallVector<Value> result(indices);
  if (by)
    result.back() = emission::addIndex(t, result.back(), t.index(by));
  return result;
}

SmallVector<Value> Thread::loadVector(Value memref, ValueRange indices, int64_t count, Type type) {
  Type element = cast<MemRefType>(memref.getType()).getElementType();
  int64_t each = elementsOfAccess(element, count);
  llvm::MaybeAlign alignment(each * emission::elementBytes(element));
  SmallVector<Value> values;
  for (int64_t from = 0; from < count; from += each) {
    if (each == 1) {
      values.push_back(load(memref, shifted(*this, indices, from), type));
      continue;
    }
    Value loaded =
        vector::LoadOp::create(builder, loc, VectorType::get({each}, element), memref,
                               shifted(*this, indices, from), /*nontemporal=*/false, alignment);
    for (int64_t i = 0; i < each; ++i) {
      Value value = vector::ExtractOp::create(builder, loc, loaded, i);
      values.push_back(type ? convert(value, type) : value);
    }
  }
  return values;
}

void Thread::storeVector(ValueRange values, Value memref, ValueRange indices) {
  Type element = cast<MemRefType>(memref.getType()).getElementType();
  auto count = static_cast<int64_t>(values.size());
  int64_t each = elementsOfAccess(element, count);
  llvm::MaybeAlign alignment(each * emission::elementBytes(element));
  for (int64_t from = 0; from < count; from += each) {
    if (each == 1) {
      store(values[from], memref, shifted(*this, indices, from));
      continue;
    }
    SmallVector<Value> converted;
    for (Value value : values.slice(from, each))
      converted.push_back(convert(value, element));
    Value stored =
        vector::FromElementsOp::create(builder, loc, VectorType::get({each}, element), converted);
    vector::StoreOp::create(builder, loc, stored, memref, shifted(*this, indices, from),
                            /*nontemporal=*/false, alignment);
  }
}

Value Thread::ballot(Value condition) {
  Value all = arith::ConstantOp::create(builder, loc, builder.getI32IntegerAttr(-1));
  return NVVM::VoteSyncOp::create(builder, loc, builder.getI32Type(), all, condition,
                                  NVVM::VoteSyncKind::ballot);
}

Value Thread::exchange(Value value, int64_t distance) {
  Type type = value.getType();
  auto bitcast = [&](Value of, Type to) -> Value {
    return of.getType() == to ? of : arith::BitcastOp::create(builder, loc, to, of).getResult();
  };
  if (type.getIntOrFloatBitWidth() != 64)
    return mlir::gpu::ShuffleOp::create(builder, loc, value, static_cast<int32_t>(distance),
                                        static_cast<int32_t>(warpSize), mlir::gpu::ShuffleMode::XOR)
        .getShuffleResult();
  // A shuffle moves 32 bits.
  Type i32 = builder.getI32Type(), i64 = builder.getI64Type();
  Value bits = bitcast(value, i64);
  Value half = arith::ConstantOp::create(builder, loc, builder.getI64IntegerAttr(32));
  Value low = arith::TruncIOp::create(builder, loc, i32, bits);
  Value high =
      arith::TruncIOp::create(builder, loc, i32, arith::ShRUIOp::create(builder, loc, bits, half));
  low = arith::ExtUIOp::create(builder, loc, i64, exchange(low, distance));
  high = arith::ExtUIOp::create(builder, loc, i64, exchange(high, distance));
  high = arith::ShLIOp::create(builder, loc, high, half);
  return bitcast(arith::OrIOp::create(builder, loc, high, low), type);
}

Value Thread::overLanes(Value value, int64_t lanes, Combine combine) {
  for (int64_t distance = lanes / 2; distance; distance /= 2)
    value = combine(value, exchange(value, distance));
  return value;
}

SmallVector<Value> Thread::overWarp(ValueRange values, Combine combine) {
  SmallVector<Value> all(values);
  for (int64_t distance = warpSize / 2; distance; distance /= 2)
    for (Value &value : all)
      value = combine(value, exchange(value, distance));
  return all;
}

SmallVector<Value> Thread::overBlock(ValueRange values, Combine combine) {
  SmallVector<Value> all = overWarp(values, combine);
  int64_t warps = threads / warpSize;
  if (warps == 1)
    return all;
  auto count = static_cast<int64_t>(all.size());
  Value results = shared({warps, count}, values.front().getType());
  when(equal(lane(), index(0)), [&] {
    for (int64_t i = 0; i < count; ++i)
      store(all[i], results, {warp(), index(i)});
  });
  barrier();
  for (int64_t i = 0; i < count; ++i) {
    all[i] = load(results, {index(0), index(i)});
    for (int64_t from = 1; from < warps; ++from)
      all[i] = combine(all[i], load(results, {index(from), index(i)}));
  }
  // A loop around may come here again.
  barrier();
  return all;
}

Value Thread::overWarp(Value value, Combine combine) {
  return overWarp(ValueRange(value), combine)[0];
}
Value Thread::overBlock(Value value, Combine combine) {
  return overBlock(ValueRange(value), combine)[0];
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

Value Thread::anyOfBlock(Value condition) {
  auto either = [&](Value a, Value b) -> Value { return arith::OrIOp::create(builder, loc, a, b); };
  Value some =
      overBlock(arith::ExtUIOp::create(builder, loc, builder.getI32Type(), condition), either);
  return arith::TruncIOp::create(builder, loc, builder.getI1Type(), some);
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

SmallVector<Value>
Thread::forShare(Value count, int64_t lanes, ValueRange carried,
                 llvm::function_ref<SmallVector<Value>(Value, ValueRange)> body) {
  Value before = emission::mulIndex(*this, block(0), index(threads));
  Value own = emission::addIndex(*this, before, thread());
  Value step = emission::mulIndex(*this, blocks(0), index(threads * lanes));
  return strided(emission::mulIndex(*this, own, index(lanes)), count, step, carried, body);
}

SmallVector<Value> Thread::inOrder(Value count, ValueRange initial,
                                   llvm::function_ref<SmallVector<Value>(Value)> terms) {
  constexpr int64_t ahead = 8;
  auto addTerms = [&](Value from, int64_t many, ValueRange carried) {
    SmallVector<SmallVector<Value>> loaded;
    for (int64_t i = 0; i < many; ++i)
      loaded.push_back(terms(emission::addIndex(*this, from, index(i))));
    SmallVector<Value> sums(carried);
    for (const SmallVector<Value> &values : loaded)
      for (auto [sum, value] : llvm::zip(sums, values))
        sum = add(sum, value);
    return sums;
  };
  Value rest = builder.createOrFold<arith::RemUIOp>(loc, count, index(ahead));
  Value whole = builder.createOrFold<arith::SubIOp>(loc, count, rest);
  SmallVector<Value> sums =
      strided(index(0), whole, index(ahead), initial,
              [&](Value from, ValueRange carried) { return addTerms(from, ahead, carried); });
  return strided(whole, count, index(1), sums,
                 [&](Value i, ValueRange carried) { return addTerms(i, 1, carried); });
}

Value Thread::inOrder(Value count, Value initial, llvm::function_ref<Value(Value)> term) {
  return inOrder(count, ValueRange(initial),
                 [&](Value i) { return SmallVector<Value>{term(i)}; })[0];
}

} // namespace quern::nvidia
