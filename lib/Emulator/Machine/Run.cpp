//===- Run.cpp - Executes a launch ------------------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "lib/Emulator/Machine/Scheduler.h"

#include "quern/Emulator/Emulator.h"

#include <algorithm>

namespace quern::emulator {

namespace machine {

namespace {

void summarize(Grid &grid) {
  Counters &counters = grid.counters;
  counters.warpInstructions = grid.executed;
  for (const auto &[function, counts] : grid.executions)
    for (size_t i = 0; i < counts.size(); ++i) {
      counters.threadInstructions += counts[i].lanes;
      const assembly::Instruction *source = function->code[i].source;
      if (!source || !counts[i].lanes)
        continue;
      std::string opcode = source->opcode;
      for (const std::string &modifier : source->modifiers)
        opcode += modifier;
      counters.byOpcode[opcode] += counts[i].lanes;
    }
}

/// A launch that the device would refuse.
void check(const Kernel &kernel, const Launch &launch) {
  auto fail = [&](const std::string &text) {
    throw Error("kernel '" + kernel.name + "': " + text);
  };
  auto text = [](const Dim3 &dim) {
    return std::to_string(dim.x) + " x " + std::to_string(dim.y) + " x " + std::to_string(dim.z);
  };
  const Dim3 &grid = launch.grid, &block = launch.block, &cluster = launch.cluster;
  if (!grid.x || !grid.y || !grid.z || grid.x > 2147483647u || grid.y > 65535 || grid.z > 65535)
    fail("a grid of " + text(grid) + " blocks: from 1 to 2147483647 x 65535 x 65535 are possible");
  if (!block.x || !block.y || !block.z || block.x > 1024 || block.y > 1024 || block.z > 64 ||
      block.count() > 1024)
    fail("a block of " + text(block) +
         " threads: from 1 to 1024 threads are possible, and 64 in z");
  if (!cluster.x || !cluster.y || !cluster.z || cluster.count() > 16)
    fail("a cluster of " + text(cluster) + " blocks: from 1 to 16 are possible");
  if (grid.x % cluster.x || grid.y % cluster.y || grid.z % cluster.z)
    fail("a grid of " + text(grid) + " blocks cannot be divided into clusters of " + text(cluster));
  const Dim3 &most = kernel.maximumBlock, &required = kernel.requiredBlock;
  if (most.x && block.count() > most.count())
    fail("a block of " + text(block) + " threads, but .maxntid allows " + text(most));
  if (required.x && (block.x != required.x || block.y != required.y || block.z != required.z))
    fail("a block of " + text(block) + " threads, but .reqntid wants " + text(required));
  const Dim3 &clusters = kernel.requiredCluster;
  if (clusters.x && (cluster.x != clusters.x || cluster.y != clusters.y || cluster.z != clusters.z))
    fail("a cluster of " + text(cluster) + " blocks, but .reqnctapercluster wants " +
         text(clusters));
  uint64_t shared = uint64_t(kernel.sharedBytes) + launch.sharedBytes;
  if (shared > 227 * 1024)
    fail(std::to_string(shared) + " bytes of shared memory; a block can have 232448");
  if (launch.arguments.size() != kernel.parameters.size())
    fail("takes " + std::to_string(kernel.parameters.size()) + " arguments, not " +
         std::to_string(launch.arguments.size()));
  for (size_t i = 0; i < launch.arguments.size(); ++i) {
    const Parameter &parameter = kernel.parameters[i];
    if (launch.arguments[i].size() != parameter.bytes)
      fail("argument " + std::to_string(i) + " (" + parameter.name + ") is ." + parameter.type +
           " of " + std::to_string(parameter.bytes) + " bytes, not of " +
           std::to_string(launch.arguments[i].size()));
  }
}

/// The parameters of a launch as read-only memory, for as long as it runs.
class ParameterBlock {
public:
  ParameterBlock(Memory &memory, const Kernel &kernel, const Launch &launch) : memory(memory) {
    uint64_t bytes = 0;
    for (const Parameter &parameter : kernel.parameters)
      bytes = std::max<uint64_t>(bytes, parameter.offset + parameter.bytes);
    address = memory.allocate(bytes, "the parameters", true);
    Region *region = bytes ? memory.find(address) : nullptr;
    for (size_t i = 0; i < kernel.parameters.size(); ++i) {
      const Parameter &parameter = kernel.parameters[i];
      std::copy(launch.arguments[i].begin(), launch.arguments[i].end(),
                region->bytes.data() + parameter.offset);
      region->bytes.setInitialized(parameter.offset, parameter.bytes);
    }
  }
  ~ParameterBlock() { memory.free(address); }
  ParameterBlock(const ParameterBlock &) = delete;
  ParameterBlock &operator=(const ParameterBlock &) = delete;
  uint64_t address;

private:
  Memory &memory;
};

} // namespace
} // namespace machine

Report run(Device &device, const Module &module, const Launch &launch) {
  using namespace machine;
  const std::shared_ptr<const Program> &program = module.program();
  const Kernel *kernel = module.find(launch.kernel);
  if (!kernel) {
    std::string names;
    for (const Kernel &one : module.kernels())
      names += (names.empty() ? "" : ", ") + one.name;
    throw Error("no kernel '" + launch.kernel +
                "' in the module; it has: " + (names.empty() ? "none" : names));
  }
  check(*kernel, launch);
  size_t index = size_t(kernel - module.kernels().data());
  Grid grid(device.memory(), *program, launch,
            *program->functions[program->kernelFunctions[index]]);
  grid.number = device.memory().beginLaunch();
  grid.installed = &device.memory().install(program);
  grid.layout = &program->sharedLayouts[index];
  grid.sharedBytes = launch.sharedBytes ? grid.layout->dynamicOffset + launch.sharedBytes
                                        : sharedReserved + kernel->sharedBytes;
  ParameterBlock parameters(device.memory(), *kernel, launch);
  grid.parameters = parameters.address;
  try {
    Scheduler(grid).run();
  } catch (const Abandoned &) {
    // The findings say why.
  }
  summarize(grid);
  Report report;
  report.counters = std::move(grid.counters);
  report.output = std::move(grid.output);
  report.findings = grid.findings.take();
  return report;
}

} // namespace quern::emulator
