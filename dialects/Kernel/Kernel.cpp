//===- Kernel.cpp - The kernel dialect and the checks of its ops
//---------------------------------===//
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

void KernelDialect::initialize() {
  addOperations<
#define GET_OP_LIST
#include "dialects/Kernel/KernelOps.cpp.inc"
      >();
}

//===---------------------------------------------------------------------------------------------===//
// Effects and verification
//===---------------------------------------------------------------------------------------------===//

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

ShapedType shaped(Value value) { return cast<ShapedType>(value.getType()); }
int64_t lastDim(Value value) { return shaped(value).getShape().back(); }
bool differ(int64_t a, int64_t b) {
  return !ShapedType::isDynamic(a) && !ShapedType::isDynamic(b) && a != b;
}

LogicalResult outputsBetween(Operation *op, ValueRange outputs, size_t least, size_t most) {
  if (outputs.size() < least || outputs.size() > most)
    return op->emitOpError("takes ")
           << least << " to " << most << " outputs, not " << outputs.size();
  return success();
}

LogicalResult sameShape(Operation *op, Value a, Value b, StringRef what) {
  if (failed(verifyCompatibleShape(shaped(a).getShape(), shaped(b).getShape())))
    return op->emitOpError(what) << " differ in shape: " << a.getType() << " and " << b.getType();
  return success();
}

LogicalResult rankIs(Operation *op, Value value, int64_t rank, StringRef name) {
  if (shaped(value).getRank() != rank)
    return op->emitOpError() << name << " has rank " << shaped(value).getRank() << ", not " << rank;
  return success();
}
} // namespace

#define KERNEL_EFFECTS(OP)                                                                         \
  void OP::getEffects(Effects &effects) {                                                          \
    kernelEffects(cast<DestinationStyleOpInterface>(getOperation()), effects);                     \
  }
KERNEL_EFFECTS(GemmOp)
KERNEL_EFFECTS(BatchGemmOp)
KERNEL_EFFECTS(AttentionOp)
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
KERNEL_EFFECTS(CacheAppendOp)
#undef KERNEL_EFFECTS

LogicalResult GemmOp::verify() {
  if (failed(outputsBetween(*this, getOutputs(), 1, 2)))
    return failure();
  if (shaped(getA()).getRank() < 2 || shaped(getB()).getRank() < 2)
    return emitOpError("multiplies tensors of rank 2 or more");
  if (getTransposeA() && getTransposeB())
    return emitOpError("takes one transpose at most");
  if (!getTransposeA() && shaped(getB()).getRank() != 2)
    return emitOpError("B has rank ") << shaped(getB()).getRank() << ", not 2";
  if (getAccumulate() && (getBias() || getResidual() || getOutputs().size() > 1 ||
                          getActivation() != Activation::None))
    return emitOpError("accumulate excludes the other epilogues");
  ArrayRef<int64_t> b = shaped(getB()).getShape();
  int64_t columns = getTransposeB() ? b[0] : b.back();
  int64_t depth = getTransposeB() ? b[1] : b[0];
  if (!getTransposeA() && differ(lastDim(getA()), depth))
    return emitOpError("A has ") << lastDim(getA()) << " columns and B a depth of " << depth;
  for (Value output : getOutputs())
    if (differ(lastDim(output), columns))
      return emitOpError("an output has ") << lastDim(output) << " columns and B " << columns;
  if (getBias() &&
      (failed(rankIs(*this, getBias(), 1, "bias")) || differ(lastDim(getBias()), columns)))
    return emitOpError("bias ") << getBias().getType() << " does not have " << columns
                                << " elements";
  if (getTransposeA() && (shaped(getOutputs()[0]).getRank() != 2 ||
                          differ(lastDim(getA()), shaped(getOutputs()[0]).getDimSize(0))))
    return emitOpError("output ") << getOutputs()[0].getType()
                                  << " does not fit a transposed A of type " << getA().getType();
  if (getResidual() &&
      failed(sameShape(*this, getResidual(), getOutputs()[0], "residual and output")))
    return failure();
  return success();
}

LogicalResult BatchGemmOp::verify() {
  int64_t rank = shaped(getA()).getRank();
  if (failed(outputsBetween(*this, getOutputs(), 1, 1)) || rank < 3 ||
      shaped(getB()).getRank() != rank || shaped(getOutputs()[0]).getRank() != rank)
    return emitOpError("takes A, B and one output of equal rank, 3 or more");
  return success();
}

LogicalResult AttentionOp::verify() {
  if (failed(outputsBetween(*this, getOutputs(), 1, 2)) || failed(rankIs(*this, getQ(), 4, "Q")) ||
      failed(rankIs(*this, getK(), 4, "K")) || failed(rankIs(*this, getV(), 4, "V")) ||
      failed(rankIs(*this, getOutputs()[0], 4, "O")))
    return failure();
  int64_t heads = shaped(getQ()).getDimSize(2), groups = shaped(getK()).getDimSize(2);
  if (ShapedType::isDynamic(heads) || ShapedType::isDynamic(groups) || groups <= 0 ||
      heads % groups)
    return emitOpError("needs a static number of heads that is a multiple of the groups, not ")
           << heads << " and " << groups;
  if (ShapedType::isDynamic(lastDim(getQ())) || differ(lastDim(getQ()), lastDim(getK())))
    return emitOpError("needs equal static head dimensions of Q and K");
  if (ShapedType::isDynamic(lastDim(getV())))
    return emitOpError("needs a static head dimension of V");
  return success();
}

LogicalResult AttentionBackwardOp::verify() {
  if (failed(outputsBetween(*this, getOutputs(), 3, 3)) ||
      failed(sameShape(*this, getQ(), getOutputs()[0], "Q and dQ")) ||
      failed(sameShape(*this, getK(), getOutputs()[1], "K and dK")) ||
      failed(sameShape(*this, getV(), getOutputs()[2], "V and dV")) ||
      failed(sameShape(*this, getO(), getGradient(), "O and dO")))
    return failure();
  return success();
}

LogicalResult NormOp::verify() {
  if (failed(outputsBetween(*this, getOutputs(), getResidual() ? 2 : 1, getResidual() ? 2 : 1)))
    return failure();
  if (getKind() == NormKind::Rms && getBias())
    return emitOpError("an RMS norm has no bias");
  for (Value output : getOutputs())
    if (failed(sameShape(*this, getX(), output, "x and an output")))
      return failure();
  return success();
}

LogicalResult NormBackwardOp::verify() {
  if (failed(outputsBetween(*this, getOutputs(), 1, getKind() == NormKind::Rms ? 2 : 3)) ||
      failed(sameShape(*this, getX(), getGradient(), "x and dY")) ||
      failed(sameShape(*this, getX(), getOutputs()[0], "x and dX")))
    return failure();
  return success();
}

LogicalResult SoftmaxOp::verify() {
  if (failed(outputsBetween(*this, getOutputs(), 1, 1)))
    return failure();
  return sameShape(*this, getX(), getOutputs()[0], "x and y");
}

LogicalResult SoftmaxBackwardOp::verify() {
  if (failed(outputsBetween(*this, getOutputs(), 1, 1)) ||
      failed(sameShape(*this, getY(), getGradient(), "y and dY")))
    return failure();
  return sameShape(*this, getY(), getOutputs()[0], "y and dX");
}

LogicalResult EmbeddingOp::verify() {
  if (failed(outputsBetween(*this, getOutputs(), 1, 1)) ||
      failed(rankIs(*this, getTable(), 2, "the table")) ||
      failed(rankIs(*this, getTokens(), 2, "tokens")))
    return failure();
  return rankIs(*this, getOutputs()[0], 3, "the result");
}

LogicalResult PositionEmbeddingOp::verify() {
  if (failed(outputsBetween(*this, getOutputs(), 1, 1)) ||
      failed(rankIs(*this, getTable(), 2, "the table")))
    return failure();
  return rankIs(*this, getOutputs()[0], 3, "the result");
}

LogicalResult EmbeddingBackwardOp::verify() {
  if (failed(outputsBetween(*this, getOutputs(), 1, 1)) ||
      failed(rankIs(*this, getGradient(), 3, "dY")))
    return failure();
  return rankIs(*this, getOutputs()[0], 2, "the table's gradient");
}

LogicalResult PositionEmbeddingBackwardOp::verify() {
  if (failed(outputsBetween(*this, getOutputs(), 1, 1)) ||
      failed(rankIs(*this, getGradient(), 3, "dY")))
    return failure();
  return rankIs(*this, getOutputs()[0], 2, "the table's gradient");
}

LogicalResult RotaryOp::verify() {
  if (failed(outputsBetween(*this, getOutputs(), 1, 1)) || failed(rankIs(*this, getX(), 4, "x")))
    return failure();
  if (ShapedType::isDynamic(lastDim(getX())) || lastDim(getX()) % 2)
    return emitOpError("needs an even static head dimension");
  return sameShape(*this, getX(), getOutputs()[0], "x and y");
}

LogicalResult CountTargetsOp::verify() {
  if (failed(outputsBetween(*this, getOutputs(), 1, 1)))
    return failure();
  return rankIs(*this, getOutputs()[0], 0, "the count");
}

LogicalResult CrossEntropyOp::verify() {
  if (failed(outputsBetween(*this, getOutputs(), 1, 1)))
    return failure();
  return rankIs(*this, getOutputs()[0], 0, "the loss");
}

LogicalResult CrossEntropyGradientOp::verify() {
  if (failed(outputsBetween(*this, getOutputs(), 2, 2)))
    return failure();
  return rankIs(*this, getOutputs()[0], 0, "the loss");
}

LogicalResult SumRowsOp::verify() {
  if (failed(outputsBetween(*this, getOutputs(), 1, 1)))
    return failure();
  return rankIs(*this, getOutputs()[0], 1, "the sum");
}

LogicalResult SquaredNormOp::verify() {
  if (failed(outputsBetween(*this, getOutputs(), 1, 1)))
    return failure();
  return rankIs(*this, getOutputs()[0], 0, "the sum");
}

LogicalResult AdamWOp::verify() {
  if (failed(outputsBetween(*this, getOutputs(), 3, 3)))
    return failure();
  for (Value output : getOutputs())
    if (failed(sameShape(*this, getGradient(), output, "the gradient and an output")))
      return failure();
  return success();
}

LogicalResult CacheAppendOp::verify() {
  if (failed(outputsBetween(*this, getOutputs(), 1, 1)))
    return failure();
  return rankIs(*this, getOutputs()[0], shaped(getX()).getRank(), "the cache");
}

#define GET_OP_CLASSES
#include "dialects/Kernel/KernelOps.cpp.inc"
