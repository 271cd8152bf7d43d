//===- DeriveDimensions.cpp - Which dimensions of values are equal ----------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "DeriveDimensions.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"

#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace quern;
using namespace quern::model;

static int64_t rankOf(Value value) {
  auto type = dyn_cast<RankedTensorType>(value.getType());
  return type ? type.getRank() : 0;
}

bool model::readsOnlyShape(OpOperand &operand) {
  Operation *op = operand.getOwner();
  if (isa<FullOp, CausalMaskOp, tensor::DimOp>(op))
    return operand.getOperandNumber() == 0;
  if (isa<BroadcastOp, BroadcastBackwardOp, SumBackwardOp>(op))
    return operand.getOperandNumber() == 1;
  if (isa<PositionEmbeddingOp>(op))
    return operand.getOperandNumber() == 0;
  return false;
}

Dimensions::Dimensions(Region &region) {
  region.walk([&](Operation *op) { visit(op); });
}

unsigned Dimensions::find(unsigned id) {
  while (parents[id] != id)
    id = parents[id] = parents[parents[id]];
  return id;
}

unsigned Dimensions::classOf(Value value, int64_t dim) {
  auto [it, isNew] = ids.try_emplace({value, dim}, parents.size());
  if (isNew)
    parents.push_back(it->second);
  return find(it->second);
}

void Dimensions::unite(Value a, int64_t dimA, Value b, int64_t dimB) {
  unsigned first = classOf(a, dimA), second = classOf(b, dimB);
  parents[std::max(first, second)] = std::min(first, second);
}

void Dimensions::uniteLeading(Value a, Value b, int64_t count) {
  for (int64_t dim = 0; dim < count; ++dim)
    unite(a, dim, b, dim);
}

void Dimensions::uniteAll(Value a, Value b) {
  if (rankOf(a) == rankOf(b))
    uniteLeading(a, b, rankOf(a));
}

bool Dimensions::sameShape(Value a, Value b) {
  auto first = dyn_cast<RankedTensorType>(a.getType());
  auto second = dyn_cast<RankedTensorType>(b.getType());
  if (!first || !second || first.getRank() != second.getRank())
    return false;
  for (int64_t dim = 0; dim < first.getRank(); ++dim) {
    if (!first.isDynamicDim(dim) && first.getDimSize(dim) == second.getDimSize(dim))
      continue;
    if (classOf(a, dim) != classOf(b, dim))
      return false;
  }
  return true;
}

void Dimensions::visit(Operation *op) {
  if (op->hasTrait<OpTrait::Elementwise>()) {
    Value first;
    for (Value value : llvm::concat<Value>(SmallVector<Value>(op->getOperands()),
                                           SmallVector<Value>(op->getResults()))) {
      if (!isa<RankedTensorType>(value.getType()))
        continue;
      if (first)
        uniteAll(first, value);
      else
        first = value;
    }
    return;
  }
  TypeSwitch<Operation *>(op)
      .Case<GeluOp, SiluOp, ReluOp, SoftmaxOp, RotaryEmbeddingOp, LayerNormOp, RmsNormOp>(
          [&](auto op) { uniteAll(op.getX(), op.getResult()); })
      .Case([&](SwigluOp op) {
        uniteAll(op.getGate(), op.getUp());
        uniteAll(op.getGate(), op.getResult());
      })
      .Case([&](ResidualNormOp op) {
        for (Value value : {op.getResidual(), op.getResult(), op.getSum()})
          uniteAll(op.getX(), value);
      })
      .Case<LinearOp, FusedLinearOp>([&](auto op) {
        for (Value result : op->getResults())
          uniteLeading(op.getX(), result, rankOf(result) - 1);
      })
      .Case<EmbeddingOp, PositionEmbeddingOp>(
          [&](auto op) { uniteLeading(op.getTokens(), op.getResult(), 2); })
      .Case<AttentionOp, AttentionForwardOp>([&](auto op) {
        uniteLeading(op.getQ(), op->getResult(0), 3);
        unite(op.getQ(), 0, op.getK(), 0);
        uniteLeading(op.getK(), op.getV(), 3);
        if (op->getNumResults() == 2) {
          unite(op.getQ(), 0, op->getResult(1), 0);
          unite(op.getQ(), 2, op->getResult(1), 1);
          unite(op.getQ(), 1, op->getResult(1), 2);
        }
      })
      .Case([&](MatmulOp op) {
        int64_t rank = rankOf(op.getResult()), m = rank - 2, n = rank - 1;
        uniteLeading(op.getA(), op.getB(), m);
        uniteLeading(op.getA(), op.getResult(), m);
        unite(op.getA(), op.getTransposeA() ? n : m, op.getResult(), m);
        unite(op.getB(), op.getTransposeB() ? m : n, op.getResult(), n);
        unite(op.getA(), op.getTransposeA() ? m : n, op.getB(), op.getTransposeB() ? n : m);
      })
      .Case(
          [&](SplitHeadsOp op) { uniteLeading(op.getX(), op.getResult(), rankOf(op.getX()) - 1); })
      .Case([&](MergeHeadsOp op) {
        uniteLeading(op.getX(), op.getResult(), rankOf(op.getResult()) - 1);
      })
      .Case([&](TransposeOp op) {
        for (auto [i, dim] : llvm::enumerate(op.getPermutation()))
          unite(op.getResult(), i, op.getX(), dim);
      })
      .Case<SplitOp, RepeatOp>([&](auto op) {
        for (Value result : op->getResults())
          for (int64_t dim = 0; dim < rankOf(result); ++dim)
            if (dim != static_cast<int64_t>(op.getDimension()))
              unite(op.getX(), dim, result, dim);
      })
      .Case([&](ConcatenateOp op) {
        for (Value input : op.getInputs())
          for (int64_t dim = 0; dim < rankOf(input); ++dim)
            if (dim != static_cast<int64_t>(op.getDimension()))
              unite(input, dim, op.getResult(), dim);
      })
      .Case<BroadcastOp, FullOp, CausalMaskOp, BroadcastBackwardOp, SumBackwardOp>(
          [&](auto op) { uniteAll(op.getLike(), op.getResult()); })
      .Case([&](SumOp op) {
        int64_t next = 0;
        for (int64_t dim = 0; dim < rankOf(op.getX()); ++dim)
          if (!llvm::is_contained(op.getDimensions(), dim))
            unite(op.getX(), dim, op.getResult(), next++);
      })
      .Case([&](CrossEntropyOp op) {
        uniteLeading(op.getLogits(), op.getTargets(), rankOf(op.getTargets()));
      })
      .Case([&](LinearCrossEntropyOp op) {
        uniteLeading(op.getX(), op.getTargets(), rankOf(op.getTargets()));
      })
      .Case([&](CacheAppendOp op) {
        uniteAll(op.getCache(), op.getResult());
        for (int64_t dim = 0; dim < rankOf(op.getX()); ++dim)
          if (dim != 1)
            unite(op.getX(), dim, op.getCache(), dim);
      })
      .Case([&](LastOp op) {
        for (int64_t dim = 0; dim < rankOf(op.getX()); ++dim)
          if (dim != static_cast<int64_t>(op.getDimension()))
            unite(op.getX(), dim, op.getResult(), dim);
      })
      .Case([&](SampleOp op) {
        for (Value result : op->getResults())
          uniteLeading(op.getLogits(), result, rankOf(result));
      })
      .Case([&](tensor::CastOp op) { uniteAll(op.getSource(), op.getDest()); })
      .Case<tensor::ExpandShapeOp, tensor::CollapseShapeOp>([&](auto op) {
        bool expands = isa<tensor::ExpandShapeOp>(op.getOperation());
        Value whole = expands ? op.getSrc() : op.getResult();
        Value parts = expands ? op.getResult() : op.getSrc();
        for (auto [i, group] : llvm::enumerate(op.getReassociationIndices()))
          if (group.size() == 1)
            unite(whole, i, parts, group[0]);
      })
      .Case([&](NormBackwardOp op) {
        uniteAll(op.getX(), op.getGradient());
        uniteAll(op.getX(), op.getResult(0));
      })
      .Case([&](ActivationBackwardOp op) { uniteAll(op.getX(), op.getResult()); })
      .Case([&](SoftmaxBackwardOp op) { uniteAll(op.getY(), op.getResult()); })
      .Case([&](CrossEntropyBackwardOp op) { uniteAll(op.getLogits(), op.getResult()); })
      .Case([&](LinearCrossEntropyGradientOp op) { uniteAll(op.getX(), op.getResult(1)); })
      .Case([&](SwigluBackwardOp op) {
        uniteAll(op.getGate(), op.getDgate());
        uniteAll(op.getGate(), op.getDup());
      })
      .Case([&](AttentionBackwardOp op) {
        uniteAll(op.getQ(), op.getDq());
        uniteAll(op.getK(), op.getDk());
        uniteAll(op.getV(), op.getDv());
      })
      .Case([&](ScanOp op) {
        YieldOp yield = op.getYield();
        for (auto [i, argument] : llvm::enumerate(op.getCarriedArguments()))
          for (Value value : {op.getInits()[i], Value(op->getResult(i)), yield.getOperand(i)})
            uniteAll(argument, value);
        for (auto [slice, stack] : llvm::zip(op.getSliceArguments(), op.getStacks()))
          for (int64_t dim = 0; dim < rankOf(slice); ++dim)
            unite(slice, dim, stack, dim + 1);
        for (auto [i, stack] : llvm::enumerate(op.getStackedResults())) {
          Value slice = yield.getOperand(op.getNumCarried() + i);
          for (int64_t dim = 0; dim < rankOf(slice); ++dim)
            unite(slice, dim, stack, dim + 1);
        }
      });
}
