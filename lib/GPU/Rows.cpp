//===- Rows.cpp - Rows shared out among teams -------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "Rows.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;

namespace quern::nvidia {

namespace {

/// Finds out whether all rows begin at multiples of what one access takes.
class AlignmentCheck {
public:
  explicit AlignmentCheck(Emission &e) : e(e) {}

  bool impossible = false;
  Value remainders; ///< of all that is known at run time, or'ed; null when everything is known

  void addBuffer(Value buffer, int64_t lanes) {
    auto type = cast<MemRefType>(buffer.getType());
    int64_t bytes = elementBytes(type.getElementType());
    unit = std::min<int64_t>(lanes * bytes, 16);
    auto metadata = memref::ExtractStridedMetadataOp::create(e.builder, e.loc, buffer);
    auto [strides, offset] = type.getStridesAndOffset();
    // What has no offset is an argument or lies in the arena: 64-byte aligned at least.
    if (offset)
      add(offset, metadata.getOffset(), bytes);
    for (int64_t dim = 0; dim + 1 < type.getRank(); ++dim)
      if (type.getDimSize(dim) != 1)
        add(strides[dim], metadata.getStrides()[dim], bytes);
  }

  /// `value` times `bytes`, which is `known` times `bytes` where that is not dynamic.
  void add(int64_t known, Value value, int64_t bytes) {
    if (!ShapedType::isDynamic(known)) {
      impossible |= known * bytes % unit != 0;
      return;
    }
    Value distance = mulIndex(e, value, e.index(bytes));
    Value rest = arith::AndIOp::create(e.builder, e.loc, distance, e.index(unit - 1));
    remainders =
        remainders ? arith::OrIOp::create(e.builder, e.loc, remainders, rest).getResult() : rest;
  }

  int64_t unit = 1; ///< bytes of one access, a power of 2

private:
  Emission &e;
};

/// What a kernel over rows gets, and what becomes of it on the device.
class RowOperands {
public:
  RowOperands(Value rows, Value columns, ValueRange operands)
      : known(constantOf(columns)), count(operands.size()), all(operands) {
    all.push_back(rows);
    if (!known)
      all.push_back(columns);
  }

  ValueRange onHost() const { return all; }
  Value rows(ValueRange onDevice) const { return onDevice[count]; }
  Value columns(Thread &t, ValueRange onDevice) const {
    return known ? t.index(*known) : onDevice.back();
  }
  ValueRange operands(ValueRange onDevice) const { return onDevice.take_front(count); }

private:
  std::optional<int64_t> known;
  size_t count;
  SmallVector<Value> all;
};

} // namespace

void forLanes(Emission &e, ValueRange buffers, Value columns,
              llvm::function_ref<void(int64_t)> emitLaunches, bool wholeGroups) {
  // More than eight elements at a time, of a byte each, take more registers than they save.
  int64_t bytes = 2;
  for (Value buffer : buffers)
    bytes = std::max(bytes, elementBytes(cast<MemRefType>(buffer.getType()).getElementType()));
  int64_t lanes = 16 / bytes;
  AlignmentCheck check(e);
  for (Value buffer : buffers)
    check.addBuffer(buffer, lanes);
  auto known = constantOf(columns);
  check.unit = lanes;
  if (wholeGroups || !known)
    check.add(known.value_or(ShapedType::kDynamic), columns, 1);
  if (check.impossible || buffers.empty())
    return emitLaunches(1);
  if (!check.remainders)
    return emitLaunches(lanes);
  Value aligned = arith::CmpIOp::create(e.builder, e.loc, arith::CmpIPredicate::eq,
                                        check.remainders, e.index(0));
  auto choice = scf::IfOp::create(e.builder, e.loc, aligned, /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(e.builder);
  e.builder.setInsertionPointToStart(choice.thenBlock());
  emitLaunches(lanes);
  e.builder.setInsertionPointToStart(choice.elseBlock());
  emitLaunches(1);
}

/// Shared memory for copies of rows: two blocks find room on a multiprocessor, so that one reads
/// while the other writes. What a block needs beside is little; 1 KiB is the driver's.
static int64_t sharedForRows(const Emission &e) {
  constexpr int64_t driver = 1024, beside = 1024;
  return (e.architecture.sharedBytes + driver) / 2 - driver - beside;
}

SmallVector<Value> rowsAmong(ValueRange operands) {
  SmallVector<Value> rows;
  for (Value operand : operands) {
    auto type = dyn_cast<MemRefType>(operand.getType());
    if (type && type.getRank() > 0 && type.getElementType().isFloat())
      rows.push_back(operand);
  }
  return rows;
}

Value blocksFor(Emission &e, Value rows, Value columns) {
  constexpr int64_t warps = blockThreads / warpSize;
  return Team::isWarp(columns) ? ceilDiv(e, rows, e.index(warps)) : rows;
}

void forRows(Emission &e, Value rows, Value columns, ValueRange operands, RowBody body) {
  RowOperands all(rows, columns, operands);
  bool isWarp = Team::isWarp(columns);
  int64_t threads = Team::threadsFor(columns);
  forLanes(e, rowsAmong(operands), columns, [&](int64_t lanes) {
    int64_t width = Team::widthFor(columns, lanes);
    Value blocks = isWarp ? ceilDiv(e, rows, e.index(threads / width)) : rows;
    e.launch({blocks, {}, {}}, threads, all.onHost(), [&](Thread &t, ValueRange onDevice) {
      Team team(t, all.columns(t, onDevice), lanes, sharedForRows(e), width);
      Value row = team.number(), end = all.rows(onDevice);
      ValueRange inputs = all.operands(onDevice);
      if (!isWarp)
        return body(team, row, inputs);
      if (width == warpSize)
        return t.when(t.less(row, end), [&] { body(team, row, inputs); });
      // The teams of a warp exchange values at the same time: those past the end take the last row
      // along and write nothing.
      team.isActive = t.less(row, end);
      Value last = arith::SubIOp::create(t.builder, t.loc, end, t.index(1));
      body(team, minIndex(t, row, last), inputs);
    });
  });
}

Value forRowSubsets(Emission &e, Value rows, Value columns, int64_t blocks, int64_t lanes,
                    ValueRange operands, SubsetBody body) {
  RowOperands all(rows, columns, operands);
  Value count = atMost(e, blocksFor(e, rows, columns), blocks);
  int64_t threads = Team::threadsFor(columns);
  e.launch({count, {}, {}}, threads, all.onHost(), [&](Thread &t, ValueRange onDevice) {
    Team team(t, all.columns(t, onDevice), lanes, sharedForRows(e));
    body(team, team.number(), team.count(), all.rows(onDevice), all.operands(onDevice));
  });
  return count;
}

SmallVector<Value> withMergedRows(Code &code, ValueRange operands) {
  SmallVector<Value> merged;
  for (Value operand : operands) {
    auto type = dyn_cast<MemRefType>(operand.getType());
    bool hasRows = type && type.getRank() > 2 && type.getElementType().isFloat();
    merged.push_back(hasRows ? mergeRows(code, operand) : operand);
  }
  return merged;
}

SmallVector<Value> at(ArrayRef<Value> indices, Value column) {
  SmallVector<Value> all(indices);
  all.push_back(column);
  return all;
}

SmallVector<Value> rowIndices(Code &code, Value memref, Value row) {
  SmallVector<Value> sizes;
  for (int64_t i = 0; i + 1 < cast<MemRefType>(memref.getType()).getRank(); ++i)
    sizes.push_back(code.dim(memref, i));
  return delinearize(code, row, sizes);
}

} // namespace quern::nvidia
