//===- AdvanceUpdates.cpp - Parameters updated as soon as they may be -------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "dialects/Kernel/Kernel.h"
#include "quern/Kernels/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/PatternMatch.h"
#include "llvm/ADT/MapVector.h"

namespace quern::kernels {
#define GEN_PASS_DEF_ADVANCEUPDATES
#include "quern/Kernels/Passes.h.inc"
} // namespace quern::kernels

using namespace mlir;
using namespace quern;

namespace {

/// An update of one parameter, and the step of a loop that makes its stacked gradient.
struct StackedUpdate {
  kernel::AdamWOp op;
  unsigned index;                   ///< of the gradient, among what the loop carries
  tensor::InsertSliceOp insertion;  ///< one layer's gradient into the stacked one
  SmallVector<Operation *> readers; ///< slices of the old parameter in the loop
};

/// An update of one parameter on tensors.
bool isSingle(kernel::AdamWOp op) {
  return op->getNumResults() == 3 && op.getGradients().size() == 1;
}

Value parameterOf(kernel::AdamWOp op) { return op.getOutputs()[0]; }

/// Whether different iterations of the loop have different values of `layer` for certain.
bool countsIterations(OpFoldResult layer, scf::ForOp loop) {
  auto value = dyn_cast<Value>(layer);
  if (value == loop.getInductionVar())
    return true;
  auto backwards = value ? value.getDefiningOp<arith::SubIOp>() : arith::SubIOp();
  return backwards && backwards.getRhs() == loop.getInductionVar() &&
         loop.isDefinedOutsideOfLoop(backwards.getLhs());
}

/// Whether `slice` is all of one index of the first dimension of `stack`, another one in each
/// iteration.
bool isOwnLayer(OffsetSizeAndStrideOpInterface slice, RankedTensorType stack, scf::ForOp loop) {
  SmallVector<OpFoldResult> offsets = slice.getMixedOffsets(), sizes = slice.getMixedSizes();
  if (!countsIterations(offsets[0], loop) || !isOneInteger(sizes[0]) || !slice.hasUnitStride())
    return false;
  for (int64_t i = 1, rank = stack.getRank(); i < rank; ++i)
    if (!isZeroInteger(offsets[i]) || getConstantIntValue(sizes[i]) != stack.getDimSize(i))
      return false;
  return true;
}

/// The slices that the loop reads of the old parameter; nothing if it, or what follows, reads more
/// than the slice that an iteration is about to update.
std::optional<SmallVector<Operation *>> ownReaders(kernel::AdamWOp op, scf::ForOp loop,
                                                   OpFoldResult layer) {
  SmallVector<Operation *> readers;
  for (OpOperand &use : parameterOf(op).getUses()) {
    Operation *user = use.getOwner(), *ancestor = op->getBlock()->findAncestorOpInBlock(*user);
    if (user == op)
      continue;
    if (!ancestor)
      return std::nullopt;
    if (ancestor != loop) {
      if (loop->isBeforeInBlock(ancestor))
        return std::nullopt;
      continue;
    }
    auto slice = dyn_cast<tensor::ExtractSliceOp>(user);
    if (!slice || slice->getBlock() != loop.getBody() || slice.getMixedOffsets()[0] != layer ||
        !isOneInteger(slice.getMixedSizes()[0]))
      return std::nullopt;
    readers.push_back(slice);
  }
  return readers;
}

/// The loop that makes the gradient of `op` layer by layer and may update the parameter as well.
std::optional<std::pair<scf::ForOp, StackedUpdate>> findLoop(kernel::AdamWOp op) {
  auto gradient = dyn_cast<OpResult>(op.getGradients()[0]);
  auto loop = gradient ? dyn_cast<scf::ForOp>(gradient.getOwner()) : scf::ForOp();
  if (!loop || loop->getBlock() != op->getBlock() || !gradient.hasOneUse())
    return std::nullopt;
  unsigned index = gradient.getResultNumber();
  BlockArgument carried = loop.getRegionIterArg(index);
  Value yielded = loop.getYieldedValues()[index];
  auto insertion = yielded.getDefiningOp<tensor::InsertSliceOp>();
  if (!loop.getInits()[index].getDefiningOp<tensor::EmptyOp>() || !insertion ||
      insertion.getDest() != carried || insertion->getBlock() != loop.getBody() ||
      !carried.hasOneUse() || !yielded.hasOneUse() ||
      !isOwnLayer(insertion, insertion.getDestType(), loop) ||
      parameterOf(op).getType() != gradient.getType())
    return std::nullopt;
  // Options that are known after the loop, such as a factor made of all gradients, are too late.
  for (Value operand : op->getOperands()) {
    Operation *definition = operand.getDefiningOp();
    if (operand != gradient && definition && definition->getBlock() == op->getBlock() &&
        !definition->isBeforeInBlock(loop))
      return std::nullopt;
  }
  for (Value moment : op.getOutputs().drop_front())
    if (!moment.hasOneUse())
      return std::nullopt;
  std::optional<SmallVector<Operation *>> readers =
      ownReaders(op, loop, insertion.getMixedOffsets()[0]);
  if (!readers)
    return std::nullopt;
  return std::pair(loop, StackedUpdate{op, index, insertion, *readers});
}

/// `update` of the slices of one layer, which come from `stacks`.
kernel::AdamWOp updateLayer(OpBuilder &b, const StackedUpdate &update, ArrayRef<Value> stacks) {
  kernel::AdamWOp op = update.op;
  tensor::InsertSliceOp insertion = update.insertion;
  SmallVector<Value> slices;
  for (Value stack : stacks)
    slices.push_back(tensor::ExtractSliceOp::create(
        b, op.getLoc(), insertion.getSourceType(), stack, insertion.getMixedOffsets(),
        insertion.getMixedSizes(), insertion.getMixedStrides()));
  return kernel::AdamWOp::create(b, op.getLoc(), TypeRange(ValueRange(slices)),
                                 insertion.getSource(), op.getScale(), op.getLearningRate(),
                                 op.getBeta1(), op.getBeta2(), op.getEpsilon(), op.getStep(),
                                 op.getWeightDecays(), slices);
}

/// Lets `loop` carry parameters, in the place of their gradients, and moments.
void moveInto(scf::ForOp loop, ArrayRef<StackedUpdate> updates, IRRewriter &rewriter) {
  SmallVector<Value> moments;
  for (const StackedUpdate &update : updates)
    llvm::append_range(moments, kernel::AdamWOp(update.op).getOutputs().drop_front());
  unsigned before = loop.getNumResults();
  auto finish = [&](OpBuilder &b, Location, ArrayRef<BlockArgument> carried) {
    // All updates, then all slices: what stands together can be one operation.
    SmallVector<std::array<Value, 3>> stacks;
    SmallVector<kernel::AdamWOp> layers;
    for (auto [i, update] : llvm::enumerate(updates)) {
      stacks.push_back({loop.getRegionIterArg(update.index), carried[2 * i], carried[2 * i + 1]});
      layers.push_back(updateLayer(b, update, stacks.back()));
    }
    SmallVector<Value> yielded;
    for (auto [update, stack, layer] : llvm::zip(updates, stacks, layers)) {
      tensor::InsertSliceOp insertion = update.insertion;
      Value stored[3];
      for (int i = 0; i < 3; ++i)
        stored[i] = tensor::InsertSliceOp::create(
            b, insertion.getLoc(), layer->getResult(i), stack[i], insertion.getMixedOffsets(),
            insertion.getMixedSizes(), insertion.getMixedStrides());
      rewriter.replaceOp(insertion, stored[0]);
      for (Operation *reader : update.readers)
        reader->setOperand(0, stack[0]);
      yielded.append({stored[1], stored[2]});
    }
    return yielded;
  };
  rewriter.setInsertionPoint(loop);
  FailureOr<LoopLikeOpInterface> replaced = loop.replaceWithAdditionalYields(
      rewriter, moments, /*replaceInitOperandUsesInLoop=*/false, finish);
  auto now = cast<scf::ForOp>(**replaced);
  for (auto [i, update] : llvm::enumerate(updates)) {
    kernel::AdamWOp op = update.op;
    now.getInitArgsMutable()[update.index].assign(parameterOf(op));
    rewriter.replaceOp(op, {now.getResult(update.index), now.getResult(before + 2 * i),
                            now.getResult(before + 2 * i + 1)});
  }
}

/// Moves the update of a matrix before the loops that it needs not wait for: in them, the memory of
/// its gradient is free.
void moveUp(kernel::AdamWOp op) {
  if (cast<ShapedType>(parameterOf(op).getType()).getRank() < 2)
    return;
  Block *block = op->getBlock();
  Operation *latest = nullptr;
  auto after = [&](Operation *other) {
    if (other && other != op && (!latest || latest->isBeforeInBlock(other)))
      latest = other;
  };
  for (Value operand : op->getOperands())
    if (Operation *definition = operand.getDefiningOp(); definition)
      after(block->findAncestorOpInBlock(*definition));
  for (Value output : op.getOutputs())
    for (Operation *user : output.getUsers())
      after(block->findAncestorOpInBlock(*user));
  if (!latest || !latest->isBeforeInBlock(op))
    return;
  for (Operation *between = latest->getNextNode(); between != op; between = between->getNextNode())
    if (isa<scf::ForOp>(between))
      return op->moveAfter(latest);
}

struct AdvanceUpdates : quern::kernels::impl::AdvanceUpdatesBase<AdvanceUpdates> {
  void runOnOperation() override {
    llvm::MapVector<scf::ForOp, SmallVector<StackedUpdate>> inLoops;
    SmallVector<kernel::AdamWOp> others;
    getOperation().walk([&](kernel::AdamWOp op) {
      if (!isSingle(op))
        return;
      if (auto found = findLoop(op))
        inLoops[found->first].push_back(found->second);
      else
        others.push_back(op);
    });
    IRRewriter rewriter(&getContext());
    for (auto &[loop, updates] : inLoops) {
      numInLoops += updates.size();
      moveInto(loop, updates, rewriter);
    }
    for (kernel::AdamWOp op : others)
      moveUp(op);
  }
};

} // namespace
