//===- Kernel.cpp - The kernel dialect, what its ops read and write ---------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "dialects/Kernel/Kernel.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace quern::kernel;

#include "dialects/Kernel/KernelDialect.cpp.inc"
#include "dialects/Kernel/KernelEnums.cpp.inc"
#define GET_ATTRDEF_CLASSES
#include "dialects/Kernel/KernelAttributes.cpp.inc"

void KernelDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialects/Kernel/KernelAttributes.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialects/Kernel/KernelOps.cpp.inc"
      >();
}

namespace {
using Effects = SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>;

/// On memrefs every operand is read, and outputs are written; on tensors a kernel is a pure
/// function.
void kernelEffects(DestinationStyleOpInterface op, Effects &effects) {
  for (OpOperand &operand : op->getOpOperands()) {
    if (!isa<MemRefType>(operand.get().getType()))
      continue;
    effects.emplace_back(MemoryEffects::Read::get(), &operand, SideEffects::DefaultResource::get());
    if (op.isDpsInit(&operand))
      effects.emplace_back(MemoryEffects::Write::get(), &operand,
                           SideEffects::DefaultResource::get());
  }
}

} // namespace

#define KERNEL_EFFECTS(OP)                                                                         \
  void OP::getEffects(Effects &effects) {                                                          \
    kernelEffects(cast<DestinationStyleOpInterface>(getOperation()), effects);                     \
  }
KERNEL_EFFECTS(GemmOp)
KERNEL_EFFECTS(BatchGemmOp)
KERNEL_EFFECTS(AttentionOp)
KERNEL_EFFECTS(CachedAttentionOp)
KERNEL_EFFECTS(AttentionBackwardOp)
KERNEL_EFFECTS(NormOp)
KERNEL_EFFECTS(NormBackwardOp)
KERNEL_EFFECTS(SoftmaxOp)
KERNEL_EFFECTS(SoftmaxBackwardOp)
KERNEL_EFFECTS(EmbeddingOp)
KERNEL_EFFECTS(PositionEmbeddingOp)
KERNEL_EFFECTS(EmbeddingBackwardOp)
KERNEL_EFFECTS(PositionEmbeddingBackwardOp)
KERNEL_EFFECTS(RotaryOp)
KERNEL_EFFECTS(CountTargetsOp)
KERNEL_EFFECTS(CrossEntropyOp)
KERNEL_EFFECTS(CrossEntropyGradientOp)
KERNEL_EFFECTS(SumRowsOp)
KERNEL_EFFECTS(SquaredNormOp)
KERNEL_EFFECTS(AdamWOp)
KERNEL_EFFECTS(GemmAdamWOp)
KERNEL_EFFECTS(CacheAppendOp)
KERNEL_EFFECTS(SampleOp)
#undef KERNEL_EFFECTS

LogicalResult PanelsAttr::verify(llvm::function_ref<InFlightDiagnostic()> emitError, int64_t width,
                                 PanelSide) {
  if (width < 1)
    return emitError() << "panels are 1 or more wide, not " << width;
  return success();
}

namespace quern::kernel {
// Epilogue.cpp
ParseResult parseEpilogue(OpAsmParser &parser, Region &region);
void printEpilogue(OpAsmPrinter &printer, Operation *op, Region &region);
} // namespace quern::kernel

#define GET_OP_CLASSES
#include "dialects/Kernel/KernelOps.cpp.inc"
