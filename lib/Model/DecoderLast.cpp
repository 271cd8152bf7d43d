//===- DecoderLast.cpp - Results of a program for the last position alone ---------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
///
/// \file
/// The next token depends on the logits of the last position alone. A prompt's others would cost a
/// product with the whole vocabulary for each token, a fifth of the work of a small model, and
/// memory for all of them. `quern.last` moves up from the results to where positions still meet:
/// the last layer's attention is inside of it, so that it stops at the loop of layers.
///
//===---------------------------------------------------------------------------------------------===//

#include "DecoderLast.h"

#include "Gradient.h"

#include "mlir/IR/IRMapping.h"

using namespace mlir;
using namespace quern;
using namespace quern::model;

namespace {

class LastPosition {
public:
  explicit LastPosition(const SequenceAnalysis &sequence) : sequence(sequence) {}

  /// `value`, of which the last position is left; itself where it has no sequence.
  Value of(Value value);

private:
  static bool treatsPositionsAlone(Operation *op);

  const SequenceAnalysis &sequence;
  IRMapping lasts;
};

} // namespace

/// Ops whose results have the sequence where their operands have it.
bool LastPosition::treatsPositionsAlone(Operation *op) {
  return op->hasTrait<OpTrait::Elementwise>() ||
         isa<GeluOp, SiluOp, ReluOp, SwigluOp, LayerNormOp, RmsNormOp, ResidualNormOp, SoftmaxOp,
             LinearOp, FusedLinearOp, SplitHeadsOp, MergeHeadsOp, FullOp>(op);
}

Value LastPosition::of(Value value) {
  std::optional<int64_t> dim = sequence.get(value);
  if (!dim)
    return value;
  if (Value last = lasts.lookupOrNull(value))
    return last;
  Operation *op = value.getDefiningOp();
  if (!op || !treatsPositionsAlone(op)) {
    OpBuilder b(value.getContext());
    b.setInsertionPointAfterValue(value);
    Value last = LastOp::create(b, value.getLoc(), value, static_cast<uint64_t>(*dim));
    lasts.map(value, last);
    return last;
  }
  for (Value operand : op->getOperands())
    if (Value last = of(operand); last != operand)
      lasts.map(operand, last);
  OpBuilder b(op);
  b.clone(*op, lasts); // maps its results too
  return lasts.lookup(value);
}

void model::keepLast(FunctionOp program, const SequenceAnalysis &sequence) {
  LastPosition last(sequence);
  ReturnOp end = program.getReturn();
  for (OpOperand &result : end->getOpOperands())
    result.set(last.of(result.get()));
  eraseDeadOps(program.getBody());
}
