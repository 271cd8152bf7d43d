//===- Functions.cpp - Layers, functions and scans: their syntax and constraints -------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "dialects/Quern/Inference.h"

#include "mlir/IR/Builders.h"
#include "mlir/Interfaces/FunctionImplementation.h"

#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringSet.h"

using namespace mlir;
using namespace quern;

//===- Layers
//------------------------------------------------------------------------------------===//

YieldOp LayersOp::getYield() { return cast<YieldOp>(getBody().front().getTerminator()); }
unsigned LayersOp::getNumCarried() { return getYield().getNumOperands(); }

void LayersOp::getAsmBlockArgumentNames(Region &region, OpAsmSetValueNameFn setName) {
  for (BlockArgument argument : region.getArguments())
    setName(argument, argument.getArgNumber() ? "s" : "x");
}

/// `@block count(12) file("h.{layer}.") (%x: T, ...) -> (T, ...) attributes {...} { ... }`
ParseResult LayersOp::parse(OpAsmParser &parser, OperationState &result) {
  Builder &b = parser.getBuilder();
  StringAttr name, file;
  int64_t count = 0;
  SmallVector<OpAsmParser::Argument> arguments;
  SmallVector<Type> types;
  if (parser.parseSymbolName(name, getSymNameAttrName(result.name), result.attributes) ||
      parser.parseKeyword("count") || parser.parseLParen() || parser.parseInteger(count) ||
      parser.parseRParen())
    return failure();
  result.addAttribute(getCountAttrName(result.name), b.getI64IntegerAttr(count));
  if (succeeded(parser.parseOptionalKeyword("file"))) {
    if (parser.parseLParen() || parser.parseAttribute(file) || parser.parseRParen())
      return failure();
    result.addAttribute(getFileAttrName(result.name), file);
  }
  if (parser.parseArgumentList(arguments, OpAsmParser::Delimiter::Paren, /*allowType=*/true) ||
      parser.parseOptionalArrowTypeList(types) ||
      parser.parseOptionalAttrDictWithKeyword(result.attributes) ||
      parser.parseRegion(*result.addRegion(), arguments))
    return failure();
  return success();
}

void LayersOp::print(OpAsmPrinter &p) {
  p << ' ';
  p.printSymbolName(getSymName());
  p << " count(" << getCount() << ")";
  if (getFile())
    p << " file(" << getFileAttr() << ")";
  p << " (";
  llvm::interleaveComma(getBody().getArguments(), p,
                        [&](BlockArgument argument) { p.printRegionArgument(argument); });
  p << ")";
  Block &body = getBody().front();
  if (!body.empty() && isa<YieldOp>(body.back()))
    p.printArrowTypeList(getYield().getOperandTypes());
  p.printOptionalAttrDictWithKeyword((*this)->getAttrs(),
                                     {getSymNameAttrName(), getCountAttrName(), getFileAttrName()});
  p << ' ';
  p.printRegion(getBody(), /*printEntryBlockArgs=*/false);
}

LogicalResult LayersOp::verifyRegions() {
  if (static_cast<int64_t>(getCount()) <= 0)
    return emitError("quern.layers (C1): count must be positive, not ")
           << static_cast<int64_t>(getCount());
  Block &body = getBody().front();
  for (Type type : body.getArgumentTypes())
    if (!isa<RankedTensorType>(type))
      return emitError("quern.layers (C4): arguments of @")
             << getSymName() << " must be ranked tensors, not " << type;
  if (body.empty() || !isa<YieldOp>(body.back()))
    return emitError("quern.layers (C3): @") << getSymName() << " does not end in quern.yield";
  OperandRange values = getYield().getOperands();
  if (values.empty() || values.size() > body.getNumArguments())
    return emitError("quern.layers (C3): @")
           << getSymName() << " yields " << values.size() << " values and has "
           << body.getNumArguments()
           << " arguments; it must yield one value or more, for the next layer's arguments";
  for (auto [i, value] : llvm::enumerate(values))
    if (value.getType() != body.getArgument(i).getType())
      return getYield().emitError("quern.layers (C2): value ")
             << i << " that @" << getSymName() << " yields is " << value.getType()
             << ", but the next layer takes " << body.getArgument(i).getType();
  return success();
}

//===- Function
//----------------------------------------------------------------------------------===//

void FunctionOp::build(OpBuilder &builder, OperationState &state, StringRef name,
                       FunctionType type) {
  state.addAttribute(getSymNameAttrName(state.name), builder.getStringAttr(name));
  state.addAttribute(getFunctionTypeAttrName(state.name), TypeAttr::get(type));
  state.addRegion();
}

StringRef FunctionOp::getArgumentName(unsigned index) {
  auto name = getArgAttrOfType<StringAttr>(index, "quern.name");
  return name ? name.getValue() : "";
}
StringRef FunctionOp::getResultName(unsigned index) {
  auto name = getResultAttrOfType<StringAttr>(index, "quern.name");
  return name ? name.getValue() : "";
}
ReturnOp FunctionOp::getReturn() { return cast<ReturnOp>(getBody().front().getTerminator()); }

void FunctionOp::getAsmBlockArgumentNames(Region &region, OpAsmSetValueNameFn setName) {
  for (BlockArgument argument : region.getArguments())
    if (StringRef name = getArgumentName(argument.getArgNumber()); !name.empty())
      setName(argument, name);
}

/// As func.func, except that an argument's SSA name becomes its `quern.name`: it is what files and
/// command lines call it.
ParseResult FunctionOp::parse(OpAsmParser &parser, OperationState &result) {
  Builder &b = parser.getBuilder();
  StringAttr name;
  SmallVector<OpAsmParser::Argument> arguments;
  SmallVector<Type> resultTypes;
  SmallVector<DictionaryAttr> resultAttributes;
  bool variadic = false;
  if (parser.parseSymbolName(name, getSymNameAttrName(result.name), result.attributes) ||
      function_interface_impl::parseFunctionSignatureWithArguments(
          parser, /*allowVariadic=*/false, arguments, variadic, resultTypes, resultAttributes))
    return failure();
  SmallVector<Type> types;
  for (OpAsmParser::Argument &argument : arguments) {
    types.push_back(argument.type);
    NamedAttrList attributes(argument.attrs);
    StringRef ssaName = argument.ssaName.name.drop_front();
    if (!attributes.get("quern.name") && !ssaName.empty() && !llvm::isDigit(ssaName[0]))
      attributes.set("quern.name", b.getStringAttr(ssaName));
    argument.attrs = attributes.getDictionary(b.getContext());
  }
  result.addAttribute(getFunctionTypeAttrName(result.name),
                      TypeAttr::get(b.getFunctionType(types, resultTypes)));
  if (parser.parseOptionalAttrDictWithKeyword(result.attributes))
    return failure();
  call_interface_impl::addArgAndResultAttrs(b, result, arguments, resultAttributes,
                                            getArgAttrsAttrName(result.name),
                                            getResAttrsAttrName(result.name));
  return parser.parseRegion(*result.addRegion(), arguments);
}

void FunctionOp::print(OpAsmPrinter &p) {
  function_interface_impl::printFunctionOp(p, *this, /*isVariadic=*/false,
                                           getFunctionTypeAttrName(), getArgAttrsAttrName(),
                                           getResAttrsAttrName());
}

/// Names of dimensions fit the types, and equal names have equal sizes.
static LogicalResult verifyDims(FunctionOp function) {
  llvm::StringMap<int64_t> sizes;
  for (unsigned i = 0, e = function.getNumArguments(); i < e; ++i) {
    Attribute dims = function.getArgAttr(i, "quern.dims");
    if (!dims)
      continue;
    auto names = dyn_cast<ArrayAttr>(dims);
    auto type = cast<RankedTensorType>(function.getArgumentTypes()[i]);
    if (!names || static_cast<int64_t>(names.size()) != type.getRank() ||
        !llvm::all_of(names, llvm::IsaPred<StringAttr>))
      return function.emitError("quern.function (C2): quern.dims of argument ")
             << i << " of @" << function.getSymName() << " must name each dimension of " << type
             << ", such as [\"batch\", \"sequence\"]";
    for (auto [name, size] : llvm::zip(names.getAsRange<StringAttr>(), type.getShape())) {
      if (name.empty() || ShapedType::isDynamic(size))
        continue;
      auto [known, isNew] = sizes.try_emplace(name, size);
      if (!isNew && known->second != size)
        return function.emitError("quern.function (C2): dimension ")
               << name << " of @" << function.getSymName() << " is both " << known->second
               << " and " << size;
    }
  }
  return success();
}

LogicalResult FunctionOp::verify() {
  for (Type type : llvm::concat<const Type>(getArgumentTypes(), getResultTypes())) {
    auto ranked = dyn_cast<RankedTensorType>(type);
    if (!ranked)
      return emitError("quern.function (C1): arguments and results of @")
             << getSymName() << " must be ranked tensors, not " << type;
    if (llvm::is_contained(ranked.getShape(), 0))
      return emitError("quern.function (C1): @")
             << getSymName() << " has a tensor of no elements: " << type;
  }
  if (failed(verifyDims(*this)))
    return failure();
  llvm::StringSet<> names;
  for (unsigned i = 0, e = getNumArguments(); i < e; ++i) {
    auto role = getArgAttrOfType<StringAttr>(i, "quern.role");
    std::string name = ((role ? role.getValue() : "") + ":" + getArgumentName(i)).str();
    if (!getArgumentName(i).empty() && !names.insert(name).second)
      return emitError("quern.function (C3): @")
             << getSymName() << " has two arguments named " << getArgumentName(i);
  }
  if (getBody().empty() || getBody().front().empty() || !isa<ReturnOp>(getBody().front().back()))
    return emitError("function @") << getSymName() << " does not end in quern.return";
  return success();
}

LogicalResult ReturnOp::verify() {
  auto function = cast<FunctionOp>((*this)->getParentOp());
  if (getOperandTypes() == TypeRange(function.getResultTypes()))
    return success();
  InFlightDiagnostic error = emitError("quern.return (C1): @")
                             << function.getSymName() << " declares (";
  llvm::interleaveComma(function.getResultTypes(), error);
  error << ") and returns (";
  llvm::interleaveComma(getOperandTypes(), error);
  return error << ")";
}

//===- Scan
//--------------------------------------------------------------------------------------===//

RankedTensorType ScanOp::stack(Type type, int64_t count) {
  auto tensor = cast<RankedTensorType>(type);
  SmallVector<int64_t> dims{count};
  llvm::append_range(dims, tensor.getShape());
  return RankedTensorType::get(dims, tensor.getElementType());
}

RankedTensorType ScanOp::slice(Type type) {
  auto tensor = cast<RankedTensorType>(type);
  return RankedTensorType::get(tensor.getShape().drop_front(), tensor.getElementType());
}

YieldOp ScanOp::getYield() { return cast<YieldOp>(getBody().front().getTerminator()); }

void ScanOp::build(OpBuilder &builder, OperationState &state, TypeRange results, ValueRange inits,
                   ValueRange stacks, int64_t count, bool reverse) {
  state.addOperands(inits);
  state.addOperands(stacks);
  state.addTypes(results);
  Properties &properties = state.getOrAddProperties<Properties>();
  properties.setCount(builder.getI64IntegerAttr(count));
  if (reverse)
    properties.setReverse(builder.getUnitAttr());
  llvm::copy(
      ArrayRef<int32_t>({static_cast<int32_t>(inits.size()), static_cast<int32_t>(stacks.size())}),
      properties.operandSegmentSizes.begin());
  Block *body = new Block;
  state.addRegion()->push_back(body);
  for (Value init : inits)
    body->addArgument(init.getType(), init.getLoc());
  for (Value stack : stacks)
    body->addArgument(slice(stack.getType()), stack.getLoc());
}

void ScanOp::getAsmBlockArgumentNames(Region &region, OpAsmSetValueNameFn setName) {
  for (BlockArgument argument : region.getArguments())
    setName(argument, argument.getArgNumber() < getNumCarried() ? "x" : "w");
}

/// `12 reverse carry (%x = %x0 : T, ...) slices (%w = %ws : S, ...) -> (...) attributes {...} { ...
/// }`
ParseResult ScanOp::parse(OpAsmParser &parser, OperationState &result) {
  Builder &b = parser.getBuilder();
  int64_t count = 0;
  if (parser.parseInteger(count))
    return failure();
  Properties &properties = result.getOrAddProperties<Properties>();
  properties.setCount(b.getI64IntegerAttr(count));
  if (succeeded(parser.parseOptionalKeyword("reverse")))
    properties.setReverse(b.getUnitAttr());
  SmallVector<OpAsmParser::Argument> arguments;
  SmallVector<int32_t> segments;
  for (bool carried : {true, false}) {
    segments.push_back(0);
    if (failed(parser.parseOptionalKeyword(carried ? "carry" : "slices")))
      continue;
    auto parseOne = [&]() -> ParseResult {
      OpAsmParser::UnresolvedOperand operand;
      Type type;
      SMLoc where = parser.getCurrentLocation();
      if (parser.parseArgument(arguments.emplace_back()) || parser.parseEqual() ||
          parser.parseOperand(operand) || parser.parseColonType(type) ||
          parser.resolveOperand(operand, type, result.operands))
        return failure();
      auto tensor = dyn_cast<RankedTensorType>(type);
      if (!tensor || (!carried && tensor.getRank() == 0))
        return parser.emitError(where,
                                "a scan takes ranked tensors, and slices need a first dimension");
      arguments.back().type = carried ? type : Type(slice(type));
      ++segments.back();
      return success();
    };
    if (parser.parseCommaSeparatedList(OpAsmParser::Delimiter::Paren, parseOne))
      return failure();
  }
  llvm::copy(segments, properties.operandSegmentSizes.begin());
  return failure(parser.parseOptionalArrowTypeList(result.types) ||
                 parser.parseOptionalAttrDictWithKeyword(result.attributes) ||
                 parser.parseRegion(*result.addRegion(), arguments));
}

void ScanOp::print(OpAsmPrinter &p) {
  p << ' ' << getCount();
  if (getReverse())
    p << " reverse";
  auto list = [&](StringRef keyword, OperandRange operands, Block::BlockArgListType arguments) {
    if (operands.empty())
      return;
    p << ' ' << keyword << " (";
    llvm::interleaveComma(llvm::zip(arguments, operands), p, [&](auto pair) {
      p << std::get<0>(pair) << " = " << std::get<1>(pair) << " : " << std::get<1>(pair).getType();
    });
    p << ')';
  };
  list("carry", getInits(), getCarriedArguments());
  list("slices", getStacks(), getSliceArguments());
  p.printOptionalArrowTypeList(getResultTypes());
  p.printOptionalAttrDictWithKeyword((*this)->getAttrs(),
                                     {"count", "reverse", "operandSegmentSizes"});
  p << ' ';
  p.printRegion(getBody(), /*printEntryBlockArgs=*/false);
}

LogicalResult ScanOp::verifyRegions() {
  int64_t count = getCount();
  if (count <= 0)
    return emitError("quern.scan (C4): count must be positive, not ") << count;
  Block &body = getBody().front();
  if (body.empty() || !isa<YieldOp>(body.back()))
    return emitError("quern.scan does not end in quern.yield");
  YieldOp yield = getYield();
  if (body.getNumArguments() != getNumOperands() || yield.getNumOperands() != getNumResults() ||
      getNumResults() < getNumCarried())
    return emitError("quern.scan: ")
           << getNumOperands() << " operands and " << getNumResults()
           << " results do not fit a body with " << body.getNumArguments() << " arguments and "
           << yield.getNumOperands() << " yielded values";
  for (unsigned i = 0, e = getNumCarried(); i < e; ++i)
    if (yield.getOperand(i).getType() != getInits()[i].getType() ||
        getResult(i).getType() != getInits()[i].getType())
      return emitError("quern.scan (C2): carried value ")
             << i << " changes its type from " << getInits()[i].getType() << " to "
             << yield.getOperand(i).getType();
  for (Value stacked : llvm::concat<Value>(SmallVector<Value>(getStacks()),
                                           SmallVector<Value>(getStackedResults())))
    if (differ(typeOf(stacked).getRank() ? shape(stacked)[0] : -1, count))
      return emitError("quern.scan (C1): a stacked tensor of type ")
             << stacked.getType() << " does not have " << count << " slices";
  for (unsigned i = getNumCarried(), e = getNumResults(); i < e; ++i)
    if (yield.getOperand(i).getType() != slice(getResult(i).getType()))
      return emitError("quern.scan (C3): yields ")
             << yield.getOperand(i).getType() << " for a stack of type " << getResult(i).getType();
  return success();
}
