//===- Rows.cpp - Rows of memory as native vectors --------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "Rows.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;

namespace quern::cpu {

Type computeType(Type storage) {
  if (storage.isBF16() || storage.isF16())
    return Float32Type::get(storage.getContext());
  return storage;
}

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
             << "; the CPU target computes this kernel on f32, f64, bf16 and f16";
    auto [strides, offset] = type.getStridesAndOffset();
    if (strides.back() != 1)
      return op->emitOpError("operand #")
             << operand.getOperandNumber() << " of type " << type
             << " does not have its last dimension contiguous in memory; copy it into a buffer "
                "that does";
  }
  return success();
}

std::optional<int64_t> constantOf(Value value) { return getConstantIntValue(value); }

Value addIndex(Emission &e, Value a, Value b) {
  return e.builder.createOrFold<arith::AddIOp>(e.loc, a, b);
}
Value mulIndex(Emission &e, Value a, Value b) {
  return e.builder.createOrFold<arith::MulIOp>(e.loc, a, b);
}
Value minIndex(Emission &e, Value a, Value b) {
  return e.builder.createOrFold<arith::MinUIOp>(e.loc, a, b);
}
Value ceilDiv(Emission &e, Value a, Value b) {
  Value less = e.builder.createOrFold<arith::SubIOp>(e.loc, b, e.index(1));
  return e.builder.createOrFold<arith::DivUIOp>(e.loc, addIndex(e, a, less), b);
}

SmallVector<Value> delinearize(Emission &e, Value linear, ArrayRef<Value> sizes) {
  SmallVector<Value> indices(sizes.size());
  size_t slowest = 0;
  while (slowest + 1 < sizes.size() && constantOf(sizes[slowest]) == 1)
    ++slowest;
  for (size_t i = sizes.size(); i-- > 0;) {
    if (constantOf(sizes[i]) == 1) {
      indices[i] = e.index(0);
    } else if (i == slowest) {
      indices[i] = linear;
    } else {
      indices[i] = arith::RemUIOp::create(e.builder, e.loc, linear, sizes[i]);
      linear = arith::DivUIOp::create(e.builder, e.loc, linear, sizes[i]);
    }
  }
  return indices;
}

static Value collapse(Emission &e, Value memref, ArrayRef<ReassociationIndices> groups) {
  auto type = cast<MemRefType>(memref.getType());
  if (!memref::CollapseShapeOp::isGuaranteedCollapsible(type, groups))
    return {};
  return memref::CollapseShapeOp::create(e.builder, e.loc, memref, groups);
}

Value mergeRows(Emission &e, Value memref) {
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

Value flatten(Emission &e, Value memref) {
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

Value rowAt(Emission &e, Value memref, ValueRange indices) {
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

Value rowOf(Emission &e, Value memref, Value row) {
  SmallVector<Value> sizes;
  for (int64_t i = 0; i + 1 < cast<MemRefType>(memref.getType()).getRank(); ++i)
    sizes.push_back(e.dim(memref, i));
  return rowAt(e, memref, delinearize(e, row, sizes));
}

Value rowToPrefetch(Emission &e, Value memref, Value row, Value rows) {
  auto type = cast<MemRefType>(memref.getType());
  int64_t columns = type.getShape().back();
  if (columns * elementBytes(type.getElementType()) > e.machine.l1Bytes / 8)
    return {};
  Value last = e.builder.createOrFold<arith::SubIOp>(e.loc, rows, e.index(1));
  return rowOf(e, memref, minIndex(e, addIndex(e, row, e.index(1)), last));
}

Value rowsPerUnit(Emission &e, Value columns, int64_t bytesPerColumn) {
  int64_t target = std::max<int64_t>(unitBytes / bytesPerColumn, 1);
  if (auto known = constantOf(columns))
    return e.index(std::max<int64_t>(target / std::max<int64_t>(*known, 1), 1));
  Value one = e.index(1);
  Value atLeastOne = arith::MaxUIOp::create(e.builder, e.loc, columns, one);
  Value rows = arith::DivUIOp::create(e.builder, e.loc, e.index(target), atLeastOne);
  return arith::MaxUIOp::create(e.builder, e.loc, rows, one);
}

void forRows(Emission &e, Value rows, Value perUnit, llvm::function_ref<void(Value)> body) {
  if (constantOf(perUnit) == 1)
    return e.forUnits(rows, body);
  e.forUnits(ceilDiv(e, rows, perUnit), [&](Value unit) {
    Value from = mulIndex(e, unit, perUnit);
    e.forLoop(from, minIndex(e, addIndex(e, from, perUnit), rows), 1, body);
  });
}

Value Vectors::load(Value row, Value column, Value mask) {
  OpBuilder &b = emission.builder;
  Location loc = emission.loc;
  auto memory = cast<MemRefType>(row.getType());
  auto stored = VectorType::get({lanes}, memory.getElementType());
  Value value;
  if (mask) {
    Value zero = arith::ConstantOp::create(b, loc, b.getZeroAttr(stored));
    value = vector::MaskedLoadOp::create(b, loc, stored, row, ValueRange{column}, mask, zero);
  } else {
    value = vector::LoadOp::create(b, loc, stored, row, ValueRange{column});
  }
  if (memory.getElementType() == compute)
    return value;
  if (memory.getElementTypeBitWidth() < compute.getIntOrFloatBitWidth())
    return arith::ExtFOp::create(b, loc, type, value);
  return arith::TruncFOp::create(b, loc, type, value);
}

void Vectors::store(Value value, Value row, Value column, Value mask) {
  OpBuilder &b = emission.builder;
  Location loc = emission.loc;
  auto memory = cast<MemRefType>(row.getType());
  auto stored = VectorType::get({lanes}, memory.getElementType());
  if (memory.getElementType() != compute)
    value = memory.getElementTypeBitWidth() < compute.getIntOrFloatBitWidth()
                ? arith::TruncFOp::create(b, loc, stored, value).getResult()
                : arith::ExtFOp::create(b, loc, stored, value).getResult();
  if (mask)
    vector::MaskedStoreOp::create(b, loc, row, ValueRange{column}, mask, value);
  else
    vector::StoreOp::create(b, loc, value, row, ValueRange{column});
}

void Vectors::prefetch(Value row, Value column) {
  if (row)
    memref::PrefetchOp::create(emission.builder, emission.loc, row, ValueRange{column},
                               /*isWrite=*/false, /*localityHint=*/3, /*isDataCache=*/true);
}

Value Vectors::splat(double value) {
  OpBuilder &b = emission.builder;
  return arith::ConstantOp::create(b, emission.loc,
                                   DenseElementsAttr::get(type, b.getFloatAttr(compute, value)));
}
Value Vectors::splat(Value scalar) {
  return vector::BroadcastOp::create(emission.builder, emission.loc, type, scalar);
}
Value Vectors::add(Value a, Value b) {
  return arith::AddFOp::create(emission.builder, emission.loc, a, b);
}
Value Vectors::sub(Value a, Value b) {
  return arith::SubFOp::create(emission.builder, emission.loc, a, b);
}
Value Vectors::mul(Value a, Value b) {
  return arith::MulFOp::create(emission.builder, emission.loc, a, b);
}
Value Vectors::div(Value a, Value b) {
  return arith::DivFOp::create(emission.builder, emission.loc, a, b);
}
Value Vectors::fma(Value a, Value b, Value c) {
  if (!emission.machine.hasFma)
    return add(mul(a, b), c);
  return vector::FMAOp::create(emission.builder, emission.loc, a, b, c);
}
Value Vectors::select(Value mask, Value value) {
  if (!mask)
    return value;
  return arith::SelectOp::create(emission.builder, emission.loc, mask, value, splat(0.0));
}
Value Vectors::sum(Value vector) {
  return vector::ReductionOp::create(emission.builder, emission.loc, vector::CombiningKind::ADD,
                                     vector);
}

/// The end of the last block of `step` elements that starts at `from`.
static Value lastWhole(Emission &e, Value from, Value to, int64_t step) {
  OpBuilder &b = e.builder;
  Value length = b.createOrFold<arith::SubIOp>(e.loc, to, from);
  Value rest = b.createOrFold<arith::RemUIOp>(e.loc, length, e.index(step));
  return b.createOrFold<arith::SubIOp>(e.loc, to, rest);
}

/// A mask of the lanes that hold columns before `to`.
static Value tailMask(Emission &e, int64_t lanes, Value column, Value to) {
  Value left = e.builder.createOrFold<arith::SubIOp>(e.loc, to, column);
  auto type = VectorType::get({lanes}, e.builder.getI1Type());
  return vector::CreateMaskOp::create(e.builder, e.loc, type, ValueRange{left});
}

static bool isMultiple(Value from, Value to, int64_t lanes) {
  auto begin = constantOf(from), end = constantOf(to);
  return begin && end && (*end - *begin) % lanes == 0;
}

SmallVector<Value>
forColumns(Emission &e, int64_t lanes, Value from, Value to, ValueRange carried,
           llvm::function_ref<SmallVector<Value>(Value, Value, ValueRange)> body) {
  Value whole = lastWhole(e, from, to, lanes);
  SmallVector<Value> values(carried);
  auto first = constantOf(from), end = constantOf(whole);
  if (!first || !end || *first < *end)
    values = e.forLoop(from, whole, lanes, values, [&](Value column, ValueRange inner) {
      return body(column, Value(), inner);
    });
  if (!isMultiple(from, to, lanes))
    values = body(whole, tailMask(e, lanes, whole, to), values);
  return values;
}

void forColumns(Emission &e, int64_t lanes, Value from, Value to,
                llvm::function_ref<void(Value, Value)> body) {
  forColumns(e, lanes, from, to, ValueRange(), [&](Value column, Value mask, ValueRange) {
    body(column, mask);
    return SmallVector<Value>();
  });
}

SmallVector<Value> Vectors::sums(Value from, Value to, int64_t count,
                                 llvm::function_ref<SmallVector<Value>(Value, Value)> terms) {
  constexpr int64_t ways = 4;
  Emission &e = emission;
  SmallVector<Value> totals(count * ways, splat(0.0));
  auto accumulate = [&](Value column, Value mask, int64_t way, MutableArrayRef<Value> into) {
    SmallVector<Value> added = terms(column, mask);
    for (int64_t i = 0; i < count; ++i)
      into[way * count + i] = add(into[way * count + i], select(mask, added[i]));
  };
  Value blocks = lastWhole(e, from, to, ways * lanes);
  totals = e.forLoop(from, blocks, ways * lanes, totals, [&](Value column, ValueRange carried) {
    SmallVector<Value> next(carried);
    for (int64_t way = 0; way < ways; ++way)
      accumulate(addIndex(e, column, e.index(way * lanes)), Value(), way, next);
    return next;
  });
  Value whole = lastWhole(e, from, to, lanes);
  SmallVector<Value> first(ArrayRef<Value>(totals).take_front(count));
  first = e.forLoop(blocks, whole, lanes, first, [&](Value column, ValueRange carried) {
    SmallVector<Value> next(carried);
    accumulate(column, Value(), 0, next);
    return next;
  });
  if (!isMultiple(from, to, lanes))
    accumulate(whole, tailMask(e, lanes, whole, to), 0, first);
  SmallVector<Value> scalars;
  for (int64_t i = 0; i < count; ++i) {
    Value a = add(first[i], totals[count + i]);
    Value b = add(totals[2 * count + i], totals[3 * count + i]);
    scalars.push_back(sum(add(a, b)));
  }
  return scalars;
}

Value loadOffset(Emission &e, Value offset) {
  if (!offset)
    return e.index(0);
  Value value = memref::LoadOp::create(e.builder, e.loc, offset, ValueRange());
  return arith::IndexCastOp::create(e.builder, e.loc, e.builder.getIndexType(), value);
}

Value loadScalar(Emission &e, Value memref, Type type) {
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

} // namespace quern::cpu
