//===- CrossEntropy.cpp - Cross-entropy, its gradient, the count of targets -------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
// A fixed number of teams share the rows. The loss is summed in f64: by each team in the order of
// its rows, and then over the teams in a fixed order.

#include "Emitters.h"
#include "Reduction.h"
#include "Softmax.h"

#include <limits>

using namespace mlir;

namespace quern::nvidia {

namespace {

/// Blocks that share the rows: enough to fill a GPU with loads.
constexpr int64_t lossBlocks = 1024;

/// One kernel over rows of logits; with `seed` it replaces them by their gradient.
class CrossEntropy {
public:
  CrossEntropy(Emission &emission, Value logits, Value targets, Value count, Value seed,
               int64_t ignoreIndex)
      : e(emission), ignoreIndex(ignoreIndex), hasGradient(static_cast<bool>(seed)),
        compute(computeType(cast<MemRefType>(logits.getType()).getElementType())),
        f64(emission.builder.getF64Type()) {
    int64_t last = cast<MemRefType>(logits.getType()).getRank() - 1;
    columns = e.dim(logits, last);
    rows = e.leadingSize(logits, last);
    Value flat = flatten(e, targets);
    operands = {mergeRows(e, logits), flat ? flat : targets, count};
    if (seed)
      operands.push_back(seed);
  }

  /// Writes the mean to `loss`.
  void run(Value loss);

private:
  Value rowLoss(Team &team, Value row, ValueRange onDevice);
  void writeGradient(Team &team, const Team::Part &x, const RowSum &total, Value chosen,
                     Value target, ValueRange onDevice);

  Emission &e;
  int64_t ignoreIndex;
  bool hasGradient;
  Type compute, f64;
  Value rows, columns;
  SmallVector<Value> operands; ///< logits, targets, count, and seed where there is a gradient
};

/// The negative log-likelihood of one row in f64, 0 where its target is ignored.
Value CrossEntropy::rowLoss(Team &team, Value row, ValueRange onDevice) {
  Thread &t = team.t;
  OpBuilder &b = t.builder;
  Value targets = onDevice[1], logits = rowOf(t, onDevice[0], row);
  SmallVector<Value> sizes;
  for (int64_t i = 0; i < cast<MemRefType>(targets.getType()).getRank(); ++i)
    sizes.push_back(t.dim(targets, i));
  Value target = t.load(targets, delinearize(t, row, sizes));
  Value ignored = t.equal(
      target, arith::ConstantOp::create(b, t.loc, b.getIntegerAttr(target.getType(), ignoreIndex)));
  if (hasGradient)
    t.when(ignored,
           [&] { team.write({}, logits, [&](ValueRange) { return t.number(compute, 0); }); });
  return t.when(t.no(ignored), t.number(f64, 0), [&] {
    Value index = arith::IndexCastOp::create(b, t.loc, b.getIndexType(), target);
    // A target out of range is nobody's class: its loss is a NaN, and no memory is touched for it.
    Value inRange = t.less(index, team.columns);
    Value chosen = t.loadWhere(inRange, logits, index, compute);
    Team::Part x = team.read(logits, compute);
    RowSum total = rowSumOfExponentials(team, x);
    if (hasGradient)
      writeGradient(team, x, total, chosen, index, onDevice);
    Value logSumExp = t.add(t.convert(t.log(total.sum), f64), t.convert(total.maximum, f64));
    Value loss = t.sub(logSumExp, t.convert(chosen, f64));
    return SmallVector<Value>{
        t.select(inRange, loss, t.number(f64, std::numeric_limits<double>::quiet_NaN()))};
  })[0];
}

void CrossEntropy::writeGradient(Team &team, const Team::Part &x, const RowSum &total, Value chosen,
                                 Value target, ValueRange onDevice) {
  Thread &t = team.t;
  Value factor = t.div(t.load(onDevice[3], {}, compute), t.load(onDevice[2], {}, compute));
  Value scale = t.div(factor, total.sum);
  auto exponential = [&](Value logit) { return t.exp(t.sub(logit, total.maximum)); };
  // All threads have read the target's logit, and the one that writes it comes first.
  team.fence();
  team.write(x, x.row, [&](ValueRange logit) { return t.mul(exponential(logit[0]), scale); });
  team.fence();
  team.onFirst([&] {
    t.when(t.less(target, team.columns), [&] {
      // Of its probability, not of the value just written, which may be rounded to 16 bits.
      Value probability = t.div(exponential(chosen), total.sum);
      t.store(t.mul(t.sub(probability, t.number(compute, 1)), factor), x.row, target);
    });
  });
}

void CrossEntropy::run(Value loss) {
  int64_t teamsOfBlock = Team::isWarp(columns) ? blockThreads / warpSize : 1;
  Value partials = e.scratch({lossBlocks * teamsOfBlock}, f64);
  auto body = [&](Team &team, Value first, Value step, Value end, ValueRange onDevice) {
    Thread &t = team.t;
    Value sum = t.strided(first, end, step, t.number(f64, 0), [&](Value row, ValueRange carried) {
      return SmallVector<Value>{t.add(carried[0], rowLoss(team, row, onDevice))};
    })[0];
    team.onFirst([&] { t.store(sum, onDevice.back(), team.number()); });
  };
  SmallVector<Value> all(operands);
  all.push_back(partials);
  auto launch = [&](int64_t lanes) {
    Value blocks = forRowSubsets(e, rows, columns, lossBlocks, lanes, all, body);
    sumPartials(e, partials, mulIndex(e, blocks, e.index(teamsOfBlock)), {operands[2], loss},
                [&](Thread &t, Value sum, ValueRange onDevice) {
                  t.store(t.div(sum, t.load(onDevice[0], {}, f64)), onDevice[1], {});
                });
  };
  forLanes(e, operands[0], columns, launch, /*wholeGroups=*/false);
}

} // namespace

LogicalResult emit(kernel::CrossEntropyOp op, ValueRange operands, Emission &e) {
  if (failed(checkRows(op, operands)))
    return failure();
  kernel::CrossEntropyOp::Adaptor in(operands, op);
  CrossEntropy(e, in.getLogits(), in.getTargets(), in.getCount(), Value(), op.getIgnoreIndex())
      .run(in.getOutputs()[0]);
  return success();
}

LogicalResult emit(kernel::CrossEntropyGradientOp op, ValueRange operands, Emission &e) {
  if (failed(checkRows(op, operands)))
    return failure();
  kernel::CrossEntropyGradientOp::Adaptor in(operands, op);
  CrossEntropy(e, in.getOutputs()[1], in.getTargets(), in.getCount(), in.getSeed(),
               op.getIgnoreIndex())
      .run(in.getOutputs()[0]);
  return success();
}

LogicalResult emit(kernel::CountTargetsOp op, ValueRange operands, Emission &e) {
  kernel::CountTargetsOp::Adaptor host(operands, op);
  Value flat = flatten(e, host.getTargets());
  // There are thousands of targets, or tens of thousands: one block has them counted in no time.
  constexpr int64_t threads = 1024;
  Type i32 = e.builder.getI32Type();
  e.launch(
      {}, threads, {flat ? flat : host.getTargets(), host.getOutputs()[0]},
      [&](Thread &t, ValueRange in) {
        OpBuilder &b = t.builder;
        SmallVector<Value> sizes;
        int64_t rank = cast<MemRefType>(in[0].getType()).getRank();
        for (int64_t i = 0; i < rank; ++i)
          sizes.push_back(t.dim(in[0], i));
        auto add = [&](Value x, Value y) -> Value { return arith::AddIOp::create(b, t.loc, x, y); };
        Value zero = arith::ConstantOp::create(b, t.loc, b.getI32IntegerAttr(0));
        Value own =
            t.forShare(t.leadingSize(in[0], rank), 1, zero, [&](Value i, ValueRange carried) {
              Value target = t.load(in[0], delinearize(t, i, sizes));
              Value ignored = arith::ConstantOp::create(
                  b, t.loc, b.getIntegerAttr(target.getType(), op.getIgnoreIndex()));
              Value counts = t.no(t.equal(target, ignored));
              return SmallVector<Value>{
                  add(carried[0], arith::ExtUIOp::create(b, t.loc, i32, counts))};
            })[0];
        Value count = t.overBlock(own, add);
        t.when(t.equal(t.thread(), t.index(0)), [&] {
          t.store(t.convert(count, cast<MemRefType>(in[1].getType()).getElementType()), in[1], {});
        });
      });
  return success();
}

} // namespace quern::nvidia
