//===- GradientRulesTransformer.cpp - Gradients of what Transformers are made of --------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
///
/// \file
/// Formulas are those of the *_backward ops in TrainingOps.td. dy is the adjoint of the result.
///
//===---------------------------------------------------------------------------------------------===//

#include "GradientRules.h"
#include "dialects/Quern/Quern.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace quern;
using namespace quern::model;

static int64_t rowsOf(Value table) { return cast<RankedTensorType>(table.getType()).getDimSize(0); }

//===- Embeddings
//--------------------------------------------------------------------------------===//

static LogicalResult gradient(EmbeddingOp op, OpBuilder &b, Adjoints &a) {
  // The scatter adds to the table's gradient in place: a tied head has made one already.
  Value sum = a.take(op.getTable());
  a.add(b, op.getTable(),
        EmbeddingBackwardOp::create(b, op.getLoc(), op.getTokens(), a.get(op.getResult()), sum,
                                    rowsOf(op.getTable())));
  return success();
}

static LogicalResult gradient(PositionEmbeddingOp op, OpBuilder &b, Adjoints &a) {
  if (op.getOffset())
    return op.emitError("quern.position_embedding has no gradient rule for an offset");
  Value sum = a.take(op.getTable());
  a.add(b, op.getTable(),
        PositionEmbeddingBackwardOp::create(b, op.getLoc(), a.get(op.getResult()), sum,
                                            rowsOf(op.getTable())));
  return success();
}

static LogicalResult gradient(RotaryEmbeddingOp op, OpBuilder &b, Adjoints &a) {
  // A rotation is orthogonal: its transpose rotates back.
  a.add(b, op.getX(),
        RotaryEmbeddingOp::create(b, op.getLoc(), a.get(op.getResult()), op.getOffset(),
                                  op.getBaseAttr(), op.getInterleavedAttr(),
                                  op.getInverse() ? UnitAttr() : b.getUnitAttr()));
  return success();
}

//===- Norms
//-------------------------------------------------------------------------------------===//

/// `dy` is the adjoint of the normalized x; what reaches x otherwise is added by the same op.
static Value normGradient(Location loc, OpBuilder &b, Adjoints &a, Value x, Value dy, Value addend,
                          Value weight, Value bias, NormKind kind, FloatAttr epsilon) {
  bool wantsBias = a.isActive(bias);
  auto backward =
      NormBackwardOp::create(b, loc, x, dy, weight, addend, NormKindAttr::get(b.getContext(), kind),
                             epsilon, wantsBias ? b.getUnitAttr() : UnitAttr());
  if (weight)
    a.add(b, weight, backward.getResult(1));
  if (wantsBias)
    a.add(b, bias, backward.getResults().back());
  return backward.getResult(0);
}

static LogicalResult gradient(LayerNormOp op, OpBuilder &b, Adjoints &a) {
  Value addend = a.take(op.getX());
  a.add(b, op.getX(),
        normGradient(op.getLoc(), b, a, op.getX(), a.get(op.getResult()), addend, op.getWeight(),
                     op.getBias(), NormKind::Layer, op.getEpsilonAttr()));
  return success();
}

static LogicalResult gradient(RmsNormOp op, OpBuilder &b, Adjoints &a) {
  Value addend = a.take(op.getX());
  a.add(b, op.getX(),
        normGradient(op.getLoc(), b, a, op.getX(), a.get(op.getResult()), addend, op.getWeight(),
                     Value(), NormKind::Rms, op.getEpsilonAttr()));
  return success();
}

static LogicalResult gradient(ResidualNormOp op, OpBuilder &b, Adjoints &a) {
  // The backward pass of a loop normalizes the saved sum again, and does not add again.
  OpBuilder after(op->getNextNode());
  Value again = op.getKind() == NormKind::Layer
                    ? Value(LayerNormOp::create(after, op.getLoc(), op.getSum(), op.getWeight(),
                                                op.getBias(), op.getEpsilonAttr()))
                    : Value(RmsNormOp::create(after, op.getLoc(), op.getSum(), op.getWeight(),
                                              op.getEpsilonAttr()));
  op.getResult().replaceUsesWithIf(again, [&](OpOperand &use) { return a.isInBackwardLoop(use); });
  Value sum = a.get(op.getSum());
  if (Value dy = a.get(op.getResult()))
    sum = normGradient(op.getLoc(), b, a, op.getSum(), dy, sum, op.getWeight(), op.getBias(),
                       op.getKind(), op.getEpsilonAttr());
  a.add(b, op.getX(), sum);
  a.add(b, op.getResidual(), sum);
  return success();
}

//===- Linear maps
//-------------------------------------------------------------------------------===//

/// The gradient of a bias: dy summed over all dimensions but the last.
static Value sumOfRows(OpBuilder &b, Location loc, Value dy) {
  int64_t rank = cast<RankedTensorType>(dy.getType()).getRank();
  if (rank == 1)
    return dy;
  return SumOp::create(b, loc, dy, llvm::to_vector(llvm::seq<int64_t>(0, rank - 1)));
}

/// One linear map y = x W + bias.
static void linearGradient(Location loc, OpBuilder &b, Adjoints &a, Value x, Value weight,
                           Value bias, bool transposed, Value dy) {
  if (a.isActive(bias))
    a.add(b, bias, sumOfRows(b, loc, dy));
  if (a.isActive(weight)) {
    Value sum = a.take(weight);
    a.add(b, weight, LinearWeightGradientOp::create(b, loc, x, dy, sum, transposed));
  }
  if (a.isActive(x))
    a.add(b, x, LinearOp::create(b, loc, dy, weight, Value(), !transposed));
}

static LogicalResult gradient(LinearOp op, OpBuilder &b, Adjoints &a) {
  linearGradient(op.getLoc(), b, a, op.getX(), op.getWeight(), op.getBias(), op.getTransposed(),
                 a.get(op.getResult()));
  return success();
}

static LogicalResult gradient(FusedLinearOp op, OpBuilder &b, Adjoints &a) {
  for (auto [i, weight] : llvm::enumerate(op.getWeights()))
    if (Value dy = a.get(op.getResult(i)))
      linearGradient(op.getLoc(), b, a, op.getX(), weight,
                     op.getBiases().empty() ? Value() : op.getBiases()[i], op.getTransposed(), dy);
  return success();
}

static LogicalResult gradient(MatmulOp op, OpBuilder &b, Adjoints &a) {
  // C = op(A) op(B): dA = dC op(B)^T, dB = op(A)^T dC, transposed themselves where the operand is.
  Value dc = a.get(op.getResult()), lhs = op.getA(), rhs = op.getB();
  bool ta = op.getTransposeA(), tb = op.getTransposeB();
  Location loc = op.getLoc();
  if (a.isActive(lhs))
    a.add(b, lhs,
          ta ? MatmulOp::create(b, loc, rhs, dc, tb, /*transpose_b=*/true)
             : MatmulOp::create(b, loc, dc, rhs, /*transpose_a=*/false, !tb));
  if (a.isActive(rhs))
    a.add(b, rhs,
          tb ? MatmulOp::create(b, loc, dc, lhs, /*transpose_a=*/true, ta)
             : MatmulOp::create(b, loc, lhs, dc, !ta, /*transpose_b=*/false));
  return success();
}

//===- Attention
//---------------------------------------------------------------------------------===//

static LogicalResult gradient(SoftmaxOp op, OpBuilder &b, Adjoints &a) {
  a.add(b, op.getX(),
        SoftmaxBackwardOp::create(b, op.getLoc(), op.getResult(), a.get(op.getResult())));
  return success();
}

static LogicalResult gradient(AttentionOp op, OpBuilder &b, Adjoints &a) {
  if (op.getOffset())
    return op.emitError("quern.attention has no gradient rule for an offset");
  if (a.isActive(op.getMask()))
    return op.emitError("quern.attention has no gradient rule for its mask, which depends on a "
                        "parameter here");
  // The forward pass returns the log-sum-exp as well.
  OpBuilder atOp(op);
  auto forward = AttentionForwardOp::create(atOp, op.getLoc(), op.getQ(), op.getK(), op.getV(),
                                            op.getMask(), op.getLengths(), op.getCausalAttr(),
                                            atOp.getF64FloatAttr(op.getEffectiveScale()));
  Value dy = a.get(op.getResult());
  auto backward = AttentionBackwardOp::create(
      b, op.getLoc(), op.getQ(), op.getK(), op.getV(), forward.getResult(), forward.getLse(), dy,
      op.getMask(), op.getLengths(), op.getCausalAttr(), forward.getScaleAttr());
  a.add(b, op.getQ(), backward.getDq());
  a.add(b, op.getK(), backward.getDk());
  a.add(b, op.getV(), backward.getDv());
  op.getResult().replaceAllUsesWith(forward.getResult());
  op.erase();
  return success();
}

/// What `AttentionOp` became when a program is differentiated that already returns the log-sum-exp.
static LogicalResult gradient(AttentionForwardOp op, OpBuilder &b, Adjoints &a) {
  if (a.get(op.getLse()))
    return op.emitError("quern.attention_forward has no gradient rule for its log-sum-exp");
  auto backward = AttentionBackwardOp::create(
      b, op.getLoc(), op.getQ(), op.getK(), op.getV(), op.getResult(), op.getLse(),
      a.get(op.getResult()), op.getMask(), op.getLengths(), op.getCausalAttr(), op.getScaleAttr());
  a.add(b, op.getQ(), backward.getDq());
  a.add(b, op.getK(), backward.getDk());
  a.add(b, op.getV(), backward.getDv());
  return success();
}

//===- Activations
//-------------------------------------------------------------------------------===//

template <typename OpTy>
static LogicalResult activationGradient(OpTy op, OpBuilder &b, Adjoints &a, StringRef function) {
  a.add(b, op.getX(),
        ActivationBackwardOp::create(b, op.getLoc(), op.getX(), a.get(op.getResult()), function));
  return success();
}
static LogicalResult gradient(GeluOp op, OpBuilder &b, Adjoints &a) {
  return activationGradient(op, b, a, op.getTanh() ? "gelu_tanh" : "gelu");
}
static LogicalResult gradient(SiluOp op, OpBuilder &b, Adjoints &a) {
  return activationGradient(op, b, a, "silu");
}
static LogicalResult gradient(ReluOp op, OpBuilder &b, Adjoints &a) {
  return activationGradient(op, b, a, "relu");
}

static LogicalResult gradient(SwigluOp op, OpBuilder &b, Adjoints &a) {
  auto backward =
      SwigluBackwardOp::create(b, op.getLoc(), op.getGate(), op.getUp(), a.get(op.getResult()));
  a.add(b, op.getGate(), backward.getDgate());
  a.add(b, op.getUp(), backward.getDup());
  return success();
}

//===- Losses
//------------------------------------------------------------------------------------===//

static LogicalResult gradient(CrossEntropyOp op, OpBuilder &b, Adjoints &a) {
  a.add(b, op.getLogits(),
        CrossEntropyBackwardOp::create(b, op.getLoc(), op.getLogits(), op.getTargets(),
                                       a.get(op.getLoss()), op.getIgnoreIndex()));
  return success();
}

static LogicalResult gradient(LinearCrossEntropyOp op, OpBuilder &b, Adjoints &a) {
  // Loss and gradients come from one pass over the logits. Where the adjoint of the loss is known
  // beforehand, as it is for the loss that the program returns, that pass is also the forward one.
  Value dloss = a.get(op.getLoss());
  bool known = dloss.getDefiningOp<arith::ConstantOp>() && isa<FunctionOp>(op->getParentOp());
  bool last = llvm::all_of(op.getLoss().getUsers(),
                           [](Operation *user) { return user->hasTrait<OpTrait::IsTerminator>(); });
  OpBuilder atOp(op);
  OpBuilder &at = known && !last ? atOp : b;
  Value sum = known && !last ? Value() : a.take(op.getWeight());
  if (known)
    dloss = at.clone(*dloss.getDefiningOp())->getResult(0);
  auto both = LinearCrossEntropyGradientOp::create(at, op.getLoc(), op.getX(), op.getWeight(),
                                                   op.getTargets(), dloss, op.getBias(), sum,
                                                   op.getTransposed(), op.getIgnoreIndex());
  a.add(b, op.getX(), both.getResult(1));
  a.add(b, op.getWeight(), both.getResult(2));
  if (op.getBias())
    a.add(b, op.getBias(), both.getResult(3));
  if (known) {
    op.getLoss().replaceAllUsesWith(both.getResult(0));
    op.erase();
  }
  return success();
}

//===- The table
//---------------------------------------------------------------------------------===//

void model::registerTransformerGradients(DialectRegistry &registry) {
  registry.addExtension(+[](MLIRContext *context, QuernDialect *) {
    using Cost = RecomputeCost;
    attach<EmbeddingOp, gradient, Cost::Pointwise, 1>(context);
    attach<PositionEmbeddingOp, gradient, Cost::Pointwise, 1>(context);
    attach<RotaryEmbeddingOp, gradient, Cost::Pointwise, 4>(context);
    attach<LayerNormOp, gradient, Cost::Pointwise, 8>(context);
    attach<RmsNormOp, gradient, Cost::Pointwise, 5>(context);
    attach<ResidualNormOp, gradient, Cost::Pointwise, 5>(context);
    attach<LinearOp, gradient, Cost::Never>(context);
    attach<FusedLinearOp, gradient, Cost::Never>(context);
    attach<MatmulOp, gradient, Cost::Never>(context);
    attach<SoftmaxOp, gradient, Cost::Pointwise, 20>(context);
    attach<AttentionOp, gradient, Cost::Never>(context);
    attach<AttentionForwardOp, gradient, Cost::Never>(context);
    attach<GeluOp, gradient, Cost::Pointwise, 25>(context);
    attach<SiluOp, gradient, Cost::Pointwise, 20>(context);
    attach<ReluOp, gradient, Cost::Pointwise, 1>(context);
    attach<SwigluOp, gradient, Cost::Pointwise, 21>(context);
    attach<CrossEntropyOp, gradient, Cost::Never>(context);
    attach<LinearCrossEntropyOp, gradient, Cost::Never>(context);
  });
}
