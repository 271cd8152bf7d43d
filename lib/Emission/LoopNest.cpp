//===- LoopNest.cpp - The loops of a linalg.generic -------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "quern/Emission/LoopNest.h"
#include "quern/Emission/Indices.h"
#include "quern/Emission/Views.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Transforms/RegionUtils.h"

using namespace mlir;

namespace quern::emission {

bool Access::isContiguous(int64_t loop) const {
  if (loops.empty() || loops.back() != loop || llvm::count(loops, loop) != 1)
    return false;
  auto [strides, offset] = cast<MemRefType>(memref.getType()).getStridesAndOffset();
  return strides.back() == 1;
}

FailureOr<LoopNest> LoopNest::get(linalg::GenericOp op, ValueRange operands, Code &e) {
  LoopNest nest;
  nest.op = op;
  nest.sizes.resize(op.getNumLoops());
  for (utils::IteratorType type : op.getIteratorTypesArray())
    nest.reduces.push_back(type == utils::IteratorType::reduction);
  for (OpOperand &operand : op->getOpOperands()) {
    Access access;
    access.memref = operands[operand.getOperandNumber()];
    access.output = op.isDpsInit(&operand);
    if (!isa<MemRefType>(access.memref.getType())) {
      nest.accesses.push_back(access); // a scalar, as `linalg.fill` has one
      continue;
    }
    AffineMap map = op.getMatchingIndexingMap(&operand);
    for (auto [position, result] : llvm::enumerate(map.getResults())) {
      auto constant = dyn_cast<AffineConstantExpr>(result);
      auto dim = dyn_cast<AffineDimExpr>(result);
      if (!dim && !(constant && constant.getValue() == 0))
        return op.emitOpError("indexing map ")
               << AffineMapAttr::get(map) << " of operand #" << operand.getOperandNumber()
               << " is more than a permutation of dimensions and zeros, which is all that "
                  "targets emit";
      access.loops.push_back(dim ? static_cast<int64_t>(dim.getPosition()) : -1);
      // A static size from any operand is as good for all.
      if (dim) {
        Value &size = nest.sizes[dim.getPosition()];
        if (!size || !constantOf(size))
          size = e.dim(access.memref, position);
      }
    }
    if (access.output)
      for (size_t loop = 0; loop < nest.reduces.size(); ++loop)
        if (access.uses(loop) == nest.reduces[loop])
          return op.emitOpError("output #")
                 << operand.getOperandNumber() - op.getNumDpsInputs()
                 << " must be indexed by all parallel dimensions and by no reduction dimension";
    nest.accesses.push_back(access);
  }
  for (size_t loop = 0; loop < nest.sizes.size(); ++loop) {
    nest.loopOfDim.push_back(loop);
    if (!nest.sizes[loop])
      return op.emitOpError("dimension ") << loop << " has no size: no operand is indexed by it";
  }
  nest.merge(e);
  return nest;
}

/// Whether dimensions `at` and `at + 1` of a memref are one in memory.
static bool canMerge(MemRefType type, int64_t at) {
  SmallVector<ReassociationIndices> groups;
  for (int64_t i = 0; i < type.getRank(); ++i) {
    if (i == at + 1)
      groups.back().push_back(i);
    else
      groups.push_back({i});
  }
  return memref::CollapseShapeOp::isGuaranteedCollapsible(type, groups);
}

void LoopNest::merge(Code &e) {
  SmallVector<bool> indexed(sizes.size(), false);
  op.walk([&](linalg::IndexOp index) { indexed[index.getDim()] = true; });
  for (int64_t loop = static_cast<int64_t>(sizes.size()) - 2; loop >= 0; --loop) {
    // Which dimensions of the op went into the two loops; -1 where they may not merge.
    bool possible = reduces[loop] == reduces[loop + 1];
    for (auto [dim, into] : llvm::enumerate(loopOfDim))
      possible &= !indexed[dim] || (into != loop && into != loop + 1);
    for (const Access &access : accesses) {
      bool first = access.uses(loop), second = access.uses(loop + 1);
      if (!first && !second)
        continue;
      auto at = llvm::find(access.loops, loop) - access.loops.begin();
      possible &= first && second && llvm::count(access.loops, loop) == 1 &&
                  llvm::count(access.loops, loop + 1) == 1 &&
                  at + 1 < static_cast<int64_t>(access.loops.size()) &&
                  access.loops[at + 1] == loop + 1 &&
                  canMerge(cast<MemRefType>(access.memref.getType()), at);
    }
    if (!possible)
      continue;
    for (Access &access : accesses) {
      auto at = llvm::find(access.loops, loop) - access.loops.begin();
      if (access.uses(loop)) {
        SmallVector<ReassociationIndices> groups;
        for (int64_t i = 0; i < static_cast<int64_t>(access.loops.size()); ++i) {
          if (i == at + 1)
            groups.back().push_back(i);
          else
            groups.push_back({i});
        }
        access.memref = memref::CollapseShapeOp::create(e.builder, e.loc, access.memref, groups);
        access.loops.erase(access.loops.begin() + at + 1);
      }
      for (int64_t &other : access.loops)
        if (other > loop)
          --other;
    }
    sizes[loop] = mulIndex(e, sizes[loop], sizes[loop + 1]);
    sizes.erase(sizes.begin() + loop + 1);
    reduces.erase(reduces.begin() + loop + 1);
    for (int64_t &into : loopOfDim)
      if (into > loop)
        --into;
  }
}

/// Ops that act on vectors as they do on each element, also on the zeros of masked lanes.
static bool hasVectorForm(Operation &op) {
  if (isa<linalg::YieldOp, linalg::IndexOp, arith::ConstantOp>(op))
    return true;
  if (isa<arith::DivSIOp, arith::DivUIOp, arith::RemSIOp, arith::RemUIOp, arith::CeilDivSIOp,
          arith::CeilDivUIOp, arith::FloorDivSIOp>(op))
    return false;
  auto valid = [](Type type) { return VectorType::isValidElementType(type); };
  return OpTrait::hasElementwiseMappableTraits(&op) && op.getNumRegions() == 0 &&
         llvm::all_of(op.getOperandTypes(), valid) && llvm::all_of(op.getResultTypes(), valid);
}

int64_t LoopNest::vectorLoop(bool reduction) const {
  if (!llvm::all_of(*op.getBody(), hasVectorForm))
    return -1;
  int64_t found = -1;
  for (int64_t loop = 0; loop < static_cast<int64_t>(sizes.size()); ++loop) {
    if (reduces[loop] != reduction)
      continue;
    bool possible = llvm::all_of(accesses, [&](const Access &access) {
      // Elements of i1 are bytes in memory, but bits in a vector.
      return !access.uses(loop) || (access.isContiguous(loop) && !access.element().isInteger(1));
    });
    if (possible && (found < 0 || constantOf(sizes[loop]) != 1))
      found = loop;
  }
  return found;
}

int64_t LoopNest::widestBits(int64_t loop) const {
  int64_t bits = 8;
  for (const Access &access : accesses)
    if (access.uses(loop))
      bits = std::max(bits, elementBytes(access.element()) * 8);
  for (Operation &inside : *op.getBody())
    for (Type type : inside.getResultTypes())
      if (type.isFloat())
        bits = std::max<int64_t>(bits, type.getIntOrFloatBitWidth());
  return bits;
}

int64_t LoopNest::bytesPerIteration(int64_t loop) const {
  int64_t bytes = 0;
  for (const Access &access : accesses)
    if (access.uses(loop))
      bytes += elementBytes(access.element());
  return std::max<int64_t>(bytes, 1);
}

LogicalResult sinkConstants(linalg::GenericOp op) {
  llvm::SetVector<Value> outside;
  getUsedValuesDefinedAbove(op.getRegion(), outside);
  OpBuilder builder = OpBuilder::atBlockBegin(op.getBody());
  for (Value value : outside) {
    auto constant = value.getDefiningOp<arith::ConstantOp>();
    if (!constant)
      return op.emitOpError("uses a value from outside of its body that is no constant; make it an "
                            "operand (a memref of rank 0)");
    Value inside = builder.clone(*constant)->getResult(0);
    replaceAllUsesInRegionWith(value, inside, op.getRegion());
  }
  return success();
}

} // namespace quern::emission
