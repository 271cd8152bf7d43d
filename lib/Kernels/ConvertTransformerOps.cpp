//===- ConvertTransformerOps.cpp - Transformer ops to kernels ---------------------------------===//
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

static kernel::NormKind kernelKind(NormKind kind) {
  return kind == NormKind::Layer ? kernel::NormKind::Layer : kernel::NormKind::Rms;
}

/// The activation that an op applies, if a gemm can.
static kernel::Activation activationOf(Operation *op) {
  if (auto gelu = dyn_cast<GeluOp>(op))
    return gelu.getTanh() ? kernel::Activation::GeluTanh : kernel::Activation::GeluErf;
  if (isa<SiluOp>(op))
    return kernel::Activation::Silu;
  return isa<ReluOp>(op) ? kernel::Activation::Relu : kernel::Activation::None;
}

void Converter::gemm(Location loc, Value a, Value weight, Value bias, bool transposed,
                     Value result) {
  Value output = destination(result);
  set(result, kernel::GemmOp::create(b, loc, TypeRange(output.getType()), a, weight, bias, Value(),
                                     ValueRange(output),
                                     /*transpose_a=*/false, transposed)
                  .getResult(0));
}

/// A linear map takes along what is done with its result: an activation, or the addition of a
/// residual.
void Converter::convertLinear(LinearOp op) {
  Location loc = op.getLoc();
  Value x = get(op.getX()), weight = get(op.getWeight()), bias = get(op.getBias());
  Value result = op.getResult();
  Operation *activation = nullptr;
  for (Operation *user : result.getUsers())
    if (user->getBlock() == op->getBlock() && activationOf(user) != kernel::Activation::None) {
      activation = user;
      break;
    }
  if (activation) {
    Value activated = activation->getResult(0);
    SmallVector<Value> outputs{destination(activated)};
    if (!result.hasOneUse())
      outputs.push_back(destination(result));
    auto gemm = kernel::GemmOp::create(b, loc, TypeRange(ValueRange(outputs)), x, weight, bias,
                                       Value(), outputs, /*transpose_a=*/false, op.getTransposed(),
                                       /*accumulate=*/false, activationOf(activation));
    set(activated, gemm.getResult(0));
    if (!result.hasOneUse())
      set(result, gemm.getResult(1));
    done.insert(activation);
    ++epilogues;
    return;
  }
  auto add =
      result.hasOneUse() ? dyn_cast<arith::AddFOp>(*result.getUsers().begin()) : arith::AddFOp();
  Value residual = !add ? Value() : get(add.getLhs() == result ? add.getRhs() : add.getLhs());
  if (add && residual && add->getBlock() == op->getBlock() && add.getLhs() != add.getRhs()) {
    // The sum is computed here, earlier than the text says: its place must be free by now.
    Value place = places.lookup(add.getResult());
    bool free = !place;
    if (auto argument = dyn_cast_if_present<BlockArgument>(place); argument) {
      free = true;
      for (auto [value, converted] : values)
        if (converted == place)
          for (Operation *user : value.getUsers())
            free = free && (user->getBlock() != op->getBlock() || user->isBeforeInBlock(op));
    }
    if (free) {
      Value output = destination(add.getResult());
      auto gemm = kernel::GemmOp::create(b, loc, TypeRange(output.getType()), x, weight, bias,
                                         residual, ValueRange(output),
                                         /*transpose_a=*/false, op.getTransposed());
      set(add.getResult(), gemm.getResult(0));
      done.insert(add);
      ++epilogues;
      return;
    }
  }
  gemm(loc, x, weight, bias, op.getTransposed(), result);
}

LogicalResult Converter::convertTransformer(Operation *op, bool &known) {
  Location loc = op->getLoc();
  // An op with one result and one output.
  auto single = [&](auto create) {
    Value output = destination(op->getResult(0));
    set(op->getResult(0), create(TypeRange(output.getType()), ValueRange(output)).getResult(0));
  };
  TypeSwitch<Operation *>(op)
      .Case([&](EmbeddingOp op) {
        single([&](TypeRange types, ValueRange outputs) {
          return kernel::EmbeddingOp::create(b, loc, types, get(op.getTokens()), get(op.getTable()),
                                             Value(), Value(), outputs);
        });
      })
      .Case([&](PositionEmbeddingOp op) {
        single([&](TypeRange types, ValueRange outputs) {
          return kernel::PositionEmbeddingOp::create(b, loc, types, get(op.getTable()),
                                                     get(op.getOffset()), outputs);
        });
      })
      .Case([&](RotaryEmbeddingOp op) {
        single([&](TypeRange types, ValueRange outputs) {
          return kernel::RotaryOp::create(b, loc, types, get(op.getX()), get(op.getOffset()),
                                          outputs, op.getBase(), op.getInterleaved(),
                                          op.getInverse());
        });
      })
      .Case([&](LayerNormOp op) {
        single([&](TypeRange types, ValueRange outputs) {
          return kernel::NormOp::create(b, loc, types, get(op.getX()), Value(), get(op.getWeight()),
                                        get(op.getBias()), outputs, kernel::NormKind::Layer,
                                        op.getEpsilon());
        });
      })
      .Case([&](RmsNormOp op) {
        single([&](TypeRange types, ValueRange outputs) {
          return kernel::NormOp::create(b, loc, types, get(op.getX()), Value(), get(op.getWeight()),
                                        Value(), outputs, kernel::NormKind::Rms, op.getEpsilon());
        });
      })
      .Case([&](ResidualNormOp op) {
        SmallVector<Value> outputs{destination(op.getResult()), destination(op.getSum())};
        auto norm =
            kernel::NormOp::create(b, loc, TypeRange(ValueRange(outputs)), get(op.getX()),
                                   get(op.getResidual()), get(op.getWeight()), get(op.getBias()),
                                   outputs, kernelKind(op.getKind()), op.getEpsilon());
        set(op.getResult(), norm.getResult(0));
        set(op.getSum(), norm.getResult(1));
      })
      .Case([&](LinearOp op) { convertLinear(op); })
      .Case([&](FusedLinearOp op) {
        for (auto [i, weight] : llvm::enumerate(op.getWeights()))
          gemm(loc, get(op.getX()), get(weight),
               op.getBiases().empty() ? Value() : get(op.getBiases()[i]), op.getTransposed(),
               op.getResult(i));
      })
      .Case([&](MatmulOp op) {
        bool flat = cast<RankedTensorType>(op.getA().getType()).getRank() == 2 &&
                    !(op.getTransposeA() && op.getTransposeB());
        if (flat)
          return single([&](TypeRange types, ValueRange outputs) {
            return kernel::GemmOp::create(b, loc, types, get(op.getA()), get(op.getB()), Value(),
                                          Value(), outputs, op.getTransposeA(), op.getTransposeB());
          });
        single([&](TypeRange types, ValueRange outputs) {
          return kernel::BatchGemmOp::create(b, loc, types, get(op.getA()), get(op.getB()), outputs,
                                             op.getTransposeA(), op.getTransposeB());
        });
      })
      .Case([&](SoftmaxOp op) {
        single([&](TypeRange types, ValueRange outputs) {
          return kernel::SoftmaxOp::create(b, loc, types, get(op.getX()), outputs);
        });
      })
      .Case([&](AttentionOp op) {
        single([&](TypeRange types, ValueRange outputs) {
          return kernel::AttentionOp::create(b, loc, types, get(op.getQ()), get(op.getK()),
                                             get(op.getV()), get(op.getMask()),
                                             get(op.getLengths()), get(op.getOffset()), outputs,
                                             op.getCausal(), llvm::APFloat(op.getEffectiveScale()));
        });
      })
      .Case([&](CrossEntropyOp op) {
        Value count =
            empty(loc, {}, cast<RankedTensorType>(op.getLoss().getType()).getElementType());
        count =
            kernel::CountTargetsOp::create(b, loc, TypeRange(count.getType()), get(op.getTargets()),
                                           ValueRange(count), op.getIgnoreIndex())
                .getResult(0);
        single([&](TypeRange types, ValueRange outputs) {
          return kernel::CrossEntropyOp::create(b, loc, types, get(op.getLogits()),
                                                get(op.getTargets()), count, outputs,
                                                op.getIgnoreIndex());
        });
      })
      .Case([&](LinearCrossEntropyOp op) {
        Type element = cast<RankedTensorType>(op.getX().getType()).getElementType();
        int64_t vocabulary =
            cast<RankedTensorType>(op.getWeight().getType()).getDimSize(op.getTransposed() ? 0 : 1);
        Dims sizes = dims.of(op.getX());
        sizes.back() = b.getIndexAttr(vocabulary);
        Value logits = empty(loc, sizes, element);
        logits =
            kernel::GemmOp::create(b, loc, TypeRange(logits.getType()), get(op.getX()),
                                   get(op.getWeight()), get(op.getBias()), Value(),
                                   ValueRange(logits), /*transpose_a=*/false, op.getTransposed())
                .getResult(0);
        Value count = empty(loc, {}, element);
        count =
            kernel::CountTargetsOp::create(b, loc, TypeRange(count.getType()), get(op.getTargets()),
                                           ValueRange(count), op.getIgnoreIndex())
                .getResult(0);
        single([&](TypeRange types, ValueRange outputs) {
          return kernel::CrossEntropyOp::create(b, loc, types, logits, get(op.getTargets()), count,
                                                outputs, op.getIgnoreIndex());
        });
      })
      .Default([&](Operation *) { known = false; });
  return success();
}

} // namespace quern::kernels
