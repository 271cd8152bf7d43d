//===- GemmMatrix.cpp - Matrices and panels in memory ----------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "Gemm.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

#include <utility>

using namespace mlir;

namespace quern::cpu {

bool hasContiguousRows(Value memref) {
  auto type = cast<MemRefType>(memref.getType());
  SmallVector<int64_t> strides;
  int64_t offset;
  return succeeded(type.getStridesAndOffset(strides, offset)) &&
         (type.getRank() == 0 || strides.back() == 1);
}

Matrix::Matrix(Emission &e, Value memref, int64_t leading) {
  auto type = cast<MemRefType>(memref.getType());
  int64_t rank = type.getRank();
  SmallVector<int64_t> strides;
  int64_t offset;
  (void)type.getStridesAndOffset(strides, offset);
  auto metadata = memref::ExtractStridedMetadataOp::create(e.builder, e.loc, memref);
  SmallVector<Value> strideValues;
  Value extent = e.index(1);
  for (int64_t d = 0; d < rank; ++d) {
    Value stride =
        ShapedType::isDynamic(strides[d]) ? Value(metadata.getStrides()[d]) : e.index(strides[d]);
    strideValues.push_back(stride);
    Value last = sub(e, e.dim(memref, d), e.index(1));
    extent = add(e, extent, mul(e, last, stride));
  }
  OpFoldResult offsetValue = ShapedType::isDynamic(offset)
                                 ? OpFoldResult(metadata.getOffset())
                                 : OpFoldResult(e.builder.getIndexAttr(offset));
  auto flatType = MemRefType::get({ShapedType::kDynamic}, type.getElementType(),
                                  StridedLayoutAttr::get(e.builder.getContext(), offset, {1}));
  flat = memref::ReinterpretCastOp::create(e.builder, e.loc, flatType, metadata.getBaseBuffer(),
                                           offsetValue, ArrayRef<OpFoldResult>{extent},
                                           ArrayRef<OpFoldResult>{e.builder.getIndexAttr(1)});

  // Dimensions that follow each other in memory become one; those of size 1 never count.
  bool identity = type.getLayout().isIdentity();
  auto append = [&](SmallVectorImpl<Dimension> &dims, int64_t d, bool &joins) {
    if (type.getDimSize(d) == 1)
      return;
    Dimension dim{e.dim(memref, d), strideValues[d]};
    if (joins && !dims.empty())
      dims.back() = {mul(e, dims.back().size, dim.size), dim.stride};
    else
      dims.push_back(dim);
    // Does the next one lie inside of this one?
    int64_t next = d + 1;
    while (next < rank && type.getDimSize(next) == 1)
      ++next;
    joins = identity || (next < rank && !ShapedType::isDynamic(strides[d]) &&
                         !ShapedType::isDynamic(strides[next]) && !type.isDynamicDim(next) &&
                         strides[d] == strides[next] * type.getDimSize(next));
  };
  bool joins = false;
  for (int64_t d = 0; d < leading; ++d)
    append(batch, d, joins);
  joins = false;
  for (int64_t d = leading; d < rank - 1; ++d)
    append(dimensions, d, joins);
  rows = e.index(1);
  for (int64_t d = leading; d < rank - 1; ++d)
    rows = mul(e, rows, e.dim(memref, d));
  columns = rank ? e.dim(memref, rank - 1) : e.index(1);
}

Value Matrix::positionOf(Emission &e, Value index, ArrayRef<Dimension> dims) const {
  Value position = e.index(0);
  for (size_t d = dims.size(); d-- > 0;) {
    Value here = d == 0 ? index : remainder(e, index, dims[d].size);
    position = add(e, position, mul(e, here, dims[d].stride));
    if (d)
      index = divide(e, index, dims[d].size);
  }
  return position;
}

Value Matrix::position(Emission &e, Value row) const {
  Value position = positionOf(e, row, dimensions);
  return start ? add(e, start, position) : position;
}

Matrix::Matrix(Emission &e, Value memref, kernel::PanelsAttr panels) : Matrix(e, memref) {
  if (!panels)
    return;
  panel = panels.getWidth();
  if (panels.getSide() == kernel::PanelSide::Rows)
    std::swap(rows, columns);
}

Value Matrix::panelColumns(Emission &e, Value column) const {
  std::optional<int64_t> known = getConstantIntValue(columns);
  if (known && *known % panel == 0)
    return e.index(panel);
  return minimum(e, e.index(panel), sub(e, columns, column));
}

Value Matrix::place(Emission &e, Value row, Value column) const {
  if (!panel)
    return add(e, position(e, row), column);
  Value inPanel = add(e, mul(e, column, rows), mul(e, row, panelColumns(e, column)));
  return start ? add(e, start, inPanel) : inPanel;
}

Value Matrix::batchPosition(Emission &e, Value index) const { return positionOf(e, index, batch); }

Matrix Matrix::at(Value newStart) const {
  Matrix moved = *this;
  moved.start = newStart;
  return moved;
}

SmallVector<Value> columnMasks(Emission &e, const RegisterTile &tile, Value column, Value columns,
                               int64_t width) {
  SmallVector<Value> masks;
  for (int64_t j = 0; j < tile.vectors; ++j) {
    bool whole = width && (j + 1) * tile.lanes <= width;
    Value left =
        width ? e.index(width - j * tile.lanes) : sub(e, columns, add(e, column, j * tile.lanes));
    masks.push_back(whole ? Value() : laneMask(e, tile.vector, left));
  }
  return masks;
}

ColumnPanels::ColumnPanels(Emission &e, Value columns, const RegisterTile &tile) : tile(tile) {
  std::optional<int64_t> known = getConstantIntValue(columns);
  isStatic = known.has_value();
  if (known) {
    full = *known / tile.columns();
    edge = *known % tile.columns();
  }
  count = ceilDivide(e, columns, tile.columns());
}

void ColumnPanels::visit(Emission &e, Value panel,
                         llvm::function_ref<void(const RegisterTile &, int64_t)> body) const {
  if (!isStatic)
    return body(tile, 0);
  RegisterTile edgeTile = tile;
  edgeTile.vectors = llvm::divideCeil(edge, tile.lanes);
  if (!edge)
    return body(tile, tile.columns());
  if (!full)
    return body(edgeTile, edge);
  auto choice = scf::IfOp::create(e.builder, e.loc, less(e, panel, e.index(full)),
                                  /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(e.builder);
  e.builder.setInsertionPointToStart(choice.thenBlock());
  body(tile, tile.columns());
  e.builder.setInsertionPointToStart(choice.elseBlock());
  body(edgeTile, edge);
}

void ColumnPanels::forUnits(Emission &e, Value strips,
                            llvm::function_ref<void(Value, Value)> body) const {
  auto run = [&](Value unit) { body(divide(e, unit, strips), remainder(e, unit, strips)); };
  Value units = mul(e, count, strips);
  if (!isStatic || !edge || !full)
    return e.forUnits(units, run);
  // Thread t takes the units that start in the t-th part of the whole work, counted in vectors.
  int64_t edgeVectors = llvm::divideCeil(edge, tile.lanes);
  Value work = mul(e, strips, full * tile.vectors + edgeVectors);
  Value fullWork = mul(e, strips, full * tile.vectors), fullUnits = mul(e, strips, full);
  auto firstUnit = [&](Value thread) {
    Value start = divide(e, mul(e, work, thread), e.threads);
    Value inFull = ceilDivide(e, minimum(e, start, fullWork), tile.vectors);
    Value past = e.builder.createOrFold<arith::MaxSIOp>(e.loc, sub(e, start, fullWork), e.index(0));
    Value inEdge = ceilDivide(e, past, edgeVectors);
    return add(e, minimum(e, inFull, fullUnits), inEdge);
  };
  e.forLoop(firstUnit(e.thread), firstUnit(add(e, e.thread, 1)), 1, run);
}

ColumnStrips::ColumnStrips(const RegisterTile &tile, Value columns, bool hasPartialSums,
                           int64_t most)
    : columns(columns) {
  if (hasPartialSums)
    pitch =
        llvm::alignTo(std::min(most, getConstantIntValue(columns).value_or(most)), tile.columns());
}

void ColumnStrips::visit(Emission &e, llvm::function_ref<void(Value, Value)> body) const {
  std::optional<int64_t> known = getConstantIntValue(columns);
  if (!pitch || (known && *known <= pitch))
    return body(e.index(0), columns);
  if (!known)
    return e.forLoop(e.index(0), columns, pitch, [&](Value column) {
      body(column, minimum(e, e.index(pitch), sub(e, columns, column)));
    });
  // Of one width that is known, then what is left.
  int64_t rest = *known % pitch, whole = *known - rest;
  e.forLoop(e.index(0), e.index(whole), pitch, [&](Value column) { body(column, e.index(pitch)); });
  if (rest)
    body(e.index(whole), e.index(rest));
}

} // namespace quern::cpu
