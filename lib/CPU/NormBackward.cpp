//===- NormBackward.cpp - Gradients of layer and RMS normalization ----------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
// The gradients of weight and bias are sums over all rows: each of a fixed number of row blocks
// keeps its own partial sums in shared scratch, and after a barrier the columns are divided to add
// up the blocks in their order.

#include "Emitters.h"
#include "Norm.h"

using namespace mlir;

namespace quern::cpu {

namespace {

/// Row blocks that keep partial sums of their own. More than that costs memory traffic, fewer would
/// leave threads without work.
constexpr int64_t rowBlocks = 16;

class NormBackward {
public:
  NormBackward(kernel::NormBackwardOp op, ValueRange operands, Emission &emission, Type compute)
      : op(op), in(operands, op), e(emission), v(emission, compute) {}

  LogicalResult run();

private:
  void emitRows(const NormRows &norm, ArrayRef<Value> group, Value weightSums, Value biasSums,
                bool streaming);
  void combine(Value partial, Value target);

  kernel::NormBackwardOp op;
  kernel::NormBackwardOp::Adaptor in;
  Emission &e;
  Vectors v;
  Value rows, columns, dx;
  SmallVector<Value> inputs; ///< x, the gradient, and an addend if there is one
};

void NormBackward::emitRows(const NormRows &norm, ArrayRef<Value> group, Value weightSums,
                            Value biasSums, bool streaming) {
  Value zero = e.index(0);
  bool layer = op.getKind() == kernel::NormKind::Layer;
  auto rowsOf = [&](Value memref) {
    SmallVector<Value> result;
    for (Value row : group)
      result.push_back(rowOf(e, memref, row));
    return result;
  };
  SmallVector<Value> x = rowsOf(inputs[0]), gradient = rowsOf(inputs[1]);
  auto weighted = [&](Value g, Value column, Value mask) {
    return in.getWeight() ? v.mul(g, v.load(in.getWeight(), column, mask)) : g;
  };
  SmallVector<Value> ahead = norm.ahead(group);
  size_t half = ahead.size() / 2;
  SmallVector<RowStatistics> statistics = norm.statistics(
      group, ArrayRef(ahead).take_front(half),
      [&](size_t row, Value column, Value mask) { return v.load(x[row], column, mask); },
      [&](size_t row, Value centered, Value column, Value mask) {
        Value g = weighted(v.load(gradient[row], column, mask), column, mask);
        SmallVector<Value> terms{v.mul(g, centered)};
        if (layer)
          terms.push_back(g);
        return terms;
      });
  // With g the weighted gradient and s the scale: dx = s (g - mean(g) - xhat mean(g xhat))
  struct Factors {
    Value ofProduct, ofMean; ///< -s mean(g xhat), -s mean(g)
  };
  SmallVector<Factors> factors;
  for (const RowStatistics &row : statistics) {
    Value minus = v.mul(v.splat(-1.0), row.scale);
    Value product = v.mul(v.splat(norm.mean(row.sums[0])), row.scale);
    factors.push_back(
        {v.mul(minus, product), layer ? v.mul(minus, v.splat(norm.mean(row.sums[1]))) : Value()});
  }
  SmallVector<Value> addend, target = rowsOf(dx);
  if (inputs.size() > 2)
    addend = rowsOf(inputs[2]);
  v.forLines(zero, columns, dx, [&](ArrayRef<Value> line, Value mask) {
    auto loadAll = [&](Value memref) {
      SmallVector<Value> vectors;
      for (Value column : line)
        vectors.push_back(memref ? v.load(memref, column, mask) : Value());
      return vectors;
    };
    for (Value row : ArrayRef(ahead).drop_front(half))
      v.prefetch(row, line.front(), int64_t(line.size()));
    SmallVector<Value> weights = loadAll(weightSums), biases = loadAll(biasSums);
    for (size_t row = 0; row < group.size(); ++row)
      for (auto [column, weightSum, biasSum] : llvm::zip(line, weights, biases)) {
        Value dy = v.load(gradient[row], column, mask);
        Value xhat =
            v.mul(statistics[row].center(v, v.load(x[row], column, mask)), statistics[row].scale);
        Value g = weighted(dy, column, mask);
        Value result = layer ? v.fma(g, statistics[row].scale, factors[row].ofMean)
                             : v.mul(g, statistics[row].scale);
        result = v.fma(xhat, factors[row].ofProduct, result);
        if (!addend.empty())
          result = v.add(result, v.load(addend[row], column, mask));
        v.store(result, target[row], column, mask, streaming);
        if (weightSum)
          weightSum = v.fma(dy, xhat, weightSum);
        if (biasSum)
          biasSum = v.add(dy, biasSum);
      }
    for (auto [column, weightSum, biasSum] : llvm::zip(line, weights, biases)) {
      if (weightSum)
        v.store(weightSum, weightSums, column, mask);
      if (biasSum)
        v.store(biasSum, biasSums, column, mask);
    }
  });
}

void NormBackward::combine(Value partial, Value target) {
  Value chunk = e.index(16 * v.lanes);
  e.forUnits(ceilDiv(e, columns, chunk), [&](Value unit) {
    Value from = mulIndex(e, unit, chunk);
    v.forColumns(from, minIndex(e, addIndex(e, from, chunk), columns),
                 [&](Value column, Value mask) {
                   Value total = v.splat(0.0);
                   for (int64_t block = 0; block < rowBlocks; ++block)
                     total = v.add(total, v.load(rowOf(e, partial, e.index(block)), column, mask));
                   v.store(total, target, column, mask);
                 });
  });
}

LogicalResult NormBackward::run() {
  auto type = cast<MemRefType>(in.getX().getType());
  if (type.getRank() == 0)
    return op.emitOpError("x has no dimension to normalize over");
  int64_t last = type.getRank() - 1;
  columns = e.dim(in.getX(), last);
  rows = e.leadingSize(in.getX(), last);
  inputs = {mergeRows(e, in.getX()), mergeRows(e, in.getGradient())};
  if (in.getAddend())
    inputs.push_back(mergeRows(e, in.getAddend()));
  dx = mergeRows(e, in.getOutputs()[0]);
  NormRows norm(v, rows, columns, inputs, op.getKind(), op.getEpsilon().convertToDouble(),
                /*extra=*/op.getKind() == kernel::NormKind::Layer ? 2 : 1);
  int64_t bytes = elementBytes(type.getElementType()) * int64_t(inputs.size() + 1);
  // Outputs past dX: the gradient of the weight where the norm has one, then that of the bias.
  size_t outputs = in.getOutputs().size();
  bool hasWeight = outputs == 3 || (outputs == 2 && in.getWeight());
  bool hasBias = outputs == 3 || (outputs == 2 && !in.getWeight());
  if (outputs == 1) {
    withStreaming(e, dx, rows, columns, bytes, [&](bool streaming) {
      forRowGroupUnits(
          e, rows, rowsPerUnit(e, columns, bytes), norm.size(),
          [&](ArrayRef<Value> group) { emitRows(norm, group, Value(), Value(), streaming); });
    });
    return success();
  }
  if (type.isDynamicDim(last))
    return op.emitOpError("needs a static last dimension for the gradients of weight and bias: "
                          "their partial sums have a fixed place in the arena");
  auto partialType = MemRefType::get({rowBlocks, type.getDimSize(last)}, v.compute);
  Value weightPartial = hasWeight ? e.sharedScratch(partialType) : Value();
  Value biasPartial = hasBias ? e.sharedScratch(partialType) : Value();
  Value blocks = e.index(rowBlocks), zero = e.index(0), one = e.index(1);
  withStreaming(e, dx, rows, columns, bytes, [&](bool streaming) {
    e.forUnits(blocks, [&](Value block) {
      Value weightSums, biasSums;
      for (auto [partial, sums] :
           {std::pair(weightPartial, &weightSums), {biasPartial, &biasSums}}) {
        if (!partial)
          continue;
        *sums = rowOf(e, partial, block);
        Value target = *sums;
        v.forColumns(zero, columns, [&](Value column, Value mask) {
          v.store(v.splat(0.0), target, column, mask);
        });
      }
      OpBuilder &b = e.builder;
      Value from = arith::DivUIOp::create(b, e.loc, mulIndex(e, block, rows), blocks);
      Value to =
          arith::DivUIOp::create(b, e.loc, mulIndex(e, addIndex(e, block, one), rows), blocks);
      forRowGroups(e, from, to, norm.size(), [&](ArrayRef<Value> group) {
        emitRows(norm, group, weightSums, biasSums, streaming);
      });
    });
  });
  e.barrier();
  if (hasWeight)
    combine(weightPartial, in.getOutputs()[1]);
  if (hasBias)
    combine(biasPartial, in.getOutputs()[hasWeight ? 2 : 1]);
  return success();
}

} // namespace

LogicalResult emit(kernel::NormBackwardOp op, ValueRange operands, Emission &e) {
  if (failed(checkRows(op, operands)))
    return failure();
  Type element = cast<MemRefType>(operands[0].getType()).getElementType();
  return NormBackward(op, operands, e, computeType(element)).run();
}

} // namespace quern::cpu
