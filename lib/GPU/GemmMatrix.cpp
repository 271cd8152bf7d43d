//===- GemmMatrix.cpp - Memrefs as matrices ---------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "Gemm.h"
#include "TensorCopy.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;

namespace quern::nvidia {

Matrix::Matrix(Code &code, Value memref, int64_t count, bool even) : memref(memref) {
  auto type = cast<MemRefType>(memref.getType());
  element = type.getElementType();
  int64_t rank = type.getRank();
  auto [strides, offset] = type.getStridesAndOffset();
  Operation *metadata = nullptr;
  auto strideOf = [&, &strides = strides](int64_t dim) -> Value {
    if (!ShapedType::isDynamic(strides[dim]))
      return code.index(strides[dim]);
    if (!metadata)
      metadata = memref::ExtractStridedMetadataOp::create(code.builder, code.loc, memref);
    return cast<memref::ExtractStridedMetadataOp>(metadata).getStrides()[dim];
  };
  // Whether a step in dimension `outer` is a step past the end of dimension `inner`.
  auto follows = [&, &strides = strides](int64_t outer, int64_t inner) -> bool {
    int64_t size = type.getDimSize(inner);
    if (type.getLayout().isIdentity())
      return true;
    bool isKnown = !ShapedType::isDynamic(size) && !ShapedType::isDynamic(strides[inner]) &&
                   !ShapedType::isDynamic(strides[outer]);
    if (isKnown || !even)
      return isKnown && strides[outer] == size * strides[inner];
    Value step = mulIndex(code, code.dim(memref, inner), strideOf(inner));
    Value isSame = arith::CmpIOp::create(code.builder, code.loc, arith::CmpIPredicate::eq, step,
                                         strideOf(outer));
    isEven = isEven ? code.builder.createOrFold<arith::AndIOp>(code.loc, isEven, isSame) : isSame;
    return true;
  };
  // Dimensions [from, to) as few as memory allows.
  auto merged = [&](int64_t from, int64_t to) {
    SmallVector<Dimension> dims;
    std::optional<int64_t> outer;
    for (int64_t dim = from; dim < to; ++dim) {
      if (type.getDimSize(dim) == 1)
        continue;
      Value size = code.dim(memref, dim);
      if (outer && follows(*outer, dim))
        dims.back() = {mulIndex(code, dims.back().size, size), strideOf(dim)};
      else
        dims.push_back({size, strideOf(dim)});
      outer = dim;
    }
    return dims;
  };
  batchDims = merged(0, count);
  leading = merged(count, rank - 1);
  columns = code.dim(memref, rank - 1);
  rows = batch = code.index(1);
  for (const Dimension &dim : leading)
    rows = mulIndex(code, rows, dim.size);
  for (const Dimension &dim : batchDims)
    batch = mulIndex(code, batch, dim.size);
}

Value Matrix::position(Code &code, Value index, ArrayRef<Dimension> dims) {
  SmallVector<Value> sizes;
  for (const Dimension &dim : dims)
    sizes.push_back(dim.size);
  Value position = code.index(0);
  for (auto [part, dim] : llvm::zip(delinearize(code, index, sizes), dims))
    position = addIndex(code, position, mulIndex(code, part, dim.stride));
  return position;
}

Matrix Matrix::on(Thread &t, Value index) const {
  Matrix result = *this;
  result.start = Pointer(t, memref);
  if (!batchDims.empty())
    result.start = result.start.at(t, position(t, index, batchDims));
  return result;
}

Pointer Matrix::row(Thread &t, Value row) const {
  return leading.empty() ? start : start.at(t, position(t, row, leading));
}

Pointer Matrix::below(Thread &t, const Pointer &place, Value rows) const {
  return leading.empty() ? place : place.at(t, mulIndex(t, leading[0].stride, rows));
}

Value Matrix::startsAligned(Code &code, int64_t count) const {
  OpBuilder &b = code.builder;
  Location loc = code.loc;
  Value result = arith::ConstantOp::create(b, loc, b.getBoolAttr(true));
  auto require = [&](Value multiple, int64_t of) {
    Value rest = b.createOrFold<arith::AndIOp>(loc, multiple, code.index(of - 1));
    Value holds = b.createOrFold<arith::CmpIOp>(loc, arith::CmpIPredicate::eq, rest, code.index(0));
    result = b.createOrFold<arith::AndIOp>(loc, result, holds);
  };
  if (!beginsBuffer(memref))
    require(addressOf(code, memref), count * elementBytes(element));
  for (const Dimension &dim : llvm::concat<const Dimension>(leading, batchDims))
    require(dim.stride, count);
  return result;
}

Value Matrix::isVectors(Thread &t, int64_t count) const {
  OpBuilder &b = t.builder;
  Value rest = b.createOrFold<arith::AndIOp>(t.loc, columns, t.index(count - 1));
  Value whole = b.createOrFold<arith::CmpIOp>(t.loc, arith::CmpIPredicate::eq, rest, t.index(0));
  return b.createOrFold<arith::AndIOp>(t.loc, whole, startsAligned(t, count));
}

/// A tensor map has up to 5 dimensions.
Value Matrix::allowsTensorMap(Code &code) const {
  if (leading.size() != 1 || batchDims.size() > 3)
    return {};
  SmallVector<Value> strides;
  for (const Dimension &dim : llvm::concat<const Dimension>(leading, batchDims))
    strides.push_back(mulIndex(code, dim.stride, code.index(elementBytes(element))));
  return nvidia::allowsTensorMap(code, memref, strides);
}

TensorMap Matrix::tensorMap(Code &code, int64_t boxRows) const {
  TensorMap map;
  map.address = addressOf(code, memref);
  map.element = element;
  map.swizzle = 128;
  map.sizes = {columns, rows};
  map.box = {map.swizzle / elementBytes(element), boxRows};
  auto inBytes = [&](Value stride) {
    return mulIndex(code, stride, code.index(elementBytes(element)));
  };
  map.strides = {inBytes(leading[0].stride)};
  for (const Dimension &dim : llvm::reverse(batchDims)) {
    map.sizes.push_back(dim.size);
    map.strides.push_back(inBytes(dim.stride));
    map.box.push_back(1);
  }
  return map;
}

SmallVector<Value> Matrix::batchCoordinates(Thread &t, Value index) const {
  SmallVector<Value> sizes, coordinates;
  for (const Dimension &dim : batchDims)
    sizes.push_back(dim.size);
  SmallVector<Value> outermostFirst = delinearize(t, index, sizes);
  for (Value coordinate : llvm::reverse(outermostFirst))
    coordinates.push_back(t.int32(coordinate));
  return coordinates;
}

} // namespace quern::nvidia
