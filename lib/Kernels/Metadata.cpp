//===- Metadata.cpp - What a runtime needs to know, as JSON -----------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "Metadata.h"

using namespace mlir;
namespace json = llvm::json;

namespace quern::kernels {

static std::string typeName(Type type) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  type.print(stream);
  return text;
}

static json::Array shapeOf(RankedTensorType type) {
  json::Array shape;
  for (int64_t size : type.getShape())
    shape.push_back(ShapedType::isDynamic(size) ? int64_t(-1) : size);
  return shape;
}

json::Object describeModel(ModelOp model) {
  json::Array parameters;
  model.walk([&](ParameterOp parameter) {
    json::Object initializer{{"kind", stringifyInitializer(parameter.getInitializer())}};
    if (parameter.getScale())
      initializer["scale"] = parameter.getScale()->convertToDouble();
    LayersOp layers = parameter.getLayers();
    parameters.push_back(
        json::Object{{"name", parameter.getProgramName()},
                     {"file", parameter.getFileName()},
                     {"type", typeName(parameter.getTensorType().getElementType())},
                     {"shape", shapeOf(parameter.getStoredType())},
                     {"layers", layers ? static_cast<int64_t>(layers.getCount()) : 0},
                     {"decay", parameter.getDecay()},
                     {"initializer", std::move(initializer)}});
  });
  // What a model of language predicts is the last dimension of what forward gives.
  int64_t vocabulary = 0;
  if (auto forward = model.lookupSymbol<FunctionOp>("forward"))
    if (!forward.getResultTypes().empty())
      if (auto logits = cast<RankedTensorType>(forward.getResultTypes()[0]); logits.getRank() > 0)
        vocabulary = std::max<int64_t>(logits.getShape().back(), 0);
  return json::Object{{"quern", 1},
                      {"model", model.getSymName()},
                      {"kind", model.getKind()},
                      {"context", static_cast<int64_t>(model.getContext().value_or(0))},
                      {"vocabulary", vocabulary},
                      {"parameters", std::move(parameters)}};
}

static StringRef attribute(DictionaryAttr attributes, StringRef name) {
  auto value = attributes ? attributes.getAs<StringAttr>(name) : StringAttr();
  return value ? value.getValue() : "";
}

std::optional<unsigned> updatingResult(FunctionOp program, unsigned argument) {
  DictionaryAttr wanted = program.getArgAttrDict(argument);
  for (unsigned i = 0, e = program.getNumResults(); i < e; ++i) {
    DictionaryAttr result = program.getResultAttrDict(i);
    StringRef updates = attribute(result, "quern.updates");
    if (!updates.empty() && updates == attribute(wanted, "quern.name") &&
        attribute(result, "quern.role") == attribute(wanted, "quern.role"))
      return i;
  }
  return std::nullopt;
}

static json::Object describeTensor(DictionaryAttr attributes, Type type, StringRef otherwise) {
  auto tensor = cast<RankedTensorType>(type);
  StringRef name = attribute(attributes, "quern.name"), role = attribute(attributes, "quern.role");
  json::Object object{{"name", name.empty() ? otherwise : name},
                      {"role", role},
                      {"type", typeName(tensor.getElementType())},
                      {"shape", shapeOf(tensor)}};
  json::Array dims;
  auto names = attributes ? attributes.getAs<ArrayAttr>("quern.dims") : ArrayAttr();
  for (int64_t i = 0; i < tensor.getRank(); ++i)
    dims.push_back(names ? cast<StringAttr>(names[i]).getValue() : "");
  object["dimensions"] = std::move(dims);
  return object;
}

json::Object describeProgram(FunctionOp program, Dimensions &dims) {
  json::Array arguments;
  for (unsigned i = 0, e = program.getNumArguments(); i < e; ++i)
    arguments.push_back(describeTensor(program.getArgAttrDict(i), program.getArgumentTypes()[i],
                                       ("argument" + Twine(i)).str()));
  for (unsigned i = 0, e = program.getNumResults(); i < e; ++i)
    if (attribute(program.getResultAttrDict(i), "quern.updates").empty())
      arguments.push_back(describeTensor(program.getResultAttrDict(i), program.getResultTypes()[i],
                                         ("result" + Twine(i)).str()));
  return json::Object{{"name", program.getSymName()},
                      {"arguments", std::move(arguments)},
                      {"flops", countFlops(program, dims)}};
}

} // namespace quern::kernels
