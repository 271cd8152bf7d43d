//===- FuseEpilogues.cpp - Elementwise work on products becomes their epilogue ----------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "dialects/Kernel/Kernel.h"
#include "quern/Kernels/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/IRMapping.h"

namespace quern::kernels {
#define GEN_PASS_DEF_FUSEEPILOGUES
#include "quern/Kernels/Passes.h.inc"
} // namespace quern::kernels

using namespace mlir;
using namespace quern;

namespace {

bool isNarrowFloat(Type type) { return kernel::computeType(type) != type; }

/// Views and what has no memory yet: they may stand anywhere after their operands.
bool isMovable(Operation *op) {
  return isa<tensor::EmptyOp, tensor::ExtractSliceOp, tensor::ExpandShapeOp,
             tensor::CollapseShapeOp, tensor::CastOp, tensor::DimOp, arith::ConstantOp>(op);
}

/// The value whose memory `value` lies in, as far as the program says it. What is written into an
/// empty tensor has its own.
Value memoryOf(Value value) {
  while (auto result = dyn_cast<OpResult>(value)) {
    Operation *op = result.getOwner();
    Value before;
    if (isa<tensor::ExtractSliceOp, tensor::ExpandShapeOp, tensor::CollapseShapeOp, tensor::CastOp>(
            op))
      before = op->getOperand(0);
    else if (auto insert = dyn_cast<tensor::InsertSliceOp>(op))
      before = insert.getDest();
    else if (auto kernel = dyn_cast<DestinationStyleOpInterface>(op))
      before = kernel.getTiedOpOperand(result)->get();
    if (!before || before.getDefiningOp<tensor::EmptyOp>())
      return value;
    value = before;
  }
  return value;
}

/// Where a result may be written: into its own operand, or where something copies it.
SmallVector<Value> placesOf(Value init, Value result) {
  SmallVector<Value> places{memoryOf(init)};
  for (Operation *user : result.getUsers()) {
    if (auto copy = dyn_cast<linalg::CopyOp>(user))
      places.push_back(memoryOf(copy.getDpsInits()[0]));
    if (auto insert = dyn_cast<tensor::InsertSliceOp>(user))
      places.push_back(memoryOf(insert.getDest()));
    if (auto store = dyn_cast<bufferization::MaterializeInDestinationOp>(user))
      for (Operation *other : store.getDest().getUsers())
        if (isa<bufferization::ToTensorOp>(other))
          places.push_back(other->getResult(0));
  }
  return places;
}

/// How an operand of elementwise work is one of a region's.
bool isRegionOperand(AffineMap map, Value value) {
  auto type = dyn_cast<RankedTensorType>(value.getType());
  if (!type || !type.getElementType().isIntOrFloat() || type.getElementType().isInteger(1))
    return false;
  unsigned loops = map.getNumDims();
  return map.isIdentity() || map.getNumResults() == 0 ||
         (map.getNumResults() == 1 &&
          map.getResult(0) == getAffineDimExpr(loops - 1, map.getContext()));
}

/// Elementwise work that a region can do, on results of products aside.
bool isElementwise(linalg::GenericOp op) {
  if (!op.hasPureTensorSemantics() || op.getNumReductionLoops() || op.getNumLoops() < 2)
    return false;
  for (OpOperand &operand : op->getOpOperands()) {
    AffineMap map = op.getMatchingIndexingMap(&operand);
    BlockArgument argument = op.getMatchingBlockArgument(&operand);
    bool isUsed = !op.isDpsInit(&operand) || !argument.use_empty();
    if ((op.isDpsInit(&operand) && !map.isIdentity()) ||
        (isUsed && !isRegionOperand(map, operand.get())))
      return false;
    // Regions see 16-bit floats as f32.
    if (isNarrowFloat(argument.getType()) &&
        !llvm::all_of(argument.getUsers(), [](Operation *user) {
          auto wider = dyn_cast<arith::ExtFOp>(user);
          return wider && wider.getType().isF32();
        }))
      return false;
  }
  for (Value value : op.getBody()->getTerminator()->getOperands()) {
    auto narrower = value.getDefiningOp<arith::TruncFOp>();
    if (isNarrowFloat(value.getType()) && !(narrower && narrower.getIn().getType().isF32()))
      return false;
  }
  return llvm::all_of(op.getBody()->without_terminator(), [&](Operation &inside) {
    // What comes from outside is constant.
    return kernel::isEpilogueOp(inside) && llvm::all_of(inside.getOperands(), [&](Value value) {
             return value.getParentBlock() == op.getBody() ||
                    value.getDefiningOp<arith::ConstantOp>();
           });
  });
}

/// Whether all that the work reads and writes at a row and column is of the types that products
/// compute in, or store: every target has regions of these.
bool hasTypesOf(linalg::GenericOp work, kernel::GemmOp gemm) {
  Type compute = kernel::computeType(getElementTypeOrSelf(gemm.getA()));
  return llvm::all_of(work->getOperandTypes(), [&](Type type) {
    auto tensor = cast<RankedTensorType>(type);
    return tensor.getRank() == 0 || kernel::computeType(tensor.getElementType()) == compute;
  });
}

/// A product that can take more work after its own: its value is at hand, and it writes nothing in
/// parts.
bool canTake(kernel::GemmOp gemm) {
  return gemm->getNumResults() && !gemm.getAccumulate() &&
         (gemm.hasRegion() || gemm.getOutputs().size() == 1);
}

class Fusion {
public:
  Fusion(linalg::GenericOp work, kernel::GemmOp gemm) : work(work), gemm(gemm) {}

  /// Finds where the two can be one op; false if nowhere.
  bool findPlace();
  void fuse(RewriterBase &rewriter);

private:
  void collectOperands();
  bool canMoveBefore(Value value, Operation *place) const;
  void moveBefore(Value value, Operation *place) const;
  bool isBetweenFree(llvm::function_ref<bool(Operation &)> isFree) const;
  void inlineWork(OpBuilder &b, IRMapping &mapping);
  Value destination(unsigned output);

  linalg::GenericOp work;
  kernel::GemmOp gemm;
  Operation *place = nullptr;
  SmallVector<OpOperand *> reads; ///< of the work, other than results of the product
};

void Fusion::collectOperands() {
  for (OpOperand &operand : work->getOpOperands())
    if (operand.get().getDefiningOp() != gemm &&
        (!work.isDpsInit(&operand) || !work.getMatchingBlockArgument(&operand).use_empty()))
      reads.push_back(&operand);
}

bool Fusion::canMoveBefore(Value value, Operation *before) const {
  Operation *op = value.getDefiningOp();
  if (!op || op->getBlock() != before->getBlock() || op->isBeforeInBlock(before))
    return true;
  return op != before && isMovable(op) && llvm::all_of(op->getOperands(), [&](Value operand) {
           return canMoveBefore(operand, before);
         });
}

void Fusion::moveBefore(Value value, Operation *before) const {
  Operation *op = value.getDefiningOp();
  if (!op || op->getBlock() != before->getBlock() || op->isBeforeInBlock(before))
    return;
  for (Value operand : op->getOperands())
    moveBefore(operand, before);
  op->moveBefore(before);
}

bool Fusion::isBetweenFree(llvm::function_ref<bool(Operation &)> isFree) const {
  for (Operation *op = gemm->getNextNode(); op != work; op = op->getNextNode())
    if (!isMovable(op) && !isFree(*op))
      return false;
  return true;
}

bool Fusion::findPlace() {
  if (work->getBlock() != gemm->getBlock())
    return false;
  collectOperands();
  // Where the work writes must not be what the product goes on reading.
  llvm::SmallPtrSet<Value, 8> read;
  for (Value operand :
       gemm->getOperands().drop_back(gemm.getExtras().size() + gemm.getOutputs().size()))
    read.insert(memoryOf(operand));
  for (auto [init, result] : llvm::zip(work.getDpsInits(), work->getResults()))
    if (llvm::any_of(placesOf(init, result), [&](Value place) { return read.contains(place); }))
      return false;
  // Where the product stands: what it writes now must not be read in between.
  bool early = llvm::all_of(work->getOperands(), [&](Value value) {
    return value.getDefiningOp() == gemm || canMoveBefore(value, gemm);
  });
  bool fresh = llvm::all_of(work.getDpsInits(),
                            [](Value init) { return init.getDefiningOp<tensor::EmptyOp>(); });
  if (early && (fresh || isBetweenFree([](Operation &) { return false; }))) {
    place = gemm;
    return true;
  }
  // Where the work stands: nobody has asked for the product by then, and what it reads is
  // unchanged.
  for (Operation *user : gemm->getUsers()) {
    Operation *inBlock = gemm->getBlock()->findAncestorOpInBlock(*user);
    if (user != work && (!inBlock || inBlock->isBeforeInBlock(work)))
      return false;
  }
  for (Value operand : gemm->getOperands())
    if (!operand.getDefiningOp<tensor::EmptyOp>())
      read.insert(memoryOf(operand));
  bool unchanged = isBetweenFree([&](Operation &op) {
    auto kernel = dyn_cast<DestinationStyleOpInterface>(op);
    return kernel && op.getNumRegions() <= 1 &&
           llvm::none_of(kernel.getDpsInits(),
                         [&](Value init) { return read.contains(memoryOf(init)); });
  });
  if (unchanged)
    place = work;
  return unchanged;
}

/// Writes the ops of the work at the end of the region. `mapping` has what its arguments are there.
void Fusion::inlineWork(OpBuilder &b, IRMapping &mapping) {
  for (Operation &inside : work.getBody()->without_terminator()) {
    for (Value operand : inside.getOperands())
      if (operand.getParentBlock() != work.getBody() && !mapping.contains(operand))
        mapping.map(operand, b.clone(*operand.getDefiningOp())->getResult(0));
    // A 16-bit float is widened already.
    auto wider = dyn_cast<arith::ExtFOp>(inside);
    if (wider && mapping.lookup(wider.getIn()).getType() == wider.getType())
      mapping.map(wider.getResult(), mapping.lookup(wider.getIn()));
    else
      b.clone(inside, mapping);
  }
}

/// Where an output of the work goes: in the place of an operand that nothing needs afterwards, if
/// there is one.
Value Fusion::destination(unsigned output) {
  Value init = work.getDpsInits()[output];
  if (output > 0 || !init.getDefiningOp<tensor::EmptyOp>())
    return init;
  for (OpOperand *read : reads) {
    Value value = read->get();
    auto kernel = value.getDefiningOp<DestinationStyleOpInterface>();
    if (kernel && value.hasOneUse() && value.getType() == init.getType() &&
        work.getMatchingIndexingMap(read).isIdentity() &&
        kernel.getTiedOpOperand(cast<OpResult>(value))->get().getDefiningOp<tensor::EmptyOp>())
      return value;
  }
  return init;
}

void Fusion::fuse(RewriterBase &rewriter) {
  for (Value operand : work->getOperands())
    if (place == gemm && operand.getDefiningOp() != gemm)
      moveBefore(operand, gemm);
  // Operands and outputs: those that the product has and that are still asked for, then those of
  // the work.
  SmallVector<Value> extras(gemm.getExtras()), outputs;
  SmallVector<OpResult> kept;
  for (OpResult result : gemm->getResults())
    if (llvm::any_of(result.getUsers(), [&](Operation *user) { return user != work; })) {
      kept.push_back(result);
      outputs.push_back(gemm.getOutputs()[result.getResultNumber()]);
    }
  for (OpOperand *read : reads)
    if (!llvm::is_contained(extras, read->get()))
      extras.push_back(read->get());
  for (unsigned i = 0, e = work->getNumResults(); i < e; ++i)
    outputs.push_back(destination(i));

  rewriter.setInsertionPoint(place);
  auto fused = kernel::GemmOp::create(
      rewriter, rewriter.getFusedLoc({gemm.getLoc(), work.getLoc()}),
      TypeRange(ValueRange(outputs)), gemm.getA(), gemm.getB(), gemm.getBias(), gemm.getResidual(),
      extras, outputs, gemm.getTransposeA(), gemm.getTransposeB(), /*accumulate=*/false,
      gemm.getActivation(), gemm.getPanelsBAttr(), gemm.getPanelsCAttr());
  Block &block = *fused.addRegionBlock();
  rewriter.setInsertionPointToStart(&block);
  // What the product made of an element.
  IRMapping mapping;
  SmallVector<Value> made{block.getArgument(0)};
  if (gemm.hasRegion()) {
    Block &old = gemm.getEpilogue().front();
    for (auto [before, now] : llvm::zip(old.getArguments(), block.getArguments()))
      mapping.map(before, now);
    for (Operation &inside : old.without_terminator())
      rewriter.clone(inside, mapping);
    made.clear();
    for (Value value : old.getTerminator()->getOperands())
      made.push_back(mapping.lookup(value));
  }
  for (OpOperand &operand : work->getOpOperands())
    if (operand.get().getDefiningOp() == gemm)
      mapping.map(work.getMatchingBlockArgument(&operand),
                  made[cast<OpResult>(operand.get()).getResultNumber()]);
  for (OpOperand *read : reads) {
    auto number = llvm::find(extras, read->get()) - extras.begin();
    mapping.map(work.getMatchingBlockArgument(read), block.getArgument(1 + number));
  }
  inlineWork(rewriter, mapping);
  SmallVector<Value> yielded;
  for (OpResult result : kept)
    yielded.push_back(made[result.getResultNumber()]);
  for (Value value : work.getBody()->getTerminator()->getOperands()) {
    if (isNarrowFloat(value.getType()))
      value = value.getDefiningOp<arith::TruncFOp>().getIn();
    if (Operation *constant = value.getDefiningOp();
        constant && constant->getBlock() != work.getBody())
      value = rewriter.clone(*constant)->getResult(0);
    else
      value = mapping.lookup(value);
    yielded.push_back(value);
  }
  kernel::YieldOp::create(rewriter, work.getLoc(), yielded);

  for (auto [result, now] : llvm::zip(kept, fused->getResults()))
    rewriter.replaceAllUsesWith(result, now);
  rewriter.replaceOp(work, fused->getResults().drop_front(kept.size()));
  rewriter.eraseOp(gemm);
}

/// Whether the work was done by a product before it.
bool fuseIntoProduct(linalg::GenericOp work, RewriterBase &rewriter) {
  if (!isElementwise(work))
    return false;
  // Of several products the last: the others are done by then.
  kernel::GemmOp last;
  for (OpOperand &operand : work->getOpOperands()) {
    auto gemm = operand.get().getDefiningOp<kernel::GemmOp>();
    if (!gemm || work.isDpsInit(&operand) || gemm->getBlock() != work->getBlock() ||
        !work.getMatchingIndexingMap(&operand).isIdentity())
      continue;
    if (!last || last->isBeforeInBlock(gemm))
      last = gemm;
  }
  if (!last || !canTake(last) || !hasTypesOf(work, last))
    return false;
  // Each other operand that the product makes must be read at the same row and column.
  for (OpOperand &operand : work->getOpOperands())
    if (operand.get().getDefiningOp() == last &&
        (work.isDpsInit(&operand) || !work.getMatchingIndexingMap(&operand).isIdentity()))
      return false;
  Fusion fusion(work, last);
  if (!fusion.findPlace())
    return false;
  fusion.fuse(rewriter);
  return true;
}

struct FuseEpilogues : quern::kernels::impl::FuseEpiloguesBase<FuseEpilogues> {
  void runOnOperation() override {
    IRRewriter rewriter(&getContext());
    SmallVector<linalg::GenericOp> works;
    getOperation().walk([&](linalg::GenericOp op) { works.push_back(op); });
    for (linalg::GenericOp work : works)
      numFused += fuseIntoProduct(work, rewriter);
  }
};

} // namespace
