//===- ModuleParser.cpp - Reads and checks the description of a compiled model ----------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "quern/Runtime/Error.h"
#include "quern/Runtime/Module.h"

#include <nlohmann/json.hpp>

namespace quern::runtime {

using Json = nlohmann::json;

static const char *const roleNames[] = {"input",     "option",       "state",
                                        "parameter", "first_moment", "second_moment",
                                        "cache",     "output",       "gradient"};

static Type typeOf(const Json &entry, const char *key = "type") {
  auto text = entry.at(key).get<std::string>();
  if (auto type = parseType(text))
    return *type;
  throw Error("unknown type '" + text + "'");
}

static Polynomial polynomialOf(const Json &entry, const char *key) {
  Polynomial result;
  if (entry.contains(key))
    for (const Json &term : entry.at(key))
      result.terms.push_back(
          {term.at(0).get<double>(), term.at(1).get<std::map<std::string, int>>()});
  return result;
}

static Parameter parameterOf(const Json &entry) {
  Parameter parameter;
  parameter.name = entry.at("name").get<std::string>();
  parameter.file = entry.at("file").get<std::string>();
  parameter.type = typeOf(entry);
  parameter.shape = entry.at("shape").get<Shape>();
  parameter.layers = entry.value("layers", int64_t(0));
  parameter.decay = entry.value("decay", false);
  const Json &initializer = entry.at("initializer");
  parameter.initializer = initializer.at("kind").get<std::string>();
  parameter.scale = initializer.value("scale", 0.0);
  auto fail = [&](const std::string &what) {
    return Error("parameter '" + parameter.name + "' " + what);
  };
  if (entry.contains("panels")) {
    const Json &panels = entry.at("panels");
    auto side = panels.at("side").get<std::string>();
    if (side != "rows" && side != "columns")
      throw fail("has panels of '" + side + "', which are neither rows nor columns");
    parameter.panels = {panels.at("width").get<int64_t>(), side == "rows"};
    size_t dimensions = parameter.shape.size();
    if (parameter.panels.width < 1 || dimensions < 2 || dimensions > (parameter.layers ? 3 : 2))
      throw fail("is no matrix in panels");
  }
  countElements(parameter.shape, "parameter '" + parameter.name + "'");
  if (parameter.type != Type::F32 && parameter.type != Type::F64)
    throw fail("is not of type f32 or f64");
  if (parameter.layers && (parameter.shape.empty() || parameter.shape[0] != parameter.layers))
    throw fail("is not stacked along its layers");
  if (parameter.perLayer() && !parameter.layers)
    throw fail("names {layer} but has no layers");
  for (const char *kind : {"zeros", "ones", "normal", "uniform", "residual"})
    if (parameter.initializer == kind)
      return parameter;
  throw fail("has the unknown initializer '" + parameter.initializer + "'");
}

static Argument argumentOf(const Json &entry, const Module &module) {
  Argument argument;
  argument.name = entry.at("name").get<std::string>();
  argument.type = typeOf(entry);
  argument.deviceType =
      entry.contains("device_type") ? typeOf(entry, "device_type") : argument.type;
  argument.shape = entry.at("shape").get<Shape>();
  if (argument.shape.size() > 8)
    throw Error("argument '" + argument.name + "' has more than 8 dimensions");
  argument.dimensions.resize(argument.shape.size());
  if (entry.contains("dimensions"))
    argument.dimensions = entry.at("dimensions").get<std::vector<std::string>>();
  if (argument.dimensions.size() != argument.shape.size())
    throw Error("argument '" + argument.name + "' has other dimensions than sizes");
  auto role = entry.at("role").get<std::string>();
  size_t found = 0;
  while (found < std::size(roleNames) && role != roleNames[found])
    ++found;
  if (found == std::size(roleNames))
    throw Error("argument '" + argument.name + "' has the unknown role '" + role + "'");
  argument.role = Role(found);
  switch (argument.role) {
  case Role::Parameter:
  case Role::FirstMoment:
  case Role::SecondMoment:
  case Role::Gradient: {
    size_t i = 0;
    while (i < module.parameters.size() && module.parameters[i].name != argument.name)
      ++i;
    auto agrees = [&](Type type) {
      Type own = module.parameters[i].type;
      bool mayBeNarrow = argument.role == Role::Parameter && own == Type::F32;
      return type == own || (mayBeNarrow && type == Type::BF16);
    };
    if (i == module.parameters.size() || module.parameters[i].shape != argument.shape ||
        !agrees(argument.type) || !agrees(argument.deviceType))
      throw Error("argument '" + argument.name + "' does not agree with a parameter");
    argument.parameter = i;
    break;
  }
  case Role::Option:
    if (!argument.shape.empty())
      throw Error("option '" + argument.name + "' is not a scalar");
    break;
  case Role::Input:
  case Role::State:
    if (entry.contains("range"))
      argument.range = entry.at("range").get<std::pair<int64_t, int64_t>>();
    else if (module.vocabulary && argument.name == "tokens")
      argument.range = {0, module.vocabulary - 1};
    else if (module.vocabulary && argument.name == "targets")
      argument.range = {-1, module.vocabulary - 1};
    break;
  default:
    break;
  }
  bool isNarrow = argument.type == Type::BF16 || argument.deviceType == Type::BF16;
  if (isNarrow && argument.role != Role::Parameter && argument.role != Role::Cache)
    throw Error("argument '" + argument.name +
                "' is bf16, which parameters and caches alone may be");
  return argument;
}

/// The row of that name, or null.
static const quern_program *findCode(const quern_program *table, const std::string &name) {
  for (; table->name; ++table)
    if (name == table->name)
      return table;
  return nullptr;
}

static Program programOf(const Json &entry, const Module &module, const quern_program *table) {
  Program program;
  program.name = entry.at("name").get<std::string>();
  try {
    program.flops = polynomialOf(entry, "flops");
    const char *arena = entry.contains("arena") ? "arena" : "device_arena";
    if (entry.contains(arena))
      for (const Json &use : entry.at(arena))
        program.arena.push_back({use.at("use").get<std::string>(), polynomialOf(use, "bytes")});
    for (const Json &argument : entry.at("arguments"))
      program.arguments.push_back(argumentOf(argument, module));
  } catch (const std::exception &error) {
    throw Error("in program '" + program.name + "': " + error.what());
  }
  for (const Argument &argument : program.arguments)
    if (argument.role == Role::Parameter && program.updatesParameters() &&
        (argument.type == Type::BF16 || argument.deviceType == Type::BF16))
      throw Error("program '" + program.name + "' updates '" + argument.name + "' in bf16");
  program.code = findCode(table, program.name);
  bool forDevice = false;
  for (const quern_device_code *code = module.deviceCodes; code->architecture; ++code) {
    forDevice = true;
    if (!findCode(code->programs, program.name))
      throw Error("program '" + program.name + "' has no code for " + code->architecture);
  }
  if (!program.code && !forDevice)
    throw Error("program '" + program.name + "' has no code");
  return program;
}

Module Module::parse(const char *json, const quern_program *table,
                     const quern_device_code *deviceCodes) {
  try {
    Json root = Json::parse(json);
    if (root.at("quern").get<int>() != 1)
      throw Error("its description has version " + root.at("quern").dump() +
                  ", this runtime reads version 1");
    Module module;
    module.text = json;
    module.deviceCodes = deviceCodes;
    module.name = root.at("model").get<std::string>();
    module.kind = root.at("kind").get<std::string>();
    module.context = root.value("context", int64_t(0));
    module.vocabulary = root.value("vocabulary", int64_t(0));
    if (root.contains("target")) {
      const Json &target = root.at("target");
      module.triple = target.value("triple", "");
      module.cpu = target.value("cpu", "");
      module.requires_ = target.value("requires", std::vector<std::string>());
      module.precision = target.value("precision", "f32");
    }
    if (root.contains("device"))
      module.devicePrecision = root.at("device").value("precision", "");
    for (const Json &parameter : root.at("parameters"))
      module.parameters.push_back(parameterOf(parameter));
    for (const Json &program : root.at("programs"))
      module.programs.push_back(programOf(program, module, table));
    return module;
  } catch (const std::exception &error) {
    throw Error(concat("the compiled model is damaged: ", error.what()));
  }
}

} // namespace quern::runtime
