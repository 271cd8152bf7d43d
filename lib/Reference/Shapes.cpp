//===- Shapes.cpp - Shapes, heads, constants and masks of the quern dialect ------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "Evaluators.h"

using namespace mlir;
using namespace quern;
using namespace quern::reference;

int64_t quern::reference::broadcastPlace(const Array &small, ArrayRef<int64_t> indices) {
  ArrayRef<int64_t> matched = indices.take_back(small.rank());
  int64_t at = 0;
  for (int64_t i = 0; i < small.rank(); ++i)
    at = at * small.dim(i) + (small.dim(i) == 1 ? 0 : matched[i]);
  return at;
}

static void splitHeads(SplitHeadsOp op, Interpreter &in) {
  const Array &x = in.get(op.getX());
  Array::Shape shape(x.shape());
  shape.back() = op.getHeads();
  shape.push_back(x.width() / op.getHeads());
  in.set(op.getResult(), x.reshaped(shape));
}

static void mergeHeads(MergeHeadsOp op, Interpreter &in) {
  const Array &x = in.get(op.getX());
  Array::Shape shape(x.shape().drop_back());
  shape.back() *= x.width();
  in.set(op.getResult(), x.reshaped(shape));
}

static void transpose(TransposeOp op, Interpreter &in) {
  const Array &x = in.get(op.getX());
  ArrayRef<int64_t> permutation = op.getPermutation();
  Array::Shape shape;
  for (int64_t dim : permutation)
    shape.push_back(x.dim(dim));
  Array y = Array::zeros(shape, x.isFloat());
  Array::Shape from(x.rank());
  for (int64_t to = 0; to < y.size(); ++to) {
    Array::Shape index = y.indices(to);
    for (auto [i, dim] : llvm::enumerate(permutation))
      from[dim] = index[i];
    y.copy(to, x, x.place(from));
  }
  in.set(op.getResult(), std::move(y));
}

static void split(SplitOp op, Interpreter &in) {
  const Array &x = in.get(op.getX());
  int64_t dimension = op.getDimension(), start = 0;
  for (auto [size, result] : llvm::zip(op.getSizes(), op.getResults())) {
    Array::Shape shape(x.shape());
    shape[dimension] = size;
    Array part = Array::zeros(shape, x.isFloat());
    for (int64_t to = 0; to < part.size(); ++to) {
      Array::Shape index = part.indices(to);
      index[dimension] += start;
      part.copy(to, x, x.place(index));
    }
    start += size;
    in.set(result, std::move(part));
  }
}

static void concatenate(ConcatenateOp op, Interpreter &in) {
  int64_t dimension = op.getDimension(), start = 0;
  Array::Shape shape(in.get(op.getInputs()[0]).shape());
  shape[dimension] = 0;
  for (Value input : op.getInputs())
    shape[dimension] += in.get(input).dim(dimension);
  Array y = Array::zeros(shape, in.get(op.getInputs()[0]).isFloat());
  for (Value input : op.getInputs()) {
    const Array &x = in.get(input);
    for (int64_t from = 0; from < x.size(); ++from) {
      Array::Shape index = x.indices(from);
      index[dimension] += start;
      y.copy(y.place(index), x, from);
    }
    start += x.dim(dimension);
  }
  in.set(op.getResult(), std::move(y));
}

static void repeat(RepeatOp op, Interpreter &in) {
  const Array &x = in.get(op.getX());
  int64_t dimension = op.getDimension();
  Array::Shape shape(x.shape());
  shape[dimension] *= op.getTimes();
  Array y = Array::zeros(shape, x.isFloat());
  for (int64_t to = 0; to < y.size(); ++to) {
    Array::Shape index = y.indices(to);
    index[dimension] /= static_cast<int64_t>(op.getTimes());
    y.copy(to, x, x.place(index));
  }
  in.set(op.getResult(), std::move(y));
}

static void repeatBackward(RepeatBackwardOp op, Interpreter &in) {
  const Array &dy = in.get(op.getGradient());
  int64_t dimension = op.getDimension();
  Array::Shape shape(dy.shape());
  shape[dimension] /= static_cast<int64_t>(op.getTimes());
  Array dx = Array::floats(shape);
  for (int64_t from = 0; from < dy.size(); ++from) {
    Array::Shape index = dy.indices(from);
    index[dimension] /= static_cast<int64_t>(op.getTimes());
    dx.flat(dx.place(index)) += dy.flat(from);
  }
  in.set(op.getResult(), std::move(dx));
}

static void broadcast(BroadcastOp op, Interpreter &in) {
  const Array &x = in.get(op.getX());
  Array y = Array::zeros(in.get(op.getLike()).shape(), x.isFloat());
  for (int64_t to = 0; to < y.size(); ++to)
    y.copy(to, x, broadcastPlace(x, y.indices(to)));
  in.set(op.getResult(), std::move(y));
}

static void broadcastBackward(BroadcastBackwardOp op, Interpreter &in) {
  const Array &dy = in.get(op.getGradient());
  Array dx = Array::floats(in.get(op.getLike()).shape());
  for (int64_t from = 0; from < dy.size(); ++from)
    dx.flat(broadcastPlace(dx, dy.indices(from))) += dy.flat(from);
  in.set(op.getResult(), std::move(dx));
}

static void full(FullOp op, Interpreter &in) {
  in.set(op.getResult(),
         Array::floats(in.get(op.getLike()).shape(), op.getValue().convertToDouble()));
}

static void causalMask(CausalMaskOp op, Interpreter &in) {
  Array y = Array::integers(in.get(op.getLike()).shape());
  for (int64_t i = 0; i < y.size(); ++i) {
    Array::Shape index = y.indices(i);
    y.flatInteger(i) = index.back() <= index[index.size() - 2];
  }
  in.set(op.getResult(), std::move(y));
}

/// The indices that are left when `dimensions` are dropped.
static Array::Shape drop(ArrayRef<int64_t> index, ArrayRef<int64_t> dimensions) {
  Array::Shape kept;
  for (auto [i, value] : llvm::enumerate(index))
    if (!llvm::is_contained(dimensions, static_cast<int64_t>(i)))
      kept.push_back(value);
  return kept;
}

static void sum(SumOp op, Interpreter &in) {
  const Array &x = in.get(op.getX());
  Array y = Array::floats(drop(x.shape(), op.getDimensions()));
  for (int64_t from = 0; from < x.size(); ++from)
    y.flat(y.place(drop(x.indices(from), op.getDimensions()))) += x.flat(from);
  in.set(op.getResult(), std::move(y));
}

static void sumBackward(SumBackwardOp op, Interpreter &in) {
  const Array &dy = in.get(op.getGradient());
  Array dx = Array::floats(in.get(op.getLike()).shape());
  for (int64_t to = 0; to < dx.size(); ++to)
    dx.flat(to) = dy.flat(dy.place(drop(dx.indices(to), op.getDimensions())));
  in.set(op.getResult(), std::move(dx));
}

void quern::reference::addShapes(Table &table) {
  add<SplitHeadsOp, splitHeads>(table);
  add<MergeHeadsOp, mergeHeads>(table);
  add<TransposeOp, transpose>(table);
  add<SplitOp, split>(table);
  add<ConcatenateOp, concatenate>(table);
  add<RepeatOp, repeat>(table);
  add<RepeatBackwardOp, repeatBackward>(table);
  add<BroadcastOp, broadcast>(table);
  add<BroadcastBackwardOp, broadcastBackward>(table);
  add<FullOp, full>(table);
  add<CausalMaskOp, causalMask>(table);
  add<SumOp, sum>(table);
  add<SumBackwardOp, sumBackward>(table);
}
