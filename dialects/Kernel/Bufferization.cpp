//===- Bufferization.cpp - Kernel ops from tensors to memrefs --------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "dialects/Kernel/Kernel.h"

#include "mlir/Dialect/Bufferization/IR/BufferizableOpInterface.h"
#include "mlir/Dialect/Bufferization/IR/DstBufferizableOpInterfaceImpl.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;
using namespace mlir::bufferization;

namespace quern::kernel {
namespace {

/// Outputs that the kernel overwrites without reading, as its description says: a fresh buffer will
/// do for them. All others hold a value on entry.
bool readsOutput(Operation *op, unsigned index) {
  if (auto gemm = dyn_cast<GemmOp>(op))
    return gemm.getAccumulate();
  if (auto embedding = dyn_cast<EmbeddingBackwardOp>(op))
    return embedding.getAccumulate();
  if (auto positions = dyn_cast<PositionEmbeddingBackwardOp>(op))
    return positions.getAccumulate();
  if (isa<CrossEntropyGradientOp>(op))
    return index == 1;
  if (isa<CachedAttentionOp>(op))
    return index > 0;
  return isa<AdamWOp, GemmAdamWOp, CacheAppendOp>(op);
}

/// Whether an operand is one of those that have an element for each of the outputs', and are read
/// in a region only.
bool isOfRegion(GemmOp gemm, OpOperand &operand) {
  auto [first, count] = gemm.getODSOperandIndexAndLength(4);
  unsigned number = operand.getOperandNumber();
  auto rankOf = [](Value value) { return cast<ShapedType>(value.getType()).getRank(); };
  return number >= first && number < first + count &&
         rankOf(operand.get()) == rankOf(gemm.getOutputs()[0]);
}

/// One model for all kernels: results are tied to outputs, and the op on memrefs is the op on
/// tensors with other operands and no results.
template <typename OpTy>
struct KernelBufferization
    : DstBufferizableOpInterfaceExternalModel<KernelBufferization<OpTy>, OpTy> {
  bool bufferizesToMemoryRead(Operation *op, OpOperand &operand, const AnalysisState &) const {
    auto kernel = cast<DestinationStyleOpInterface>(op);
    if (!kernel.isDpsInit(&operand))
      return true;
    return readsOutput(op, operand.getOperandNumber() -
                               (op->getNumOperands() - kernel.getNumDpsInits()));
  }
  bool bufferizesToMemoryWrite(Operation *op, OpOperand &operand, const AnalysisState &) const {
    return cast<DestinationStyleOpInterface>(op).isDpsInit(&operand);
  }
  /// No kernel reads an input after it has begun to write an output, but for what the region of a
  /// product reads: the elements of a row and column before it writes any output there.
  bool bufferizesToElementwiseAccess(Operation *op, const AnalysisState &,
                                     ArrayRef<OpOperand *> operands) const {
    auto gemm = dyn_cast<GemmOp>(op);
    return gemm && llvm::all_of(operands, [&](OpOperand *operand) {
             return gemm.isDpsInit(operand) || isOfRegion(gemm, *operand);
           });
  }
  LogicalResult bufferize(Operation *op, RewriterBase &rewriter,
                          const BufferizationOptions &options, BufferizationState &state) const {
    SmallVector<Value> operands, results;
    for (OpOperand &operand : op->getOpOperands()) {
      FailureOr<Value> buffer = operand.get();
      if (isa<TensorType>(operand.get().getType()))
        buffer = getBuffer(rewriter, operand.get(), options, state);
      if (failed(buffer))
        return failure();
      operands.push_back(*buffer);
      if (cast<DestinationStyleOpInterface>(op).isDpsInit(&operand))
        results.push_back(*buffer);
    }
    OperationState newOp(op->getLoc(), op->getName(), operands, TypeRange(), op->getAttrs());
    newOp.propertiesAttr = op->getPropertiesAsAttribute();
    for (Region &region : op->getRegions())
      newOp.addRegion()->takeBody(region);
    rewriter.setInsertionPoint(op);
    rewriter.create(newOp);
    replaceOpWithBufferizedValues(rewriter, op, results);
    return success();
  }
};

template <typename... Ops>
void attach(MLIRContext *context) {
  (Ops::template attachInterface<KernelBufferization<Ops>>(*context), ...);
}
} // namespace

void registerBufferization(DialectRegistry &registry) {
  registry.addExtension(+[](MLIRContext *context, KernelDialect *) {
    attach<GemmOp, BatchGemmOp, AttentionOp, CachedAttentionOp, AttentionBackwardOp, NormOp,
           NormBackwardOp, SoftmaxOp, SoftmaxBackwardOp, EmbeddingOp, PositionEmbeddingOp,
           EmbeddingBackwardOp, PositionEmbeddingBackwardOp, RotaryOp, CountTargetsOp,
           CrossEntropyOp, CrossEntropyGradientOp, SumRowsOp, SquaredNormOp, AdamWOp, GemmAdamWOp,
           CacheAppendOp, SampleOp>(context);
  });
}

} // namespace quern::kernel
