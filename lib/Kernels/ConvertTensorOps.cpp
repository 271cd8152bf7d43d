//===- ConvertTensorOps.cpp - Shape ops to views, copies and reductions -----------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "Converter.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/TypeSwitch.h"

#include <numeric>

using namespace mlir;

namespace quern::kernels {

static RankedTensorType tensorType(Value value) { return cast<RankedTensorType>(value.getType()); }

/// Which dimensions of `type` are named, in order, as a map of its loops; the others are left out.
static AffineMap keep(int64_t rank, MLIRContext *context, llvm::function_ref<bool(int64_t)> kept) {
  SmallVector<AffineExpr> results;
  for (int64_t i = 0; i < rank; ++i)
    if (kept(i))
      results.push_back(getAffineDimExpr(i, context));
  return AffineMap::get(rank, 0, results, context);
}

/// Groups of dimensions after the dimension `split` has become two.
static SmallVector<ReassociationIndices> splitDimension(int64_t rank, int64_t split) {
  SmallVector<ReassociationIndices> groups;
  for (int64_t i = 0, next = 0; i < rank; ++i) {
    groups.push_back({next++});
    if (i == split)
      groups.back().push_back(next++);
  }
  return groups;
}

/// Sums x over the loops that `result`, a map of x's dimensions, leaves out; `destination` holds
/// the start.
Value Converter::reduce(Location loc, Value x, AffineMap result, Value destination) {
  int64_t rank = tensorType(x).getRank();
  SmallVector<utils::IteratorType> iterators(rank, utils::IteratorType::reduction);
  for (AffineExpr expr : result.getResults())
    if (auto dim = dyn_cast<AffineDimExpr>(expr))
      iterators[dim.getPosition()] = utils::IteratorType::parallel;
  return linalg::GenericOp::create(
             b, loc, TypeRange(destination.getType()), ValueRange(x), ValueRange(destination),
             ArrayRef<AffineMap>{b.getMultiDimIdentityMap(rank), result}, iterators,
             [&](OpBuilder &builder, Location loc, ValueRange arguments) {
               Value sum = arith::AddFOp::create(builder, loc, arguments[1], arguments[0]);
               linalg::YieldOp::create(builder, loc, sum);
             })
      .getResult(0);
}

void Converter::convertSplit(SplitOp op) {
  Value x = get(op.getX());
  int64_t from = 0;
  for (auto [result, size] : llvm::zip(op.getResults(), op.getSizes())) {
    SmallVector<OpFoldResult> offsets(tensorType(x).getRank(), b.getIndexAttr(0)),
        strides(tensorType(x).getRank(), b.getIndexAttr(1));
    offsets[op.getDimension()] = b.getIndexAttr(from);
    set(result, tensor::ExtractSliceOp::create(b, op.getLoc(), tensorType(result), x, offsets,
                                               dims.of(result), strides));
    from += size;
  }
}

void Converter::convertConcatenate(ConcatenateOp op) {
  Value whole = destination(op.getResult());
  int64_t rank = tensorType(whole).getRank(), from = 0;
  for (Value input : op.getInputs()) {
    SmallVector<OpFoldResult> offsets(rank, b.getIndexAttr(0)), strides(rank, b.getIndexAttr(1));
    offsets[op.getDimension()] = b.getIndexAttr(from);
    whole = tensor::InsertSliceOp::create(b, op.getLoc(), get(input), whole, offsets,
                                          dims.of(input), strides);
    from += tensorType(input).getDimSize(op.getDimension());
  }
  set(op.getResult(), whole);
}

/// Repeating makes two dimensions (index, copy) of one; its gradient sums over the second.
void Converter::convertRepeat(Operation *op, Value x, int64_t dimension, int64_t times,
                              bool backward) {
  Location loc = op->getLoc();
  Value result = op->getResult(0);
  RankedTensorType small = tensorType(backward ? result : x),
                   large = tensorType(backward ? x : result);
  int64_t rank = small.getRank();
  SmallVector<int64_t> shape(large.getShape());
  shape[dimension] = small.getDimSize(dimension);
  shape.insert(shape.begin() + dimension + 1, times);
  Dims sizes = dims.of(backward ? x : result);
  sizes[dimension] = b.getIndexAttr(small.getDimSize(dimension));
  sizes.insert(sizes.begin() + dimension + 1, b.getIndexAttr(times));
  auto expanded = RankedTensorType::get(shape, large.getElementType());
  auto groups = splitDimension(rank, dimension);
  AffineMap withoutCopies =
      keep(rank + 1, b.getContext(), [&](int64_t i) { return i != dimension + 1; });
  if (backward) {
    Value split = tensor::ExpandShapeOp::create(b, loc, expanded, get(x), groups, sizes);
    set(result, reduce(loc, split, withoutCopies,
                       filled(loc, dims.of(result), small.getElementType(), 0.0)));
    return;
  }
  Value into = empty(loc, sizes, large.getElementType());
  Value repeated =
      generic(loc, get(x), {withoutCopies}, into,
              [](OpBuilder &, Location, ValueRange arguments) { return arguments[0]; });
  set(result, tensor::CollapseShapeOp::create(b, loc, large, repeated, groups));
}

LogicalResult Converter::convertTensor(Operation *op, bool &known) {
  Location loc = op->getLoc();
  MLIRContext *context = op->getContext();
  auto copy = [](OpBuilder &, Location, ValueRange arguments) { return arguments[0]; };
  TypeSwitch<Operation *>(op)
      .Case([&](SplitHeadsOp op) {
        int64_t rank = tensorType(op.getX()).getRank();
        set(op.getResult(),
            tensor::ExpandShapeOp::create(b, loc, tensorType(op.getResult()), get(op.getX()),
                                          splitDimension(rank, rank - 1), dims.of(op.getResult())));
      })
      .Case([&](MergeHeadsOp op) {
        int64_t rank = tensorType(op.getX()).getRank();
        set(op.getResult(),
            tensor::CollapseShapeOp::create(b, loc, tensorType(op.getResult()), get(op.getX()),
                                            splitDimension(rank - 1, rank - 2)));
      })
      .Case([&](tensor::CollapseShapeOp op) {
        set(op.getResult(),
            tensor::CollapseShapeOp::create(b, loc, tensorType(op.getResult()), get(op.getSrc()),
                                            op.getReassociationIndices()));
      })
      .Case([&](tensor::ExpandShapeOp op) {
        set(op.getResult(),
            tensor::ExpandShapeOp::create(b, loc, tensorType(op.getResult()), get(op.getSrc()),
                                          op.getReassociationIndices(), dims.of(op.getResult())));
      })
      .Case([&](TransposeOp op) {
        set(op.getResult(),
            linalg::TransposeOp::create(b, loc, get(op.getX()), destination(op.getResult()),
                                        op.getPermutation())
                ->getResult(0));
      })
      .Case([&](SplitOp op) { convertSplit(op); })
      .Case([&](ConcatenateOp op) { convertConcatenate(op); })
      .Case([&](RepeatOp op) {
        convertRepeat(op, op.getX(), op.getDimension(), op.getTimes(), false);
      })
      .Case([&](RepeatBackwardOp op) {
        convertRepeat(op, op.getGradient(), op.getDimension(), op.getTimes(), true);
      })
      .Case([&](BroadcastOp op) {
        // Dimensions match from the right; those of size 1 are read at index 0 always.
        int64_t rank = tensorType(op.getResult()).getRank(),
                missing = rank - tensorType(op.getX()).getRank();
        SmallVector<AffineExpr> exprs;
        for (auto [i, size] : llvm::enumerate(tensorType(op.getX()).getShape())) {
          bool repeats = size == 1 && tensorType(op.getResult()).getDimSize(missing + i) != 1;
          exprs.push_back(repeats ? getAffineConstantExpr(0, context)
                                  : getAffineDimExpr(missing + i, context));
        }
        set(op.getResult(), generic(loc, get(op.getX()), {AffineMap::get(rank, 0, exprs, context)},
                                    destination(op.getResult()), copy));
      })
      .Case([&](BroadcastBackwardOp op) {
        Value result = op.getResult();
        int64_t rank = tensorType(op.getGradient()).getRank(),
                missing = rank - tensorType(result).getRank();
        // Sum over what repeats, then put dimensions of size 1 back.
        auto kept = [&](int64_t i) {
          return i >= missing && !(tensorType(result).getDimSize(i - missing) == 1 &&
                                   tensorType(op.getGradient()).getDimSize(i) != 1);
        };
        Dims sizes;
        SmallVector<int64_t> shape;
        SmallVector<ReassociationIndices> groups;
        ReassociationIndices leading;
        for (int64_t i = missing; i < rank; ++i) {
          if (!kept(i)) {
            (groups.empty() ? leading : groups.back()).push_back(i - missing);
            continue;
          }
          groups.emplace_back(leading.begin(), leading.end());
          leading.clear();
          groups.back().push_back(i - missing);
          sizes.push_back(dims.of(result)[i - missing]);
          shape.push_back(tensorType(result).getDimSize(i - missing));
        }
        Value sum = reduce(loc, get(op.getGradient()), keep(rank, context, kept),
                           filled(loc, sizes, tensorType(result).getElementType(), 0.0));
        if (static_cast<int64_t>(shape.size()) != tensorType(result).getRank())
          sum = tensor::ExpandShapeOp::create(b, loc, tensorType(result), sum, groups,
                                              dims.of(result));
        set(result, sum);
      })
      .Case([&](FullOp op) {
        Value scalar =
            arith::ConstantOp::create(b, loc,
                                      b.getFloatAttr(tensorType(op.getResult()).getElementType(),
                                                     op.getValue().convertToDouble()));
        set(op.getResult(),
            linalg::FillOp::create(b, loc, scalar, destination(op.getResult())).getResult(0));
      })
      .Case([&](CausalMaskOp op) {
        set(op.getResult(), generic(loc, {}, {}, destination(op.getResult()),
                                    [&](OpBuilder &builder, Location loc, ValueRange) {
                                      int64_t rank = tensorType(op.getResult()).getRank();
                                      Value query = linalg::IndexOp::create(builder, loc, rank - 2),
                                            key = linalg::IndexOp::create(builder, loc, rank - 1);
                                      return arith::CmpIOp::create(builder, loc,
                                                                   arith::CmpIPredicate::ule, key,
                                                                   query)
                                          .getResult();
                                    }));
      })
      .Case([&](SumOp op) {
        int64_t rank = tensorType(op.getX()).getRank();
        auto summed = op.getDimensions();
        bool rows = rank > 1 && static_cast<int64_t>(summed.size()) == rank - 1 &&
                    !llvm::is_contained(summed, rank - 1);
        if (rows) {
          Value output = destination(op.getResult());
          set(op.getResult(), kernel::SumRowsOp::create(b, loc, TypeRange(output.getType()),
                                                        get(op.getX()), ValueRange(output))
                                  .getResult(0));
          return;
        }
        AffineMap map =
            keep(rank, context, [&](int64_t i) { return !llvm::is_contained(summed, i); });
        set(op.getResult(), reduce(loc, get(op.getX()), map,
                                   filled(loc, dims.of(op.getResult()),
                                          tensorType(op.getResult()).getElementType(), 0.0)));
      })
      .Case([&](SumBackwardOp op) {
        int64_t rank = tensorType(op.getResult()).getRank();
        AffineMap map = keep(rank, context,
                             [&](int64_t i) { return !llvm::is_contained(op.getDimensions(), i); });
        set(op.getResult(),
            generic(loc, get(op.getGradient()), {map}, destination(op.getResult()), copy));
      })
      .Default([&](Operation *) { known = false; });
  return success();
}

} // namespace quern::kernels
