//===- ReferenceFiles.cpp - Safetensors files of quern-reference -----------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "ReferenceFiles.h"

#include "quern/Reference/Values.h"
#include "quern/Runtime/Error.h"

using namespace mlir;
using namespace quern;
using namespace quern::reference;
using namespace quern::tools;

NamedArrays quern::tools::readArrays(const std::string &path) {
  runtime::SafetensorsFile file(path);
  NamedArrays arrays;
  for (const runtime::FileTensor &tensor : file.tensors()) {
    bool isFloat = StringRef(tensor.type).contains('F'); // F32, BF16, ...
    Array array = Array::zeros(tensor.shape, isFloat);
    runtime::Tensor to{tensor.name, isFloat ? runtime::Type::F64 : runtime::Type::I64, tensor.shape,
                       nullptr};
    if (array.size() > 0) {
      to.data = isFloat ? static_cast<void *>(&array.flat(0)) : &array.flatInteger(0);
      runtime::convertTensor(tensor, to, path);
    }
    arrays[tensor.name] = std::move(array);
  }
  return arrays;
}

/// The names in a weight file of the parameter's tensors: one, or one a layer.
static std::vector<std::string> fileNames(ParameterOp parameter) {
  const std::string pattern = parameter.getFileName(), place = "{layer}";
  LayersOp layers = parameter.getLayers();
  size_t at = pattern.find(place);
  if (!layers || at == std::string::npos)
    return {pattern};
  std::vector<std::string> names;
  for (int64_t i = 0, count = layers.getCount(); i < count; ++i)
    names.push_back(pattern.substr(0, at) + std::to_string(i) + pattern.substr(at + place.size()));
  return names;
}

/// The parameter's tensor, or moment, under names that begin with `prefix`; nothing where one is
/// missing, which is reported where it is read.
static std::optional<Array> findWeight(ParameterOp parameter, const NamedArrays &file,
                                       const std::string &prefix) {
  std::vector<std::string> names = fileNames(parameter);
  for (std::string &name : names) {
    name = prefix + name;
    if (!file.count(name))
      return std::nullopt;
  }
  if (!StringRef(parameter.getFileName()).contains("{layer}"))
    return file.find(names[0])->second;
  Array stacked = Array::floats(parameter.getStoredType().getShape());
  for (auto [i, name] : llvm::enumerate(names)) {
    const Array &layer = file.find(name)->second;
    if (!fits(layer, parameter.getTensorType()))
      throw runtime::Error(name + " in the weights is " + formatShape(layer.shape()) +
                           ", but the parameter is " +
                           formatShape(parameter.getTensorType().getShape()));
    stacked.setSlice(i, layer);
  }
  return stacked;
}

void quern::tools::addWeights(ModelOp model, const NamedArrays &file, NamedArrays &values) {
  for (ParameterOp parameter : parametersOf(model))
    for (const char *prefix : {"", "first_moment.", "second_moment."})
      if (std::optional<Array> weight = findWeight(parameter, file, prefix))
        values[prefix + parameter.getProgramName()] = std::move(*weight);
}

void ArrayWriter::add(const std::string &name, const Array &array) {
  arrays.emplace_back(name, array);
}

void ArrayWriter::addResults(FunctionOp function, ArrayRef<Array> results) {
  auto model = function->getParentOfType<ModelOp>();
  for (auto [i, result] : llvm::enumerate(results)) {
    std::string name = resultName(function, i);
    auto role = function.getResultAttrOfType<StringAttr>(i, "quern.role");
    std::string prefix = !role || role.getValue() == "output" || role.getValue() == "parameter"
                             ? ""
                             : role.getValue().str() + ".";
    ParameterOp parameter;
    if (model && role && role.getValue() != "output")
      for (ParameterOp candidate : parametersOf(model))
        if (candidate.getProgramName() == name)
          parameter = candidate;
    if (!parameter) {
      add(prefix + name, result);
      continue;
    }
    std::vector<std::string> names = fileNames(parameter);
    bool split = StringRef(parameter.getFileName()).contains("{layer}") && parameter.getLayers();
    for (auto [layer, file] : llvm::enumerate(names))
      add(prefix + file, split ? result.slice(layer) : result);
  }
}

void ArrayWriter::write(const std::string &path, bool asF32) const {
  std::vector<runtime::Tensor> tensors;
  std::vector<std::vector<float>> rounded(arrays.size());
  for (auto [i, entry] : llvm::enumerate(arrays)) {
    // The writer only reads.
    auto &array = const_cast<Array &>(entry.second);
    runtime::Tensor tensor{entry.first, runtime::Type::I64,
                           runtime::Shape(array.shape().begin(), array.shape().end()), nullptr};
    if (!array.isFloat()) {
      tensor.data = &array.flatInteger(0);
    } else if (asF32) {
      for (int64_t j = 0; j < array.size(); ++j)
        rounded[i].push_back(static_cast<float>(array.flat(j)));
      tensor.type = runtime::Type::F32;
      tensor.data = rounded[i].data();
    } else {
      tensor.type = runtime::Type::F64;
      tensor.data = &array.flat(0);
    }
    tensors.push_back(tensor);
  }
  runtime::writeSafetensors(path, tensors, {});
}
