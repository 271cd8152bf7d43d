//===- Dimensions.cpp - Sizes of all tensors of a program, before it is converted -------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "Dimensions.h"

#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace quern::kernels {

LogicalResult Dimensions::analyze(Block &block) {
  for (Operation &op : block)
    if (failed(analyze(op)))
      return failure();
  return success();
}

LogicalResult Dimensions::analyze(Operation &op) {
  if (auto scan = dyn_cast<ScanOp>(op)) {
    for (auto [argument, init] : llvm::zip(scan.getCarriedArguments(), scan.getInits()))
      dims[argument] = of(init);
    for (auto [argument, stack] : llvm::zip(scan.getSliceArguments(), scan.getStacks()))
      dims[argument] = Dims(llvm::drop_begin(of(stack)));
    if (failed(analyze(scan.getBody().front())))
      return failure();
    for (auto [i, result] : llvm::enumerate(scan.getResults())) {
      Dims sizes = of(scan.getYield().getOperand(i));
      if (i >= scan.getNumCarried())
        sizes.insert(sizes.begin(), builder.getIndexAttr(scan.getCount()));
      dims[result] = std::move(sizes);
    }
    return success();
  }
  if (op.getNumResults() == 0)
    return success();
  FailureOr<SmallVector<Dims>> sizes = results(op);
  if (failed(sizes))
    return failure();
  for (auto [result, size] : llvm::zip(op.getResults(), *sizes)) {
    // Static sizes are known from the type, whatever the rule said.
    auto type = cast<RankedTensorType>(result.getType());
    if (static_cast<int64_t>(size.size()) != type.getRank())
      size.resize(type.getRank());
    for (auto [i, extent] : llvm::enumerate(type.getShape()))
      if (!ShapedType::isDynamic(extent))
        size[i] = builder.getIndexAttr(extent);
      else if (!size[i])
        return op.emitError("the size of dimension ")
               << i << " of a result of " << op.getName() << " is not known";
    dims[result] = size;
  }
  return success();
}

/// The sizes that are dynamic; static ones are filled in from the types.
FailureOr<SmallVector<Dims>> Dimensions::results(Operation &op) {
  OpFoldResult fixed; // a size that the type knows
  auto one = [](Dims sizes) { return SmallVector<Dims>{std::move(sizes)}; };
  auto dropLast = [&](Value x) {
    Dims sizes = of(x);
    if (!sizes.empty())
      sizes.back() = fixed;
    return sizes;
  };
  auto like = [&](Value x) { return one(of(x)); };
  using Result = FailureOr<SmallVector<Dims>>;
  return TypeSwitch<Operation *, Result>(&op)
      .Case([&](EmbeddingOp op) -> Result {
        Dims tokens = of(op.getTokens());
        return one({tokens[0], tokens[1], fixed});
      })
      .Case([&](PositionEmbeddingOp op) -> Result {
        Dims tokens = of(op.getTokens());
        return one({tokens[0], tokens[1], fixed});
      })
      .Case<LinearOp, FusedLinearOp>([&](auto op) -> Result {
        return SmallVector<Dims>(op->getNumResults(), dropLast(op.getX()));
      })
      .Case([&](MatmulOp op) -> Result {
        Dims a = of(op.getA()), b = of(op.getB());
        size_t rank = a.size();
        Dims sizes(a.begin(), a.end() - 2);
        sizes.push_back(op.getTransposeA() ? a[rank - 1] : a[rank - 2]);
        sizes.push_back(op.getTransposeB() ? b[rank - 2] : b[rank - 1]);
        return one(sizes);
      })
      .Case([&](AttentionOp op) -> Result { return one(dropLast(op.getQ())); })
      .Case([&](AttentionForwardOp op) -> Result {
        Dims q = of(op.getQ());
        return SmallVector<Dims>{dropLast(op.getQ()), Dims{q[0], q[2], q[1]}};
      })
      .Case([&](AttentionBackwardOp op) -> Result {
        return SmallVector<Dims>{of(op.getQ()), of(op.getK()), of(op.getV())};
      })
      .Case([&](SplitHeadsOp op) -> Result {
        Dims sizes = dropLast(op.getX());
        sizes.push_back(fixed);
        return one(sizes);
      })
      .Case([&](MergeHeadsOp op) -> Result {
        Dims sizes = of(op.getX());
        sizes.pop_back();
        sizes.back() = fixed;
        return one(sizes);
      })
      .Case([&](TransposeOp op) -> Result {
        Dims sizes;
        for (int64_t dim : op.getPermutation())
          sizes.push_back(of(op.getX())[dim]);
        return one(sizes);
      })
      .Case([&](SplitOp op) -> Result {
        Dims sizes = of(op.getX());
        sizes[op.getDimension()] = fixed;
        return SmallVector<Dims>(op->getNumResults(), sizes);
      })
      .Case([&](ConcatenateOp op) -> Result {
        Dims sizes = of(op.getInputs()[0]);
        sizes[op.getDimension()] = fixed;
        return one(sizes);
      })
      .Case<BroadcastOp, FullOp, CausalMaskOp, BroadcastBackwardOp, SumBackwardOp>(
          [&](auto op) -> Result { return like(op.getLike()); })
      .Case([&](SumOp op) -> Result {
        Dims sizes;
        for (auto [i, size] : llvm::enumerate(of(op.getX())))
          if (!llvm::is_contained(op.getDimensions(), static_cast<int64_t>(i)))
            sizes.push_back(size);
        return one(sizes);
      })
      .Case<EmbeddingBackwardOp, PositionEmbeddingBackwardOp, LinearWeightGradientOp, SquaredNormOp,
            CrossEntropyOp, LinearCrossEntropyOp>([&](auto) -> Result { return one({}); })
      .Case([&](LinearCrossEntropyGradientOp op) -> Result {
        SmallVector<Dims> sizes(op->getNumResults());
        sizes[1] = of(op.getX());
        return sizes;
      })
      .Case([&](NormBackwardOp op) -> Result {
        SmallVector<Dims> sizes(op->getNumResults());
        sizes[0] = of(op.getX());
        return sizes;
      })
      .Case([&](tensor::CollapseShapeOp op) -> Result {
        Dims sizes;
        for (auto group : op.getReassociationIndices()) {
          OpFoldResult size = builder.getIndexAttr(1);
          for (int64_t dim : group) {
            OpFoldResult factor = of(op.getSrc())[dim];
            auto a = getConstantIntValue(size), c = getConstantIntValue(factor);
            if (a && c)
              size = builder.getIndexAttr(*a * *c);
            else if (a && *a == 1)
              size = factor;
            else if (!(c && *c == 1))
              size = arith::MulIOp::create(
                         builder, op.getLoc(),
                         getValueOrCreateConstantIndexOp(builder, op.getLoc(), size),
                         getValueOrCreateConstantIndexOp(builder, op.getLoc(), factor))
                         .getResult();
          }
          sizes.push_back(size);
        }
        return one(sizes);
      })
      .Case([&](tensor::ExpandShapeOp op) -> Result {
        Dims sizes(op.getResultType().getRank());
        for (auto [source, group] : llvm::enumerate(op.getReassociationIndices())) {
          // One dynamic size a group: what its static neighbours leave of the source.
          int64_t factor = 1, dynamic = -1;
          for (int64_t dim : group) {
            if (!op.getResultType().isDynamicDim(dim))
              factor *= op.getResultType().getDimSize(dim);
            else
              dynamic = dim;
          }
          if (dynamic < 0)
            continue;
          OpFoldResult size = of(op.getSrc())[source];
          if (factor != 1)
            size =
                arith::DivUIOp::create(builder, op.getLoc(),
                                       getValueOrCreateConstantIndexOp(builder, op.getLoc(), size),
                                       getValueOrCreateConstantIndexOp(
                                           builder, op.getLoc(), builder.getIndexAttr(factor)))
                    .getResult();
          sizes[dynamic] = size;
        }
        return one(sizes);
      })
      .Case([&](CacheAppendOp op) -> Result { return like(op.getCache()); })
      .Case([&](LastOp op) -> Result {
        Dims sizes = of(op.getX());
        sizes[op.getDimension()] = builder.getIndexAttr(1);
        return one(sizes);
      })
      .Case([&](SampleOp op) -> Result {
        Dims sizes = of(op.getLogits());
        sizes.pop_back();
        return SmallVector<Dims>(2, sizes);
      })
      .Case([&](RepeatOp op) -> Result {
        Dims sizes = of(op.getX());
        sizes[op.getDimension()] = fixed;
        return one(sizes);
      })
      .Case([&](RepeatBackwardOp op) -> Result {
        Dims sizes = of(op.getGradient());
        sizes[op.getDimension()] = fixed;
        return one(sizes);
      })
      .Default([&](Operation *op) -> Result {
        // Everything else is elementwise: all results have the shape of the first operand (of the
        // first that has a rank, for arith.select's scalar condition).
        SmallVector<Dims> sizes(op->getNumResults());
        for (auto [result, size] : llvm::zip(op->getResults(), sizes))
          for (Value operand : op->getOperands())
            if (auto type = dyn_cast<RankedTensorType>(operand.getType());
                type && type.getRank() == cast<RankedTensorType>(result.getType()).getRank()) {
              size = of(operand);
              break;
            }
        return sizes;
      });
}

} // namespace quern::kernels
