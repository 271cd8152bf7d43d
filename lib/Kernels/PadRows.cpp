//===- PadRows.cpp - Rows of buffers begin where devices can copy them ------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
///
/// \file
/// Accesses of 16 bytes and tensor maps need rows that begin at multiples of 16 bytes, which rows
/// of 50257 logits do not by themselves. Arguments lie as their owners laid them; buffers are ours.
///
//===---------------------------------------------------------------------------------------------===//

#include "dialects/Kernel/Kernel.h"
#include "quern/Kernels/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Utils/ReshapeOpsUtils.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/PatternMatch.h"
#include "llvm/Support/MathExtras.h"

namespace quern::kernels {
#define GEN_PASS_DEF_PADROWS
#include "quern/Kernels/Passes.h.inc"
} // namespace quern::kernels

using namespace mlir;
using namespace quern;

namespace {

/// What one access takes, and what a transaction of memory does.
constexpr int64_t accessBytes = 16, lineBytes = 128;
/// Rows below this are not worth it; from here on a whole transaction costs little.
constexpr int64_t shortRow = 64, longRow = 32 * lineBytes;

/// Elements from one row to the next of a buffer of this type, or 0 where it stays as it is.
int64_t paddedColumns(MemRefType type) {
  if (type.getRank() < 2 || type.isDynamicDim(type.getRank() - 1) ||
      !type.getLayout().isIdentity() || !type.getElementType().isFloat())
    return 0;
  int64_t columns = type.getShape().back(), element = type.getElementTypeBitWidth() / 8;
  int64_t bytes = columns * element;
  if (bytes % accessBytes == 0 || bytes < shortRow)
    return 0;
  auto unit = static_cast<uint64_t>(bytes < longRow ? accessBytes : lineBytes);
  return static_cast<int64_t>(llvm::alignTo(static_cast<uint64_t>(bytes), unit)) / element;
}

/// The types that views get when the type of what they are taken of becomes `type`; null where
/// there is none.
MemRefType viewType(Operation *view, MemRefType type) {
  if (auto subview = dyn_cast<memref::SubViewOp>(view))
    return memref::SubViewOp::inferRankReducedResultType(
        subview.getType().getShape(), type, subview.getMixedOffsets(), subview.getMixedSizes(),
        subview.getMixedStrides());
  if (auto collapse = dyn_cast<memref::CollapseShapeOp>(view)) {
    SmallVector<ReassociationIndices> groups = collapse.getReassociationIndices();
    if (!memref::CollapseShapeOp::isGuaranteedCollapsible(type, groups))
      return {};
    return memref::CollapseShapeOp::computeCollapsedType(type, groups);
  }
  if (auto expand = dyn_cast<memref::ExpandShapeOp>(view)) {
    FailureOr<MemRefType> result = memref::ExpandShapeOp::computeExpandedType(
        type, expand.getResultType().getShape(), expand.getReassociationIndices());
    return failed(result) ? MemRefType() : *result;
  }
  return {};
}

/// Whether a matrix product reads `value`, or a view of it, as a factor.
bool isFactor(OpOperand &use) {
  return isa<kernel::GemmOp, kernel::BatchGemmOp>(use.getOwner()) && use.getOperandNumber() < 2;
}

/// Whether all that sees `value` can see it with type `type` instead; `factor` becomes true where a
/// product reads it.
bool canRetype(Value value, MemRefType type, bool &factor) {
  return llvm::all_of(value.getUses(), [&](OpOperand &use) {
    Operation *user = use.getOwner();
    factor |= isFactor(use);
    if (isa<kernel::KernelDialect>(user->getDialect()) ||
        isa<linalg::GenericOp, memref::DimOp, memref::CopyOp, memref::LoadOp>(user))
      return true;
    if (auto store = dyn_cast<memref::StoreOp>(user))
      return store.getValueToStore() != value;
    MemRefType view = viewType(user, type);
    return view && canRetype(user->getResult(0), view, factor);
  });
}

void retype(RewriterBase &rewriter, Value from, Value to) {
  for (OpOperand &use : llvm::make_early_inc_range(from.getUses())) {
    Operation *user = use.getOwner();
    if (!isa<memref::SubViewOp, memref::CollapseShapeOp, memref::ExpandShapeOp>(user)) {
      rewriter.modifyOpInPlace(user, [&] { use.set(to); });
      continue;
    }
    rewriter.setInsertionPoint(user);
    Operation *view = rewriter.clone(*user);
    view->setOperand(0, to);
    view->getResult(0).setType(viewType(user, cast<MemRefType>(to.getType())));
    retype(rewriter, user->getResult(0), view->getResult(0));
    rewriter.eraseOp(user);
  }
}

/// Kernels that count the leading dimensions of `from`, of which some are dynamic, together see
/// them as one: then the type says that rows are the same distance apart.
void mergeLeading(RewriterBase &rewriter, Value from, Value rows) {
  for (OpOperand &use : llvm::make_early_inc_range(from.getUses())) {
    Operation *user = use.getOwner();
    auto set = [&] { rewriter.modifyOpInPlace(user, [&] { use.set(rows); }); };
    if (auto gemm = dyn_cast<kernel::GemmOp>(user)) {
      // A residual, and what a region reads and writes, has the shape of C.
      bool isWeight = use.getOperandNumber() == 1 && !gemm.getTransposeA();
      if (!isWeight && !gemm.getResidual() && !gemm.hasRegion())
        set();
    } else if (isa<kernel::SumRowsOp>(user) && use.getOperandNumber() == 0) {
      set();
    } else if (auto loss = dyn_cast<kernel::CrossEntropyGradientOp>(user)) {
      auto targets = cast<MemRefType>(loss.getTargets().getType());
      if (loss.getOutputs()[1] != from || !targets.getLayout().isIdentity())
        continue;
      ReassociationIndices all = llvm::to_vector(llvm::seq<int64_t>(targets.getRank()));
      rewriter.setInsertionPoint(user);
      Value flat = memref::CollapseShapeOp::create(rewriter, user->getLoc(), loss.getTargets(),
                                                   ArrayRef<ReassociationIndices>{all});
      rewriter.modifyOpInPlace(user, [&] { loss.getTargetsMutable().assign(flat); });
      set();
    }
  }
}

/// Rows of `alloc` become `pitch` elements long, of which `alloc` is a view.
void pad(RewriterBase &rewriter, memref::AllocOp alloc, int64_t pitch) {
  MemRefType type = alloc.getType();
  Location loc = alloc.getLoc();
  int64_t rank = type.getRank();
  SmallVector<int64_t> shape(type.getShape());
  shape.back() = pitch;
  rewriter.setInsertionPoint(alloc);
  Value buffer =
      memref::AllocOp::create(rewriter, loc, MemRefType::get(shape, type.getElementType()),
                              alloc.getDynamicSizes(), alloc.getAlignmentAttr());
  auto firstColumns = [&](Value of, ArrayRef<OpFoldResult> sizes) -> Value {
    SmallVector<OpFoldResult> offsets(sizes.size(), rewriter.getIndexAttr(0)),
        strides(sizes.size(), rewriter.getIndexAttr(1));
    return memref::SubViewOp::create(rewriter, loc, of, offsets, sizes, strides);
  };
  Value view = firstColumns(buffer, alloc.getMixedSizes());
  bool isMerged = rank > 2 && llvm::any_of(llvm::seq<int64_t>(1, rank - 1),
                                           [&](int64_t dim) { return type.isDynamicDim(dim); });
  if (isMerged) {
    SmallVector<ReassociationIndices> groups{llvm::to_vector(llvm::seq<int64_t>(rank - 1)),
                                             {rank - 1}};
    Value rows = memref::CollapseShapeOp::create(rewriter, loc, buffer, groups);
    Value count = arith::ConstantIndexOp::create(rewriter, loc, 0);
    count = memref::DimOp::create(rewriter, loc, rows, count);
    OpFoldResult sizes[] = {count, rewriter.getIndexAttr(type.getShape().back())};
    mergeLeading(rewriter, alloc, firstColumns(rows, sizes));
  }
  retype(rewriter, alloc, view);
  rewriter.eraseOp(alloc);
}

struct PadRows : quern::kernels::impl::PadRowsBase<PadRows> {
  void runOnOperation() override {
    IRRewriter rewriter(&getContext());
    for (auto program : getOperation().getOps<func::FuncOp>()) {
      if (!program->hasAttr("quern.target"))
        continue;
      SmallVector<memref::AllocOp> buffers;
      program.walk([&](memref::AllocOp alloc) { buffers.push_back(alloc); });
      for (memref::AllocOp alloc : buffers) {
        int64_t pitch = paddedColumns(alloc.getType());
        if (!pitch)
          continue;
        auto strided = StridedLayoutAttr::get(&getContext(), 0, stridesOf(alloc.getType(), pitch));
        auto type =
            MemRefType::get(alloc.getType().getShape(), alloc.getType().getElementType(), strided);
        bool factor = false;
        if (!canRetype(alloc, type, factor) || !factor)
          continue;
        pad(rewriter, alloc, pitch);
        ++numBuffers;
      }
    }
  }

  static SmallVector<int64_t> stridesOf(MemRefType type, int64_t pitch) {
    SmallVector<int64_t> strides(type.getRank(), 1);
    int64_t stride = pitch;
    for (int64_t dim = type.getRank() - 2; dim >= 0; --dim) {
      strides[dim] = stride;
      bool isOpen = ShapedType::isDynamic(stride) || type.isDynamicDim(dim);
      stride = isOpen ? ShapedType::kDynamic : stride * type.getDimSize(dim);
    }
    return strides;
  }
};

} // namespace
