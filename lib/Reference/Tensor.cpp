//===- Tensor.cpp - The tensor dialect -------------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "Evaluators.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace quern;
using namespace quern::reference;

/// Sizes, offsets or strides that are constants or operands.
static Array::Shape numbers(ArrayRef<OpFoldResult> mixed, Interpreter &in) {
  Array::Shape result;
  for (OpFoldResult number : mixed)
    result.push_back(isa<Attribute>(number) ? cast<IntegerAttr>(cast<Attribute>(number)).getInt()
                                            : in.get(cast<Value>(number)).flatInteger(0));
  return result;
}

static bool holdsFloats(Value value) {
  return isa<FloatType>(getElementTypeOrSelf(value.getType()));
}

/// Whether every index is one of the array's.
static bool within(const Array &array, ArrayRef<int64_t> index) {
  for (auto [i, size] : llvm::zip(index, array.shape()))
    if (i < 0 || i >= size)
      return false;
  return true;
}

static LogicalResult expandShape(tensor::ExpandShapeOp op, Interpreter &in) {
  const Array &x = in.get(op.getSrc());
  Array::Shape shape = numbers(op.getMixedOutputShape(), in);
  int64_t size = 1;
  for (int64_t dim : shape)
    size *= dim;
  if (size != x.size())
    return op.emitError("cannot expand ") << formatShape(x.shape()) << " to " << formatShape(shape);
  in.set(op.getResult(), x.reshaped(shape));
  return success();
}

static void collapseShape(tensor::CollapseShapeOp op, Interpreter &in) {
  const Array &x = in.get(op.getSrc());
  Array::Shape shape;
  for (const ReassociationIndices &group : op.getReassociationIndices()) {
    shape.push_back(1);
    for (int64_t dim : group)
      shape.back() *= x.dim(dim);
  }
  in.set(op.getResult(), x.reshaped(shape));
}

static LogicalResult extract(tensor::ExtractOp op, Interpreter &in) {
  const Array &x = in.get(op.getTensor());
  Array::Shape index;
  for (Value i : op.getIndices())
    index.push_back(in.get(i).flatInteger(0));
  if (!within(x, index))
    return op.emitError("the index is out of bounds");
  Array y = Array::zeros({}, x.isFloat());
  y.copy(0, x, x.place(index));
  in.set(op.getResult(), std::move(y));
  return success();
}

static LogicalResult dim(tensor::DimOp op, Interpreter &in) {
  const Array &x = in.get(op.getSource());
  int64_t i = in.get(op.getIndex()).flatInteger(0);
  if (i < 0 || i >= x.rank())
    return op.emitError("there is no dimension ") << i;
  in.set(op.getResult(), Array::integers({}, x.dim(i)));
  return success();
}

static void castType(tensor::CastOp op, Interpreter &in) {
  in.set(op.getDest(), in.get(op.getSource()));
}

/// Zeros: what an empty tensor holds does not matter.
static void empty(tensor::EmptyOp op, Interpreter &in) {
  in.set(op.getResult(),
         Array::zeros(numbers(op.getMixedSizes(), in), holdsFloats(op.getResult())));
}

static void splat(tensor::SplatOp op, Interpreter &in) {
  Array::Shape shape;
  unsigned dynamic = 0;
  for (int64_t size : op.getType().getShape())
    shape.push_back(ShapedType::isDynamic(size)
                        ? in.get(op.getDynamicSizes()[dynamic++]).flatInteger(0)
                        : size);
  Array y = Array::zeros(shape, holdsFloats(op.getResult()));
  for (int64_t i = 0; i < y.size(); ++i)
    y.copy(i, in.get(op.getInput()), 0);
  in.set(op.getResult(), std::move(y));
}

static void fromElements(tensor::FromElementsOp op, Interpreter &in) {
  Array y = Array::zeros(op.getType().getShape(), holdsFloats(op.getResult()));
  for (auto [i, element] : llvm::enumerate(op.getElements()))
    y.copy(i, in.get(element), 0);
  in.set(op.getResult(), std::move(y));
}

static LogicalResult extractSlice(tensor::ExtractSliceOp op, Interpreter &in) {
  const Array &x = in.get(op.getSource());
  Array::Shape offsets = numbers(op.getMixedOffsets(), in), sizes = numbers(op.getMixedSizes(), in),
               strides = numbers(op.getMixedStrides(), in);
  Array y = Array::zeros(sizes, x.isFloat());
  for (int64_t to = 0; to < y.size(); ++to) {
    Array::Shape index = y.indices(to);
    for (int64_t i = 0; i < x.rank(); ++i)
      index[i] = offsets[i] + index[i] * strides[i];
    if (!within(x, index))
      return op.emitError("the slice is out of bounds");
    y.copy(to, x, x.place(index));
  }
  Array::Shape shape; // without the dimensions of size 1 that the type drops
  llvm::SmallBitVector dropped = op.getDroppedDims();
  for (auto [i, size] : llvm::enumerate(sizes))
    if (!dropped.test(i))
      shape.push_back(size);
  in.set(op.getResult(), y.reshaped(shape));
  return success();
}

static LogicalResult insertSlice(tensor::InsertSliceOp op, Interpreter &in) {
  Array y = in.get(op.getDest());
  Array::Shape offsets = numbers(op.getMixedOffsets(), in), sizes = numbers(op.getMixedSizes(), in),
               strides = numbers(op.getMixedStrides(), in);
  Array x = in.get(op.getSource()).reshaped(sizes);
  for (int64_t from = 0; from < x.size(); ++from) {
    Array::Shape index = x.indices(from);
    for (int64_t i = 0; i < y.rank(); ++i)
      index[i] = offsets[i] + index[i] * strides[i];
    if (!within(y, index))
      return op.emitError("the slice is out of bounds");
    y.copy(y.place(index), x, from);
  }
  in.set(op.getResult(), std::move(y));
  return success();
}

void quern::reference::addTensor(Table &table) {
  add<tensor::ExpandShapeOp, expandShape>(table);
  add<tensor::CollapseShapeOp, collapseShape>(table);
  add<tensor::ExtractOp, extract>(table);
  add<tensor::DimOp, dim>(table);
  add<tensor::CastOp, castType>(table);
  add<tensor::EmptyOp, empty>(table);
  add<tensor::SplatOp, splat>(table);
  add<tensor::FromElementsOp, fromElements>(table);
  add<tensor::ExtractSliceOp, extractSlice>(table);
  add<tensor::InsertSliceOp, insertSlice>(table);
}
