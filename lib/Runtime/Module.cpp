//===- Module.cpp - What a compiled model says about itself -----------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "quern/Runtime/Module.h"

#include "quern/Runtime/Error.h"

#include <cmath>
#include <cstdio>

namespace quern::runtime {

std::optional<double> Polynomial::evaluate(const Dimensions &dimensions) const {
  double sum = 0;
  for (const Term &term : terms) {
    double product = term.coefficient;
    for (const auto &[name, exponent] : term.exponents) {
      auto found = dimensions.find(name);
      if (found == dimensions.end())
        return std::nullopt;
      product *= std::pow(double(found->second), exponent);
    }
    sum += product;
  }
  return sum;
}

std::string Parameter::fileName(int64_t layer) const {
  std::string result = file;
  auto at = result.find("{layer}");
  if (at != std::string::npos)
    result.replace(at, 7, std::to_string(layer));
  return result;
}

std::vector<Tensor> Parameter::fileTensors(const Tensor &whole, const std::string &prefix) const {
  if (!perLayer())
    return {{prefix + file, whole.type, shape, whole.data, whole.device, whole.panels}};
  std::vector<Tensor> tensors;
  Shape one(shape.begin() + 1, shape.end());
  int64_t stride = countElements(one, name) * sizeOf(whole.type);
  for (int64_t layer = 0; layer < layers; ++layer)
    tensors.push_back({prefix + fileName(layer), whole.type, one,
                       static_cast<char *>(whole.data) + layer * stride, whole.device,
                       whole.panels});
  return tensors;
}

const Argument *Program::find(const std::string &argument, Role role) const {
  for (const Argument &candidate : arguments)
    if (candidate.role == role && candidate.name == argument)
      return &candidate;
  return nullptr;
}

bool Program::has(Role role) const {
  for (const Argument &argument : arguments)
    if (argument.role == role)
      return true;
  return false;
}

Dimensions Program::fixedDimensions() const {
  Dimensions fixed;
  for (const Argument &argument : arguments)
    for (size_t i = 0; i < argument.shape.size(); ++i)
      if (argument.shape[i] >= 0 && !argument.dimensions[i].empty())
        fixed[argument.dimensions[i]] = argument.shape[i];
  return fixed;
}

const Program *Module::find(const std::string &program) const {
  for (const Program &candidate : programs)
    if (candidate.name == program)
      return &candidate;
  return nullptr;
}

const Program &Module::get(const std::string &program) const {
  if (const Program *found = find(program))
    return *found;
  std::vector<std::string> names;
  for (const Program &candidate : programs)
    names.push_back(candidate.name);
  throw UsageError(concat("this executable has no program '", program, "'", suggest(program, names),
                          "; it has ", join(names, ", "), "; compile the model with --programs=",
                          program, ",... to add what is missing"));
}

bool Module::hasHostCode() const {
  for (const Program &program : programs)
    if (program.code)
      return true;
  return deviceArchitectures().empty();
}

std::vector<std::string> Module::deviceArchitectures() const {
  std::vector<std::string> names;
  for (const quern_device_code *code = deviceCodes; code && code->architecture; ++code)
    names.push_back(code->architecture);
  return names;
}

int64_t Module::parameterCount() const {
  int64_t count = 0;
  for (const Parameter &parameter : parameters)
    count += countElements(parameter.shape, parameter.name);
  return count;
}

std::string Module::fingerprint() const {
  std::string text = concat(kind, "|", vocabulary);
  for (const Parameter &parameter : parameters)
    text += concat("|", parameter.name, ",", parameter.file, ",", nameOf(parameter.type), ",",
                   formatShape(parameter.shape), ",", parameter.decay ? "decay" : "");
  uint64_t hash = 0xcbf29ce484222325u; // FNV-1a
  for (unsigned char c : text)
    hash = (hash ^ c) * 0x100000001b3u;
  char digits[17];
  std::snprintf(digits, sizeof digits, "%016llx", static_cast<unsigned long long>(hash));
  return digits;
}

} // namespace quern::runtime
