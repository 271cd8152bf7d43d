//===- ControlFlow.cpp - Where diverged lanes meet again --------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "lib/Emulator/Machine/ControlFlow.h"

#include <algorithm>

namespace quern::emulator::machine {

namespace {

/// Basic blocks of a function with one additional node, the exit.
struct Graph {
  std::vector<uint32_t> begin;
  std::vector<uint32_t> blockOf;
  std::vector<std::vector<uint32_t>> successors;
  uint32_t exit;
};

Flow flowOf(const Instruction &instruction) {
  return instruction.isBranch ? Flow(instruction.data[0]) : Flow::Next;
}

std::vector<uint32_t> targetsOf(const Instruction &instruction) {
  switch (flowOf(instruction)) {
  case Flow::Branch:
    return {instruction.target};
  case Flow::IndexedBranch:
    return instruction.planAs<TargetList>();
  default:
    return {};
  }
}

Graph makeGraph(const std::vector<Instruction> &code) {
  uint32_t size = uint32_t(code.size());
  std::vector<bool> leads(size + 1, false);
  leads[0] = true;
  for (uint32_t i = 0; i < size; ++i) {
    if (flowOf(code[i]) == Flow::Next)
      continue;
    leads[i + 1] = true;
    for (uint32_t target : targetsOf(code[i]))
      leads[target] = true;
  }
  Graph graph;
  graph.blockOf.resize(size);
  for (uint32_t i = 0; i < size; ++i) {
    if (leads[i])
      graph.begin.push_back(i);
    graph.blockOf[i] = uint32_t(graph.begin.size() - 1);
  }
  uint32_t count = uint32_t(graph.begin.size());
  graph.exit = count;
  graph.successors.resize(count + 1);
  for (uint32_t block = 0; block < count; ++block) {
    uint32_t end = block + 1 < count ? graph.begin[block + 1] : size;
    const Instruction &last = code[end - 1];
    std::vector<uint32_t> &next = graph.successors[block];
    for (uint32_t target : targetsOf(last))
      next.push_back(graph.blockOf[target]);
    Flow flow = flowOf(last);
    if (flow == Flow::End)
      next.push_back(graph.exit);
    if ((flow == Flow::Next || last.guarded) && block + 1 < count)
      next.push_back(block + 1);
  }
  return graph;
}

/// Immediate post-dominators by the iteration of Cooper, Harvey and Kennedy ("A Simple, Fast
/// Dominance Algorithm", 2001) on the reversed graph; `never` for blocks from which no exit can be
/// reached.
std::vector<uint32_t> postDominators(const Graph &graph) {
  uint32_t count = graph.exit + 1;
  std::vector<std::vector<uint32_t>> predecessors(count);
  for (uint32_t block = 0; block < count; ++block)
    for (uint32_t next : graph.successors[block])
      predecessors[next].push_back(block);
  // Postorder of the reversed graph from the exit.
  std::vector<uint32_t> order, number(count, never);
  std::vector<std::pair<uint32_t, size_t>> stack{{graph.exit, 0}};
  std::vector<bool> seen(count, false);
  seen[graph.exit] = true;
  while (!stack.empty()) {
    auto &[block, child] = stack.back();
    if (child == predecessors[block].size()) {
      number[block] = uint32_t(order.size());
      order.push_back(block);
      stack.pop_back();
      continue;
    }
    uint32_t next = predecessors[block][child++];
    if (!seen[next]) {
      seen[next] = true;
      stack.push_back({next, 0});
    }
  }
  std::vector<uint32_t> dominator(count, never);
  dominator[graph.exit] = graph.exit;
  bool changed = true;
  while (changed) {
    changed = false;
    for (size_t i = order.size(); i-- > 0;) {
      uint32_t block = order[i];
      if (block == graph.exit)
        continue;
      uint32_t best = never;
      for (uint32_t next : graph.successors[block]) {
        if (dominator[next] == never)
          continue;
        if (best == never) {
          best = next;
          continue;
        }
        for (uint32_t other = next; best != other;) {
          while (number[best] < number[other])
            best = dominator[best];
          while (number[other] < number[best])
            other = dominator[other];
        }
      }
      if (best != never && dominator[block] != best) {
        dominator[block] = best;
        changed = true;
      }
    }
  }
  return dominator;
}

} // namespace

void findReconvergence(Function &function) {
  Graph graph = makeGraph(function.code);
  std::vector<uint32_t> dominator = postDominators(graph);
  for (uint32_t i = 0; i < function.code.size(); ++i) {
    Instruction &instruction = function.code[i];
    Flow flow = flowOf(instruction);
    if (flow != Flow::Branch && flow != Flow::IndexedBranch)
      continue;
    uint32_t meet = dominator[graph.blockOf[i]];
    instruction.reconvergence = meet == never || meet == graph.exit ? never : graph.begin[meet];
  }
}

} // namespace quern::emulator::machine
