//===- Optimizer.cpp - AdamW ------------------------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
// One pass over gradients, parameters and both moments, in one launch for all parameters that lie
// dense in memory. What depends on the options alone is computed once a block, in f64 as PyTorch
// does.

#include "BufferLists.h"
#include "Emitters.h"
#include "Rows.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;

namespace quern::nvidia {

namespace {

/// What one step is told, rank-0 memrefs.
struct Options {
  Value rate, beta1, beta2, epsilon, step;
  Value scale; ///< null: 1

  explicit Options(ValueRange all)
      : rate(all[0]), beta1(all[1]), beta2(all[2]), epsilon(all[3]), step(all[4]),
        scale(all.size() > 5 ? all[5] : Value()) {}
};

/// A parameter, what it is updated from, and its weight decay.
struct Update {
  Value gradient, parameter, first, second, decay;

  SmallVector<Value> buffers() const { return {gradient, parameter, first, second}; }
};

/// The numbers of one step, in the type that moments are computed in.
struct StepFactors {
  Value scale;          ///< the clipping factor
  Value beta2;          ///<
  Value oneMinusBeta1;  ///<
  Value oneMinusBeta2;  ///<
  Value epsilon;        ///<
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

SmallVector<Value> computeFactors(Thread &t, const Options &options, Type compute) {
  Type f64 = t.builder.getF64Type();
  Value one = t.number(f64, 1);
  auto option = [&](Value memref) { return t.load(memref, {}, f64); };
  Value rate = option(options.rate), step = option(options.step);
  Value beta1 = option(options.beta1), beta2 = option(options.beta2);
  Value correction1 = t.sub(one, power(t, beta1, step));
  Value correction2 = t.sub(one, power(t, beta2, step));
  Value root = math::SqrtOp::create(t.builder, t.loc, correction2);
  SmallVector<Value> factors{options.scale ? option(options.scale) : one,
                             beta2,
                             t.sub(one, beta1),
                             t.sub(one, beta2),
                             option(options.epsilon),
                             t.div(t.sub(t.number(f64, 0), rate), correction1),
                             t.div(one, root)};
  for (Value &factor : factors)
    factor = t.convert(factor, compute);
  return factors;
}

/// The factors of a step and, for each parameter, 1 - learning_rate weight_decay, in shared memory.
class Factors {
public:
  /// One thread computes them. The caller puts a barrier before what follows.
  Factors(Thread &t, const Options &options, ValueRange decays, Type compute) : t(t) {
    auto parameters = static_cast<int64_t>(decays.size());
    memory = t.shared({count + 1}, compute);
    shrinkage = t.shared({parameters}, compute);
    t.when(t.equal(t.thread(), t.index(0)), [&] {
      for (auto [i, factor] : llvm::enumerate(computeFactors(t, options, compute)))
        t.store(factor, memory, t.index(static_cast<int64_t>(i)));
      // LLVM reads eight where it needs seven.
      t.store(t.number(compute, 0), memory, t.index(count));
      Type f64 = t.builder.getF64Type();
      Value rate = t.load(options.rate, {}, f64);
      for (auto [i, decay] : llvm::enumerate(decays)) {
        Value shrink = t.sub(t.number(f64, 1), t.mul(rate, t.load(decay, {}, f64)));
        t.store(shrink, shrinkage, t.index(static_cast<int64_t>(i)));
      }
    });
  }

  StepFactors get() const {
    auto at = [&](int64_t i) { return t.load(memory, t.index(i)); };
    return {at(0), at(1), at(2), at(3), at(4), at(5), at(6)};
  }
  Value shrinkageOf(Value parameter) const { return t.load(shrinkage, parameter); }

private:
  static constexpr int64_t count = sizeof(StepFactors) / sizeof(Value);
  Thread &t;
  Value memory, shrinkage;
};

/// New values of parameters and moments in place of the old ones.
void update(Thread &t, const StepFactors &f, Value shrinkage, ArrayRef<Value> g,
            MutableArrayRef<Value> p, MutableArrayRef<Value> m, MutableArrayRef<Value> v) {
  for (size_t i = 0; i < g.size(); ++i) {
    Value gradient = t.mul(g[i], f.scale);
    m[i] = t.fma(f.oneMinusBeta1, t.sub(gradient, m[i]), m[i]);
    v[i] = t.fma(t.mul(f.oneMinusBeta2, gradient), gradient, t.mul(f.beta2, v[i]));
    Value root = math::SqrtOp::create(t.builder, t.loc, v[i]);
    Value denominator = t.fma(root, f.rootCorrection, f.epsilon);
    p[i] = t.fma(f.minusStepSize, t.div(m[i], denominator), t.mul(shrinkage, p[i]));
  }
}

/// More blocks than a GPU runs at a time would compute the factors more often.
constexpr int64_t mostBlocks = 2048;

/// One launch for parameters whose buffers `BufferLists::flatten` returned.
void emitTogether(Emission &e, ArrayRef<Update> updates, ValueRange options, Type compute) {
  SmallVector<BufferLists::List> lists;
  SmallVector<Value> operands(options);
  for (const Update &update : updates) {
    lists.push_back(update.buffers());
    operands.push_back(update.decay);
  }
  BufferLists buffers(lists);
  size_t others = operands.size();
  llvm::append_range(operands, buffers.operands());
  Value blocks = atMost(e, buffers.chunks(e), mostBlocks);
  e.launch({blocks, {}, {}}, listThreads, operands, [&](Thread &t, ValueRange onDevice) {
    ValueRange given = onDevice.take_front(others);
    Factors factors(t, Options(given.take_front(options.size())), given.drop_front(options.size()),
                    compute);
    buffers.writeTable(t, onDevice.drop_front(others));
    t.barrier();
    StepFactors f = factors.get();
    buffers.forChunks(t, {}, [&](Value list, ArrayRef<Pointer> places, int64_t count, ValueRange) {
      SmallVector<SmallVector<Value>> values;
      for (const Pointer &place : places)
        values.push_back(place.load(t, count, compute));
      update(t, f, factors.shrinkageOf(t.toIndex(list)), values[0], values[1], values[2],
             values[3]);
      for (size_t i : {1, 2, 3})
        places[i].store(t, values[i]);
      return BufferLists::Values();
    });
  });
}

/// A launch for one parameter, whose buffers may lie in any way.
void emitAlone(Emission &e, const Update &one, ValueRange options, Type compute) {
  SmallVector<Value> operands(options);
  operands.push_back(one.decay);
  llvm::append_range(operands, one.buffers());
  auto rank = cast<MemRefType>(one.parameter.getType()).getRank();
  Value size = e.leadingSize(one.parameter, rank);
  operands.push_back(size);
  Value blocks = atMost(e, ceilDiv(e, size, e.index(blockThreads)), mostBlocks);
  e.launch({blocks, {}, {}}, blockThreads, operands, [&](Thread &t, ValueRange onDevice) {
    Factors factors(t, Options(onDevice.take_front(options.size())), onDevice[options.size()],
                    compute);
    t.barrier();
    StepFactors f = factors.get();
    Value shrinkage = factors.shrinkageOf(t.index(0));
    ValueRange buffers = onDevice.slice(options.size() + 1, 4);
    SmallVector<Value> sizes;
    for (int64_t i = 0; i < rank; ++i)
      sizes.push_back(t.dim(buffers[1], i));
    t.forShare(onDevice.back(), 1, {}, [&](Value i, ValueRange) {
      SmallVector<Value> place = delinearize(t, i, sizes), values;
      for (Value buffer : buffers)
        values.push_back(t.load(buffer, place, compute));
      MutableArrayRef<Value> all = values;
      update(t, f, shrinkage, all[0], all.slice(1, 1), all.slice(2, 1), all.slice(3, 1));
      for (size_t j : {1, 2, 3})
        t.store(values[j], buffers[j], place);
      return SmallVector<Value>();
    });
  });
}

} // namespace

LogicalResult emit(kernel::AdamWOp op, ValueRange operands, Emission &e) {
  if (failed(checkRows(op, operands)))
    return failure();
  kernel::AdamWOp::Adaptor in(operands, op);
  Type compute = computeType(cast<MemRefType>(op.getOutputs()[1].getType()).getElementType());
  SmallVector<Value> options{in.getLearningRate(), in.getBeta1(), in.getBeta2(), in.getEpsilon(),
                             in.getStep()};
  if (in.getScale())
    options.push_back(in.getScale());
  SmallVector<Update> dense;
  SmallVector<BufferLists::List> lists;
  for (auto [i, gradient] : llvm::enumerate(in.getGradients())) {
    ValueRange outputs = in.getOutputs().slice(3 * i, 3);
    Update update{gradient, outputs[0], outputs[1], outputs[2], in.getWeightDecays()[i]};
    Update flat = update;
    for (Value *buffer : {&flat.gradient, &flat.parameter, &flat.first, &flat.second})
      *buffer = BufferLists::flatten(e, *buffer);
    if (!llvm::all_of(flat.buffers(), [](Value buffer) { return static_cast<bool>(buffer); })) {
      emitAlone(e, update, options, compute);
      continue;
    }
    dense.push_back(flat);
    lists.push_back(flat.buffers());
  }
  for (const SmallVector<size_t> &part : BufferLists::divide(lists, /*others=*/8)) {
    SmallVector<Update> updates;
    for (size_t number : part)
      updates.push_back(dense[number]);
    emitTogether(e, updates, options, compute);
  }
  return success();
}

} // namespace quern::nvidia
