//===- DeriveTypes.cpp - Infer the types of a program anew ------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "DeriveTypes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"

using namespace mlir;
using namespace quern;
using namespace quern::model;

std::optional<RankedTensorType> model::joinShapes(Type a, Type b) {
  auto first = cast<RankedTensorType>(a), second = cast<RankedTensorType>(b);
  if (first.getRank() != second.getRank())
    return std::nullopt;
  SmallVector<int64_t> dims(first.getShape());
  for (auto [size, other] : llvm::zip(dims, second.getShape())) {
    if (ShapedType::isDynamic(size))
      size = other;
    else if (!ShapedType::isDynamic(other) && other != size)
      return std::nullopt;
  }
  return RankedTensorType::get(dims, first.getElementType());
}

Value model::castTo(OpBuilder &b, Value value, Type type) {
  if (value.getType() == type)
    return value;
  return tensor::CastOp::create(b, value.getLoc(), type, value);
}

static RankedTensorType withElement(RankedTensorType shape, Type like) {
  return RankedTensorType::get(shape.getShape(), cast<RankedTensorType>(like).getElementType());
}

/// All tensors of an elementwise op have one shape: what any of its operands knows of it.
static LogicalResult inferElementwise(Operation *op) {
  std::optional<RankedTensorType> shape;
  for (Value operand : op->getOperands()) {
    auto type = dyn_cast<RankedTensorType>(operand.getType());
    if (!type)
      continue;
    auto joined = shape ? joinShapes(*shape, type) : std::optional(type);
    if (!joined)
      return op->emitError() << op->getName() << ": operands of shapes "
                             << withElement(*shape, type) << " and " << type << " do not fit";
    shape = joined;
  }
  if (!shape)
    return success();
  OpBuilder b(op);
  for (OpOperand &operand : op->getOpOperands())
    if (auto type = dyn_cast<RankedTensorType>(operand.get().getType()))
      operand.set(castTo(b, operand.get(), withElement(*shape, type)));
  for (Value result : op->getResults())
    if (isa<RankedTensorType>(result.getType()))
      result.setType(withElement(*shape, result.getType()));
  return success();
}

/// tensor.expand_shape: sizes of one group follow from the source when all but one are static.
static LogicalResult inferExpandShape(tensor::ExpandShapeOp op) {
  RankedTensorType source = op.getSrcType();
  SmallVector<int64_t> dims(op.getResultType().getShape());
  for (auto [i, group] : llvm::enumerate(op.getReassociationIndices())) {
    int64_t known = 1, unknown = -1, numUnknown = 0;
    for (int64_t dim : group) {
      if (ShapedType::isDynamic(dims[dim])) {
        unknown = dim;
        ++numUnknown;
      } else {
        known *= dims[dim];
      }
    }
    int64_t size = source.getDimSize(i);
    if (ShapedType::isDynamic(size))
      continue;
    if (numUnknown == 0 ? known != size : size % known != 0)
      return op.emitError() << op->getName() << ": dimension " << i << " of " << source
                            << " cannot become [" << ArrayRef<int64_t>(dims) << "]";
    if (numUnknown == 1)
      dims[unknown] = size / known;
  }
  auto type = RankedTensorType::get(dims, source.getElementType());
  if (type == op.getResultType())
    return success();
  // Sizes that are known now are no operands any more.
  OpBuilder b(op);
  SmallVector<OpFoldResult> sizes = op.getMixedOutputShape();
  for (auto [i, size] : llvm::enumerate(dims))
    if (!ShapedType::isDynamic(size))
      sizes[i] = b.getIndexAttr(size);
  auto rebuilt = tensor::ExpandShapeOp::create(b, op.getLoc(), type, op.getSrc(),
                                               op.getReassociationIndices(), sizes);
  op.getResult().replaceAllUsesWith(rebuilt.getResult());
  op.erase();
  return success();
}

static LogicalResult inferBlock(Block &block) {
  for (Operation &op : llvm::make_early_inc_range(block))
    if (failed(inferTypes(&op)))
      return failure();
  return success();
}

static LogicalResult inferScan(ScanOp scan) {
  OpBuilder b(scan);
  int64_t count = scan.getCount();
  for (auto [argument, init] : llvm::zip(scan.getCarriedArguments(), scan.getInits()))
    argument.setType(init.getType());
  for (auto [argument, stack] : llvm::zip(scan.getSliceArguments(), scan.getStacks()))
    argument.setType(ScanOp::slice(stack.getType()));
  if (failed(inferBlock(scan.getBody().front())))
    return failure();
  YieldOp yield = scan.getYield();
  OpBuilder atYield(yield);
  for (auto [i, argument] : llvm::enumerate(scan.getCarriedArguments()))
    yield.setOperand(i, castTo(atYield, yield.getOperand(i), argument.getType()));
  for (auto [i, result] : llvm::enumerate(scan.getResults())) {
    Type type = yield.getOperand(i).getType();
    result.setType(i < scan.getNumCarried() ? type : Type(ScanOp::stack(type, count)));
  }
  return success();
}

LogicalResult model::inferTypes(Operation *op) {
  if (auto scan = dyn_cast<ScanOp>(op))
    return inferScan(scan);
  if (auto expand = dyn_cast<tensor::ExpandShapeOp>(op))
    return inferExpandShape(expand);
  if (auto collapse = dyn_cast<tensor::CollapseShapeOp>(op)) {
    collapse.getResult().setType(tensor::CollapseShapeOp::inferCollapsedType(
        collapse.getSrcType(), collapse.getReassociationMaps()));
    return success();
  }
  if (auto conversion = dyn_cast<tensor::CastOp>(op)) {
    auto joined = joinShapes(conversion.getType(), conversion.getSource().getType());
    if (!joined)
      return op->emitError() << op->getName() << ": " << conversion.getSource().getType()
                             << " is never a " << conversion.getType();
    conversion.getResult().setType(*joined);
    if (conversion.getSource().getType() == *joined) {
      conversion.getResult().replaceAllUsesWith(conversion.getSource());
      op->erase();
    }
    return success();
  }
  if (auto dim = dyn_cast<tensor::DimOp>(op)) {
    std::optional<int64_t> index = dim.getConstantIndex();
    auto type = dyn_cast<RankedTensorType>(dim.getSource().getType());
    if (index && type && !type.isDynamicDim(*index)) {
      OpBuilder b(op);
      Value size = arith::ConstantIndexOp::create(b, op->getLoc(), type.getDimSize(*index));
      dim.getResult().replaceAllUsesWith(size);
      op->erase();
    }
    return success();
  }
  if (op->hasTrait<OpTrait::Elementwise>())
    return inferElementwise(op);
  if (!isa<QuernDialect>(op->getDialect()))
    return success();
  if (auto inference = dyn_cast<InferTypeOpInterface>(op)) {
    SmallVector<Type> types;
    if (failed(inference.inferReturnTypes(op->getContext(), op->getLoc(), op->getOperands(),
                                          op->getDiscardableAttrDictionary(),
                                          op->getPropertiesStorage(), op->getRegions(), types)))
      return failure();
    for (auto [result, type] : llvm::zip(op->getResults(), types))
      result.setType(type);
  }
  return success();
}

LogicalResult model::inferTypes(FunctionOp function) {
  if (failed(inferBlock(function.getBody().front())))
    return failure();
  function.setFunctionType(FunctionType::get(function.getContext(),
                                             function.getBody().getArgumentTypes(),
                                             function.getReturn().getOperandTypes()));
  return success();
}
