//===- ConvertTrainingOps.cpp - Gradients, optimizer and cache ops to kernels -----------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "Converter.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace quern::kernels {

/// Logits, loss and all gradients; the gradient of the logits takes their place.
void Converter::convertLossGradient(LinearCrossEntropyGradientOp op) {
  Location loc = op.getLoc();
  Type element = cast<RankedTensorType>(op.getX().getType()).getElementType();
  Value x = get(op.getX()), weight = get(op.getWeight()), targets = get(op.getTargets());
  bool transposed = op.getTransposed();
  Dims sizes = dims.of(op.getX());
  sizes.back() = b.getIndexAttr(
      cast<RankedTensorType>(op.getWeight().getType()).getDimSize(transposed ? 0 : 1));

  Value logits = empty(loc, sizes, element);
  logits = kernel::GemmOp::create(b, loc, TypeRange(logits.getType()), x, weight, get(op.getBias()),
                                  Value(), ValueRange(logits),
                                  /*transpose_a=*/false, transposed)
               .getResult(0);
  Value count = empty(loc, {}, element);
  count = kernel::CountTargetsOp::create(b, loc, TypeRange(count.getType()), targets,
                                         ValueRange(count), op.getIgnoreIndex())
              .getResult(0);
  SmallVector<Value> outputs{destination(op.getResult(0)), logits};
  auto loss =
      kernel::CrossEntropyGradientOp::create(b, loc, TypeRange(ValueRange(outputs)), targets, count,
                                             get(op.getGradient()), outputs, op.getIgnoreIndex());
  set(op.getResult(0), loss.getResult(0));
  Value gradient = loss.getResult(1);

  Value dx = destination(op.getResult(1));
  set(op.getResult(1), kernel::GemmOp::create(b, loc, TypeRange(dx.getType()), gradient, weight,
                                              Value(), Value(), ValueRange(dx),
                                              /*transpose_a=*/false, /*transpose_b=*/!transposed)
                           .getResult(0));
  Value dw = op.getInit() ? get(op.getInit()) : destination(op.getResult(2));
  set(op.getResult(2),
      kernel::GemmOp::create(b, loc, TypeRange(dw.getType()), transposed ? gradient : x,
                             transposed ? x : gradient, Value(), Value(), ValueRange(dw),
                             /*transpose_a=*/true, /*transpose_b=*/false,
                             /*accumulate=*/static_cast<bool>(op.getInit()))
          .getResult(0));
  if (op.getBias()) {
    Value db = destination(op.getResult(3));
    set(op.getResult(3),
        kernel::SumRowsOp::create(b, loc, TypeRange(db.getType()), gradient, ValueRange(db))
            .getResult(0));
  }
}

LogicalResult Converter::convertTraining(Operation *op, bool &known) {
  Location loc = op->getLoc();
  auto single = [&](Value output, auto create) {
    set(op->getResult(0), create(TypeRange(output.getType()), ValueRange(output)).getResult(0));
  };
  auto several = [&](auto create) {
    SmallVector<Value> outputs;
    for (Value result : op->getResults())
      outputs.push_back(destination(result));
    Operation *kernel = create(TypeRange(ValueRange(outputs)), ValueRange(outputs));
    for (auto [result, converted] : llvm::zip(op->getResults(), kernel->getResults()))
      set(result, converted);
  };
  TypeSwitch<Operation *>(op)
      .Case([&](EmbeddingBackwardOp op) {
        single(op.getInit() ? get(op.getInit()) : destination(op.getResult()),
               [&](TypeRange types, ValueRange outputs) {
                 return kernel::EmbeddingBackwardOp::create(b, loc, types, get(op.getTokens()),
                                                            get(op.getGradient()), outputs,
                                                            static_cast<bool>(op.getInit()));
               });
      })
      .Case([&](PositionEmbeddingBackwardOp op) {
        single(op.getInit() ? get(op.getInit()) : destination(op.getResult()),
               [&](TypeRange types, ValueRange outputs) {
                 return kernel::PositionEmbeddingBackwardOp::create(
                     b, loc, types, get(op.getGradient()), outputs,
                     static_cast<bool>(op.getInit()));
               });
      })
      .Case([&](NormBackwardOp op) {
        several([&](TypeRange types, ValueRange outputs) {
          auto kind =
              op.getKind() == NormKind::Layer ? kernel::NormKind::Layer : kernel::NormKind::Rms;
          return kernel::NormBackwardOp::create(
              b, loc, types, get(op.getX()), get(op.getGradient()), get(op.getWeight()),
              get(op.getAddend()), outputs, kind, op.getEpsilon());
        });
      })
      .Case([&](LinearWeightGradientOp op) {
        Value x = get(op.getX()), gradient = get(op.getGradient());
        single(op.getInit() ? get(op.getInit()) : destination(op.getResult()),
               [&](TypeRange types, ValueRange outputs) {
                 return kernel::GemmOp::create(b, loc, types, op.getTransposed() ? gradient : x,
                                               op.getTransposed() ? x : gradient, Value(), Value(),
                                               outputs, /*transpose_a=*/true, /*transpose_b=*/false,
                                               static_cast<bool>(op.getInit()));
               });
      })
      .Case([&](SoftmaxBackwardOp op) {
        single(destination(op.getResult()), [&](TypeRange types, ValueRange outputs) {
          return kernel::SoftmaxBackwardOp::create(b, loc, types, get(op.getY()),
                                                   get(op.getGradient()), outputs);
        });
      })
      .Case([&](AttentionForwardOp op) {
        several([&](TypeRange types, ValueRange outputs) {
          return kernel::AttentionOp::create(
              b, loc, types, get(op.getQ()), get(op.getK()), get(op.getV()), get(op.getMask()),
              get(op.getLengths()), Value(), outputs, op.getCausal(), op.getScale());
        });
      })
      .Case([&](AttentionBackwardOp op) {
        Type element = cast<RankedTensorType>(op.getLse().getType()).getElementType();
        SmallVector<Value> outputs;
        for (Value result : op.getResults())
          outputs.push_back(destination(result));
        outputs.push_back(empty(loc, dims.of(op.getLse()), element));
        auto gradients = kernel::AttentionBackwardOp::create(
            b, loc, TypeRange(ValueRange(outputs)), get(op.getQ()), get(op.getK()), get(op.getV()),
            get(op.getO()), get(op.getLse()), get(op.getGradient()), get(op.getMask()),
            get(op.getLengths()), outputs, op.getCausal(), op.getScale());
        for (auto [result, converted] : llvm::zip(op.getResults(), gradients.getResults()))
          set(result, converted);
      })
      .Case([&](CrossEntropyBackwardOp op) {
        Type element = cast<RankedTensorType>(op.getLogits().getType()).getElementType();
        Value count = empty(loc, {}, element), loss = empty(loc, {}, element);
        count =
            kernel::CountTargetsOp::create(b, loc, TypeRange(count.getType()), get(op.getTargets()),
                                           ValueRange(count), op.getIgnoreIndex())
                .getResult(0);
        SmallVector<Value> outputs{loss, get(op.getLogits())};
        auto gradient = kernel::CrossEntropyGradientOp::create(
            b, loc, TypeRange(ValueRange(outputs)), get(op.getTargets()), count,
            get(op.getGradient()), outputs, op.getIgnoreIndex());
        set(op.getResult(), gradient.getResult(1));
      })
      .Case([&](LinearCrossEntropyGradientOp op) { convertLossGradient(op); })
      .Case([&](SquaredNormOp op) {
        single(destination(op.getResult()), [&](TypeRange types, ValueRange outputs) {
          return kernel::SquaredNormOp::create(b, loc, types, get(op.getInputs()), outputs);
        });
      })
      .Case([&](AdamWOp op) {
        SmallVector<Value> outputs{get(op.getParameter()), get(op.getFirstMoment()),
                                   get(op.getSecondMoment())};
        auto adamw = kernel::AdamWOp::create(
            b, loc, TypeRange(ValueRange(outputs)), get(op.getGradient()), get(op.getScale()),
            get(op.getLearningRate()), get(op.getBeta1()), get(op.getBeta2()), get(op.getEpsilon()),
            get(op.getStep()), get(op.getWeightDecay()), outputs);
        for (auto [result, converted] : llvm::zip(op->getResults(), adamw.getResults()))
          set(result, converted);
      })
      .Case([&](CacheAppendOp op) {
        single(get(op.getCache()), [&](TypeRange types, ValueRange outputs) {
          return kernel::CacheAppendOp::create(b, loc, types, get(op.getX()), get(op.getOffset()),
                                               outputs);
        });
      })
      .Case([&](LastOp op) {
        Dims sizes = dims.of(op.getX()), offsets(sizes.size(), b.getIndexAttr(0)),
             strides(sizes.size(), b.getIndexAttr(1));
        OpFoldResult &offset = offsets[op.getDimension()];
        if (auto size = getConstantIntValue(sizes[op.getDimension()]))
          offset = b.getIndexAttr(*size - 1);
        else
          offset = arith::SubIOp::create(b, loc, cast<Value>(sizes[op.getDimension()]),
                                         arith::ConstantIndexOp::create(b, loc, 1))
                       .getResult();
        set(op.getResult(), tensor::ExtractSliceOp::create(
                                b, loc, cast<RankedTensorType>(op.getResult().getType()),
                                get(op.getX()), offsets, dims.of(op.getResult()), strides));
      })
      .Case([&](SampleOp op) {
        several([&](TypeRange types, ValueRange outputs) {
          return kernel::SampleOp::create(
              b, loc, types, get(op.getLogits()), get(op.getTemperature()), get(op.getTopK()),
              get(op.getTopP()), get(op.getSeed()), get(op.getIndex()), outputs);
        });
      })
      .Default([&](Operation *) { known = false; });
  return success();
}

} // namespace quern::kernels
