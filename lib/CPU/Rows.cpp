//===- Rows.cpp - Rows of memory as native vectors --------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "Rows.h"
#include "MicroKernel.h"

#include "quern/Emission/ElementaryFunctions.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;

namespace quern::cpu {

/// Of a cache, on every processor that we know.
constexpr int64_t lineBytes = 64;

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

void forRowGroups(Emission &e, Value from, Value to, int64_t size,
                  llvm::function_ref<void(ArrayRef<Value>)> body) {
  OpBuilder &b = e.builder;
  Value length = b.createOrFold<arith::SubIOp>(e.loc, to, from);
  Value rest = b.createOrFold<arith::RemUIOp>(e.loc, length, e.index(size));
  Value whole = b.createOrFold<arith::SubIOp>(e.loc, to, rest);
  e.forLoop(from, whole, size, [&](Value row) {
    SmallVector<Value> rows;
    for (int64_t i = 0; i < size; ++i)
      rows.push_back(addIndex(e, row, e.index(i)));
    body(rows);
  });
  if (size > 1)
    e.forLoop(whole, to, 1, [&](Value row) { body(row); });
}

void forRowGroupUnits(Emission &e, Value rows, Value perUnit, int64_t size,
                      llvm::function_ref<void(ArrayRef<Value>)> body) {
  Value whole = e.index(size);
  Value unitRows = mulIndex(e, ceilDiv(e, perUnit, whole), whole);
  e.forUnits(ceilDiv(e, rows, unitRows), [&](Value unit) {
    Value from = mulIndex(e, unit, unitRows);
    forRowGroups(e, from, minIndex(e, addIndex(e, from, unitRows), rows), size, body);
  });
}

Value Vectors::load(Value row, Value column, Value mask) {
  return cpu::load(emission, type, row, column, mask);
}

void Vectors::store(Value value, Value row, Value column, Value mask, bool streaming) {
  cpu::store(emission, value, row, column, mask, streaming);
}

void Vectors::prefetch(Value row, Value column, int64_t vectors) {
  int64_t line = lineBytes / elementBytes(cast<MemRefType>(row.getType()).getElementType());
  for (int64_t ahead = 0; ahead < vectors * lanes; ahead += line)
    memref::PrefetchOp::create(emission.builder, emission.loc, row,
                               ValueRange{addIndex(emission, column, emission.index(ahead))},
                               /*isWrite=*/false, /*localityHint=*/2, /*isDataCache=*/true);
}

Value Vectors::asStored(Value value, Value memref) {
  auto stored = type.clone(cast<MemRefType>(memref.getType()).getElementType());
  return converted(emission, type, converted(emission, stored, value));
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
/// `Op` of `x`, of which it is known that it is at most 0.
template <typename Op>
static Value nonPositive(Emission &e, Value x) {
  auto power = Op::create(e.builder, e.loc, x);
  power->setAttr(emission::nonPositiveAttribute, e.builder.getUnitAttr());
  return power;
}
Value Vectors::expNonPositive(Value x) { return nonPositive<math::ExpOp>(emission, x); }
Value Vectors::exp2NonPositive(Value x) { return nonPositive<math::Exp2Op>(emission, x); }
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

void Vectors::forLines(Value from, Value to, Value memref,
                       llvm::function_ref<void(ArrayRef<Value>, Value)> body) {
  int64_t bytes = lanes * elementBytes(cast<MemRefType>(memref.getType()).getElementType());
  int64_t vectors = std::max<int64_t>(1, lineBytes / bytes);
  Value whole = lastWhole(emission, from, to, vectors * lanes);
  emission.forLoop(from, whole, vectors * lanes, [&](Value column) {
    SmallVector<Value> columns;
    for (int64_t i = 0; i < vectors; ++i)
      columns.push_back(addIndex(emission, column, emission.index(i * lanes)));
    body(columns, Value());
  });
  if (!isMultiple(from, to, vectors * lanes))
    forColumns(whole, to, [&](Value column, Value mask) { body(column, mask); });
}

SmallVector<Value> Vectors::sums(Value from, Value to, int64_t count, Terms terms, int64_t ways,
                                 llvm::function_ref<void(Value)> ahead) {
  constexpr int64_t step = 4;
  Emission &e = emission;
  SmallVector<Value> totals(count * ways, splat(0.0));
  auto accumulate = [&](Value column, Value mask, int64_t way, MutableArrayRef<Value> into) {
    SmallVector<Value> added = terms(column, mask);
    for (int64_t i = 0; i < count; ++i)
      into[way * count + i] = add(into[way * count + i], select(mask, added[i]));
  };
  Value blocks = lastWhole(e, from, to, step * lanes);
  totals = e.forLoop(from, blocks, step * lanes, totals, [&](Value column, ValueRange carried) {
    SmallVector<Value> next(carried);
    ahead(column);
    for (int64_t i = 0; i < step; ++i)
      accumulate(addIndex(e, column, e.index(i * lanes)), Value(), i % ways, next);
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
    SmallVector<Value> parts{first[i]};
    for (int64_t way = 1; way < ways; ++way)
      parts.push_back(totals[way * count + i]);
    for (; parts.size() > 1; parts.resize(parts.size() / 2))
      for (size_t pair = 0; 2 * pair < parts.size(); ++pair)
        parts[pair] = add(parts[2 * pair], parts[2 * pair + 1]);
    scalars.push_back(sum(parts[0]));
  }
  return scalars;
}

/// Whether rows of `memref` follow each other at a known distance of whole lines.
static bool hasAlignedRows(Value memref) {
  auto type = cast<MemRefType>(memref.getType());
  auto [strides, offset] = type.getStridesAndOffset();
  return llvm::all_of(ArrayRef<int64_t>(strides).drop_back(), [&](int64_t stride) {
    return !ShapedType::isDynamic(stride) &&
           stride * elementBytes(type.getElementType()) % lineBytes == 0;
  });
}

void withStreaming(Emission &e, ArrayRef<Value> outputs, Value rows, Value columns,
                   int64_t bytesPerColumn, llvm::function_ref<void(bool)> body) {
  OpBuilder &b = e.builder;
  Location loc = e.loc;
  int64_t most = e.machine.l3Bytes;
  auto knownRows = constantOf(rows), knownColumns = constantOf(columns);
  bool small = knownRows && knownColumns && *knownRows * *knownColumns * bytesPerColumn <= most;
  if (small || !llvm::all_of(outputs, [&](Value output) { return hasAlignedRows(output); }))
    return body(false);
  Value bytes = mulIndex(e, mulIndex(e, rows, columns), e.index(bytesPerColumn));
  Value streaming = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ugt, bytes, e.index(most));
  for (Value output : outputs) {
    auto metadata = memref::ExtractStridedMetadataOp::create(b, loc, output);
    Value base = memref::ExtractAlignedPointerAsIndexOp::create(b, loc, output);
    Type element = cast<MemRefType>(output.getType()).getElementType();
    Value start =
        addIndex(e, base, mulIndex(e, metadata.getOffset(), e.index(elementBytes(element))));
    Value past = arith::RemUIOp::create(b, loc, start, e.index(lineBytes));
    Value aligned = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, past, e.index(0));
    streaming = arith::AndIOp::create(b, loc, streaming, aligned);
  }
  auto choice = scf::IfOp::create(b, loc, streaming, /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(choice.thenBlock());
  body(true);
  // Barriers do not wait for such stores.
  LLVM::FenceOp::create(b, loc, LLVM::AtomicOrdering::seq_cst, /*syncscope=*/"");
  b.setInsertionPointToStart(choice.elseBlock());
  body(false);
}

} // namespace quern::cpu
