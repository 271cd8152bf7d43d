//===- Session.cpp - A model with its weights, ready to run programs on named tensors ---------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "quern/Runtime/Session.h"

#include "quern/Runtime/Error.h"

namespace quern::runtime {

Session::Session(const Module &module, Device &device, const std::vector<const Program *> &users)
    : module(module), weights(module, "the weights", device, users) {}

/// "tokens (i32, batch x sequence)".
static std::string describe(const Argument &argument) {
  std::string shape;
  for (size_t i = 0; i < argument.shape.size(); ++i)
    shape += concat(i ? " x " : ", ", argument.shape[i] >= 0 ? std::to_string(argument.shape[i])
                                      : argument.dimensions[i].empty() ? "?"
                                                                       : argument.dimensions[i]);
  return concat(argument.name, " (", nameOf(argument.type), shape, ")");
}

/// Whether tensors may be given for an argument of that role, and whether they must.
static bool mayBeGiven(const Argument &argument) {
  return argument.role == Role::Input || argument.role == Role::Cache ||
         argument.role == Role::State ||
         (argument.role == Role::Option && argument.name == "position");
}
static bool mustBeGiven(const Argument &argument) {
  return argument.role == Role::Input || (argument.role == Role::State && !argument.shape.empty());
}

Dimensions Session::gatherDimensions(const Program &program, const NamedInputs &inputs) const {
  Dimensions dimensions;
  std::map<std::string, std::string> origin;
  std::vector<std::string> missing;
  for (const Argument &argument : program.arguments) {
    if (!mayBeGiven(argument))
      continue;
    auto found = inputs.find(argument.name);
    if (found == inputs.end()) {
      if (mustBeGiven(argument))
        missing.push_back(describe(argument));
      continue;
    }
    const Shape &shape = found->second.shape;
    if (argument.shape.empty() && countElements(shape, argument.name) == 1)
      continue;
    if (shape.size() != argument.shape.size())
      throw UsageError(concat("input '", argument.name, "' has shape ", formatShape(shape),
                              ", program '", program.name, "' expects ", describe(argument)));
    for (size_t i = 0; i < shape.size(); ++i) {
      const std::string &name = argument.dimensions[i];
      if (argument.shape[i] >= 0 && argument.shape[i] != shape[i])
        throw UsageError(concat("input '", argument.name, "' has shape ", formatShape(shape),
                                ", program '", program.name, "' is compiled for ",
                                formatShape(argument.shape),
                                "; compile the model for other shapes"));
      if (name.empty())
        continue;
      auto [entry, isNew] = dimensions.try_emplace(name, shape[i]);
      if (!isNew && entry->second != shape[i])
        throw UsageError(concat("input '", argument.name, "' of shape ", formatShape(shape),
                                " has ", name, " ", shape[i], ", but input '", origin[name],
                                "' has ", name, " ", entry->second));
      if (isNew)
        origin[name] = argument.name;
    }
  }
  if (!missing.empty())
    throw UsageError(concat("program '", program.name, "' needs the input",
                            missing.size() > 1 ? "s " : " ", join(missing, ", "),
                            "; name a file that has ", missing.size() > 1 ? "them" : "it",
                            " with --inputs"));
  return dimensions;
}

/// The sizes that `inputs` give `program`, which fit into its context and caches.
Dimensions Session::checkedDimensions(const Program &program, const NamedInputs &inputs) const {
  Dimensions dimensions = gatherDimensions(program, inputs);
  int64_t position = 0;
  if (auto given = inputs.find("position"); given != inputs.end()) {
    int32_t value = 0;
    if (countElements(given->second.shape, "position") != 1)
      throw UsageError(concat("input 'position' has shape ", formatShape(given->second.shape),
                              "; it must be a single number"));
    given->second.fetch({"position", Type::I32, {}, &value, nullptr});
    position = value;
  }
  auto sequence = dimensions.find("sequence");
  if (sequence != dimensions.end() && sequence->second == 0)
    throw UsageError("the inputs have no tokens: their dimension 'sequence' is 0");
  int64_t end = position + (sequence != dimensions.end() ? sequence->second : 1);
  if (position < 0)
    throw UsageError(
        concat("input 'position' is ", position, "; it counts tokens and starts at 0"));
  if (module.context && end > module.context)
    throw UsageError(concat("the text ends at position ", end, ", past the context of ",
                            module.context, " tokens of the model"));
  if (program.has(Role::Cache) && !dimensions.count("capacity")) {
    Dimensions fixed = program.fixedDimensions();
    auto capacity = fixed.find("capacity");
    dimensions["capacity"] = capacity != fixed.end() ? capacity->second
                             : module.context        ? module.context
                                                     : end;
  }
  if (program.has(Role::Cache) && end > dimensions["capacity"])
    throw UsageError(concat("the text ends at position ", end, ", but the caches hold ",
                            dimensions["capacity"], " tokens; give larger caches"));
  return dimensions;
}

static std::map<std::string, Shape> shapesOf(const NamedInputs &inputs) {
  std::map<std::string, Shape> shapes;
  for (const auto &[name, input] : inputs)
    shapes[name] = input.shape;
  return shapes;
}

/// Writes inputs, position and caches; those that are not given become zero.
void Session::fill(Call &call, const NamedInputs &inputs) {
  const Program &program = call.description();
  for (size_t i = 0; i < program.arguments.size(); ++i) {
    const Argument &argument = program.arguments[i];
    auto found = inputs.find(argument.name);
    if (!mayBeGiven(argument))
      continue;
    if (found == inputs.end()) {
      call.clear(i);
      continue;
    }
    writeTensor(call[i], [&](const Tensor &tensor) {
      found->second.fetch(tensor);
      checkRange(argument, tensor);
    });
  }
}

bool Session::prepareAgain(Call &call, const NamedInputs &inputs) {
  if (!call.hasShapes(checkedDimensions(call.description(), inputs), shapesOf(inputs)))
    return false;
  fill(call, inputs);
  return true;
}

Call Session::prepare(const Program &program, const NamedInputs &inputs, Arena &arena) {
  Dimensions dimensions = checkedDimensions(program, inputs);
  Call call(program, dimensions, arena, shapesOf(inputs));
  call.bind(Role::Parameter, weights);
  if (program.updatesParameters() && first.empty()) {
    first = ParameterBlock(module, "the optimizer's first moments", arena.device());
    second = ParameterBlock(module, "the optimizer's second moments", arena.device());
  }
  if (program.updatesParameters()) {
    call.bind(Role::FirstMoment, first);
    call.bind(Role::SecondMoment, second);
  }
  call.prepare();
  fill(call, inputs);
  return call;
}

std::vector<Tensor> Session::results(const Call &call, const Module &module) {
  std::vector<Tensor> tensors;
  const Program &program = call.description();
  for (size_t i = 0; i < program.arguments.size(); ++i) {
    const Argument &argument = program.arguments[i];
    if (argument.role == Role::Output || argument.role == Role::Cache ||
        argument.role == Role::State)
      tensors.push_back(call[i]);
    if (argument.role == Role::Gradient) {
      const Parameter &parameter = module.parameters[argument.parameter];
      Tensor whole = call[i];
      if (!whole.device)
        whole.panels = parameter.panels;
      for (Tensor &tensor : parameter.fileTensors(whole, "gradient."))
        tensors.push_back(std::move(tensor));
    }
  }
  return tensors;
}

} // namespace quern::runtime
