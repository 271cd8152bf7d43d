//===- Converter.cpp - Converts the ops of one program to kernels -----------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "Converter.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;

namespace quern::kernels {

SmallVector<Value> Converter::get(ValueRange range) {
  SmallVector<Value> converted;
  for (Value value : range)
    converted.push_back(get(value));
  return converted;
}

LogicalResult Converter::convert(Block &block) {
  for (Operation &op : block.without_terminator())
    if (!done.contains(&op) && failed(convert(&op)))
      return failure();
  return success();
}

LogicalResult Converter::convert(Operation *op) {
  if (auto scan = dyn_cast<ScanOp>(op))
    return convertScan(scan);
  for (auto convertSome : {&Converter::convertTransformer, &Converter::convertTensor,
                           &Converter::convertTraining, &Converter::convertElementwise}) {
    bool known = true;
    if (failed((this->*convertSome)(op, known)))
      return failure();
    if (known)
      return success();
  }
  return op->emitError() << op->getName()
                         << " has no kernel; operations of models are those of the quern dialect, "
                            "and arith and math on tensors";
}

Value Converter::empty(Location loc, const Dims &sizes, Type elementType) {
  return tensor::EmptyOp::create(b, loc, sizes, elementType);
}

Value Converter::destination(Value value) {
  if (Value place = places.lookup(value))
    return place;
  return empty(value.getLoc(), dims.of(value),
               cast<RankedTensorType>(value.getType()).getElementType());
}

Value Converter::filled(Location loc, const Dims &sizes, Type elementType, double value) {
  Value constant = arith::ConstantOp::create(b, loc, b.getFloatAttr(elementType, value));
  return linalg::FillOp::create(b, loc, constant, empty(loc, sizes, elementType)).getResult(0);
}

Value Converter::generic(Location loc, ValueRange inputs, ArrayRef<AffineMap> maps, Value into,
                         Body body) {
  auto type = cast<RankedTensorType>(into.getType());
  SmallVector<AffineMap> allMaps(maps);
  allMaps.push_back(b.getMultiDimIdentityMap(type.getRank()));
  SmallVector<utils::IteratorType> iterators(type.getRank(), utils::IteratorType::parallel);
  return linalg::GenericOp::create(b, loc, TypeRange(type), inputs, ValueRange(into), allMaps,
                                   iterators,
                                   [&](OpBuilder &builder, Location loc, ValueRange arguments) {
                                     Value result = body(builder, loc, arguments.drop_back());
                                     linalg::YieldOp::create(builder, loc, result);
                                   })
      .getResult(0);
}

Value Converter::elementwise(Location loc, ValueRange inputs, Value into, Body body) {
  SmallVector<AffineMap> maps(
      inputs.size(), b.getMultiDimIdentityMap(cast<RankedTensorType>(into.getType()).getRank()));
  return generic(loc, inputs, maps, into, body);
}

} // namespace quern::kernels
