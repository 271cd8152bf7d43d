//===- Turns.cpp - Which kernels wait for those before them ----------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "Turns.h"

#include "Gemm.h"
#include "OwnCopies.h"
#include "dialects/Kernel/Kernel.h"
#include "quern/Emission/Kernels.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Interfaces/DestinationStyleOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "mlir/Interfaces/ViewLikeInterface.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace quern::cpu {

/// Kernels that do not wait have scratch memory of their own up to this: more would cost more than
/// barriers do.
static constexpr int64_t scratchBudget = int64_t(16) << 20;
static constexpr int64_t scratchAlignment = 64;

Access::Access(Value memref, Operation *op, bool writes)
    : memref(memref), op(op), root(memref), writes(writes) {
  while (Operation *op = root.getDefiningOp()) {
    if (auto place = op->getAttrOfType<DenseI64ArrayAttr>("quern.place")) {
      hasPlace = true;
      region = place[0], begin = place[1], end = place[2];
    }
    if (auto view = dyn_cast<ViewLikeOpInterface>(op))
      root = view.getViewSource();
    else
      break;
  }
  // Arguments of programs are memory of their own; what else is not followed may be anything.
  auto argument = dyn_cast<BlockArgument>(root);
  bool isArgument = argument && isa_and_nonnull<func::FuncOp>(argument.getOwner()->getParentOp());
  if (!isArgument && !root.getDefiningOp<memref::AllocOp>() &&
      !root.getDefiningOp<memref::GetGlobalOp>())
    root = {};
}

bool Access::conflictsWith(const Access &other) const {
  if (!writes && !other.writes)
    return false;
  if (!root || !other.root)
    return true;
  if (root != other.root)
    return false;
  if (!hasPlace || !other.hasPlace)
    return true;
  return region == other.region && begin < other.end && other.begin < end;
}

bool Turns::isSameThread(const Access &before, const Access &after) const {
  auto first = dyn_cast<kernel::GemmOp>(before.op), second = dyn_cast<kernel::GemmOp>(after.op);
  if (!first || !second || before.memref != after.memref || first.getTransposeA() ||
      second.getTransposeA() || first.getTransposeB() != second.getTransposeB() ||
      first.getPanelsBAttr() != second.getPanelsBAttr() ||
      first.getA().getType() != second.getA().getType() ||
      first.getB().getType() != second.getB().getType())
    return false;
  // An element for each of C's, which is what units divide.
  Value c = first.getOutputs()[0];
  auto hasShape = [&](Value x) { return x.getType() == c.getType(); };
  return hasShape(second.getOutputs()[0]) && hasShape(after.memref) &&
         llvm::is_contained(first.getOutputs(), before.memref) &&
         (llvm::is_contained(second.getOutputs(), after.memref) ||
          llvm::is_contained(second.getExtras(), after.memref) ||
          second.getResidual() == after.memref) &&
         copies.rowsOf(c, few) < fewRows;
}

Turns::Turns(func::FuncOp program, ScratchBytes scratchBytes, const OwnCopies &copies, bool few)
    : copies(copies), few(few) {
  for (Block &block : program.getBody())
    visit(block, scratchBytes);
}

void Turns::wait(Operation *op) {
  if (pending.empty() && !pendingScratch)
    return;
  waiting.push_back(op);
  pending.clear();
  pendingScratch = 0;
}

void Turns::visitKernel(Operation *kernel, int64_t scratchBytes) {
  auto inits = cast<DestinationStyleOpInterface>(kernel);
  SmallVector<Access> accesses;
  for (OpOperand &operand : kernel->getOpOperands())
    if (isa<MemRefType>(operand.get().getType()) && !copies.isOwn(operand.get(), few))
      accesses.emplace_back(operand.get(), kernel, inits.isDpsInit(&operand));
  int64_t scratch = llvm::alignTo(scratchBytes, scratchAlignment);
  bool waits = pendingScratch && pendingScratch + scratch > scratchBudget;
  for (const Access &access : accesses)
    for (const Access &before : pending)
      waits |= access.conflictsWith(before) && !isSameThread(before, access);
  if (waits)
    wait(kernel);
  starts[kernel] = pendingScratch;
  pendingScratch += scratch;
  mostScratch = std::max(mostScratch, pendingScratch);
  llvm::append_range(pending, accesses);
  // All threads wait within it, before each makes its own result of what is in scratch memory.
  if (isa<kernel::CachedAttentionOp>(kernel) && copies.isOwn(inits.getDpsInits()[0], few))
    pending.clear();
}

void Turns::visit(Block &block, ScratchBytes scratchBytes) {
  for (Operation &op : block) {
    if (emission::isKernel(&op)) {
      visitKernel(&op, scratchBytes(&op));
      continue;
    }
    if (op.getNumRegions()) {
      // What runs before a loop, and what its last iteration did, is done.
      wait(&op);
      for (Region &region : op.getRegions())
        for (Block &inner : region)
          visit(inner, scratchBytes);
      continue;
    }
    if (op.hasTrait<OpTrait::IsTerminator>()) {
      // The end of a program is that of its parallel region, where threads wait anyway.
      if (!isa<func::ReturnOp>(op))
        wait(&op);
      continue;
    }
    if (auto load = dyn_cast<memref::LoadOp>(op)) {
      Access access(load.getMemRef(), load, /*writes=*/false);
      if (!copies.isOwn(load.getMemRef(), few) &&
          llvm::any_of(pending, [&](const Access &before) { return access.conflictsWith(before); }))
        wait(&op);
      continue;
    }
    if (!isMemoryEffectFree(&op))
      wait(&op);
  }
}

} // namespace quern::cpu
