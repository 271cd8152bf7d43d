//===- Views.cpp - Rows and other views of memory ---------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "quern/Emission/Views.h"

#include "dialects/Kernel/Kernel.h"
#include "quern/Emission/Indices.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;

namespace quern::emission {

Type computeType(Type storage) { return kernel::computeType(storage); }

int64_t elementBytes(Type type) {
  return type.isIndex() ? 8 : llvm::divideCeil(type.getIntOrFloatBitWidth(), 8);
}

LogicalResult checkRows(Operation *op, ValueRange operands) {
  for (OpOperand &operand : op->getOpOperands()) {
    Value value = operands[operand.getOperandNumber()];
    auto type = cast<MemRefType>(value.getType());
    if (type.getRank() == 0 || type.getElementType().isInteger(32))
      continue; // read one by one
    if (!type.getElementType().isFloat())
      return op->emitOpError("operand #")
             << operand.getOperandNumber() << " has elements of type " << type.getElementType()
             << "; this kernel computes on f32, f64, bf16 and f16";
    auto [strides, offset] = type.getStridesAndOffset();
    if (strides.back() != 1)
      return op->emitOpError("operand #")
             << operand.getOperandNumber() << " of type " << type
             << " does not have its last dimension contiguous in memory; copy it into a buffer "
                "that does";
  }
  return success();
}

static Value collapse(Code &e, Value memref, ArrayRef<ReassociationIndices> groups) {
  auto type = cast<MemRefType>(memref.getType());
  if (!memref::CollapseShapeOp::isGuaranteedCollapsible(type, groups))
    return {};
  return memref::CollapseShapeOp::create(e.builder, e.loc, memref, groups);
}

Value mergeRows(Code &e, Value memref) {
  int64_t rank = cast<MemRefType>(memref.getType()).getRank();
  if (rank <= 2)
    return memref;
  SmallVector<ReassociationIndices> groups(2);
  for (int64_t i = 0; i + 1 < rank; ++i)
    groups[0].push_back(i);
  groups[1].push_back(rank - 1);
  Value merged = collapse(e, memref, groups);
  return merged ? merged : memref;
}

Value flatten(Code &e, Value memref) {
  auto type = cast<MemRefType>(memref.getType());
  if (type.getRank() == 0)
    return memref::ExpandShapeOp::create(e.builder, e.loc, ArrayRef<int64_t>{1}, memref,
                                         ArrayRef<ReassociationIndices>{});
  auto [strides, offset] = type.getStridesAndOffset();
  if (strides.back() != 1)
    return {};
  if (type.getRank() == 1)
    return memref;
  ReassociationIndices all;
  for (int64_t i = 0; i < type.getRank(); ++i)
    all.push_back(i);
  return collapse(e, memref, {all});
}

Value rowAt(Code &e, Value memref, ValueRange indices) {
  auto type = cast<MemRefType>(memref.getType());
  int64_t rank = type.getRank();
  if (rank <= 1)
    return memref;
  SmallVector<OpFoldResult> offsets, sizes(rank, e.builder.getIndexAttr(1)),
      strides(rank, e.builder.getIndexAttr(1));
  for (Value index : indices)
    offsets.push_back(getAsOpFoldResult(index));
  offsets.push_back(e.builder.getIndexAttr(0));
  sizes.back() = getAsOpFoldResult(e.dim(memref, rank - 1));
  MemRefType row = memref::SubViewOp::inferRankReducedResultType({type.getDimSize(rank - 1)}, type,
                                                                 offsets, sizes, strides);
  return memref::SubViewOp::create(e.builder, e.loc, row, memref, offsets, sizes, strides);
}

Value rowOf(Code &e, Value memref, Value row) {
  SmallVector<Value> sizes;
  for (int64_t i = 0; i + 1 < cast<MemRefType>(memref.getType()).getRank(); ++i)
    sizes.push_back(e.dim(memref, i));
  return rowAt(e, memref, delinearize(e, row, sizes));
}

Value loadOffset(Code &e, Value offset) {
  if (!offset)
    return e.index(0);
  Value value = memref::LoadOp::create(e.builder, e.loc, offset, ValueRange());
  return arith::IndexCastOp::create(e.builder, e.loc, e.builder.getIndexType(), value);
}

Value loadScalar(Code &e, Value memref, Type type) {
  Value value = memref::LoadOp::create(e.builder, e.loc, memref, ValueRange());
  Type from = value.getType();
  if (from == type)
    return value;
  if (from.isIndex()) {
    value = arith::IndexCastOp::create(e.builder, e.loc, e.builder.getI64Type(), value);
    from = value.getType();
  }
  if (from.isInteger())
    return arith::SIToFPOp::create(e.builder, e.loc, type, value);
  if (from.getIntOrFloatBitWidth() < type.getIntOrFloatBitWidth())
    return arith::ExtFOp::create(e.builder, e.loc, type, value);
  return arith::TruncFOp::create(e.builder, e.loc, type, value);
}

} // namespace quern::emission
