//===- ConvertScan.cpp - Scans to loops over stacked tensors ----------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "Converter.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;

namespace quern::kernels {

/// Whether `op` may write its result where the carried `argument` lies: nothing reads the argument
/// from it on.
static bool isLastReader(BlockArgument argument, Operation *op) {
  for (Operation *user : argument.getUsers()) {
    Operation *ancestor = op->getBlock()->findAncestorOpInBlock(*user);
    if (!ancestor || !ancestor->isBeforeInBlock(op))
      return false;
  }
  return true;
}

/// The stacked operand that a stacked result updates slice by slice, or none: a cache.
static std::optional<unsigned> updatedStack(ScanOp scan, Value yielded) {
  auto append = yielded.getDefiningOp<CacheAppendOp>();
  auto argument = append ? dyn_cast<BlockArgument>(append.getCache()) : BlockArgument();
  if (!argument || argument.getOwner() != &scan.getBody().front() ||
      argument.getArgNumber() < scan.getNumCarried())
    return std::nullopt;
  return argument.getArgNumber() - scan.getNumCarried();
}

LogicalResult Converter::convertScan(ScanOp scan) {
  Location loc = scan.getLoc();
  unsigned carried = scan.getNumCarried();
  YieldOp yield = scan.getYield();
  SmallVector<Value> inits;
  for (Value init : scan.getInits())
    inits.push_back(get(init));
  DenseMap<unsigned, unsigned>
      stackOfSlice; // slice argument -> loop argument that it is updated in
  for (unsigned i = carried, e = scan.getNumResults(); i < e; ++i) {
    if (std::optional<unsigned> stack = updatedStack(scan, yield.getOperand(i))) {
      stackOfSlice[*stack] = i;
      inits.push_back(get(scan.getStacks()[*stack]));
    } else {
      inits.push_back(destination(scan.getResult(i)));
    }
  }
  Value zero = arith::ConstantIndexOp::create(b, loc, 0),
        one = arith::ConstantIndexOp::create(b, loc, 1);
  Value count = arith::ConstantIndexOp::create(b, loc, scan.getCount());
  auto loop = scf::ForOp::create(b, loc, zero, count, one, inits);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  Value layer = loop.getInductionVar();
  if (scan.getReverse()) {
    Value last = arith::ConstantIndexOp::create(b, loc, scan.getCount() - 1);
    layer = arith::SubIOp::create(b, loc, last, layer);
  }

  // The slice of one layer, without the layer dimension.
  auto sliceOf = [&](const Dims &sliceSizes, SmallVector<OpFoldResult> &offsets,
                     SmallVector<OpFoldResult> &sizes, SmallVector<OpFoldResult> &strides) {
    offsets = {OpFoldResult(layer)};
    sizes = {OpFoldResult(b.getIndexAttr(1))};
    offsets.append(sliceSizes.size(), b.getIndexAttr(0));
    llvm::append_range(sizes, sliceSizes);
    strides.assign(sizes.size(), b.getIndexAttr(1));
  };
  for (unsigned i = 0; i < carried; ++i)
    set(scan.getCarriedArguments()[i], loop.getRegionIterArg(i));
  for (auto [i, argument] : llvm::enumerate(scan.getSliceArguments())) {
    SmallVector<OpFoldResult> offsets, sizes, strides;
    sliceOf(dims.of(argument), offsets, sizes, strides);
    Value stack = stackOfSlice.count(i) ? Value(loop.getRegionIterArg(stackOfSlice[i]))
                                        : get(scan.getStacks()[i]);
    set(argument, tensor::ExtractSliceOp::create(b, loc, cast<RankedTensorType>(argument.getType()),
                                                 stack, offsets, sizes, strides));
  }
  // A carried value is computed where the old one lies if nothing needs that any more.
  for (unsigned i = 0; i < carried; ++i) {
    Operation *op = yield.getOperand(i).getDefiningOp();
    if (op && op->getBlock() == scan->getRegion(0).begin().getNodePtr() &&
        llvm::count(yield.getOperands(), yield.getOperand(i)) == 1 && isa<arith::AddFOp>(op) &&
        isLastReader(scan.getCarriedArguments()[i], op))
      places[yield.getOperand(i)] = loop.getRegionIterArg(i);
  }
  if (failed(convert(scan.getBody().front())))
    return failure();

  SmallVector<Value> results;
  SmallVector<unsigned> copies;
  for (unsigned i = 0, e = scan.getNumResults(); i < e; ++i) {
    Value value = get(yield.getOperand(i));
    if (i < carried) {
      // The loop keeps one buffer a carried value.
      if (!places.contains(yield.getOperand(i)) && value != loop.getRegionIterArg(i)) {
        copies.push_back(i);
        value = Value();
      }
      results.push_back(value);
      continue;
    }
    SmallVector<OpFoldResult> offsets, sizes, strides;
    sliceOf(dims.of(yield.getOperand(i)), offsets, sizes, strides);
    results.push_back(tensor::InsertSliceOp::create(b, loc, value, loop.getRegionIterArg(i),
                                                    offsets, sizes, strides));
  }
  // Last, since slices may still read the old values.
  for (unsigned i : copies)
    results[i] = linalg::CopyOp::create(b, loc, get(yield.getOperand(i)), loop.getRegionIterArg(i))
                     .getResult(0);
  scf::YieldOp::create(b, loc, results);
  for (auto [result, converted] : llvm::zip(scan.getResults(), loop.getResults()))
    set(result, converted);
  return success();
}

} // namespace quern::kernels
