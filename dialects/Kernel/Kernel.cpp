//===- Kernel.cpp - The kernel dialect and the checks of its ops -----------------------------===//
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

LogicalResult rankAtLeast(Operation *op, Value value, int64_t rank, StringRef name) {
  if (shaped(value).getRank() < rank)
    return op->emitOpError() << name << " has rank " << shaped(value).getRank() << ", not " << rank
                             << " or more";
  return success();
}

/// An optional vector of the size of x's last dimension.
LogicalResult vectorFits(Operation *op, Value vector, Value x, StringRef name) {
  if (vector && (shaped(vector).getRank() != 1 || differ(lastDim(vector), lastDim(x))))
    return op->emitOpError() << name << " " << vector.getType() << " is no vector for "
                             << x.getType();
  return success();
}

/// An optional operand of rank 0.
LogicalResult scalarFits(Operation *op, Value scalar, StringRef name) {
  return scalar ? rankIs(op, scalar, 0, name) : success();
}

/// Q [B, T, H, D], K [B, S, G, D], V [B, S, G, E], O [B, T, H, E], and what is optional.
LogicalResult attentionFits(Operation *op, Value q, Value k, Value v, Value o, Value lse,
                            Value mask, Value lengths) {
  for (auto [name, value] :
       {std::pair("Q", q), std::pair("K", k), std::pair("V", v), std::pair("O", o)})
    if (failed(rankIs(op, value, 4, name)))
      return failure();
  ArrayRef<int64_t> qs = shaped(q).getShape(), ks = shaped(k).getShape();
  ArrayRef<int64_t> vs = shaped(v).getShape();
  if (ShapedType::isDynamic(qs[2]) || ShapedType::isDynamic(ks[2]) || ks[2] <= 0 || qs[2] % ks[2])
    return op->emitOpError("needs a static number of heads that is a multiple of the groups, not ")
           << qs[2] << " and " << ks[2];
  if (ShapedType::isDynamic(qs[3]) || differ(qs[3], ks[3]))
    return op->emitOpError("needs equal static head dimensions of Q and K");
  if (ShapedType::isDynamic(vs[3]))
    return op->emitOpError("needs a static head dimension of V");
  int64_t result[] = {qs[0], qs[1], qs[2], vs[3]}, rows[] = {qs[0], qs[2], qs[1]};
  if (differ(qs[0], ks[0]) || failed(verifyCompatibleShape(ks.drop_back(), vs.drop_back())) ||
      failed(verifyCompatibleShape(shaped(o).getShape(), result)))
    return op->emitOpError("Q, K, V and O do not fit: ")
           << q.getType() << ", " << k.getType() << ", " << v.getType() << ", " << o.getType();
  if (lse && failed(verifyCompatibleShape(shaped(lse).getShape(), rows)))
    return op->emitOpError("the log-sum-exp is [batch, heads, queries], not ") << lse.getType();
  if (mask && shaped(mask).getRank() > 4)
    return op->emitOpError("the mask has rank ") << shaped(mask).getRank() << ", not 4 or less";
  return lengths ? rankIs(op, lengths, 1, "lengths") : success();
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

LogicalResult GemmOp::verify() {
  if (!hasRegion() && failed(outputsBetween(*this, getOutputs(), 1, 2)))
    return failure();
  if (hasRegion() && getOutputs().empty())
    return emitOpError("takes an output or more");
  if (shaped(getA()).getRank() < 2 || shaped(getB()).getRank() < 2)
    return emitOpError("multiplies tensors of rank 2 or more");
  if (getTransposeA() && getTransposeB())
    return emitOpError("takes one transpose at most");
  if (!getTransposeA() && shaped(getB()).getRank() != 2)
    return emitOpError("B has rank ") << shaped(getB()).getRank() << ", not 2";
  if (getAccumulate() && (getBias() || getResidual() || getOutputs().size() > 1 ||
                          getActivation() != Activation::None || hasRegion()))
    return emitOpError("accumulate excludes the other epilogues");
  if (getPanelsB() && getTransposeA())
    return emitOpError("panels_b excludes transpose_a");
  if (getPanelsC() && (!getTransposeA() || getBias() || getResidual() || getOutputs().size() > 1 ||
                       getActivation() != Activation::None || hasRegion()))
    return emitOpError("panels_c needs transpose_a and excludes epilogues other than accumulate");
  ArrayRef<int64_t> b = shaped(getB()).getShape();
  int64_t columns = getTransposeB() ? b[0] : b.back();
  int64_t depth = getTransposeB() ? b[1] : b[0];
  if (!getTransposeA() && differ(lastDim(getA()), depth))
    return emitOpError("A has ") << lastDim(getA()) << " columns and B a depth of " << depth;
  for (Value output : getOutputs())
    if (failed(rankAtLeast(*this, output, 1, "an output")))
      return failure();
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
  return verifyEpilogue();
}

LogicalResult BatchGemmOp::verify() {
  int64_t rank = shaped(getA()).getRank();
  if (failed(outputsBetween(*this, getOutputs(), 1, 1)))
    return failure();
  Value c = getOutputs()[0];
  if (rank < 3 || shaped(getB()).getRank() != rank || shaped(c).getRank() != rank)
    return emitOpError("takes A, B and one output of equal rank, 3 or more");
  auto sizes = [&](Value value, bool transposed) {
    ArrayRef<int64_t> shape = shaped(value).getShape().take_back(2);
    return transposed ? std::pair(shape[1], shape[0]) : std::pair(shape[0], shape[1]);
  };
  auto [rows, depth] = sizes(getA(), getTransposeA());
  auto [depthB, columns] = sizes(getB(), getTransposeB());
  auto [rowsC, columnsC] = sizes(c, false);
  auto leading = [](Value value) { return shaped(value).getShape().drop_back(2); };
  if (differ(depth, depthB) || differ(rows, rowsC) || differ(columns, columnsC) ||
      failed(verifyCompatibleShape(leading(getA()), leading(getB()))) ||
      failed(verifyCompatibleShape(leading(getA()), leading(c))))
    return emitOpError("A, B and C do not fit: ")
           << getA().getType() << ", " << getB().getType() << ", " << c.getType();
  return success();
}

LogicalResult AttentionOp::verify() {
  if (failed(outputsBetween(*this, getOutputs(), 1, 2)) ||
      failed(scalarFits(*this, getOffset(), "offset")))
    return failure();
  return attentionFits(*this, getQ(), getK(), getV(), getOutputs()[0],
                       getOutputs().size() > 1 ? getOutputs()[1] : Value(), getMask(),
                       getLengths());
}

LogicalResult CachedAttentionOp::verify() {
  if (failed(outputsBetween(*this, getOutputs(), 3, 3)) ||
      failed(scalarFits(*this, getOffset(), "offset")))
    return failure();
  Value keys = getOutputs()[1], values = getOutputs()[2];
  if (failed(attentionFits(*this, getQ(), keys, values, getOutputs()[0], Value(), getMask(),
                           getLengths())))
    return failure();
  for (auto [name, row, cache] :
       {std::tuple("the key", getKey(), keys), std::tuple("the value", getValue(), values)}) {
    if (failed(rankIs(*this, row, 4, name)))
      return failure();
    SmallVector<int64_t> expected(shaped(cache).getShape());
    expected[1] = 1;
    if (failed(verifyCompatibleShape(shaped(row).getShape(), expected)))
      return emitOpError(name) << " " << row.getType() << " does not fit a cache of type "
                               << cache.getType();
  }
  if (shaped(getQ()).getDimSize(1) != 1)
    return emitOpError("takes one query a sequence, not ") << getQ().getType();
  return success();
}

LogicalResult AttentionBackwardOp::verify() {
  if (failed(outputsBetween(*this, getOutputs(), 4, 4)) ||
      failed(sameShape(*this, getQ(), getOutputs()[0], "Q and dQ")) ||
      failed(sameShape(*this, getK(), getOutputs()[1], "K and dK")) ||
      failed(sameShape(*this, getV(), getOutputs()[2], "V and dV")) ||
      failed(sameShape(*this, getLse(), getOutputs()[3], "the log-sum-exp and D")) ||
      failed(sameShape(*this, getO(), getGradient(), "O and dO")))
    return failure();
  return attentionFits(*this, getQ(), getK(), getV(), getO(), getLse(), getMask(), getLengths());
}

LogicalResult NormOp::verify() {
  if (failed(outputsBetween(*this, getOutputs(), getResidual() ? 2 : 1, getResidual() ? 2 : 1)))
    return failure();
  if (getKind() == NormKind::Rms && getBias())
    return emitOpError("an RMS norm has no bias");
  if (failed(rankAtLeast(*this, getX(), 1, "x")) ||
      failed(vectorFits(*this, getWeight(), getX(), "weight")) ||
      failed(vectorFits(*this, getBias(), getX(), "bias")) ||
      (getResidual() && failed(sameShape(*this, getX(), getResidual(), "x and residual"))))
    return failure();
  for (Value output : getOutputs())
    if (failed(sameShape(*this, getX(), output, "x and an output")))
      return failure();
  return success();
}

LogicalResult NormBackwardOp::verify() {
  if (failed(outputsBetween(*this, getOutputs(), 1, getKind() == NormKind::Rms ? 2 : 3)) ||
      failed(sameShape(*this, getX(), getGradient(), "x and dY")) ||
      failed(sameShape(*this, getX(), getOutputs()[0], "x and dX")) ||
      failed(rankAtLeast(*this, getX(), 1, "x")) ||
      failed(vectorFits(*this, getWeight(), getX(), "weight")) ||
      (getAddend() && failed(sameShape(*this, getX(), getAddend(), "x and addend"))))
    return failure();
  for (Value output : getOutputs().drop_front())
    if (failed(vectorFits(*this, output, getX(), "a gradient")))
      return failure();
  return success();
}

LogicalResult SoftmaxOp::verify() {
  if (failed(outputsBetween(*this, getOutputs(), 1, 1)) ||
      failed(rankAtLeast(*this, getX(), 1, "x")))
    return failure();
  return sameShape(*this, getX(), getOutputs()[0], "x and y");
}

LogicalResult SoftmaxBackwardOp::verify() {
  if (failed(outputsBetween(*this, getOutputs(), 1, 1)) ||
      failed(rankAtLeast(*this, getY(), 1, "y")) ||
      failed(sameShape(*this, getY(), getGradient(), "y and dY")))
    return failure();
  return sameShape(*this, getY(), getOutputs()[0], "y and dX");
}

LogicalResult EmbeddingOp::verify() {
  if (failed(outputsBetween(*this, getOutputs(), 1, 1)) ||
      failed(rankIs(*this, getTable(), 2, "the table")) ||
      failed(rankIs(*this, getTokens(), 2, "tokens")) ||
      failed(scalarFits(*this, getOffset(), "offset")) ||
      (getPositions() && failed(rankIs(*this, getPositions(), 2, "the position table"))) ||
      failed(rankIs(*this, getOutputs()[0], 3, "the result")))
    return failure();
  for (Value table : {getTable(), getPositions()})
    if (table && differ(lastDim(table), lastDim(getOutputs()[0])))
      return emitOpError("a table ")
             << table.getType() << " does not have the width of " << getOutputs()[0].getType();
  return success();
}

LogicalResult PositionEmbeddingOp::verify() {
  if (failed(outputsBetween(*this, getOutputs(), 1, 1)) ||
      failed(rankIs(*this, getTable(), 2, "the table")) ||
      failed(scalarFits(*this, getOffset(), "offset")))
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
  if (failed(outputsBetween(*this, getOutputs(), 1, 1)) || failed(rankIs(*this, getX(), 4, "x")) ||
      failed(scalarFits(*this, getOffset(), "offset")))
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
  if (failed(outputsBetween(*this, getOutputs(), 1, 1)) ||
      failed(rankAtLeast(*this, getLogits(), 1, "logits")) ||
      failed(scalarFits(*this, getCount(), "count")))
    return failure();
  if (failed(verifyCompatibleShape(shaped(getLogits()).getShape().drop_back(),
                                   shaped(getTargets()).getShape())))
    return emitOpError("targets ")
           << getTargets().getType() << " do not fit logits " << getLogits().getType();
  return rankIs(*this, getOutputs()[0], 0, "the loss");
}

LogicalResult CrossEntropyGradientOp::verify() {
  if (failed(outputsBetween(*this, getOutputs(), 2, 2)) ||
      failed(rankAtLeast(*this, getOutputs()[1], 1, "logits")) ||
      failed(scalarFits(*this, getCount(), "count")) ||
      failed(scalarFits(*this, getSeed(), "seed")))
    return failure();
  if (failed(verifyCompatibleShape(shaped(getOutputs()[1]).getShape().drop_back(),
                                   shaped(getTargets()).getShape())))
    return emitOpError("targets ")
           << getTargets().getType() << " do not fit logits " << getOutputs()[1].getType();
  return rankIs(*this, getOutputs()[0], 0, "the loss");
}

LogicalResult SumRowsOp::verify() {
  if (failed(outputsBetween(*this, getOutputs(), 1, 1)) ||
      failed(rankAtLeast(*this, getX(), 1, "x")))
    return failure();
  return vectorFits(*this, getOutputs()[0], getX(), "the sum");
}

LogicalResult SquaredNormOp::verify() {
  if (failed(outputsBetween(*this, getOutputs(), 1, 1)))
    return failure();
  return rankIs(*this, getOutputs()[0], 0, "the sum");
}

LogicalResult AdamWOp::verify() {
  size_t count = getGradients().size();
  if (!count)
    return emitOpError("has no parameters");
  if (getWeightDecays().size() != count)
    return emitOpError("has ") << count << " gradients and " << getWeightDecays().size()
                               << " weight decays";
  if (failed(outputsBetween(*this, getOutputs(), 3 * count, 3 * count)))
    return failure();
  for (auto [number, output] : llvm::enumerate(getOutputs())) {
    if (failed(sameShape(*this, getGradients()[number / 3], output, "the gradient and an output")))
      return failure();
    Type moment = shaped(getOutputs()[1]).getElementType();
    if (number % 3 && shaped(output).getElementType() != moment)
      return emitOpError("has moments of different element types: ")
             << moment << " and " << shaped(output).getElementType();
  }
  for (Value option :
       {getScale(), getLearningRate(), getBeta1(), getBeta2(), getEpsilon(), getStep()})
    if (failed(scalarFits(*this, option, "an option")))
      return failure();
  for (Value decay : getWeightDecays())
    if (failed(scalarFits(*this, decay, "a weight decay")))
      return failure();
  return success();
}

LogicalResult GemmAdamWOp::verify() {
  if (failed(outputsBetween(*this, getOutputs(), 3, 3)) ||
      failed(rankAtLeast(*this, getA(), 2, "A")) || failed(rankAtLeast(*this, getB(), 2, "B")))
    return failure();
  Value parameter = getOutputs()[0];
  Type element = shaped(parameter).getElementType();
  if (!element.isF32() && !element.isF64())
    return emitOpError("updates a parameter of f32 or f64, not ") << parameter.getType();
  for (Value output : getOutputs()) {
    if (failed(rankIs(*this, output, 2, "an output")) ||
        failed(sameShape(*this, parameter, output, "the parameter and a moment")))
      return failure();
    if (shaped(output).getElementType() != element)
      return emitOpError("has a parameter and moments of different element types: ")
             << element << " and " << shaped(output).getElementType();
  }
  if (differ(lastDim(getA()), shaped(parameter).getDimSize(0)) ||
      differ(lastDim(getB()), lastDim(parameter)))
    return emitOpError("A, B and the parameter do not fit: ")
           << getA().getType() << ", " << getB().getType() << ", " << parameter.getType();
  for (Value option :
       {getLearningRate(), getBeta1(), getBeta2(), getEpsilon(), getStep(), getWeightDecay()})
    if (failed(scalarFits(*this, option, "an option")))
      return failure();
  return success();
}

LogicalResult CacheAppendOp::verify() {
  if (failed(outputsBetween(*this, getOutputs(), 1, 1)) ||
      failed(rankAtLeast(*this, getX(), 2, "x")) ||
      failed(scalarFits(*this, getOffset(), "offset")) ||
      failed(rankIs(*this, getOutputs()[0], shaped(getX()).getRank(), "the cache")))
    return failure();
  for (int64_t i = 0, rank = shaped(getX()).getRank(); i < rank; ++i)
    if (i != 1 && differ(shaped(getX()).getDimSize(i), shaped(getOutputs()[0]).getDimSize(i)))
      return emitOpError("x ") << getX().getType() << " does not fit a cache of type "
                               << getOutputs()[0].getType();
  return success();
}

LogicalResult SampleOp::verify() {
  if (failed(outputsBetween(*this, getOutputs(), 2, 2)) ||
      failed(rankAtLeast(*this, getLogits(), 1, "logits")))
    return failure();
  if (ShapedType::isDynamic(lastDim(getLogits())))
    return emitOpError("needs a static vocabulary, the last dimension of ")
           << getLogits().getType();
  for (Value option : {getTemperature(), getTopK(), getTopP(), getSeed(), getIndex()})
    if (failed(scalarFits(*this, option, "an option")))
      return failure();
  for (Value output : getOutputs())
    if (failed(verifyCompatibleShape(shaped(getLogits()).getShape().drop_back(),
                                     shaped(output).getShape())))
      return emitOpError("output ")
             << output.getType() << " does not fit logits " << getLogits().getType();
  return success();
}

namespace quern::kernel {
// Epilogue.cpp
ParseResult parseEpilogue(OpAsmParser &parser, Region &region);
void printEpilogue(OpAsmPrinter &printer, Operation *op, Region &region);
} // namespace quern::kernel

#define GET_OP_CLASSES
#include "dialects/Kernel/KernelOps.cpp.inc"
