//===- Call.cpp - A program with its arguments bound, ready to run ----------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "quern/Runtime/Call.h"

#include "quern/Runtime/Error.h"

#include <array>
#include <cstring>

namespace quern::runtime {

/// The size of dimension `i` of `argument`.
static int64_t resolve(const Program &program, const Argument &argument, size_t i,
                       const Dimensions &dimensions, const std::map<std::string, Shape> &shapes) {
  const std::string &name = argument.dimensions[i];
  int64_t size = argument.shape[i];
  auto found = name.empty() ? dimensions.end() : dimensions.find(name);
  if (found != dimensions.end()) {
    if (size >= 0 && size != found->second)
      throw UsageError(concat("program '", program.name, "' is compiled for ", name, " ", size,
                              ", which contradicts ", name, " ", found->second, "; leave --", name,
                              " out, or compile the model for other shapes (--shape ", name, "=",
                              found->second, ")"));
    return found->second;
  }
  if (size >= 0)
    return size;
  auto given = shapes.find(argument.name);
  if (name.empty() && given != shapes.end() && given->second.size() == argument.shape.size())
    return given->second[i];
  throw Error(concat("program '", program.name, "' needs to know dimension ",
                     name.empty() ? std::to_string(i) : name, " of '", argument.name,
                     "'; give an input that has it"));
}

Call::Call(const Program &description, const Dimensions &dimensions, Arena &scratch,
           const std::map<std::string, Shape> &shapes)
    : program(description), code(scratch.device().codeOf(description)), arena(scratch),
      descriptors(description.arguments.size()) {
  for (const Argument &argument : program.arguments) {
    const Device &device = scratch.device();
    Tensor tensor{
        argument.name, argument.typeOn(device.isHost()), {}, nullptr, arena.device().memory()};
    for (size_t i = 0; i < argument.shape.size(); ++i)
      tensor.shape.push_back(resolve(program, argument, i, dimensions, shapes));
    quern_descriptor &descriptor = descriptors[tensors.size()];
    tensor.elements(); // checks for overflow
    descriptor = {};
    size_t rank = tensor.shape.size();
    int64_t stride = 1;
    for (size_t i = rank; i--;) {
      descriptor.shape[i] = tensor.shape[i];
      descriptor.shape[rank + i] = stride;
      stride *= tensor.shape[i];
    }
    tensors.push_back(std::move(tensor));
    pointers.push_back(&descriptor);
  }
  arenaSize = code.arena_bytes(pointers.data());
  if (arenaSize < 0)
    throw Error(concat("program '", program.name, "' asks for more than 2^63 bytes of memory"));
}

bool Call::hasShapes(const Dimensions &dimensions,
                     const std::map<std::string, Shape> &shapes) const {
  for (size_t i = 0; i < tensors.size(); ++i)
    for (size_t d = 0; d < tensors[i].shape.size(); ++d)
      if (resolve(program, program.arguments[i], d, dimensions, shapes) != tensors[i].shape[d])
        return false;
  return true;
}

void Call::clear(size_t i) {
  if (tensors[i].device)
    return arena.device().fillZeros(tensors[i].data, tensors[i].bytes());
  std::memset(tensors[i].data, 0, size_t(tensors[i].bytes()));
}

Tensor *Call::find(const std::string &name, Role role) {
  for (size_t i = 0; i < tensors.size(); ++i)
    if (program.arguments[i].role == role && program.arguments[i].name == name) {
      if (!tensors[i].data)
        prepare();
      return &tensors[i];
    }
  return nullptr;
}

void Call::bind(size_t i, void *data) {
  tensors[i].data = data;
  descriptors[i].allocated = descriptors[i].aligned = data;
  execution = nullptr; // what was recorded has other addresses
}

void Call::bind(Role role, const ParameterBlock &block) {
  for (size_t i = 0; i < tensors.size(); ++i)
    if (program.arguments[i].role == role)
      bind(i, block.in(tensors[i].type, program.arguments[i].parameter).data);
  if (role == Role::Parameter)
    weights = &block;
}

bool Call::setOption(const std::string &name, double value) {
  Tensor *option = find(name, Role::Option);
  if (!option)
    return false;
  switch (option->type) {
  case Type::F32:
    *static_cast<float *>(option->data) = float(value);
    break;
  case Type::F64:
    *static_cast<double *>(option->data) = value;
    break;
  case Type::I32:
    *static_cast<int32_t *>(option->data) = int32_t(value);
    break;
  case Type::I64:
    *static_cast<int64_t *>(option->data) = int64_t(value);
    break;
  case Type::BF16: // no option is
    return false;
  }
  return true;
}

/// Outputs up to this size come to the host with every run: losses, norms, the logits of one token.
/// What is larger comes when somebody reads it.
static constexpr int64_t smallOutput = int64_t(1) << 18;

/// Programs want 64 bytes on the host, 256 on a GPU.
static constexpr int64_t alignment = 256;

void Call::prepare() {
  if (prepared)
    return;
  prepared = true;
  // What the host writes before a run comes first, then what it reads after every run, so that each
  // is one copy; then what must begin as zeros, then the rest.
  enum Kind : size_t { Written, Read, Zeroed, Other, KindCount };
  std::array<std::vector<size_t>, KindCount> kinds;
  auto room = [&](size_t i) { // never empty: pointers stay distinct
    return (tensors[i].bytes() + alignment) / alignment * alignment;
  };
  int64_t total = 0;
  std::array<int64_t, KindCount> sizes = {};
  for (size_t i = 0; i < tensors.size(); ++i) {
    Role role = program.arguments[i].role;
    if (tensors[i].data || role == Role::Parameter || role == Role::FirstMoment ||
        role == Role::SecondMoment)
      continue;
    Kind kind = role == Role::Input || role == Role::Option                 ? Written
                : role == Role::Output && tensors[i].bytes() <= smallOutput ? Read
                : role == Role::Cache || role == Role::State                ? Zeroed
                                                                            : Other;
    kinds[kind].push_back(i);
    sizes[kind] += room(i);
    total += room(i);
  }
  std::string purpose = concat("the arguments of program '", program.name, "'");
  owned = arena.device().allocate(total, purpose, Contents::Any);
  int64_t offset = 0;
  for (const std::vector<size_t> &kind : kinds)
    for (size_t i : kind) {
      bind(i, owned.data() + offset);
      offset += room(i);
    }
  if (arena.device().isHost())
    return; // whose fresh memory is zeros
  int64_t written = sizes[Written], read = sizes[Read];
  arena.device().fillZeros(owned.data(), written + read + sizes[Zeroed]);
  mirror = Block(written + read, purpose);
  inputs = {mirror.data(), owned.data(), written};
  outputs = {mirror.data() + written, owned.data() + written, read};
  for (Kind kind : {Written, Read})
    for (size_t i : kinds[kind]) {
      tensors[i].data = mirror.data() + (static_cast<char *>(tensors[i].data) - owned.data());
      tensors[i].device = nullptr;
    }
}

Execution &Call::executionOf() {
  prepare();
  if (!execution)
    execution = arena.device().prepare({&program, pointers.data(), inputs, outputs});
  return *execution;
}

int Call::depth() { return executionOf().depth(); }
void Call::start() {
  if (weights)
    weights->refresh();
  executionOf().start(arena.reserve(arenaSize));
  if (weights && program.updatesParameters())
    weights->changed();
}
void Call::finish() { executionOf().finish(); }

void Call::run() {
  start();
  finish();
}

template <typename T>
static void checkValues(const Argument &argument, const Tensor &tensor) {
  auto *values = static_cast<const T *>(tensor.data);
  auto [low, high] = *argument.range;
  for (int64_t i = 0, count = tensor.elements(); i < count; ++i) {
    if (values[i] >= low && values[i] <= high)
      continue;
    Shape index(tensor.shape.size());
    for (int64_t rest = i, d = int64_t(index.size()); d--; rest /= tensor.shape[size_t(d)])
      index[size_t(d)] = rest % tensor.shape[size_t(d)];
    std::vector<std::string> text;
    for (int64_t k : index)
      text.push_back(std::to_string(k));
    throw UsageError(concat("'", argument.name, "' has the value ", int64_t(values[i]), " at [",
                            join(text, ", "), "]; values from ", low, " to ", high,
                            " are allowed (the vocabulary of the model)"));
  }
}

void checkRange(const Argument &argument, const Tensor &tensor) {
  if (!argument.range)
    return;
  if (tensor.type == Type::I32)
    checkValues<int32_t>(argument, tensor);
  else if (tensor.type == Type::I64)
    checkValues<int64_t>(argument, tensor);
}

} // namespace quern::runtime
