//===- TensorInference.cpp - Result types and constraints of shape ops -----------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "dialects/Quern/Inference.h"

#include "mlir/IR/PatternMatch.h"

using namespace mlir;
using namespace quern;

INFER(SplitHeadsOp) {
  Value x = op.getX();
  int64_t heads = op.getHeads();
  if (typeOf(x).getRank() < 1 || ShapedType::isDynamic(lastDim(x)))
    return fail(where, "split_heads", 1, "the last dimension of ", x.getType(), " is not static");
  if (heads <= 0 || lastDim(x) % heads)
    return fail(where, "split_heads", 1, "a last dimension of ", lastDim(x),
                " cannot be split into ", heads, " heads: it is not a multiple");
  SmallVector<int64_t> dims(shape(x));
  dims.back() = heads;
  dims.push_back(lastDim(x) / heads);
  types.push_back(withShape(x, dims));
  return success();
}

INFER(MergeHeadsOp) {
  Value x = op.getX();
  if (typeOf(x).getRank() < 2 || ShapedType::isDynamic(lastDim(x)) ||
      ShapedType::isDynamic(shape(x).drop_back().back()))
    return fail(where, "merge_heads", 1, "needs two static last dimensions to merge, not ",
                x.getType());
  SmallVector<int64_t> dims(shape(x).drop_back());
  dims.back() *= lastDim(x);
  types.push_back(withShape(x, dims));
  return success();
}

INFER(TransposeOp) {
  Value x = op.getX();
  int64_t rank = typeOf(x).getRank();
  SmallVector<int64_t> dims;
  SmallVector<bool> seen(rank, false);
  bool valid = static_cast<int64_t>(op.getPermutation().size()) == rank;
  for (int64_t dim : op.getPermutation()) {
    valid = valid && dim >= 0 && dim < rank && !seen[dim];
    if (!valid)
      break;
    seen[dim] = true;
    dims.push_back(shape(x)[dim]);
  }
  if (!valid)
    return fail(where, "transpose", 1, "the permutation must name each of the ", rank,
                " dimensions of ", x.getType(), " once, from 0 to ", rank - 1);
  types.push_back(withShape(x, dims));
  return success();
}

OpFoldResult TransposeOp::fold(FoldAdaptor) {
  if (llvm::equal(getPermutation(), llvm::seq<int64_t>(0, getPermutation().size())))
    return getX();
  // transpose(transpose(x, p), q) = x when q inverts p.
  auto inner = getX().getDefiningOp<TransposeOp>();
  if (!inner)
    return {};
  for (auto [i, dim] : llvm::enumerate(getPermutation()))
    if (inner.getPermutation()[dim] != static_cast<int64_t>(i))
      return {};
  return inner.getX();
}

namespace {
/// transpose(transpose(x, p), q) is one transpose of x.
struct ComposeTransposes : OpRewritePattern<TransposeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(TransposeOp op, PatternRewriter &rewriter) const override {
    auto inner = op.getX().getDefiningOp<TransposeOp>();
    if (!inner)
      return failure();
    SmallVector<int64_t> permutation;
    for (int64_t dim : op.getPermutation())
      permutation.push_back(inner.getPermutation()[dim]);
    rewriter.replaceOpWithNewOp<TransposeOp>(op, inner.getX(), permutation);
    return success();
  }
};
} // namespace

void TransposeOp::getCanonicalizationPatterns(RewritePatternSet &patterns, MLIRContext *context) {
  patterns.add<ComposeTransposes>(context);
}

/// split_heads(merge_heads(x)) = x when the heads are the same.
OpFoldResult SplitHeadsOp::fold(FoldAdaptor) {
  auto merge = getX().getDefiningOp<MergeHeadsOp>();
  return merge && merge.getX().getType() == getType() ? OpFoldResult(merge.getX()) : nullptr;
}

/// merge_heads(split_heads(x)) = x.
OpFoldResult MergeHeadsOp::fold(FoldAdaptor) {
  auto split = getX().getDefiningOp<SplitHeadsOp>();
  return split && split.getX().getType() == getType() ? OpFoldResult(split.getX()) : nullptr;
}

INFER(SplitOp) {
  Value x = op.getX();
  int64_t dimension = op.getDimension();
  if (dimension < 0 || dimension >= typeOf(x).getRank() ||
      ShapedType::isDynamic(shape(x)[dimension]))
    return fail(where, "split", 1, x.getType(), " has no static dimension ", dimension);
  int64_t sum = 0;
  for (int64_t size : op.getSizes()) {
    if (size <= 0)
      return fail(where, "split", 2, "sizes must be positive, not ", size);
    sum += size;
    SmallVector<int64_t> dims(shape(x));
    dims[dimension] = size;
    types.push_back(withShape(x, dims));
  }
  if (sum != shape(x)[dimension])
    return fail(where, "split", 2, "the sizes sum to ", sum, ", but dimension ", dimension, " of ",
                x.getType(), " is ", shape(x)[dimension]);
  return success();
}

INFER(ConcatenateOp) {
  int64_t dimension = op.getDimension();
  if (op.getInputs().empty())
    return fail(where, "concatenate", 1, "takes one tensor or more");
  Value first = op.getInputs()[0];
  if (dimension < 0 || dimension >= typeOf(first).getRank())
    return fail(where, "concatenate", 1, first.getType(), " has no dimension ", dimension);
  SmallVector<int64_t> dims(shape(first));
  dims[dimension] = 0;
  for (Value input : op.getInputs()) {
    if (typeOf(input).getRank() != typeOf(first).getRank() ||
        ShapedType::isDynamic(shape(input)[dimension]) ||
        typeOf(input).getElementType() != typeOf(first).getElementType())
      return fail(where, "concatenate", 1, input.getType(), " does not join ", first.getType(),
                  " along a static dimension ", dimension);
    for (int64_t i = 0, e = dims.size(); i < e; ++i) {
      if (i == dimension)
        continue;
      if (differ(dims[i], shape(input)[i]))
        return fail(where, "concatenate", 2, input.getType(), " and ", first.getType(),
                    " differ in dimension ", i);
      dims[i] = known(dims[i], shape(input)[i]);
    }
    dims[dimension] += shape(input)[dimension];
  }
  types.push_back(withShape(first, dims));
  return success();
}

static LogicalResult inferRepeat(Where where, StringRef name, Value x, int64_t dimension,
                                 int64_t times, bool forward, Types &types) {
  if (dimension < 0 || dimension >= typeOf(x).getRank() ||
      ShapedType::isDynamic(shape(x)[dimension]))
    return fail(where, name, 1, x.getType(), " has no static dimension ", dimension);
  if (times <= 0 || (!forward && shape(x)[dimension] % times))
    return fail(where, name, 2, "cannot repeat ", times, " times");
  SmallVector<int64_t> dims(shape(x));
  dims[dimension] = forward ? dims[dimension] * times : dims[dimension] / times;
  types.push_back(withShape(x, dims));
  return success();
}
INFER(RepeatOp) {
  return inferRepeat(where, "repeat", op.getX(), op.getDimension(), op.getTimes(), true, types);
}
INFER(RepeatBackwardOp) {
  return inferRepeat(where, "repeat_backward", op.getGradient(), op.getDimension(), op.getTimes(),
                     false, types);
}

INFER(BroadcastOp) {
  Value x = op.getX(), like = op.getLike();
  int64_t missing = typeOf(like).getRank() - typeOf(x).getRank();
  if (missing < 0)
    return fail(where, "broadcast", 1, x.getType(), " has more dimensions than ", like.getType());
  for (auto [i, size] : llvm::enumerate(shape(x)))
    if (size != 1 && differ(size, shape(like)[missing + i]))
      return fail(where, "broadcast", 2, x.getType(), " does not broadcast to ", like.getType(),
                  ": dimensions are matched from the right");
  types.push_back(withShape(x, shape(like)));
  return success();
}

INFER(BroadcastBackwardOp) {
  Value gradient = op.getGradient(), like = op.getLike();
  int64_t missing = typeOf(gradient).getRank() - typeOf(like).getRank();
  bool broadcasts = missing >= 0 && isFloat(gradient);
  for (int64_t i = 0; broadcasts && i < typeOf(like).getRank(); ++i)
    broadcasts = shape(like)[i] == 1 || !differ(shape(like)[i], shape(gradient)[missing + i]);
  if (!broadcasts)
    return fail(where, "broadcast_backward", 1, like.getType(), " does not broadcast to ",
                gradient.getType());
  types.push_back(withShape(gradient, shape(like)));
  return success();
}

INFER(FullOp) {
  if (!isFloat(op.getLike()))
    return fail(where, "full", 1, "needs a float tensor, not ", op.getLike().getType());
  types.push_back(op.getLike().getType());
  return success();
}

INFER(CausalMaskOp) {
  if (typeOf(op.getLike()).getRank() < 2)
    return fail(where, "causal_mask", 1, "needs [..., queries, keys], not ",
                op.getLike().getType());
  types.push_back(
      RankedTensorType::get(shape(op.getLike()), IntegerType::get(op.getLike().getContext(), 1)));
  return success();
}

/// What is left of the shape when the dimensions are summed; nothing if these do not ascend.
static std::optional<SmallVector<int64_t>> dropDims(ArrayRef<int64_t> shape,
                                                    ArrayRef<int64_t> dimensions) {
  int64_t last = -1, rank = shape.size();
  for (int64_t dim : dimensions) {
    if (dim <= last || dim >= rank)
      return std::nullopt;
    last = dim;
  }
  SmallVector<int64_t> dims;
  for (auto [i, size] : llvm::enumerate(shape))
    if (!llvm::is_contained(dimensions, static_cast<int64_t>(i)))
      dims.push_back(size);
  return dims;
}

INFER(SumOp) {
  Value x = op.getX();
  std::optional<SmallVector<int64_t>> dims = dropDims(shape(x), op.getDimensions());
  if (!dims)
    return fail(where, "sum", 1, "dimensions must ascend within the ", typeOf(x).getRank(),
                " dimensions of ", x.getType());
  if (!isFloat(x))
    return fail(where, "sum", 2, "x must be a float tensor, not ", x.getType());
  types.push_back(withShape(x, *dims));
  return success();
}

INFER(SumBackwardOp) {
  std::optional<SmallVector<int64_t>> dims = dropDims(shape(op.getLike()), op.getDimensions());
  if (!dims || differ(*dims, shape(op.getGradient())) || !isFloat(op.getGradient()))
    return fail(where, "sum_backward", 1, op.getGradient().getType(), " is no sum of ",
                op.getLike().getType(), " over these dimensions");
  types.push_back(withShape(op.getGradient(), shape(op.getLike())));
  return success();
}
