//===- Optimizer.cpp - AdamW ------------------------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
// One pass over gradient, parameter and both moments: 28 bytes a parameter in f32, and nothing else
// matters. What depends on the options alone is computed once a thread, in f64 as PyTorch does.

#include "Emitters.h"
#include "Rows.h"

#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;

namespace quern::cpu {

namespace {

/// The numbers of one step, as vectors of equal lanes.
struct StepFactors {
  Value scale;          ///< the clipping factor
  Value beta2;          ///<
  Value oneMinusBeta1;  ///<
  Value oneMinusBeta2;  ///<
  Value epsilon;        ///<
  Value decay;          ///< 1 - learning_rate weight_decay
  Value minusStepSize;  ///< -learning_rate / (1 - beta1^step)
  Value rootCorrection; ///< 1 / sqrt(1 - beta2^step)
};

StepFactors stepFactors(kernel::AdamWOp::Adaptor in, Vectors &v) {
  Emission &e = v.emission;
  OpBuilder &b = e.builder;
  Location loc = e.loc;
  Type f64 = b.getF64Type();
  Value one = arith::ConstantOp::create(b, loc, b.getF64FloatAttr(1.0));
  auto minus = [&](Value x, Value y) -> Value { return arith::SubFOp::create(b, loc, x, y); };
  auto splat = [&](Value scalar) {
    if (v.compute != f64)
      scalar = arith::TruncFOp::create(b, loc, v.compute, scalar);
    return v.splat(scalar);
  };
  Value rate = loadScalar(e, in.getLearningRate(), f64);
  Value beta1 = loadScalar(e, in.getBeta1(), f64), beta2 = loadScalar(e, in.getBeta2(), f64);
  Value step = loadScalar(e, in.getStep(), f64);
  Value correction1 = minus(one, math::PowFOp::create(b, loc, beta1, step));
  Value correction2 = minus(one, math::PowFOp::create(b, loc, beta2, step));
  StepFactors factors;
  factors.scale = v.splat(loadScalar(e, in.getScale(), v.compute));
  factors.beta2 = splat(beta2);
  factors.oneMinusBeta1 = splat(minus(one, beta1));
  factors.oneMinusBeta2 = splat(minus(one, beta2));
  factors.epsilon = splat(loadScalar(e, in.getEpsilon(), f64));
  Value shrink = arith::MulFOp::create(b, loc, rate, loadScalar(e, in.getWeightDecay(), f64));
  factors.decay = splat(minus(one, shrink));
  Value size = arith::DivFOp::create(b, loc, rate, correction1);
  factors.minusStepSize = splat(arith::NegFOp::create(b, loc, size));
  Value root = math::SqrtOp::create(b, loc, correction2);
  factors.rootCorrection = splat(arith::DivFOp::create(b, loc, one, root));
  return factors;
}

void emitUpdate(Vectors &v, const StepFactors &f, Value gRow, Value pRow, Value mRow, Value vRow,
                Value from, Value to) {
  Emission &e = v.emission;
  v.forColumns(from, to, [&](Value column, Value mask) {
    Value gradient = v.mul(v.load(gRow, column, mask), f.scale);
    Value first = v.load(mRow, column, mask);
    first = v.fma(f.oneMinusBeta1, v.sub(gradient, first), first);
    Value second = v.mul(f.beta2, v.load(vRow, column, mask));
    second = v.fma(v.mul(f.oneMinusBeta2, gradient), gradient, second);
    Value root = math::SqrtOp::create(e.builder, e.loc, second);
    Value denominator = v.fma(root, f.rootCorrection, f.epsilon);
    Value parameter = v.mul(f.decay, v.load(pRow, column, mask));
    parameter = v.fma(f.minusStepSize, v.div(first, denominator), parameter);
    v.store(first, mRow, column, mask);
    v.store(second, vRow, column, mask);
    v.store(parameter, pRow, column, mask);
  });
}

} // namespace

LogicalResult emit(kernel::AdamWOp op, ValueRange operands, Emission &e) {
  if (failed(checkRows(op, operands)))
    return failure();
  kernel::AdamWOp::Adaptor in(operands, op);
  Value buffers[] = {in.getGradient(), in.getOutputs()[0], in.getOutputs()[1], in.getOutputs()[2]};
  auto type = cast<MemRefType>(buffers[1].getType());
  Type compute = computeType(cast<MemRefType>(buffers[2].getType()).getElementType());
  Vectors v(e, compute);
  StepFactors factors = stepFactors(in, v);
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
    e.forUnits(ceilDiv(e, size, chunk), [&](Value unit) {
      Value from = mulIndex(e, unit, chunk);
      emitUpdate(v, factors, flat[0], flat[1], flat[2], flat[3], from,
                 minIndex(e, addIndex(e, from, chunk), size));
    });
    return success();
  }
  Value columns = e.dim(buffers[1], type.getRank() - 1);
  Value rows = e.leadingSize(buffers[1], type.getRank() - 1);
  forRows(e, rows, rowsPerUnit(e, columns, bytes), [&](Value row) {
    Value at[4];
    for (int i = 0; i < 4; ++i)
      at[i] = rowOf(e, buffers[i], row);
    emitUpdate(v, factors, at[0], at[1], at[2], at[3], e.index(0), columns);
  });
  return success();
}

} // namespace quern::cpu
