//===- DecoderSequence.cpp - Which dimension of a value is the sequence -----------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "DecoderSequence.h"
#include "DeriveDimensions.h"
#include "DerivePrograms.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"

#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace quern;
using namespace quern::model;

static int64_t rankOf(Value value) {
  auto type = dyn_cast<RankedTensorType>(value.getType());
  return type ? type.getRank() : 0;
}

/// "cannot be made incremental: 'quern.softmax' looks across the sequence, ...".
static InFlightDiagnostic fail(Operation *op) {
  return op->emitError("prefill and decode cannot be derived: '") << op->getName() << "' ";
}
static LogicalResult looksAcross(Operation *op, StringRef what) {
  return fail(op)
         << "looks across the sequence (" << what
         << "); only causal self-attention may: quern.attention with 'causal', without mask "
            "and lengths";
}

std::optional<int64_t> SequenceAnalysis::get(Value value) const {
  auto it = dims.find(value);
  return it == dims.end() ? std::nullopt : std::optional(it->second);
}

void SequenceAnalysis::set(Value value, std::optional<int64_t> dim) {
  if (dim)
    dims[value] = *dim;
}

LogicalResult SequenceAnalysis::run(FunctionOp program, StringRef name) {
  for (unsigned i = 0; i < program.getNumArguments(); ++i)
    for (auto [dim, given] : llvm::enumerate(getDimensionNames(program, i)))
      if (given == name && getRole(program, i) == "input")
        dims[program.getArgument(i)] = dim;
  if (dims.empty())
    return mlir::emitError(program.getLoc(),
                           "prefill and decode cannot be derived: no input of the "
                           "forward function has a dimension named '")
           << name
           << "'; name it in the text, such as %tokens: tensor<?x?xi32> {quern.dims = [\"batch\", "
              "\""
           << name << "\"]}";
  return visit(program.getBody().front());
}

LogicalResult SequenceAnalysis::visit(Block &block) {
  for (Operation &op : block.without_terminator())
    if (failed(visit(&op)))
      return failure();
  return success();
}

LogicalResult SequenceAnalysis::visitScan(ScanOp scan) {
  for (auto [argument, init] : llvm::zip(scan.getCarriedArguments(), scan.getInits()))
    set(argument, get(init));
  for (auto [slice, stack] : llvm::zip(scan.getSliceArguments(), scan.getStacks()))
    if (std::optional<int64_t> dim = get(stack)) {
      if (*dim == 0)
        return looksAcross(scan, "its layers are positions");
      set(slice, *dim - 1);
    }
  // A carried value may begin without a sequence and get one.
  for (bool changed = true; changed;) {
    changed = false;
    if (failed(visit(scan.getBody().front())))
      return failure();
    for (auto [argument, value] :
         llvm::zip(scan.getCarriedArguments(), scan.getYield().getOperands())) {
      if (get(argument) == get(value))
        continue;
      if (get(argument))
        return looksAcross(scan, "a carried value changes the dimension of its sequence");
      set(argument, get(value));
      changed = true;
    }
  }
  for (auto [i, value] : llvm::enumerate(scan.getYield().getOperands()))
    if (std::optional<int64_t> dim = get(value))
      set(scan.getResult(i), i < scan.getNumCarried() ? *dim : *dim + 1);
  return success();
}

LogicalResult SequenceAnalysis::visitElementwise(Operation *op) {
  std::optional<int64_t> dim;
  for (Value operand : op->getOperands())
    if (!dim)
      dim = get(operand);
  for (Value operand : op->getOperands())
    if (rankOf(operand) && get(operand) != dim && !matchPattern(operand, m_Constant()))
      return fail(op) << "mixes a tensor that goes along the sequence with one that does not: "
                      << operand.getType();
  for (Value operand : op->getOperands()) {
    DenseElementsAttr constant;
    if (rankOf(operand) && matchPattern(operand, m_Constant(&constant)) && !constant.isSplat())
      return fail(op) << "takes a constant that differs from position to position";
  }
  for (Value result : op->getResults())
    set(result, dim);
  return success();
}

LogicalResult SequenceAnalysis::visitAttention(AttentionOp op) {
  std::optional<int64_t> q = get(op.getQ()), k = get(op.getK()), v = get(op.getV());
  if (op.getOffset())
    return fail(op) << "has an offset already";
  for (Value value : {op.getMask(), op.getLengths()})
    if (value && (k || get(value)))
      return looksAcross(op, value == op.getMask() ? "with a mask" : "with lengths");
  if (!k && !v) { // the keys are those of another sequence
    if (op.getCausal())
      return looksAcross(op, "causal attention to another sequence");
    set(op.getResult(), q);
    return success();
  }
  if (q != 1 || k != 1 || v != 1)
    return looksAcross(op, "queries, keys and values must be [batch, sequence, heads, size]");
  if (!op.getCausal())
    return looksAcross(op, "without 'causal', a query sees keys that come after it");
  set(op.getResult(), 1);
  return success();
}

LogicalResult SequenceAnalysis::visitMatmul(MatmulOp op) {
  std::optional<int64_t> a = get(op.getA()), b = get(op.getB());
  int64_t m = rankOf(op.getResult()) - 2, n = m + 1;
  bool contractsA = a && *a == (op.getTransposeA() ? m : n);
  bool contractsB = b && *b == (op.getTransposeB() ? n : m);
  if (contractsA || contractsB)
    return looksAcross(op, "it sums over positions");
  // Where the sequences of A and B come to stand in the result.
  std::optional<int64_t> fromA = a && *a >= m ? m : a, fromB = b && *b >= m ? n : b;
  if (fromA && fromB && fromA != fromB)
    return looksAcross(op, "every position meets every other");
  if ((fromA && !fromB && *fromA < m) || (fromB && !fromA && *fromB < m))
    return fail(op) << "mixes a tensor that goes along the sequence with one that does not";
  set(op.getResult(), fromA ? fromA : fromB);
  return success();
}

LogicalResult SequenceAnalysis::visitBroadcast(BroadcastOp op) {
  std::optional<int64_t> like = get(op.getLike()), x = get(op.getX());
  int64_t missing = rankOf(op.getLike()) - rankOf(op.getX());
  bool fits = true;
  if (x)
    fits = like && *x + missing == *like;
  else if (like && *like >= missing)
    fits = cast<RankedTensorType>(op.getX().getType()).getDimSize(*like - missing) == 1;
  if (!fits)
    return fail(op) << "mixes a tensor that goes along the sequence with one that does not: "
                    << op.getX().getType() << " and " << op.getLike().getType();
  set(op.getResult(), like);
  return success();
}

LogicalResult SequenceAnalysis::visitReshape(Operation *op, Value whole, Value parts,
                                             ArrayRef<ReassociationIndices> groups, bool expands) {
  std::optional<int64_t> dim = get(expands ? whole : parts);
  auto type = cast<RankedTensorType>(parts.getType());
  for (auto [i, group] : llvm::enumerate(groups)) {
    if (expands ? dim != static_cast<int64_t>(i) : !llvm::is_contained(group, *dim))
      continue;
    // The sequence must stand alone in its group but for dimensions of size 1.
    SmallVector<int64_t> others;
    for (int64_t part : group)
      if (type.getDimSize(part) != 1)
        others.push_back(part);
    if (others.empty())
      others.push_back(group.back());
    if (others.size() != 1)
      return looksAcross(op, "it merges or splits the sequence");
    set(expands ? parts : whole, expands ? others[0] : static_cast<int64_t>(i));
  }
  return success();
}

LogicalResult SequenceAnalysis::visit(Operation *op) {
  if (auto scan = dyn_cast<ScanOp>(op))
    return visitScan(scan);
  if (llvm::none_of(op->getOperands(), [&](Value operand) { return get(operand).has_value(); }))
    return success();
  if (op->hasTrait<OpTrait::Elementwise>())
    return visitElementwise(op);
  std::optional<int64_t> dim = get(op->getOperand(0));
  // Ops that treat the vectors of their first operand's last dimension one by one.
  auto rowwise = [&]() -> LogicalResult {
    for (Value operand : op->getOperands().drop_front())
      if (get(operand))
        return looksAcross(op, "through an operand other than its first");
    if (*dim == rankOf(op->getOperand(0)) - 1)
      return looksAcross(op, "along its last dimension");
    for (Value result : op->getResults())
      set(result, dim);
    return success();
  };
  auto positional = [&](Value offset) -> LogicalResult {
    if (dim != 1)
      return fail(op) << "needs the sequence as dimension 1";
    if (offset)
      return fail(op) << "has an offset already";
    return rowwise();
  };
  /// Ops that change one dimension, which must not be the sequence.
  auto along = [&](int64_t dimension) -> LogicalResult {
    for (Value operand : op->getOperands())
      if (get(operand) != dim)
        return fail(op) << "mixes a tensor that goes along the sequence with one that does not";
    if (dim == dimension)
      return looksAcross(op, "it cuts or joins the sequence");
    for (Value result : op->getResults())
      set(result, dim);
    return success();
  };
  return TypeSwitch<Operation *, LogicalResult>(op)
      .Case<GeluOp, SiluOp, ReluOp, SwigluOp>([&](auto) { return visitElementwise(op); })
      .Case<LayerNormOp, RmsNormOp, SoftmaxOp, LinearOp, FusedLinearOp, SplitHeadsOp>(
          [&](auto) { return rowwise(); })
      .Case([&](EmbeddingOp) -> LogicalResult {
        if (!dim)
          return looksAcross(op, "its table");
        set(op->getResult(0), dim);
        return success();
      })
      .Case([&](PositionEmbeddingOp embedding) -> LogicalResult {
        if (dim != 1)
          return fail(op) << "needs the sequence as dimension 1";
        if (embedding.getOffset())
          return fail(op) << "has an offset already";
        set(op->getResult(0), 1);
        return success();
      })
      .Case([&](RotaryEmbeddingOp rotary) { return positional(rotary.getOffset()); })
      .Case([&](ResidualNormOp norm) -> LogicalResult {
        if (!dim || get(norm.getResidual()) != dim || get(norm.getWeight()) || get(norm.getBias()))
          return fail(op) << "mixes a tensor that goes along the sequence with one that does not";
        if (*dim == rankOf(norm.getX()) - 1)
          return looksAcross(op, "along its last dimension");
        set(norm.getResult(), dim);
        set(norm.getSum(), dim);
        return success();
      })
      .Case([&](MergeHeadsOp merge) -> LogicalResult {
        if (*dim >= rankOf(merge.getX()) - 2)
          return looksAcross(op, "it merges the sequence");
        set(merge.getResult(), dim);
        return success();
      })
      .Case([&](TransposeOp transpose) -> LogicalResult {
        for (auto [i, from] : llvm::enumerate(transpose.getPermutation()))
          if (from == *dim)
            set(transpose.getResult(), i);
        return success();
      })
      .Case<SplitOp, RepeatOp, ConcatenateOp>(
          [&](auto op) { return along(static_cast<int64_t>(op.getDimension())); })
      .Case([&](BroadcastOp broadcast) { return visitBroadcast(broadcast); })
      .Case([&](FullOp full) -> LogicalResult {
        set(full.getResult(), dim);
        return success();
      })
      .Case([&](SumOp sum) -> LogicalResult {
        if (llvm::is_contained(sum.getDimensions(), *dim))
          return looksAcross(op, "it sums over positions");
        set(sum.getResult(), *dim - llvm::count_if(sum.getDimensions(),
                                                   [&](int64_t other) { return other < *dim; }));
        return success();
      })
      .Case([&](MatmulOp matmul) { return visitMatmul(matmul); })
      .Case([&](AttentionOp attention) { return visitAttention(attention); })
      .Case([&](tensor::CastOp conversion) -> LogicalResult {
        set(conversion.getResult(), dim);
        return success();
      })
      .Case([&](tensor::ExpandShapeOp expand) -> LogicalResult {
        if (!dim)
          return success(); // a size, see tensor.dim
        return visitReshape(op, expand.getSrc(), expand.getResult(),
                            expand.getReassociationIndices(), /*expands=*/true);
      })
      .Case([&](tensor::CollapseShapeOp collapse) {
        return visitReshape(op, collapse.getResult(), collapse.getSrc(),
                            collapse.getReassociationIndices(), /*expands=*/false);
      })
      .Case([&](tensor::DimOp size) -> LogicalResult {
        // The length may be the size of a reshape, and nothing to calculate with.
        if (size.getConstantIndex() && *size.getConstantIndex() != *dim)
          return success();
        for (Operation *user : size.getResult().getUsers())
          if (!isa<tensor::ExpandShapeOp>(user))
            return looksAcross(op, "calculations with the length");
        return success();
      })
      .Default([&](Operation *) -> LogicalResult {
        return fail(op) << "is not known to treat positions one by one";
      });
}
