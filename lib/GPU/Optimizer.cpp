//===- Optimizer.cpp - AdamW ------------------------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
// One pass over gradient, parameter and both moments. What depends on the options alone is computed
// once a block, in f64 as PyTorch does.

#include "Emitters.h"
#include "Rows.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;

namespace quern::nvidia {

namespace {

/// The numbers of one step, in the type that moments are computed in.
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

/// base^exponent for a whole number, an f64 of at least 0, by squaring.
Value power(Thread &t, Value base, Value exponent) {
  OpBuilder &b = t.builder;
  Type i64 = b.getI64Type();
  auto constant = [&](int64_t value) -> Value {
    return arith::ConstantOp::create(b, t.loc, b.getI64IntegerAttr(value));
  };
  Value left = arith::FPToUIOp::create(b, t.loc, i64, exponent);
  Value zeros = LLVM::CountLeadingZerosOp::create(b, t.loc, i64, left, /*is_zero_poison=*/false);
  Value bits = arith::SubIOp::create(b, t.loc, constant(64), zeros);
  Value count = arith::IndexCastOp::create(b, t.loc, b.getIndexType(), bits);
  return t.strided(t.index(0), count, t.index(1), {t.number(base.getType(), 1), base, left},
                   [&](Value, ValueRange now) -> SmallVector<Value> {
                     Value last = arith::AndIOp::create(b, t.loc, now[2], constant(1));
                     Value more = t.mul(now[0], now[1]);
                     Value product = t.select(t.equal(last, constant(1)), more, now[0]);
                     return {product, t.mul(now[1], now[1]),
                             arith::ShRUIOp::create(b, t.loc, now[2], constant(1))};
                   })[0];
}

SmallVector<Value> computeFactors(Thread &t, kernel::AdamWOp::Adaptor in, Type compute) {
  Type f64 = t.builder.getF64Type();
  Value one = t.number(f64, 1);
  auto option = [&](Value memref) { return t.load(memref, {}, f64); };
  Value rate = option(in.getLearningRate()), step = option(in.getStep());
  Value beta1 = option(in.getBeta1()), beta2 = option(in.getBeta2());
  Value correction1 = t.sub(one, power(t, beta1, step));
  Value correction2 = t.sub(one, power(t, beta2, step));
  Value root = math::SqrtOp::create(t.builder, t.loc, correction2);
  SmallVector<Value> factors{t.load(in.getScale(), {}, f64),
                             beta2,
                             t.sub(one, beta1),
                             t.sub(one, beta2),
                             option(in.getEpsilon()),
                             t.sub(one, t.mul(rate, option(in.getWeightDecay()))),
                             t.div(t.sub(t.number(f64, 0), rate), correction1),
                             t.div(one, root)};
  for (Value &factor : factors)
    factor = t.convert(factor, compute);
  return factors;
}

/// The factors in every thread; one of them computes them.
StepFactors stepFactors(Thread &t, kernel::AdamWOp::Adaptor in, Type compute) {
  constexpr int64_t count = sizeof(StepFactors) / sizeof(Value);
  Value memory = t.shared({count}, compute);
  t.when(t.equal(t.thread(), t.index(0)), [&] {
    for (auto [i, factor] : llvm::enumerate(computeFactors(t, in, compute)))
      t.store(factor, memory, t.index(static_cast<int64_t>(i)));
  });
  t.barrier();
  auto get = [&](int64_t i) { return t.load(memory, t.index(i)); };
  return {get(0), get(1), get(2), get(3), get(4), get(5), get(6), get(7)};
}

/// Updates `lanes` elements from `place` on.
void emitUpdate(Thread &t, const StepFactors &f, kernel::AdamWOp::Adaptor in, ValueRange place,
                int64_t lanes, Type compute) {
  auto load = [&](Value memref) { return t.loadVector(memref, place, lanes, compute); };
  ValueRange outputs = in.getOutputs();
  SmallVector<Value> g = load(in.getGradient()), p = load(outputs[0]), m = load(outputs[1]),
                     v = load(outputs[2]);
  for (int64_t i = 0; i < lanes; ++i) {
    Value gradient = t.mul(g[i], f.scale);
    m[i] = t.fma(f.oneMinusBeta1, t.sub(gradient, m[i]), m[i]);
    v[i] = t.fma(t.mul(f.oneMinusBeta2, gradient), gradient, t.mul(f.beta2, v[i]));
    Value root = math::SqrtOp::create(t.builder, t.loc, v[i]);
    Value denominator = t.fma(root, f.rootCorrection, f.epsilon);
    p[i] = t.fma(f.minusStepSize, t.div(m[i], denominator), t.mul(f.decay, p[i]));
  }
  t.storeVector(p, outputs[0], place);
  t.storeVector(m, outputs[1], place);
  t.storeVector(v, outputs[2], place);
}

} // namespace

LogicalResult emit(kernel::AdamWOp op, ValueRange operands, Emission &e) {
  if (failed(checkRows(op, operands)))
    return failure();
  Value parameter = kernel::AdamWOp::Adaptor(operands, op).getOutputs()[0];
  Type compute = computeType(cast<MemRefType>(op.getOutputs()[1].getType()).getElementType());
  SmallVector<Value> flat(operands);
  bool dense = true;
  for (Value &operand : flat) {
    if (cast<MemRefType>(operand.getType()).getRank() == 0)
      continue; // scale and options
    Value memref = flatten(e, operand);
    dense &= static_cast<bool>(memref);
    operand = memref;
  }
  Value size = e.leadingSize(parameter, cast<MemRefType>(parameter.getType()).getRank());
  auto launch = [&](int64_t lanes) {
    SmallVector<Value> all(dense ? ValueRange(flat) : operands);
    all.push_back(size);
    // More blocks than a GPU runs at a time would compute the factors more often.
    constexpr int64_t mostBlocks = 2048;
    Value blocks = atMost(e, ceilDiv(e, size, e.index(blockThreads * lanes)), mostBlocks);
    e.launch({blocks, {}, {}}, blockThreads, all, [&](Thread &t, ValueRange onDevice) {
      kernel::AdamWOp::Adaptor in(onDevice.drop_back(), op);
      StepFactors factors = stepFactors(t, in, compute);
      Value parameter = in.getOutputs()[0];
      SmallVector<Value> sizes;
      for (int64_t i = 0; i < cast<MemRefType>(parameter.getType()).getRank(); ++i)
        sizes.push_back(t.dim(parameter, i));
      t.forShare(onDevice.back(), lanes, {}, [&](Value i, ValueRange) {
        emitUpdate(t, factors, in, delinearize(t, i, sizes), lanes, compute);
        return SmallVector<Value>();
      });
    });
  };
  if (!dense)
    launch(1);
  else
    forLanes(e, rowsAmong(flat), size, launch);
  return success();
}

} // namespace quern::nvidia
