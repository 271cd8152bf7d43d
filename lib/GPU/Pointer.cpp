//===- Pointer.cpp - Addresses of device memory, for accesses that memrefs do not have --------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "Pointer.h"

#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"

using namespace mlir;

namespace quern::nvidia {

constexpr unsigned globalSpace = 1, sharedSpace = 3; // of LLVM's NVPTX backend

static unsigned addressSpace(MemRefType type) {
  auto space = dyn_cast_or_null<mlir::gpu::AddressSpaceAttr>(type.getMemorySpace());
  bool isShared = space && space.getValue() == mlir::gpu::AddressSpace::Workgroup;
  return isShared ? sharedSpace : globalSpace;
}

Pointer::Pointer(Thread &t, Value memref) {
  auto type = cast<MemRefType>(memref.getType());
  MLIRContext *context = type.getContext();
  element = type.getElementType();
  Type pointer = LLVM::LLVMPointerType::get(context, addressSpace(type));
  Type i64 = t.builder.getI64Type();
  // A memref as the lowering of the device's code lays it out.
  SmallVector<Type> fields{pointer, pointer, i64};
  if (type.getRank())
    fields.append(2, LLVM::LLVMArrayType::get(i64, type.getRank()));
  Value descriptor =
      UnrealizedConversionCastOp::create(t.builder, t.loc,
                                         LLVM::LLVMStructType::getLiteral(context, fields), memref)
          .getResult(0);
  Value start = LLVM::ExtractValueOp::create(t.builder, t.loc, descriptor, 1);
  Value further = LLVM::ExtractValueOp::create(t.builder, t.loc, descriptor, 2);
  base = LLVM::GEPOp::create(t.builder, t.loc, pointer, element, start, ValueRange{further});
  if (addressSpace(type) == sharedSpace)
    base = LLVM::PtrToIntOp::create(t.builder, t.loc, t.builder.getI32Type(), base);
}

Pointer Pointer::global(Thread &t, Value address, Type element) {
  Pointer result;
  result.element = element;
  Type pointer = LLVM::LLVMPointerType::get(t.builder.getContext(), globalSpace);
  result.base = LLVM::IntToPtrOp::create(t.builder, t.loc, pointer, address);
  return result;
}

Value Pointer::address(Thread &t) const {
  Value pointer = base;
  if (base.getType().isInteger())
    pointer = LLVM::IntToPtrOp::create(
        t.builder, t.loc, LLVM::LLVMPointerType::get(t.builder.getContext(), sharedSpace), base);
  if (!offset)
    return pointer;
  return LLVM::GEPOp::create(t.builder, t.loc, pointer.getType(), element, pointer,
                             ArrayRef<LLVM::GEPArg>{static_cast<int32_t>(offset)});
}

Value Pointer::sharedAddress(Thread &t) const {
  return emission::addIndex(t, base, t.int32(offset * elementBytes()));
}

Pointer Pointer::at(Thread &t, Value further) const {
  Pointer result = *this;
  if (base.getType().isInteger()) {
    if (further.getType().isIndex())
      further = t.int32(further);
    Value bytes = emission::mulIndex(t, further, t.int32(elementBytes()));
    result.base = emission::addIndex(t, base, bytes);
    return result;
  }
  if (further.getType().isIndex())
    further = arith::IndexCastOp::create(t.builder, t.loc, t.builder.getI64Type(), further);
  result.base =
      LLVM::GEPOp::create(t.builder, t.loc, base.getType(), element, base, ValueRange{further});
  return result;
}

Pointer Pointer::at(Thread &, int64_t further) const {
  Pointer result = *this;
  result.offset += further;
  return result;
}

Pointer Pointer::anew(Thread &t) const {
  Pointer result = *this;
  result.base = t.anew(base);
  return result;
}

Pointer Pointer::as(Thread &t, Type other) const {
  Pointer result = *this;
  result.base = emission::addIndex(t, base, t.int32(offset * elementBytes()));
  result.offset = 0;
  result.element = other;
  return result;
}

SmallVector<Value> Pointer::load(Thread &t, int64_t count, Type type) const {
  auto alignment = static_cast<unsigned>(count * elementBytes());
  if (count == 1)
    return {
        t.convert(LLVM::LoadOp::create(t.builder, t.loc, element, address(t), alignment), type)};
  Value vector = LLVM::LoadOp::create(t.builder, t.loc, VectorType::get({count}, element),
                                      address(t), alignment);
  SmallVector<Value> values;
  for (int64_t i = 0; i < count; ++i) {
    Value lane = LLVM::ConstantOp::create(t.builder, t.loc, t.builder.getI32IntegerAttr(i));
    values.push_back(
        t.convert(LLVM::ExtractElementOp::create(t.builder, t.loc, vector, lane), type));
  }
  return values;
}

void Pointer::store(Thread &t, ValueRange values) const {
  auto count = static_cast<int64_t>(values.size());
  auto alignment = static_cast<unsigned>(count * elementBytes());
  if (count == 1) {
    LLVM::StoreOp::create(t.builder, t.loc, t.convert(values[0], element), address(t), alignment);
    return;
  }
  Value vector = LLVM::UndefOp::create(t.builder, t.loc, VectorType::get({count}, element));
  for (auto [i, value] : llvm::enumerate(values)) {
    Value lane = LLVM::ConstantOp::create(t.builder, t.loc, t.builder.getI32IntegerAttr(i));
    vector =
        LLVM::InsertElementOp::create(t.builder, t.loc, vector, t.convert(value, element), lane);
  }
  LLVM::StoreOp::create(t.builder, t.loc, vector, address(t), alignment);
}

void copyAsync(Thread &t, const Pointer &shared, const Pointer &global, int64_t bytes,
               Value valid) {
  // Copies of 16 bytes can pass by the first-level cache; smaller ones cannot.
  auto cache = bytes == 16 ? NVVM::LoadCacheModifierKind::CG : NVVM::LoadCacheModifierKind::CA;
  NVVM::CpAsyncOp::create(t.builder, t.loc, shared.address(t), global.address(t),
                          static_cast<uint32_t>(bytes), cache, valid);
}

void closeCopies(Thread &t) { NVVM::CpAsyncCommitGroupOp::create(t.builder, t.loc); }

void awaitCopies(Thread &t, int64_t pending) {
  NVVM::CpAsyncWaitGroupOp::create(t.builder, t.loc, static_cast<uint32_t>(pending));
}

} // namespace quern::nvidia
