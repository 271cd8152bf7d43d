//===- MergeAdamW.cpp - One update for all parameters of a step -------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "dialects/Kernel/Kernel.h"
#include "quern/Kernels/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Interfaces/LoopLikeInterface.h"

namespace quern::kernels {
#define GEN_PASS_DEF_MERGEADAMW
#include "quern/Kernels/Passes.h.inc"
} // namespace quern::kernels

using namespace mlir;
using namespace quern;

namespace {

using Updates = SmallVector<kernel::AdamWOp>;

/// Updates that can be one.
struct Group {
  Updates updates;
  bool isOpen = true; ///< nothing has used a result yet, and no loop began: there may come more

  bool isUsedBy(Operation &op) const {
    return llvm::any_of(updates, [&](kernel::AdamWOp update) {
      return llvm::any_of(update->getUsers(), [&](Operation *user) {
        return update->getBlock()->findAncestorOpInBlock(*user) == &op;
      });
    });
  }
};

/// What the updates of one op have in common, in the order of its operands.
SmallVector<Value> options(kernel::AdamWOp op) {
  return {op.getScale(), op.getLearningRate(), op.getBeta1(),
          op.getBeta2(), op.getEpsilon(),      op.getStep()};
}

Type momentType(kernel::AdamWOp op) { return getElementTypeOrSelf(op.getOutputs()[1].getType()); }

bool fit(kernel::AdamWOp a, kernel::AdamWOp b) {
  return options(a) == options(b) && momentType(a) == momentType(b);
}

/// One op in place of several, where the last of them stands.
void merge(const Updates &updates) {
  OpBuilder b(updates.back());
  SmallVector<Value> gradients, decays, outputs, old;
  SmallVector<Location> locations;
  for (kernel::AdamWOp update : updates) {
    llvm::append_range(gradients, update.getGradients());
    llvm::append_range(decays, update.getWeightDecays());
    llvm::append_range(outputs, update.getOutputs());
    llvm::append_range(old, update->getResults());
    locations.push_back(update.getLoc());
  }
  kernel::AdamWOp first = updates.front();
  auto all = kernel::AdamWOp::create(b, b.getFusedLoc(locations), TypeRange(ValueRange(outputs)),
                                     gradients, first.getScale(), first.getLearningRate(),
                                     first.getBeta1(), first.getBeta2(), first.getEpsilon(),
                                     first.getStep(), decays, outputs);
  for (auto [before, now] : llvm::zip(old, all->getResults()))
    before.replaceAllUsesWith(now);
  for (kernel::AdamWOp update : updates)
    update.erase();
}

void mergeIn(Block &block) {
  SmallVector<Group> groups;
  for (Operation &op : block) {
    for (Group &group : groups)
      group.isOpen &= !group.isUsedBy(op) && !isa<LoopLikeOpInterface>(op);
    auto update = dyn_cast<kernel::AdamWOp>(op);
    if (!update || !update->getNumResults())
      continue;
    auto *group = llvm::find_if(groups, [&](const Group &group) {
      return group.isOpen && fit(group.updates.front(), update);
    });
    if (group != groups.end())
      group->updates.push_back(update);
    else
      groups.push_back({{update}});
  }
  for (const Group &group : groups)
    if (group.updates.size() > 1)
      merge(group.updates);
}

struct MergeAdamW : quern::kernels::impl::MergeAdamWBase<MergeAdamW> {
  void runOnOperation() override {
    getOperation().walk([](Block *block) { mergeIn(*block); });
  }
};

} // namespace
