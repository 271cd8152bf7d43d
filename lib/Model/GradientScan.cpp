//===- GradientScan.cpp - The backward pass of rolled layers ----------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
///
/// \file
/// First the backward ops are built behind the forward ops in the scan's own body, where they
/// may use any forward value. Then the body is cut in two: what crosses the cut is saved as further
/// stacked results of the forward scan, or recomputed in the backward scan.
///
//===---------------------------------------------------------------------------------------------===//

#include "DeriveDimensions.h"
#include "Gradient.h"
#include "GradientCut.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/Transforms/RegionUtils.h"

using namespace mlir;
using namespace quern;
using namespace quern::model;

namespace {

/// The backward body under construction: backward ops move into it, and forward ops that they need
/// are computed anew right before the first use.
class BackwardBody {
public:
  BackwardBody(Block &forward, Dimensions &dimensions, Block &body)
      : forward(forward), dimensions(dimensions), b(OpBuilder::atBlockEnd(&body)) {}

  /// Makes a value of the joint body available.
  void map(Value value, Value replacement) {
    mapping.map(value, replacement);
    available.push_back(value);
  }
  Value lookup(Value value) {
    if (!mapping.contains(value) && value.getParentBlock() == &forward) {
      Operation *op = value.getDefiningOp();
      assert(op && "an argument of the forward body that is neither free nor saved");
      clone(op)->setAttr(recomputedTag, b.getUnitAttr());
    }
    return mapping.lookupOrDefault(value);
  }
  Operation *clone(Operation *op) {
    // Operands of nested ops too; a read of the shape alone takes any value of that shape.
    SmallVector<std::pair<Value, Value>> shapes;
    op->walk([&](Operation *nested) {
      for (OpOperand &operand : nested->getOpOperands()) {
        Value value = operand.get();
        if (!readsOnlyShape(operand) || mapping.contains(value)) {
          lookup(value);
          continue;
        }
        if (value.getParentBlock() != &forward)
          continue;
        auto similar = llvm::find_if(available, [&](Value other) {
          return other.getType() == value.getType() && dimensions.sameShape(other, value);
        });
        if (similar == available.end())
          lookup(value);
        else
          shapes.push_back({value, mapping.lookup(*similar)});
      }
    });
    // For this op alone: another may need the value itself.
    for (auto [value, similar] : shapes)
      mapping.map(value, similar);
    Operation *copy = b.clone(*op, mapping);
    for (auto [value, similar] : shapes)
      mapping.erase(value);
    for (Value result : op->getResults())
      available.push_back(result);
    return copy;
  }
  OpBuilder &builder() { return b; }

private:
  Block &forward;
  Dimensions &dimensions;
  OpBuilder b;
  IRMapping mapping;
  SmallVector<Value> available;
};

/// Values of `forward` that backward ops read, and of which more than the shape.
struct Needs {
  llvm::SetVector<Value> values, shapes;
};

} // namespace

static Needs findNeeds(ArrayRef<Operation *> backward, ArrayRef<Value> outputs, Block &body,
                       const DenseSet<Operation *> &isBackward) {
  Needs needs;
  auto isForward = [&](Value value) {
    if (value.getParentBlock() != &body)
      return false;
    Operation *op = value.getDefiningOp();
    return !op || !isBackward.contains(op);
  };
  for (Operation *op : backward)
    op->walk([&](Operation *nested) {
      for (OpOperand &operand : nested->getOpOperands())
        if (isForward(operand.get()))
          (readsOnlyShape(operand) ? needs.shapes : needs.values).insert(operand.get());
    });
  for (Value value : outputs)
    if (value && isForward(value))
      needs.values.insert(value);
  return needs;
}

/// The values of `body` whose shape is read, by backward ops or by forward ops that are recomputed.
static llvm::SetVector<Value> shapesRead(const Needs &needs, const llvm::SetVector<Value> &saved,
                                         const DenseSet<Value> &free, Block &body) {
  llvm::SetVector<Value> shapes(needs.shapes);
  SmallVector<Value> work(needs.values.begin(), needs.values.end());
  DenseSet<Operation *> recomputed;
  while (!work.empty()) {
    Value value = work.pop_back_val();
    if (saved.contains(value) || free.contains(value) || value.getParentBlock() != &body)
      continue;
    Operation *op = value.getDefiningOp();
    if (!op || !recomputed.insert(op).second)
      continue;
    for (OpOperand &operand : op->getOpOperands()) {
      if (!readsOnlyShape(operand))
        work.push_back(operand.get());
      else if (operand.get().getParentBlock() == &body && !free.contains(operand.get()))
        shapes.insert(operand.get());
    }
  }
  return shapes;
}

LogicalResult Differentiator::reverseScan(ScanOp scan, OpBuilder &b, Adjoints &outer) {
  Block &body = scan.getBody().front();
  YieldOp yield = scan.getYield();
  Location loc = scan.getLoc();
  unsigned numCarried = scan.getNumCarried(), numForwardArguments = body.getNumArguments();
  int64_t count = scan.getCount();

  SmallVector<Operation *> forwardOps;
  for (Operation &op : body.without_terminator())
    forwardOps.push_back(&op);
  llvm::SetVector<Value> used, captured;
  getUsedValuesDefinedAbove(scan.getBody(), used);
  for (Value value : used)
    if (active.contains(value))
      captured.insert(value);

  // Adjoints that come from outside, as arguments of the body for the time being.
  OpBuilder inside(yield);
  Operation *marker = UnrealizedConversionCastOp::create(inside, loc, TypeRange(), ValueRange());
  Adjoints inner(active, marker);
  DenseMap<Value, Value> incoming; // carried arguments, captured values, slices -> argument
  SmallVector<unsigned> carried;
  SmallVector<std::pair<unsigned, Value>> stackedIn; // stacked results with an adjoint
  auto addArgument = [&](Type type) { return body.addArgument(type, loc); };
  for (unsigned i = 0; i < numCarried; ++i)
    if (active.contains(body.getArgument(i)))
      carried.push_back(i);
  SmallVector<Value> carriedIn;
  for (unsigned i : carried)
    carriedIn.push_back(addArgument(body.getArgument(i).getType()));
  for (unsigned i = numCarried; i < scan.getNumResults(); ++i)
    if (outer.get(scan.getResult(i)))
      stackedIn.push_back({i, addArgument(yield.getOperand(i).getType())});
  for (Value value : captured) {
    incoming[value] = addArgument(value.getType());
    inner.set(value, incoming[value]);
  }
  DenseSet<Value> seenStacks;
  for (auto [slice, stack] : llvm::zip(scan.getSliceArguments(), scan.getStacks()))
    if (outer.get(stack) && seenStacks.insert(stack).second) {
      incoming[slice] = addArgument(slice.getType());
      inner.set(slice, incoming[slice]);
    }
  for (auto [i, argument] : llvm::zip(carried, carriedIn))
    inner.add(inside, yield.getOperand(i), argument);
  for (auto [i, argument] : stackedIn)
    inner.add(inside, yield.getOperand(i), argument);

  if (failed(reverse(forwardOps, inside, inner)))
    return failure();

  // What the backward body yields. Adjoints that nothing was added to do not pass through it.
  SmallVector<Value> carriedOut, capturedOut, stackedOut;
  SmallVector<Value> capturedValues, reachedStacks;
  for (unsigned i : carried)
    carriedOut.push_back(inner.getOrZero(inside, body.getArgument(i)));
  for (Value value : captured)
    if (inner.get(value) != incoming[value]) {
      capturedValues.push_back(value);
      capturedOut.push_back(inner.get(value));
    }
  SmallVector<Value> initialSlices; // arguments of the body, for reached stacks with an adjoint
  SmallVector<Value> initialStacks;
  for (auto [slice, stack] : llvm::zip(scan.getSliceArguments(), scan.getStacks())) {
    Value sum = inner.get(slice), initial = incoming.lookup(slice);
    if (!sum || sum == initial)
      continue;
    reachedStacks.push_back(stack);
    stackedOut.push_back(sum);
    if (initial) {
      initialSlices.push_back(initial);
      initialStacks.push_back(outer.take(stack));
    }
  }

  // The cut.
  SmallVector<Operation *> backwardOps;
  DenseSet<Operation *> isBackward;
  for (Operation *op = marker->getNextNode(); op != yield; op = op->getNextNode()) {
    backwardOps.push_back(op);
    isBackward.insert(op);
  }
  SmallVector<Value> outputs(carriedOut);
  llvm::append_range(outputs, capturedOut);
  llvm::append_range(outputs, stackedOut);
  Needs needs = findNeeds(backwardOps, outputs, body, isBackward);
  DenseSet<Value> free;
  for (BlockArgument argument : body.getArguments().drop_front(numCarried))
    free.insert(argument);
  Dimensions dimensions(scan.getBody());
  llvm::SetVector<Value> saved;
  while (true) {
    saved = chooseSavedValues(body, needs.values.getArrayRef(), free);
    // A shape must be that of a value which the backward pass has anyway.
    bool complete = true;
    for (Value shape : shapesRead(needs, saved, free, body)) {
      auto fits = [&](Value other) {
        return other.getType() == shape.getType() && dimensions.sameShape(other, shape);
      };
      if (llvm::none_of(saved, fits) && llvm::none_of(free, fits))
        complete = !needs.values.insert(shape) && complete;
    }
    if (complete)
      break;
  }

  // The backward scan.
  SmallVector<Value> inits, stacks;
  SmallVector<Value> joint; // what the arguments of the new body stand for
  for (auto [i, argument] : llvm::zip(carried, carriedIn)) {
    inits.push_back(outer.getOrZero(b, scan.getResult(i)));
    joint.push_back(argument);
  }
  for (Value value : capturedValues) {
    Value sum = outer.take(value);
    inits.push_back(sum ? sum : createFull(b, loc, 0, value));
    joint.push_back(incoming[value]);
  }
  for (auto [i, argument] : stackedIn) {
    stacks.push_back(outer.get(scan.getResult(i)));
    joint.push_back(argument);
  }
  llvm::append_range(stacks, initialStacks);
  llvm::append_range(joint, initialSlices);
  for (auto [slice, stack] : llvm::zip(scan.getSliceArguments(), scan.getStacks())) {
    stacks.push_back(stack);
    joint.push_back(slice);
  }
  // Saved values become stacks once the forward scan is rebuilt; until then stand-ins of their
  // type.
  SmallVector<Type> savedTypes;
  for (Value value : saved) {
    savedTypes.push_back(ScanOp::stack(value.getType(), count));
    joint.push_back(value);
  }
  OpBuilder atScan(scan);
  SmallVector<Type> forwardTypes(scan.getResultTypes());
  llvm::append_range(forwardTypes, savedTypes);
  auto forward = ScanOp::create(atScan, loc, forwardTypes, scan.getInits(), scan.getStacks(), count,
                                scan.getReverse());
  forward->setDiscardableAttrs(scan->getDiscardableAttrDictionary());
  forward->setAttr(savedTag, b.getI64IntegerAttr(saved.size()));
  for (unsigned i = 0; i < saved.size(); ++i)
    stacks.push_back(forward.getResult(scan.getNumResults() + i));
  SmallVector<Type> backwardTypes(ValueRange(carriedOut).getTypes());
  llvm::append_range(backwardTypes, ValueRange(capturedOut).getTypes());
  for (Value value : stackedOut)
    backwardTypes.push_back(ScanOp::stack(value.getType(), count));
  auto backward =
      ScanOp::create(b, loc, backwardTypes, inits, stacks, count, /*reverse=*/!scan.getReverse());
  backward->setDiscardableAttrs(scan->getDiscardableAttrDictionary());

  Block &backwardBlock = backward.getBody().front();
  BackwardBody builder(body, dimensions, backwardBlock);
  for (auto [value, argument] : llvm::zip(joint, backwardBlock.getArguments()))
    builder.map(value, argument);
  for (Operation *op : backwardOps)
    builder.clone(op);
  SmallVector<Value> yielded;
  for (Value value : outputs)
    yielded.push_back(builder.lookup(value));
  YieldOp::create(builder.builder(), yield.getLoc(), yielded);

  // The forward body again without the backward ops.
  for (Operation *op : llvm::reverse(backwardOps))
    op->erase();
  marker->erase();
  body.eraseArguments(numForwardArguments, body.getNumArguments() - numForwardArguments);
  yield->insertOperands(yield.getNumOperands(), saved.getArrayRef());
  forward.getBody().takeBody(scan.getBody());
  scan->replaceAllUsesWith(forward.getResults().take_front(scan.getNumResults()));

  SmallVector<Value> scanInits(forward.getInits());
  scan.erase();

  // And out to the operands.
  unsigned next = 0;
  for (unsigned i : carried)
    outer.add(b, scanInits[i], backward.getResult(next++));
  for (Value value : capturedValues)
    outer.add(b, value, backward.getResult(next++));
  for (Value stack : reachedStacks)
    outer.add(b, stack, backward.getResult(next++));

  // Slices that the backward body does not read.
  for (unsigned i = backwardBlock.getNumArguments(); i-- > inits.size();)
    if (backwardBlock.getArgument(i).use_empty()) {
      backwardBlock.eraseArgument(i);
      backward.getStacksMutable().erase(i - inits.size());
    }
  return success();
}
