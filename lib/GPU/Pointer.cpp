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

/// The address space of the NVPTX backend that a memref's memory is in.
static unsigned addressSpace(MemRefType type) {
  auto space = dyn_cast_or_null<mlir::gpu::AddressSpaceAttr>(type.getMemorySpace());
  return space && space.getValue() == mlir::gpu::AddressSpace::Workgroup ? 3 : 1;
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
  Value base = LLVM::ExtractValueOp::create(t.builder, t.loc, descriptor, 1);
  Value offset = LLVM::ExtractValueOp::create(t.builder, t.loc, descriptor, 2);
  address = LLVM::GEPOp::create(t.builder, t.loc, pointer, element, base, ValueRange{offset});
}

Pointer Pointer::at(Thread &t, Value offset) const {
  if (offset.getType().isIndex())
    offset = arith::IndexCastOp::create(t.builder, t.loc, t.builder.getI64Type(), offset);
  Pointer result = *this;
  result.address = LLVM::GEPOp::create(t.builder, t.loc, address.getType(), element, address,
                                       ValueRange{offset});
  return result;
}

Pointer Pointer::at(Thread &t, int64_t offset) const {
  Pointer result = *this;
  result.address = LLVM::GEPOp::create(t.builder, t.loc, address.getType(), element, address,
                                       ArrayRef<LLVM::GEPArg>{static_cast<int32_t>(offset)});
  return result;
}

SmallVector<Value> Pointer::load(Thread &t, int64_t count, Type type) const {
  auto alignment = static_cast<unsigned>(count * elementBytes());
  if (count == 1)
    return {t.convert(LLVM::LoadOp::create(t.builder, t.loc, element, address, alignment), type)};
  Value vector =
      LLVM::LoadOp::create(t.builder, t.loc, VectorType::get({count}, element), address, alignment);
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
    LLVM::StoreOp::create(t.builder, t.loc, t.convert(values[0], element), address, alignment);
    return;
  }
  Value vector = LLVM::UndefOp::create(t.builder, t.loc, VectorType::get({count}, element));
  for (auto [i, value] : llvm::enumerate(values)) {
    Value lane = LLVM::ConstantOp::create(t.builder, t.loc, t.builder.getI32IntegerAttr(i));
    vector =
        LLVM::InsertElementOp::create(t.builder, t.loc, vector, t.convert(value, element), lane);
  }
  LLVM::StoreOp::create(t.builder, t.loc, vector, address, alignment);
}

void copyAsync(Thread &t, const Pointer &shared, const Pointer &global, int64_t bytes,
               Value valid) {
  // Copies of 16 bytes can pass by the first-level cache; smaller ones cannot.
  auto cache = bytes == 16 ? NVVM::LoadCacheModifierKind::CG : NVVM::LoadCacheModifierKind::CA;
  NVVM::CpAsyncOp::create(t.builder, t.loc, shared.address, global.address,
                          static_cast<uint32_t>(bytes), cache, valid);
}

void closeCopies(Thread &t) { NVVM::CpAsyncCommitGroupOp::create(t.builder, t.loc); }

void awaitCopies(Thread &t, int64_t pending) {
  NVVM::CpAsyncWaitGroupOp::create(t.builder, t.loc, static_cast<uint32_t>(pending));
}

} // namespace quern::nvidia
