//===- CrossEntropy.cpp - Cross-entropy, its gradient, the count of targets -------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
// Rows are split into a fixed number of blocks. The loss is summed in f64: within a block in the
// order of its rows, then over the blocks in their order, whichever thread computed them.

#include "Emitters.h"
#include "Softmax.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

#include <limits>
#include <optional>

using namespace mlir;

namespace quern::cpu {

/// Blocks that rows are split into: many more than threads, few enough to add up in no time.
constexpr int64_t lossBlocks = 64;

namespace {

/// One kernel over rows of logits.
class CrossEntropy {
public:
  /// With `factor` (seed / count), the logits become their gradient.
  CrossEntropy(Emission &e, Value logits, Value targets, int64_t ignoreIndex, Value factor = {})
      : e(e), b(e.builder), v(e, computeType(cast<MemRefType>(logits.getType()).getElementType())),
        targets(targets), factor(factor), ignoreIndex(ignoreIndex) {
    int64_t rank = cast<MemRefType>(logits.getType()).getRank();
    columns = e.dim(logits, rank - 1);
    rows = e.leadingSize(logits, rank - 1);
    matrix = mergeRows(e, logits);
    if (BlockedExponentials::canTake(matrix))
      blocks.emplace(v, matrix, /*replaces=*/static_cast<bool>(factor));
    f64 = b.getF64Type();
    for (int64_t i = 0; i + 1 < rank; ++i)
      sizes.push_back(e.dim(logits, i));
  }

  /// Writes the loss, and the gradient if there is a factor.
  void run(Value count, Value loss);

private:
  Value rowLoss(Value row);
  Value toF64(Value value) {
    return value.getType() == f64 ? value : arith::ExtFOp::create(b, e.loc, f64, value).getResult();
  }

  Emission &e;
  OpBuilder &b;
  Vectors v;
  Value targets, factor, columns, rows, matrix;
  int64_t ignoreIndex;
  Type f64;
  SmallVector<Value> sizes;
  std::optional<BlockedExponentials> blocks; ///< none: rows are read pass by pass
};

/// The negative log-likelihood of one row in f64, 0 where its target is ignored.
Value CrossEntropy::rowLoss(Value row) {
  Location loc = e.loc;
  Value target = memref::LoadOp::create(b, loc, targets, delinearize(e, row, sizes));
  Value ignored =
      arith::ConstantOp::create(b, loc, b.getIntegerAttr(target.getType(), ignoreIndex));
  Value counts = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ne, target, ignored);
  Value logits = rowOf(e, matrix, row);
  auto conditional = scf::IfOp::create(b, loc, f64, counts, /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);

  b.setInsertionPointToStart(conditional.thenBlock());
  // A target out of range is nobody's class: its loss is a NaN, and no memory is touched for it.
  Value index = arith::IndexCastOp::create(b, loc, b.getIndexType(), target);
  Value inRange = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, index, columns);
  Value safe = arith::SelectOp::create(b, loc, inRange, index, e.index(0));
  Value chosen = memref::LoadOp::create(b, loc, logits, ValueRange{safe});
  if (chosen.getType() != v.compute)
    chosen = arith::ExtFOp::create(b, loc, v.compute, chosen);
  RowSum total = blocks ? blocks->sum(logits) : rowSumOfExponentials(v, logits, columns);
  Value logSumExp;
  if (blocks) {
    logSumExp = blocks->logarithm(total);
  } else {
    Value logSum = math::LogOp::create(b, loc, total.sum);
    logSumExp = arith::AddFOp::create(b, loc, toF64(logSum), toF64(total.maximum));
  }
  Value loss = arith::SubFOp::create(b, loc, logSumExp, toF64(chosen));
  Value nan = arith::ConstantOp::create(
      b, loc, b.getF64FloatAttr(std::numeric_limits<double>::quiet_NaN()));
  loss = arith::SelectOp::create(b, loc, inRange, loss, nan);
  if (factor) {
    Value scale = arith::DivFOp::create(b, loc, factor, total.sum);
    if (blocks) {
      blocks->scale(logits, total, scale);
    } else {
      Value shift = v.splat(total.maximum), factors = v.splat(scale);
      v.forColumns(e.index(0), columns, [&](Value column, Value mask) {
        Value exponent = v.sub(v.load(logits, column, mask), shift);
        v.store(v.mul(v.expNonPositive(exponent), factors), logits, column, mask);
      });
    }
    auto store = scf::IfOp::create(b, loc, inRange, /*withElseRegion=*/false);
    OpBuilder::InsertionGuard inner(b);
    b.setInsertionPointToStart(store.thenBlock());
    // Of its probability, not of the value just written, which may be rounded to 16 bits.
    Value term;
    if (blocks) {
      term = blocks->exponential(chosen, total);
    } else {
      Value exponent = arith::SubFOp::create(b, loc, chosen, total.maximum);
      term = math::ExpOp::create(b, loc, exponent);
    }
    Value probability = arith::DivFOp::create(b, loc, term, total.sum);
    Value one = arith::ConstantOp::create(b, loc, b.getFloatAttr(v.compute, 1.0));
    Value value = arith::MulFOp::create(
        b, loc, arith::SubFOp::create(b, loc, probability, one).getResult(), factor);
    Type stored = cast<MemRefType>(logits.getType()).getElementType();
    if (stored != v.compute)
      value = arith::TruncFOp::create(b, loc, stored, value);
    memref::StoreOp::create(b, loc, value, logits, ValueRange{safe});
  }
  b.setInsertionPointToEnd(conditional.thenBlock());
  scf::YieldOp::create(b, loc, loss);

  b.setInsertionPointToStart(conditional.elseBlock());
  if (factor)
    v.forColumns(e.index(0), columns,
                 [&](Value column, Value mask) { v.store(v.splat(0.0), logits, column, mask); });
  Value none = arith::ConstantOp::create(b, loc, b.getF64FloatAttr(0.0));
  scf::YieldOp::create(b, loc, none);
  return conditional.getResult(0);
}

void CrossEntropy::run(Value count, Value loss) {
  Location loc = e.loc;
  Value partials = e.sharedScratch(MemRefType::get({lossBlocks}, f64));
  Value zero = arith::ConstantOp::create(b, loc, b.getF64FloatAttr(0.0));
  Value blocks = e.index(lossBlocks);
  e.forUnits(blocks, [&](Value block) {
    auto start = [&](Value of) -> Value {
      Value scaled = arith::MulIOp::create(b, loc, rows, of);
      return arith::DivUIOp::create(b, loc, scaled, blocks);
    };
    Value from = start(block), to = start(addIndex(e, block, e.index(1)));
    Value sum = e.forLoop(from, to, 1, zero, [&](Value row, ValueRange carried) {
      return SmallVector<Value>{
          arith::AddFOp::create(b, loc, carried[0], rowLoss(row)).getResult()};
    })[0];
    memref::StoreOp::create(b, loc, sum, partials, ValueRange{block});
  });
  e.barrier();
  e.onFirstThread([&] {
    Value sum = e.forLoop(e.index(0), blocks, 1, zero, [&](Value block, ValueRange carried) {
      Value partial = memref::LoadOp::create(b, loc, partials, ValueRange{block});
      return SmallVector<Value>{arith::AddFOp::create(b, loc, carried[0], partial).getResult()};
    })[0];
    Value mean = arith::DivFOp::create(b, loc, sum, loadScalar(e, count, f64));
    Type stored = cast<MemRefType>(loss.getType()).getElementType();
    if (stored != f64)
      mean = arith::TruncFOp::create(b, loc, stored, mean);
    memref::StoreOp::create(b, loc, mean, loss, ValueRange());
  });
}

} // namespace

LogicalResult emit(kernel::CountTargetsOp op, ValueRange operands, Emission &e) {
  kernel::CountTargetsOp::Adaptor in(operands, op);
  OpBuilder &b = e.builder;
  Value targets = in.getTargets();
  auto type = cast<MemRefType>(targets.getType());
  Type integer = type.getElementType();
  // Thousands of targets at most: a thread of its own costs more than it saves.
  e.onFirstThread([&] {
    SmallVector<Value> sizes;
    for (int64_t i = 0; i < type.getRank(); ++i)
      sizes.push_back(e.dim(targets, i));
    Value ignored =
        arith::ConstantOp::create(b, e.loc, b.getIntegerAttr(integer, op.getIgnoreIndex()));
    Value zero = arith::ConstantOp::create(b, e.loc, b.getI64IntegerAttr(0));
    Value count = e.forLoop(
        e.index(0), e.leadingSize(targets, type.getRank()), 1, zero,
        [&](Value i, ValueRange carried) {
          Value target = memref::LoadOp::create(b, e.loc, targets, delinearize(e, i, sizes));
          Value counts = arith::CmpIOp::create(b, e.loc, arith::CmpIPredicate::ne, target, ignored);
          Value one = arith::ExtUIOp::create(b, e.loc, b.getI64Type(), counts);
          return SmallVector<Value>{arith::AddIOp::create(b, e.loc, carried[0], one).getResult()};
        })[0];
    Value output = in.getOutputs()[0];
    Type stored = cast<MemRefType>(output.getType()).getElementType();
    Value number = arith::SIToFPOp::create(b, e.loc, stored, count);
    memref::StoreOp::create(b, e.loc, number, output, ValueRange());
  });
  return success();
}

LogicalResult emit(kernel::CrossEntropyOp op, ValueRange operands, Emission &e) {
  if (failed(checkRows(op, operands)))
    return failure();
  kernel::CrossEntropyOp::Adaptor in(operands, op);
  CrossEntropy kernel(e, in.getLogits(), in.getTargets(), op.getIgnoreIndex());
  kernel.run(in.getCount(), in.getOutputs()[0]);
  return success();
}

LogicalResult emit(kernel::CrossEntropyGradientOp op, ValueRange operands, Emission &e) {
  if (failed(checkRows(op, operands)))
    return failure();
  kernel::CrossEntropyGradientOp::Adaptor in(operands, op);
  Value logits = in.getOutputs()[1];
  Type compute = computeType(cast<MemRefType>(logits.getType()).getElementType());
  Value factor = arith::DivFOp::create(e.builder, e.loc, loadScalar(e, in.getSeed(), compute),
                                       loadScalar(e, in.getCount(), compute));
  CrossEntropy kernel(e, logits, in.getTargets(), op.getIgnoreIndex(), factor);
  kernel.run(in.getCount(), in.getOutputs()[0]);
  return success();
}

} // namespace quern::cpu
