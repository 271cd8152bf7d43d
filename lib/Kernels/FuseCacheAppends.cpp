//===- FuseCacheAppends.cpp - Attention takes over the appending to its caches ----------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "FuseOnCPU.h"
#include "dialects/Kernel/Kernel.h"
#include "quern/Kernels/Passes.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"

namespace quern::kernels {
#define GEN_PASS_DEF_FUSECACHEAPPENDS
#include "quern/Kernels/Passes.h.inc"
} // namespace quern::kernels

using namespace mlir;
using namespace quern;

namespace {

/// The op that appends one row to the cache that `attention` reads as `cache`, at the offset of its
/// query, or null. What else uses the new cache comes after `attention`.
kernel::CacheAppendOp appendOf(kernel::AttentionOp attention, Value cache) {
  auto append = cache.getDefiningOp<kernel::CacheAppendOp>();
  if (!append || append->getBlock() != attention->getBlock() ||
      append.getOffset() != attention.getOffset() ||
      cast<ShapedType>(append.getX().getType()).getDimSize(1) != 1)
    return {};
  bool comesLater = llvm::all_of(cache.getUsers(), [&](Operation *user) {
    if (user == attention)
      return true;
    Operation *place = attention->getBlock()->findAncestorOpInBlock(*user);
    return place && attention->isBeforeInBlock(place);
  });
  return comesLater ? append : kernel::CacheAppendOp();
}

bool fuse(kernel::AttentionOp attention, IRRewriter &rewriter) {
  if (!attention.getCausal() || !attention.getOffset() || attention->getNumResults() != 1 ||
      cast<ShapedType>(attention.getQ().getType()).getDimSize(1) != 1)
    return false;
  kernel::CacheAppendOp key = appendOf(attention, attention.getK());
  kernel::CacheAppendOp value = appendOf(attention, attention.getV());
  if (!key || !value || key == value)
    return false;
  Value outputs[] = {attention.getOutputs()[0], key.getOutputs()[0], value.getOutputs()[0]};
  rewriter.setInsertionPoint(attention);
  auto fused = kernel::CachedAttentionOp::create(
      rewriter, rewriter.getFusedLoc({key.getLoc(), value.getLoc(), attention.getLoc()}),
      TypeRange(ValueRange(outputs)), attention.getQ(), key.getX(), value.getX(),
      attention.getMask(), attention.getLengths(), attention.getOffset(), outputs,
      attention.getScaleAttr());
  rewriter.replaceOp(attention, fused->getResult(0));
  rewriter.replaceOp(key, fused->getResult(1));
  rewriter.replaceOp(value, fused->getResult(2));
  return true;
}

struct FuseCacheAppends : quern::kernels::impl::FuseCacheAppendsBase<FuseCacheAppends> {
  void runOnOperation() override {
    numFused += kernels::fuseOnCPU<kernel::AttentionOp>(getOperation(), fuse);
  }
};

} // namespace
