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

Value rowToPrefetch(Emission &e, Value memref, Value row, Value rows) {
  auto type = cast<MemRefType>(memref.getType());
  int64_t columns = type.getShape().back();
  if (ShapedType::isDynamic(columns) ||
      columns > e.machine.l1Bytes / 8 / elementBytes(type.getElementType()))
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

} // namespace quern::cpu
