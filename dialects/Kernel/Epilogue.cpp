//===- Epilogue.cpp - The region of a matrix product ------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "dialects/Kernel/Kernel.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/TypeUtilities.h"

using namespace mlir;

namespace quern::kernel {

Type computeType(Type element) {
  if (element.isBF16() || element.isF16())
    return Float32Type::get(element.getContext());
  return element;
}

bool isEpilogueOp(Operation &op) {
  if (op.hasTrait<OpTrait::ConstantLike>())
    return true;
  if (isa<arith::DivSIOp, arith::DivUIOp, arith::RemSIOp, arith::RemUIOp, arith::CeilDivSIOp,
          arith::CeilDivUIOp, arith::FloorDivSIOp>(op))
    return false;
  auto isNumber = [](Type type) { return type.isIntOrIndexOrFloat(); };
  return isa_and_nonnull<arith::ArithDialect, math::MathDialect>(op.getDialect()) &&
         OpTrait::hasElementwiseMappableTraits(&op) &&
         llvm::all_of(op.getOperandTypes(), isNumber) &&
         llvm::all_of(op.getResultTypes(), isNumber);
}

/// The types of the arguments of a product's region.
static SmallVector<Type> argumentTypes(GemmOp op) {
  SmallVector<Type> types{computeType(getElementTypeOrSelf(op.getA()))};
  for (Value extra : op.getExtras())
    types.push_back(computeType(getElementTypeOrSelf(extra)));
  return types;
}

Block *GemmOp::addRegionBlock() {
  Block &block = getEpilogue().emplaceBlock();
  SmallVector<Location> locations{getLoc()};
  for (Value extra : getExtras())
    locations.push_back(extra.getLoc());
  block.addArguments(argumentTypes(*this), locations);
  return &block;
}

void GemmOp::getAsmBlockArgumentNames(Region &region, OpAsmSetValueNameFn setName) {
  for (BlockArgument argument : region.getArguments())
    setName(argument, argument.getArgNumber() ? "x" : "sum");
}

LogicalResult GemmOp::verifyEpilogue() {
  if (!hasRegion()) {
    if (!getExtras().empty())
      return emitOpError("(C1): operands of `with` need a region, which says what becomes of them");
    return success();
  }
  auto shapeOf = [](Value value) { return cast<ShapedType>(value.getType()).getShape(); };
  ArrayRef<int64_t> shape = shapeOf(getOutputs()[0]);
  for (Value extra : getExtras()) {
    ArrayRef<int64_t> own = shapeOf(extra);
    bool isVector = own.size() == 1 && succeeded(verifyCompatibleShape(own, shape.take_back()));
    if (!own.empty() && !isVector && failed(verifyCompatibleShape(own, shape)))
      return emitOpError("(C2): operand ")
             << extra.getType() << " of `with` has neither the shape of output "
             << getOutputs()[0].getType() << ", nor that of its columns, nor rank 0";
  }
  Block &block = getEpilogue().front();
  SmallVector<Type> wanted = argumentTypes(*this);
  if (!llvm::equal(block.getArgumentTypes(), wanted))
    return emitOpError("(C3): the region has arguments of types ")
           << block.getArgumentTypes() << ", not " << wanted;
  auto yield = block.empty() ? YieldOp() : dyn_cast<YieldOp>(block.back());
  if (!yield)
    return emitOpError("(C4): the region does not end in kernel.yield");
  SmallVector<Type> yielded;
  for (Value output : getOutputs())
    yielded.push_back(computeType(getElementTypeOrSelf(output)));
  if (!llvm::equal(yield.getOperandTypes(), yielded))
    return yield.emitOpError("(C4): has values of types ")
           << yield.getOperandTypes() << ", and the outputs of the product take " << yielded;
  for (Value output : getOutputs().drop_front())
    if (failed(verifyCompatibleShape(shapeOf(output), shape)))
      return emitOpError("(C5): outputs differ in shape: ")
             << getOutputs()[0].getType() << " and " << output.getType();
  for (Operation &op : block.without_terminator())
    if (!isEpilogueOp(op))
      return op.emitOpError(
          "(C6): stands in the region of a product, which takes elementwise ops of "
          "arith and math on numbers, and no divisions of integers");
  return success();
}

//===---------------------------------------------------------------------------------------------===//
// `(%sum: f32, %x: f32) { ... }`
//===---------------------------------------------------------------------------------------------===//

ParseResult parseEpilogue(OpAsmParser &parser, Region &region) {
  SmallVector<OpAsmParser::Argument> arguments;
  return failure(parser.parseArgumentList(arguments, OpAsmParser::Delimiter::Paren,
                                          /*allowType=*/true) ||
                 parser.parseRegion(region, arguments));
}

void printEpilogue(OpAsmPrinter &printer, Operation *, Region &region) {
  printer << "(";
  llvm::interleaveComma(region.getArguments(), printer,
                        [&](BlockArgument argument) { printer.printRegionArgument(argument); });
  printer << ") ";
  printer.printRegion(region, /*printEntryBlockArgs=*/false);
}

} // namespace quern::kernel
