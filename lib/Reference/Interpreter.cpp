//===- Interpreter.cpp - Functions, blocks and the table of operations -----------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "quern/Reference/Interpreter.h"

#include "Evaluators.h"

#include "mlir/IR/BuiltinTypes.h"

using namespace mlir;
using namespace quern;
using namespace quern::reference;

const Table &quern::reference::evaluators() {
  static const Table table = [] {
    Table all;
    addStructure(all);
    addShapes(all);
    addTransformer(all);
    addAttention(all);
    addTraining(all);
    addSampling(all);
    addElementwise(all);
    addTensor(all);
    addLinalg(all);
    return all;
  }();
  return table;
}

bool quern::reference::fits(const Array &array, Type type) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  if (array.isFloat() != isa<FloatType>(getElementTypeOrSelf(type)))
    return false;
  if (!tensor)
    return array.rank() == 0;
  if (array.rank() != tensor.getRank())
    return false;
  for (auto [size, declared] : llvm::zip(array.shape(), tensor.getShape()))
    if (!ShapedType::isDynamic(declared) && size != declared)
      return false;
  return true;
}

/// Dimensions that share a name have one size.
static LogicalResult checkDims(FunctionOp function, ArrayRef<Array> arguments) {
  llvm::StringMap<int64_t> sizes;
  for (auto [i, argument] : llvm::enumerate(arguments)) {
    auto names = function.getArgAttrOfType<ArrayAttr>(i, "quern.dims");
    if (!names)
      continue;
    for (auto [dim, name] : llvm::enumerate(names.getAsValueRange<StringAttr>())) {
      auto [known, isNew] = sizes.try_emplace(name, argument.dim(dim));
      if (!name.empty() && !isNew && known->second != argument.dim(dim))
        return function.emitError("dimension \"")
               << name << "\" is both " << known->second << " and " << argument.dim(dim);
    }
  }
  return success();
}

FailureOr<Arrays> Interpreter::call(FunctionOp function, ArrayRef<Array> arguments) {
  if (arguments.size() != function.getNumArguments())
    return function.emitError("@")
           << function.getSymName() << " takes " << function.getNumArguments() << " arguments, not "
           << arguments.size();
  for (auto [i, argument] : llvm::enumerate(arguments))
    if (!fits(argument, function.getArgumentTypes()[i]))
      return function.emitError("argument ")
             << i << " of @" << function.getSymName() << " is " << function.getArgumentTypes()[i]
             << ", which does not fit " << (argument.isFloat() ? "floats " : "integers ")
             << formatShape(argument.shape());
  if (failed(checkDims(function, arguments)))
    return failure();
  return run(function.getBody().front(), arguments);
}

FailureOr<Arrays> Interpreter::run(Block &block, ArrayRef<Array> arguments) {
  for (auto [argument, array] : llvm::zip(block.getArguments(), arguments))
    set(argument, array);
  for (Operation &op : block.without_terminator()) {
    auto evaluator = evaluators().find(op.getName().getStringRef());
    if (evaluator == evaluators().end())
      return op.emitError("the reference interpreter does not know ") << op.getName();
    if (failed(evaluator->second(&op, *this)))
      return failure();
    for (Value result : op.getResults())
      if (!fits(get(result), result.getType()))
        return op.emitError("the value of this ")
               << op.getName() << " is " << formatShape(get(result).shape()) << ", not "
               << result.getType();
  }
  Arrays results;
  for (Value operand : block.getTerminator()->getOperands())
    results.push_back(get(operand));
  return results;
}

FailureOr<Array> Interpreter::read(ReadOp op) {
  Operation *scope = op->getParentOfType<LayersOp>();
  if (!scope)
    scope = op->getParentOfType<ModelOp>();
  auto parameter = cast<ParameterOp>(SymbolTable::lookupSymbolIn(scope, op.getParameterAttr()));
  auto found = parameters.find(parameter.getProgramName());
  if (found == parameters.end())
    return op.emitError("no value is given for parameter ") << parameter.getProgramName();
  if (!fits(found->second, parameter.getStoredType()))
    return op.emitError("parameter ")
           << parameter.getProgramName() << " is " << parameter.getStoredType()
           << ", but its value has the shape " << formatShape(found->second.shape());
  LayersOp layers = parameter.getLayers();
  return layers ? found->second.slice(layer(layers)) : found->second;
}
