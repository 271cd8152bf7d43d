//===- GradientCut.cpp - What is saved for the backward pass ----------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "GradientCut.h"
#include "DeriveDimensions.h"
#include "dialects/Quern/DifferentiableOpInterface.h"

#include <cmath>
#include <limits>

using namespace mlir;
using namespace quern;
using namespace quern::model;

double model::estimateBytes(Type type, double dynamic) {
  auto tensor = cast<RankedTensorType>(type);
  double bytes = std::ceil(tensor.getElementTypeBitWidth() / 8.0);
  for (int64_t size : tensor.getShape())
    bytes *= ShapedType::isDynamic(size) ? dynamic : size;
  return bytes;
}

static RecomputeCost::Kind costOf(Operation *op) {
  if (auto differentiable = dyn_cast<DifferentiableOpInterface>(op))
    return differentiable.getRecomputeCost().kind;
  // Constants, masks, comparisons and the like; ops with regions may hold anything.
  return op->getNumRegions() ? RecomputeCost::Never : RecomputeCost::Pointwise;
}

namespace {

/// Maximum flow by augmenting paths; the graphs have a few hundred nodes.
class FlowGraph {
public:
  unsigned addNode() {
    edgesOf.emplace_back();
    return edgesOf.size() - 1;
  }
  void addEdge(unsigned from, unsigned to, double capacity) {
    edgesOf[from].push_back(edges.size());
    edges.push_back({to, capacity});
    edgesOf[to].push_back(edges.size());
    edges.push_back({from, 0});
  }
  /// Sends as much as possible, and returns for each node whether it still reaches the sink.
  SmallVector<bool> cut(unsigned source, unsigned sink) {
    while (true) {
      SmallVector<int64_t> via(edgesOf.size(), -1);
      SmallVector<unsigned> queue{source};
      for (unsigned i = 0; i < queue.size() && via[sink] < 0; ++i)
        for (unsigned edge : edgesOf[queue[i]])
          if (edges[edge].capacity > 0 && via[edges[edge].to] < 0 && edges[edge].to != source) {
            via[edges[edge].to] = edge;
            queue.push_back(edges[edge].to);
          }
      if (via[sink] < 0)
        break;
      double flow = std::numeric_limits<double>::infinity();
      for (unsigned node = sink; node != source; node = edges[via[node] ^ 1].to)
        flow = std::min(flow, edges[via[node]].capacity);
      for (unsigned node = sink; node != source; node = edges[via[node] ^ 1].to) {
        edges[via[node]].capacity -= flow;
        edges[via[node] ^ 1].capacity += flow;
      }
    }
    SmallVector<bool> reaches(edgesOf.size(), false);
    SmallVector<unsigned> queue{sink};
    reaches[sink] = true;
    for (unsigned i = 0; i < queue.size(); ++i)
      for (unsigned edge : edgesOf[queue[i]])
        if (edges[edge ^ 1].capacity > 0 && !reaches[edges[edge].to]) {
          reaches[edges[edge].to] = true;
          queue.push_back(edges[edge].to);
        }
    return reaches;
  }

private:
  struct Edge {
    unsigned to;
    double capacity;
  };
  SmallVector<Edge> edges; // each followed by its reverse
  SmallVector<SmallVector<unsigned>> edgesOf;
};

} // namespace

llvm::SetVector<Value> model::chooseSavedValues(Block &body, ArrayRef<Value> needed,
                                                const DenseSet<Value> &free) {
  // Infinite, but finite enough for differences of capacities to stay exact.
  const double infinite = 1e18;
  // Activations share their dynamic dimensions, so that any one number compares them well.
  const double dynamic = 1024;
  FlowGraph graph;
  unsigned source = graph.addNode(), sink = graph.addNode();
  // A value is two nodes with an edge between them: cutting it means saving the value.
  llvm::MapVector<Value, std::pair<unsigned, unsigned>> nodes;
  std::function<std::optional<unsigned>(Value)> visit =
      [&](Value value) -> std::optional<unsigned> {
    if (free.contains(value) || value.getParentBlock() != &body)
      return std::nullopt;
    if (auto it = nodes.find(value); it != nodes.end())
      return it->second.second;
    unsigned in = graph.addNode(), out = graph.addNode();
    nodes[value] = {in, out};
    double weight = std::max(1.0, estimateBytes(value.getType(), dynamic));
    Operation *op = value.getDefiningOp();
    RecomputeCost::Kind cost = op ? costOf(op) : RecomputeCost::Never;
    if (cost == RecomputeCost::Never) {
      graph.addEdge(source, in, infinite);
    } else {
      // Of equal sizes, save what the view looks at.
      if (cost == RecomputeCost::View)
        weight *= 1.125;
      for (OpOperand &operand : op->getOpOperands())
        if (!readsOnlyShape(operand))
          if (std::optional<unsigned> node = visit(operand.get()))
            graph.addEdge(*node, in, infinite);
    }
    graph.addEdge(in, out, weight);
    return out;
  };
  for (Value value : needed)
    if (std::optional<unsigned> node = visit(value))
      graph.addEdge(*node, sink, infinite);
  SmallVector<bool> reaches = graph.cut(source, sink);
  // In the order of the body, so that the result does not depend on the order of needs.
  llvm::SetVector<Value> saved;
  auto consider = [&](Value value) {
    auto it = nodes.find(value);
    if (it != nodes.end() && !reaches[it->second.first] && reaches[it->second.second])
      saved.insert(value);
  };
  for (BlockArgument argument : body.getArguments())
    consider(argument);
  for (Operation &op : body)
    for (Value result : op.getResults())
      consider(result);
  return saved;
}
