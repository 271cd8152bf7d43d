//===- Decode.cpp - Decodes a module ----------------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "lib/Emulator/Machine/AddressSpace.h"
#include "lib/Emulator/Machine/ControlFlow.h"
#include "lib/Emulator/Machine/Decoder.h"

#include <algorithm>
#include <set>

namespace quern::emulator {
namespace machine {

namespace {

/// The largest shared memory of a block, sm_90 (CUDA C++ Programming Guide, compute capabilities).
constexpr uint64_t largestShared = 227 * 1024;

Kernel describe(const assembly::Function &function) {
  Kernel kernel;
  kernel.name = function.name;
  kernel.maximumBlock = function.maximumBlock;
  kernel.requiredBlock = function.requiredBlock;
  kernel.requiredCluster = function.requiredCluster;
  uint64_t offset = 0;
  for (const assembly::Variable &variable : function.parameters) {
    uint64_t alignment = std::max<uint64_t>(variable.alignment, 1);
    offset = (offset + alignment - 1) / alignment * alignment;
    Parameter parameter;
    parameter.name = variable.name;
    parameter.offset = uint32_t(offset);
    parameter.bytes = uint32_t(variable.bytes);
    parameter.alignment = uint32_t(alignment);
    parameter.type = std::string(name(variable.type));
    kernel.parameters.push_back(parameter);
    offset += variable.bytes;
  }
  return kernel;
}

/// Places the shared variables that a kernel and the functions that it calls use.
SharedLayout layOutShared(const Program &program, uint32_t kernelFunction, uint32_t &staticBytes) {
  std::set<uint32_t> used, seen{kernelFunction};
  std::vector<uint32_t> work{kernelFunction};
  while (!work.empty()) {
    const Function &function = *program.functions[work.back()];
    work.pop_back();
    used.insert(function.sharedVariables.begin(), function.sharedVariables.end());
    for (uint32_t callee : function.callees)
      if (seen.insert(callee).second)
        work.push_back(callee);
  }
  SharedLayout layout;
  layout.offsets.resize(program.sharedVariables.size());
  uint64_t offset = sharedReserved, dynamicAlignment = 16;
  auto align = [](uint64_t value, uint64_t to) { return (value + to - 1) / to * to; };
  for (uint32_t index : used) {
    const SharedVariable &variable = program.sharedVariables[index];
    uint64_t alignment = std::max<uint64_t>(variable.source->alignment, 1);
    if (variable.isDynamic) {
      dynamicAlignment = std::max(dynamicAlignment, alignment);
      continue;
    }
    offset = align(offset, alignment);
    layout.offsets[index] = uint32_t(offset);
    offset += variable.source->bytes;
    if (offset - sharedReserved > largestShared)
      program.source->source.fail(variable.source->position, "shared memory ends at 227 KiB, '" +
                                                                 variable.source->name +
                                                                 "' goes beyond");
  }
  staticBytes = uint32_t(offset - sharedReserved);
  layout.dynamicOffset = uint32_t(align(offset, dynamicAlignment));
  for (uint32_t index : used)
    if (program.sharedVariables[index].isDynamic)
      layout.offsets[index] = layout.dynamicOffset;
  return layout;
}

void checkRelocations(const assembly::Module &module) {
  for (const assembly::Variable &variable : module.variables)
    for (const assembly::Relocation &relocation : variable.relocations) {
      bool known = std::any_of(
          module.variables.begin(), module.variables.end(), [&](const assembly::Variable &other) {
            return other.name == relocation.symbol &&
                   (other.space == Space::Global || other.space == Space::Constant);
          });
      if (!known)
        module.source.fail(relocation.position,
                           "'" + relocation.symbol + "' is no variable in global memory");
      if (relocation.bytes != 8)
        module.source.fail(relocation.position, "an address needs an element of 8 bytes");
    }
}

} // namespace

std::shared_ptr<const Program> decode(std::shared_ptr<const assembly::Module> module) {
  auto program = std::make_shared<Program>();
  program->source = module;
  checkRelocations(*module);
  for (const assembly::Variable &variable : module->variables) {
    bool isShared = variable.space == Space::Shared;
    program->sharedOfModule.push_back(isShared ? uint32_t(program->sharedVariables.size()) : never);
    if (isShared)
      program->sharedVariables.push_back({&variable, variable.isExtern && !variable.bytes});
  }
  for (const assembly::Function &source : module->functions) {
    auto function = std::make_unique<Function>();
    function->name = source.name;
    function->source = &source;
    function->isKernel = source.isKernel;
    program->functions.push_back(std::move(function));
  }
  for (uint32_t i = 0; i < module->functions.size(); ++i) {
    const assembly::Function &source = module->functions[i];
    if (!source.hasBody)
      continue;
    if (source.isKernel) {
      program->kernels.push_back(describe(source));
      program->kernelFunctions.push_back(i);
    }
    FunctionDecoder(*module, source, *program, *program->functions[i]).decode();
  }
  for (size_t i = 0; i < program->kernels.size(); ++i) {
    Kernel &kernel = program->kernels[i];
    uint32_t function = program->kernelFunctions[i];
    program->sharedLayouts.push_back(layOutShared(*program, function, kernel.sharedBytes));
    kernel.localBytes = program->functions[function]->localBytes;
  }
  return program;
}

} // namespace machine

Module Module::load(std::string text, std::string name) {
  Module module;
  module.decoded = machine::decode(assembly::parse(std::move(text), std::move(name)));
  return module;
}

const std::vector<Kernel> &Module::kernels() const { return decoded->kernels; }

const Kernel *Module::find(std::string_view name) const {
  for (const Kernel &kernel : decoded->kernels)
    if (kernel.name == name)
      return &kernel;
  return nullptr;
}

} // namespace quern::emulator
