//===- Values.cpp - Values for arguments and parameters of functions -------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "quern/Reference/Values.h"

#include "quern/Runtime/Philox.h"

#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/TypeUtilities.h"

#include "llvm/Support/xxhash.h"

using namespace mlir;
using namespace quern;
using namespace quern::reference;

std::string quern::reference::argumentName(FunctionOp function, unsigned index) {
  StringRef name = function.getArgumentName(index);
  // Moments carry the name of their parameter.
  auto role = function.getArgAttrOfType<StringAttr>(index, "quern.role");
  std::string prefix =
      role && role.getValue().ends_with("_moment") ? role.getValue().str() + "." : "";
  return prefix + (name.empty() ? "argument" + std::to_string(index) : name.str());
}

std::string quern::reference::resultName(FunctionOp function, unsigned index) {
  StringRef name = function.getResultName(index);
  return name.empty() ? "result" + std::to_string(index) : name.str();
}

/// Floats are uniform in [-1, 1).
static Array drawArray(const ValueSource &source, StringRef name, ArrayRef<int64_t> shape,
                       bool isFloat) {
  std::pair<int64_t, int64_t> range{0, 4};
  if (auto given = source.ranges.find(name); given != source.ranges.end())
    range = given->second;
  uint32_t sequence = llvm::xxh3_64bits(name) & 0xffffff;
  Array array = Array::zeros(shape, isFloat);
  for (int64_t i = 0; i < array.size(); ++i) {
    auto words = runtime::draw(source.seed, runtime::Stream::Initialize, sequence, i);
    if (isFloat)
      array.flat(i) = 2 * runtime::uniform(words[0], words[1]) - 1;
    else
      array.flatInteger(i) =
          range.first + runtime::below(words[0], words[1], range.second - range.first);
  }
  return array;
}

/// The sizes of an argument, dynamic ones by name.
static FailureOr<Array::Shape> shapeOf(FunctionOp function, unsigned index,
                                       const ValueSource &source) {
  auto type = cast<RankedTensorType>(function.getArgumentTypes()[index]);
  auto names = function.getArgAttrOfType<ArrayAttr>(index, "quern.dims");
  Array::Shape shape(type.getShape());
  for (auto [i, size] : llvm::enumerate(shape)) {
    if (!ShapedType::isDynamic(size))
      continue;
    std::string name = names ? cast<StringAttr>(names[i]).getValue().str() : "";
    if (name.empty())
      name = i == 0   ? "batch"
             : i == 1 ? "sequence"
                      : argumentName(function, index) + "." + std::to_string(i);
    auto found = source.sizes.find(name);
    if (found == source.sizes.end())
      return function.emitError("no size is given for dimension \"") << name << "\"";
    size = found->second;
  }
  return shape;
}

FailureOr<Arrays> quern::reference::argumentValues(FunctionOp function, const ValueSource &source) {
  Arrays arguments;
  for (auto [i, type] : llvm::enumerate(function.getArgumentTypes())) {
    std::string name = argumentName(function, i);
    if (auto given = source.given.find(name); given != source.given.end()) {
      arguments.push_back(given->second);
      continue;
    }
    if (!source.random)
      return function.emitError("no value is given for argument ")
             << name << " of @" << function.getSymName();
    FailureOr<Array::Shape> shape = shapeOf(function, i, source);
    if (failed(shape))
      return failure();
    arguments.push_back(
        drawArray(source, name, *shape, isa<FloatType>(getElementTypeOrSelf(type))));
  }
  return arguments;
}

SmallVector<ParameterOp> quern::reference::parametersOf(ModelOp model) {
  SmallVector<ParameterOp> parameters;
  model.walk<WalkOrder::PreOrder>([&](ParameterOp op) { parameters.push_back(op); });
  return parameters;
}

FailureOr<NamedArrays> quern::reference::parameterValues(ModelOp model, const ValueSource &source) {
  NamedArrays values;
  if (!model)
    return values;
  for (ParameterOp parameter : parametersOf(model)) {
    std::string name = parameter.getProgramName();
    if (auto given = source.given.find(name); given != source.given.end())
      values[name] = given->second;
    else if (source.random)
      values[name] = drawArray(source, name, parameter.getStoredType().getShape(), true);
  }
  return values;
}
