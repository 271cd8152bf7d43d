//===- Optimizer.cpp - AdamW ------------------------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
// One pass over gradient, parameter and both moments: 28 bytes a parameter in f32, and nothing else
// matters. What depends on the options alone is computed once a thread, in f64 as PyTorch does.

#include "AdamW.h"
#include "Emitters.h"

#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;

namespace quern::cpu {

/// An f64 in equal lanes.
static Value splat(Vectors &v, Value scalar) {
  Emission &e = v.emission;
  if (v.compute != e.builder.getF64Type())
    scalar = arith::TruncFOp::create(e.builder, e.loc, v.compute, scalar);
  return v.splat(scalar);
}

Value shrinkage(Vectors &v, Value rate, Value decay) {
  Emission &e = v.emission;
  Type f64 = e.builder.getF64Type();
  Value one = arith::ConstantOp::create(e.builder, e.loc, e.builder.getF64FloatAttr(1.0));
  Value product =
      arith::MulFOp::create(e.builder, e.loc, loadScalar(e, rate, f64), loadScalar(e, decay, f64));
  return splat(v, arith::SubFOp::create(e.builder, e.loc, one, product));
}

StepFactors stepFactors(Vectors &v, const StepOptions &options) {
  Emission &e = v.emission;
  OpBuilder &b = e.builder;
  Location loc = e.loc;
  Type f64 = b.getF64Type();
  Value one = arith::ConstantOp::create(b, loc, b.getF64FloatAttr(1.0));
  auto minus = [&](Value x, Value y) -> Value { return arith::SubFOp::create(b, loc, x, y); };
  Value rate = loadScalar(e, options.learningRate, f64);
  Value beta1 = loadScalar(e, options.beta1, f64), beta2 = loadScalar(e, options.beta2, f64);
  Value step = loadScalar(e, options.step, f64);
  Value correction1 = minus(one, math::PowFOp::create(b, loc, beta1, step));
  Value correction2 = minus(one, math::PowFOp::create(b, loc, beta2, step));
  StepFactors factors;
  if (options.scale)
    factors.scale = v.splat(loadScalar(e, options.scale, v.compute));
  factors.beta2 = splat(v, beta2);
  factors.oneMinusBeta1 = splat(v, minus(one, beta1));
  factors.oneMinusBeta2 = splat(v, minus(one, beta2));
  factors.epsilon = splat(v, loadScalar(e, options.epsilon, f64));
  Value size = arith::DivFOp::create(b, loc, rate, correction1);
  factors.minusStepSize = splat(v, arith::NegFOp::create(b, loc, size));
  Value root = math::SqrtOp::create(b, loc, correction2);
  factors.rootCorrection = splat(v, arith::DivFOp::create(b, loc, one, root));
  return factors;
}

Moments updated(Vectors &v, const StepFactors &f, Value shrinkage, Value gradient,
                const Moments &old) {
  Emission &e = v.emission;
  if (f.scale)
    gradient = v.mul(gradient, f.scale);
  Moments now;
  now.first = v.fma(f.oneMinusBeta1, v.sub(gradient, old.first), old.first);
  now.second = v.mul(f.beta2, old.second);
  now.second = v.fma(v.mul(f.oneMinusBeta2, gradient), gradient, now.second);
  Value root = math::SqrtOp::create(e.builder, e.loc, now.second);
  Value denominator = v.fma(root, f.rootCorrection, f.epsilon);
  now.parameter = v.mul(shrinkage, old.parameter);
  now.parameter = v.fma(f.minusStepSize, v.div(now.first, denominator), now.parameter);
  return now;
}

namespace {

void emitUpdate(Vectors &v, const StepFactors &f, Value shrinkage, Value gRow, Value pRow,
                Value mRow, Value vRow, Value from, Value to) {
  v.forColumns(from, to, [&](Value column, Value mask) {
    Value gradient = v.load(gRow, column, mask);
    Moments old{v.load(pRow, column, mask), v.load(mRow, column, mask), v.load(vRow, column, mask)};
    Moments now = updated(v, f, shrinkage, gradient, old);
    v.store(now.first, mRow, column, mask);
    v.store(now.second, vRow, column, mask);
    v.store(now.parameter, pRow, column, mask);
  });
}

/// One parameter: its gradient, itself and its moments, shared out among the threads.
void emitParameter(Vectors &v, const StepFactors &factors, Value shrinkage,
                   ArrayRef<Value> buffers) {
  Emission &e = v.emission;
  auto type = cast<MemRefType>(buffers[1].getType());
  int64_t bytes = 0;
  for (Value buffer : buffers)
    bytes += elementBytes(cast<MemRefType>(buffer.getType()).getElementType());

  Value flat[4];
  bool dense = true;
  for (int i = 0; i < 4; ++i) {
    flat[i] = flatten(e, buffers[i]);
    dense &= static_cast<bool>(flat[i]);
  }
  if (dense) {
    Value size = e.leadingSize(buffers[1], type.getRank());
    Value chunk = e.index(unitBytes / bytes / v.lanes * v.lanes);
    return e.forUnits(ceilDiv(e, size, chunk), [&](Value unit) {
      Value from = mulIndex(e, unit, chunk);
      emitUpdate(v, factors, shrinkage, flat[0], flat[1], flat[2], flat[3], from,
                 minIndex(e, addIndex(e, from, chunk), size));
    });
  }
  Value columns = e.dim(buffers[1], type.getRank() - 1);
  Value rows = e.leadingSize(buffers[1], type.getRank() - 1);
  forRows(e, rows, rowsPerUnit(e, columns, bytes), [&](Value row) {
    Value at[4];
    for (int i = 0; i < 4; ++i)
      at[i] = rowOf(e, buffers[i], row);
    emitUpdate(v, factors, shrinkage, at[0], at[1], at[2], at[3], e.index(0), columns);
  });
}

} // namespace

LogicalResult emit(kernel::AdamWOp op, ValueRange operands, Emission &e) {
  if (failed(checkRows(op, operands)))
    return failure();
  kernel::AdamWOp::Adaptor in(operands, op);
  Type moment = cast<MemRefType>(in.getOutputs()[1].getType()).getElementType();
  Vectors v(e, computeType(moment));
  StepFactors factors = stepFactors(v, {in.getScale(), in.getLearningRate(), in.getBeta1(),
                                        in.getBeta2(), in.getEpsilon(), in.getStep()});
  for (auto [i, gradient] : llvm::enumerate(in.getGradients())) {
    ValueRange outputs = in.getOutputs().slice(3 * i, 3);
    Value shrink = shrinkage(v, in.getLearningRate(), in.getWeightDecays()[i]);
    emitParameter(v, factors, shrink, {gradient, outputs[0], outputs[1], outputs[2]});
  }
  return success();
}

} // namespace quern::cpu
