//===- GradientRulesTensor.cpp - Gradients of what changes shapes -----------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "GradientRules.h"
#include "dialects/Quern/Quern.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace quern;
using namespace quern::model;

static LogicalResult gradient(SplitHeadsOp op, OpBuilder &b, Adjoints &a) {
  a.add(b, op.getX(), MergeHeadsOp::create(b, op.getLoc(), a.get(op.getResult())));
  return success();
}

static LogicalResult gradient(MergeHeadsOp op, OpBuilder &b, Adjoints &a) {
  ArrayRef<int64_t> dims = cast<RankedTensorType>(op.getX().getType()).getShape();
  a.add(b, op.getX(),
        SplitHeadsOp::create(b, op.getLoc(), a.get(op.getResult()), dims[dims.size() - 2]));
  return success();
}

static LogicalResult gradient(TransposeOp op, OpBuilder &b, Adjoints &a) {
  SmallVector<int64_t> inverse(op.getPermutation().size());
  for (auto [i, dim] : llvm::enumerate(op.getPermutation()))
    inverse[dim] = i;
  a.add(b, op.getX(), TransposeOp::create(b, op.getLoc(), a.get(op.getResult()), inverse));
  return success();
}

static LogicalResult gradient(SplitOp op, OpBuilder &b, Adjoints &a) {
  SmallVector<Value> parts;
  for (Value result : op.getResults())
    parts.push_back(a.getOrZero(b, result));
  a.add(b, op.getX(), ConcatenateOp::create(b, op.getLoc(), parts, op.getDimension()));
  return success();
}

static LogicalResult gradient(ConcatenateOp op, OpBuilder &b, Adjoints &a) {
  SmallVector<int64_t> sizes;
  for (Value input : op.getInputs())
    sizes.push_back(cast<RankedTensorType>(input.getType()).getDimSize(op.getDimension()));
  auto split = SplitOp::create(b, op.getLoc(), a.get(op.getResult()), op.getDimension(), sizes);
  for (auto [input, part] : llvm::zip(op.getInputs(), split.getResults()))
    a.add(b, input, part);
  return success();
}

static LogicalResult gradient(RepeatOp op, OpBuilder &b, Adjoints &a) {
  a.add(b, op.getX(),
        RepeatBackwardOp::create(b, op.getLoc(), a.get(op.getResult()), op.getDimension(),
                                 op.getTimes()));
  return success();
}

static LogicalResult gradient(BroadcastOp op, OpBuilder &b, Adjoints &a) {
  a.add(b, op.getX(),
        BroadcastBackwardOp::create(b, op.getLoc(), a.get(op.getResult()), op.getX()));
  return success();
}

static LogicalResult gradient(SumOp op, OpBuilder &b, Adjoints &a) {
  a.add(
      b, op.getX(),
      SumBackwardOp::create(b, op.getLoc(), a.get(op.getResult()), op.getX(), op.getDimensions()));
  return success();
}

static LogicalResult gradient(tensor::ExpandShapeOp op, OpBuilder &b, Adjoints &a) {
  a.add(b, op.getSrc(),
        tensor::CollapseShapeOp::create(b, op.getLoc(), op.getSrcType(), a.get(op.getResult()),
                                        op.getReassociationIndices()));
  return success();
}

static LogicalResult gradient(tensor::CollapseShapeOp op, OpBuilder &b, Adjoints &a) {
  SmallVector<OpFoldResult> sizes;
  for (auto [i, size] : llvm::enumerate(op.getSrcType().getShape())) {
    if (ShapedType::isDynamic(size))
      sizes.push_back(tensor::DimOp::create(b, op.getLoc(), op.getSrc(), i).getResult());
    else
      sizes.push_back(b.getIndexAttr(size));
  }
  a.add(b, op.getSrc(),
        tensor::ExpandShapeOp::create(b, op.getLoc(), op.getSrcType(), a.get(op.getResult()),
                                      op.getReassociationIndices(), sizes));
  return success();
}

static LogicalResult gradient(tensor::CastOp op, OpBuilder &b, Adjoints &a) {
  a.add(b, op.getSource(),
        tensor::CastOp::create(b, op.getLoc(), op.getSource().getType(), a.get(op.getResult())));
  return success();
}

void model::registerTensorGradients(DialectRegistry &registry) {
  using Cost = RecomputeCost;
  registry.addExtension(+[](MLIRContext *context, QuernDialect *) {
    attach<SplitHeadsOp, gradient, Cost::View>(context);
    attach<MergeHeadsOp, gradient, Cost::View>(context);
    attach<SplitOp, gradient, Cost::View>(context);
    attach<TransposeOp, gradient, Cost::Pointwise, 1>(context);
    attach<ConcatenateOp, gradient, Cost::Pointwise, 1>(context);
    attach<RepeatOp, gradient, Cost::Pointwise, 1>(context);
    attach<BroadcastOp, gradient, Cost::Pointwise, 1>(context);
    attach<SumOp, gradient, Cost::Pointwise, 1>(context);
  });
  registry.addExtension(+[](MLIRContext *context, tensor::TensorDialect *) {
    attach<tensor::ExpandShapeOp, gradient, Cost::View>(context);
    attach<tensor::CollapseShapeOp, gradient, Cost::View>(context);
    attach<tensor::CastOp, gradient, Cost::View>(context);
  });
}
