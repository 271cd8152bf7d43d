//===- NormBackward.cpp - Gradients of layer and RMS normalization ----------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
// The gradients of weight and bias are sums over all rows. Each team adds those of its rows, each
// block those of its teams, and a second launch those of all blocks, in their order.

#include "Emitters.h"
#include "Norm.h"
#include "Reduction.h"

using namespace mlir;

namespace quern::nvidia {

namespace {

class NormBackward {
public:
  NormBackward(kernel::NormBackwardOp op, ValueRange operands, Emission &emission)
      : op(op), e(emission), operands(withMergedRows(emission, operands)),
        type(cast<MemRefType>(op.getX().getType())), compute(computeType(type.getElementType())) {
    size_t outputs = op.getOutputs().size();
    if (outputs == 3 || (outputs == 2 && op.getWeight()))
      sumOutputs.push_back(1);
    if (outputs == 3 || (outputs == 2 && !op.getWeight()))
      sumOutputs.push_back(outputs - 1);
    hasWeightSums = !sumOutputs.empty() && op.getWeight();
  }

  LogicalResult run();

private:
  using Parts = SmallVector<Team::Part>;
  /// x, dY, then what there is of weight and addend.
  Parts emitRow(Team &team, Value row, ValueRange onDevice, RowStatistics &statistics);
  void emitRows(Team &team, Value first, Value step, Value end, ValueRange onDevice,
                ArrayRef<Value> sumRows);
  void emitWithSums(Value rows, Value columns, int64_t lanes, ArrayRef<Value> partials);
  void addSums(Value partial, Value blocks, Value target);

  kernel::NormBackwardOp op;
  Emission &e;
  SmallVector<Value> operands;
  MemRefType type;
  Type compute;
  SmallVector<size_t> sumOutputs; ///< which outputs are sums over rows
  bool hasWeightSums;             ///< the first of them is that of the weight
};

NormBackward::Parts NormBackward::emitRow(Team &team, Value row, ValueRange onDevice,
                                          RowStatistics &statistics) {
  Thread &t = team.t;
  kernel::NormBackwardOp::Adaptor in(onDevice, op);
  bool isLayer = op.getKind() == kernel::NormKind::Layer;
  Parts parts;
  for (Value memref : {in.getX(), in.getGradient()})
    parts.push_back(team.read(rowOf(t, memref, row), compute));
  statistics = rowStatistics(team, parts[0], op.getKind(), op.getEpsilon().convertToDouble());
  if (in.getWeight())
    parts.push_back(team.read(in.getWeight(), compute));
  if (in.getAddend())
    parts.push_back(team.read(rowOf(t, in.getAddend(), row), compute));
  auto weighted = [&](ValueRange element) {
    return in.getWeight() ? t.mul(element[1], element[2]) : element[1];
  };
  Team::Values means =
      team.sums(parts, isLayer ? 2 : 1, compute, [&](ValueRange element) -> Team::Values {
        Value g = weighted(element);
        Value product = t.mul(g, normalize(t, element[0], statistics));
        return isLayer ? Team::Values{product, g} : Team::Values{product};
      });
  Value count = t.convert(team.columns, compute);
  for (Value &mean : means)
    mean = t.div(mean, count);
  team.write(parts, rowOf(t, in.getOutputs()[0], row), [&](ValueRange element) {
    Value g = weighted(element);
    if (isLayer)
      g = t.sub(g, means[1]);
    Value centered = t.sub(g, t.mul(normalize(t, element[0], statistics), means[0]));
    Value dx = t.mul(centered, statistics.scale);
    return in.getAddend() ? t.add(dx, element.back()) : dx;
  });
  return parts;
}

/// All rows of a team; their sums go to `sumRows`.
void NormBackward::emitRows(Team &team, Value first, Value step, Value end, ValueRange onDevice,
                            ArrayRef<Value> sumRows) {
  Thread &t = team.t;
  SmallVector<ColumnSums> sums;
  Team::Values initial;
  for (Value row : sumRows) {
    sums.emplace_back(team, row, compute);
    initial.append(sums.back().initial());
  }
  Team::Values last =
      t.strided(first, end, step, initial, [&](Value row, ValueRange carried) -> Team::Values {
        RowStatistics statistics;
        Parts parts = emitRow(team, row, onDevice, statistics);
        size_t each = carried.size() / sums.size();
        Team::Values next;
        for (auto [i, sum] : llvm::enumerate(sums)) {
          bool isWeight = i == 0 && hasWeightSums;
          auto term = [&](ValueRange element) {
            return isWeight ? t.mul(element[1], normalize(t, element[0], statistics)) : element[1];
          };
          next.append(sum.add(parts, carried.slice(i * each, each), term));
        }
        return next;
      });
  size_t each = last.size() / sums.size();
  for (auto [i, sum] : llvm::enumerate(sums))
    sum.finish(ValueRange(last).slice(i * each, each));
}

void NormBackward::emitWithSums(Value rows, Value columns, int64_t lanes,
                                ArrayRef<Value> partials) {
  SmallVector<Value> all(operands);
  all.append(partials.begin(), partials.end());
  int64_t size = type.getDimSize(type.getRank() - 1);
  bool isWarp = Team::isWarp(columns);
  auto body = [&](Team &team, Value first, Value step, Value end, ValueRange onDevice) {
    Thread &t = team.t;
    ValueRange inputs = onDevice.take_front(operands.size());
    ValueRange results = onDevice.drop_front(operands.size());
    SmallVector<Value> ofBlock, ofTeam, shared;
    int64_t teams = isWarp ? t.threads / warpSize : 1;
    for (Value result : results) {
      ofBlock.push_back(rowOf(t, result, t.block(0)));
      shared.push_back(isWarp ? t.shared({teams, size}, compute) : Value());
      ofTeam.push_back(isWarp ? rowOf(t, shared.back(), t.warp()) : ofBlock.back());
    }
    emitRows(team, first, step, end, inputs, ofTeam);
    if (!isWarp)
      return;
    t.barrier();
    for (auto [from, to] : llvm::zip(shared, ofBlock))
      t.strided(t.thread(), team.columns, t.index(t.threads),
                [&, from = from, to = to](Value column) {
                  Value sum = t.inOrder(t.index(teams), t.number(compute, 0),
                                        [&](Value i) { return t.load(from, {i, column}); });
                  t.store(sum, to, column);
                });
  };
  Value blocks = forRowSubsets(e, rows, columns, partialBlocks, lanes, all, body);
  kernel::NormBackwardOp::Adaptor host(operands, op);
  for (auto [partial, output] : llvm::zip(partials, sumOutputs))
    sumOverRows(e, partial, blocks, host.getOutputs()[output]);
}

LogicalResult NormBackward::run() {
  int64_t last = type.getRank() - 1;
  int64_t rank = cast<MemRefType>(operands[0].getType()).getRank(); // after merging rows
  Value rows = e.leadingSize(operands[0], rank - 1), columns = e.dim(operands[0], rank - 1);
  if (sumOutputs.empty()) {
    forRows(e, rows, columns, operands, [&](Team &team, Value row, ValueRange onDevice) {
      RowStatistics statistics;
      emitRow(team, row, onDevice, statistics);
    });
    return success();
  }
  if (type.isDynamicDim(last))
    return op.emitOpError("needs a static last dimension for the gradients of weight and bias: "
                          "their partial sums have a fixed place in the arena");
  SmallVector<Value> partials;
  for (size_t i = 0; i < sumOutputs.size(); ++i)
    partials.push_back(e.scratch({partialBlocks, type.getDimSize(last)}, compute));
  forLanes(e, operands, columns,
           [&](int64_t lanes) { emitWithSums(rows, columns, lanes, partials); });
  return success();
}

} // namespace

LogicalResult emit(kernel::NormBackwardOp op, ValueRange operands, Emission &e) {
  if (failed(checkRows(op, operands)))
    return failure();
  return NormBackward(op, operands, e).run();
}

} // namespace quern::nvidia
