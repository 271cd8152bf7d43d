//===- Run.cpp - Executes a launch ------------------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "lib/Emulator/Async/Families.h"
#include "lib/Emulator/Machine/Block.h"

#include "quern/Emulator/Emulator.h"

#include <algorithm>

namespace quern::emulator {

namespace machine {

Block::Block(Cluster &cluster, Dim3 index, uint32_t rank)
    : grid(cluster.grid), cluster(cluster), index(index), rank(rank), shared(grid.sharedBytes) {
  for (uint32_t i = 0; i * warpSize < threads(); ++i)
    warps.push_back(std::make_unique<Warp>(*this, i));
}

checks::AccessHistory &Block::history() {
  if (!sharedHistory)
    sharedHistory = std::make_unique<checks::AccessHistory>(shared.size());
  return *sharedHistory;
}

bool Block::isDone() const {
  return std::all_of(warps.begin(), warps.end(), [](const auto &warp) { return warp->isDone(); });
}

Cluster::Cluster(Grid &grid, Dim3 index) : grid(grid), index(index), order(grid.order) {
  const Dim3 &size = grid.launch.cluster;
  uint32_t rank = 0;
  for (uint32_t z = 0; z < size.z; ++z)
    for (uint32_t y = 0; y < size.y; ++y)
      for (uint32_t x = 0; x < size.x; ++x)
        blocks.push_back(std::make_unique<Block>(
            *this, Dim3{index.x * size.x + x, index.y * size.y + y, index.z * size.z + z}, rank++));
}

bool Cluster::isDone() const {
  return std::all_of(blocks.begin(), blocks.end(),
                     [](const auto &block) { return block->isDone(); });
}

void Grid::report(FindingKind kind, const Instruction &instruction, const Dim3 &block,
                  const Dim3 &thread, uint64_t address, const std::string &message) {
  if (findings.count(kind, &instruction))
    return;
  Finding finding;
  finding.kind = kind;
  finding.kernel = entry.name;
  finding.block = block;
  finding.thread = thread;
  finding.address = address;
  finding.message = message;
  if (instruction.source) {
    const assembly::Instruction &source = *instruction.source;
    finding.instruction = std::string(source.text);
    finding.location.ptxLine = source.position.line;
    auto file = program.source->files.find(source.location.file);
    if (source.location.line && file != program.source->files.end()) {
      finding.location.file = file->second;
      finding.location.line = source.location.line;
    }
  }
  findings.add(std::move(finding), &instruction);
  if (findings.isFull())
    throw Abandoned();
}

namespace {

/// Warp instructions that a warp executes before it is the next one's turn.
constexpr uint32_t slice = 4096;

/// Says which threads wait where; ends the launch.
[[noreturn]] void reportStall(Grid &grid, Cluster &cluster, FindingKind kind) {
  std::string text;
  const Instruction *first = nullptr;
  Dim3 block, thread;
  for (const auto &one : cluster.blocks)
    for (const auto &warp : one->warps)
      for (const auto &path : warp->allPaths()) {
        bool blocked = path->state == PathState::Blocked;
        const Instruction &at =
            path->frame->function->code[path->place - (blocked && path->place ? 1 : 0)];
        unsigned lane = unsigned(__builtin_ctz(path->lanes));
        if (!first) {
          first = &at;
          block = one->index;
          thread = warp->thread(lane);
        }
        text += "\n  block (" + std::to_string(one->index.x) + ", " + std::to_string(one->index.y) +
                ", " + std::to_string(one->index.z) + ") warp " + std::to_string(warp->index) +
                ", " + std::to_string(__builtin_popcount(path->lanes)) + " threads from lane " +
                std::to_string(lane) + ": line " +
                (at.source ? std::to_string(at.source->position.line) + ": " +
                                 std::string(at.source->text)
                           : "the end of " + path->frame->function->name);
      }
  std::string message = kind == FindingKind::Deadlock
                            ? "no thread can go on; these wait:"
                            : "no thread has written memory, passed a barrier or ended for " +
                                  std::to_string(grid.launch.patience) +
                                  " warp instructions; these are left:";
  text += describeMbarriers(cluster);
  if (first)
    grid.report(kind, *first, block, thread, 0, message + text);
  throw Abandoned();
}

uint64_t executed(const Grid &grid) {
  uint64_t count = 0;
  for (const auto &entry : grid.executions)
    for (const ExecutionCount &one : entry.second)
      count += one.warps;
  return count;
}

void runCluster(Grid &grid, Cluster &cluster) {
  uint64_t progress = grid.progress;
  uint64_t since = 0;
  while (!cluster.isDone()) {
    bool any = false;
    for (auto &block : cluster.blocks)
      for (auto &warp : block->warps)
        if (!warp->isDone())
          any |= warp->run(slice);
    if (grid.progress != progress) {
      progress = grid.progress;
      since = executed(grid);
      continue;
    }
    if (!cluster.asynchronous.isEmpty())
      cluster.asynchronous.completeOldest();
    else if (!any)
      reportStall(grid, cluster, FindingKind::Deadlock);
    else if (executed(grid) - since > grid.launch.patience)
      reportStall(grid, cluster, FindingKind::Livelock);
  }
  finishAsynchronous(cluster);
}

void summarize(Grid &grid) {
  Counters &counters = grid.counters;
  for (const auto &[function, counts] : grid.executions)
    for (size_t i = 0; i < counts.size(); ++i) {
      counters.warpInstructions += counts[i].warps;
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
  grid.sharedBytes = grid.layout->dynamicOffset + launch.sharedBytes;
  ParameterBlock parameters(device.memory(), *kernel, launch);
  grid.parameters = parameters.address;
  try {
    const Dim3 &cluster = launch.cluster;
    for (uint32_t z = 0; z < launch.grid.z / cluster.z; ++z)
      for (uint32_t y = 0; y < launch.grid.y / cluster.y; ++y)
        for (uint32_t x = 0; x < launch.grid.x / cluster.x; ++x) {
          Cluster one(grid, {x, y, z});
          runCluster(grid, one);
        }
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
