//===- ElementwiseReduction.cpp - linalg.generic with reductions ------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
// Three ways. Lanes are parallel iterations: each of them reduces in index order. Lanes are
// iterations of a reduction: for combiners that are associative (up to rounding) each lane keeps a
// part, and the parts are added at the row's end. Otherwise scalars, in index order. A reduction to
// one element is split into blocks by its shape, whose results are combined in their order.

#include "Elementwise.h"

#include "mlir/Dialect/Linalg/Utils/Utils.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace quern::cpu {

namespace {

/// The op of the body that adds a term to the old value of the only output.
struct Combiner {
  Operation *op = nullptr;
  Value term;
  TypedAttr neutral;
  vector::CombiningKind kind;
};

std::optional<Combiner> matchCombiner(linalg::GenericOp generic) {
  if (generic.getNumDpsInits() != 1)
    return std::nullopt;
  Combiner combiner;
  combiner.op = generic.getBody()->getTerminator()->getOperand(0).getDefiningOp();
  Value old = generic.getRegionOutputArgs()[0];
  if (!combiner.op || combiner.op->getNumOperands() != 2 || !old.hasOneUse() ||
      !llvm::is_contained(combiner.op->getOperands(), old))
    return std::nullopt;
  combiner.term = combiner.op->getOperand(combiner.op->getOperand(0) == old ? 1 : 0);
  using Kind = vector::CombiningKind;
  std::optional<Kind> kind = llvm::TypeSwitch<Operation *, std::optional<Kind>>(combiner.op)
                                 .Case<arith::AddFOp, arith::AddIOp>([](auto) { return Kind::ADD; })
                                 .Case<arith::MulFOp, arith::MulIOp>([](auto) { return Kind::MUL; })
                                 .Case([](arith::MaximumFOp) { return Kind::MAXIMUMF; })
                                 .Case([](arith::MinimumFOp) { return Kind::MINIMUMF; })
                                 .Case([](arith::MaxNumFOp) { return Kind::MAXNUMF; })
                                 .Case([](arith::MinNumFOp) { return Kind::MINNUMF; })
                                 .Case([](arith::MaxSIOp) { return Kind::MAXSI; })
                                 .Case([](arith::MinSIOp) { return Kind::MINSI; })
                                 .Case([](arith::OrIOp) { return Kind::OR; })
                                 .Case([](arith::AndIOp) { return Kind::AND; })
                                 .Default([](Operation *) { return std::nullopt; });
  std::optional<TypedAttr> neutral = arith::getNeutralElement(combiner.op);
  if (!kind || !neutral)
    return std::nullopt;
  combiner.kind = *kind;
  combiner.neutral = *neutral;
  return combiner;
}

class Reduction {
public:
  Reduction(const LoopNest &nest, Emission &emission) : nest(nest), e(emission) {
    for (int64_t loop = 0; loop < static_cast<int64_t>(nest.sizes.size()); ++loop) {
      froms.push_back(e.index(0));
      (nest.reduces[loop] ? reductions : parallels).push_back(loop);
    }
    tos.assign(nest.sizes.begin(), nest.sizes.end());
  }

  void emit();

private:
  using Step = llvm::function_ref<SmallVector<Value>(SmallVector<Value>, ValueRange)>;
  SmallVector<Value> loops(ArrayRef<int64_t> order, SmallVector<Value> indices, ValueRange carried,
                           Step step);
  SmallVector<Value> reduceInOrder(Body &body, ArrayRef<Value> indices, ValueRange start,
                                   Value column, Value mask);
  Value reduceRows(const Combiner &combiner, int64_t loop, ArrayRef<Value> indices, Value start);
  Value combine(const Combiner &combiner, Value a, Value b);
  void emitParallelLanes(int64_t loop);
  void emitEachResult(std::optional<Combiner> combiner, int64_t vectorLoop);
  void emitOneResult(const Combiner &combiner, int64_t vectorLoop);
  Value elementsEach(ArrayRef<int64_t> which);
  int64_t bytesEach();

  const LoopNest &nest;
  Emission &e;
  SmallVector<int64_t> parallels, reductions;
  SmallVector<Value> froms, tos; ///< the range of each reduction loop
};

/// Nested loops over `order`, outermost first, around `step(indices, carried)`.
SmallVector<Value> Reduction::loops(ArrayRef<int64_t> order, SmallVector<Value> indices,
                                    ValueRange carried, Step step) {
  if (order.empty())
    return step(indices, carried);
  int64_t loop = order.front();
  return e.forLoop(froms[loop], tos[loop], 1, carried, [&](Value index, ValueRange inner) {
    SmallVector<Value> at(indices);
    at[loop] = index;
    return loops(order.drop_front(), at, inner, step);
  });
}

/// Runs all reduction loops in index order from the values `start` of the outputs.
SmallVector<Value> Reduction::reduceInOrder(Body &body, ArrayRef<Value> indices, ValueRange start,
                                            Value column, Value mask) {
  return loops(reductions, SmallVector<Value>(indices), start,
               [&](SmallVector<Value> at, ValueRange carried) {
                 body.setRow(at, carried);
                 return body.yield(column, mask);
               });
}

Value Reduction::combine(const Combiner &combiner, Value a, Value b) {
  OperationState state(e.loc, combiner.op->getName());
  state.addOperands({a, b});
  state.addTypes(a.getType());
  state.addAttributes(combiner.op->getAttrs());
  return e.builder.create(state)->getResult(0);
}

/// Reduces with the lanes along the reduction loop `loop`, its neighbours outside of it in order.
Value Reduction::reduceRows(const Combiner &combiner, int64_t loop, ArrayRef<Value> indices,
                            Value start) {
  OpBuilder &b = e.builder;
  int64_t lanes = e.machine.vectorBytes * 8 / nest.widestBits(loop);
  auto type = VectorType::get({lanes}, combiner.neutral.getType());
  Value neutral =
      arith::ConstantOp::create(b, e.loc, DenseElementsAttr::get(type, combiner.neutral));
  Body body(nest, e, loop, lanes);
  SmallVector<int64_t> outer;
  for (int64_t other : reductions)
    if (other != loop)
      outer.push_back(other);
  Value parts = loops(
      outer, SmallVector<Value>(indices), neutral, [&](SmallVector<Value> at, ValueRange carried) {
        body.setRow(at);
        return forColumns(e, lanes, froms[loop], tos[loop], carried,
                          [&](Value column, Value mask, ValueRange sums) {
                            Value term = body.term(combiner.term, column, mask);
                            if (mask)
                              term = arith::SelectOp::create(b, e.loc, mask, term, neutral);
                            return SmallVector<Value>{combine(combiner, sums[0], term)};
                          });
      })[0];
  Value reduced = vector::ReductionOp::create(b, e.loc, combiner.kind, parts);
  return combine(combiner, start, reduced);
}

Value Reduction::elementsEach(ArrayRef<int64_t> which) {
  Value count = e.index(1);
  for (int64_t loop : which)
    count = mulIndex(e, count, nest.sizes[loop]);
  return count;
}

int64_t Reduction::bytesEach() {
  int64_t bytes = 0;
  for (const Access &access : nest.accesses)
    if (!access.output)
      bytes += elementBytes(access.element());
  return std::max<int64_t>(bytes, 1);
}

void Reduction::emitParallelLanes(int64_t loop) {
  OpBuilder &b = e.builder;
  int64_t lanes = e.machine.vectorBytes * 8 / nest.widestBits(loop);
  SmallVector<int64_t> outer;
  SmallVector<Value> sizes;
  for (int64_t other : parallels)
    if (other != loop) {
      outer.push_back(other);
      sizes.push_back(nest.sizes[other]);
    }
  // A unit is one row of results, or a chunk of a long one: reductions make it work enough.
  Value chunk = e.index(4 * lanes), columns = nest.sizes[loop];
  Value chunks = ceilDiv(e, columns, chunk);
  e.forUnits(mulIndex(e, elementsEach(outer), chunks), [&](Value unit) {
    Value row = b.createOrFold<arith::DivUIOp>(e.loc, unit, chunks);
    Value from = mulIndex(e, b.createOrFold<arith::RemUIOp>(e.loc, unit, chunks), chunk);
    SmallVector<Value> indices(nest.sizes.size());
    for (auto [other, index] : llvm::zip(outer, delinearize(e, row, sizes)))
      indices[other] = index;
    for (int64_t reduction : reductions)
      indices[reduction] = e.index(0);
    Value to = minIndex(e, addIndex(e, from, chunk), columns);
    forColumns(e, lanes, from, to, [&](Value column, Value mask) {
      Body body(nest, e, loop, lanes);
      body.setIndices(indices);
      SmallVector<Value> start;
      for (int64_t i = 0; i < nest.op.getNumDpsInits(); ++i)
        start.push_back(body.loadOutput(i, column, mask));
      SmallVector<Value> results = reduceInOrder(body, indices, start, column, mask);
      body.setIndices(indices);
      body.store(results, column, mask);
    });
  });
}

void Reduction::emitEachResult(std::optional<Combiner> combiner, int64_t vectorLoop) {
  SmallVector<Value> sizes;
  for (int64_t loop : parallels)
    sizes.push_back(nest.sizes[loop]);
  forRows(e, elementsEach(parallels), rowsPerUnit(e, elementsEach(reductions), bytesEach()),
          [&](Value row) {
            SmallVector<Value> indices(nest.sizes.size(), e.index(0));
            for (auto [loop, index] : llvm::zip(parallels, delinearize(e, row, sizes)))
              indices[loop] = index;
            Body body(nest, e, -1, 1);
            body.setIndices(indices);
            SmallVector<Value> values;
            for (int64_t i = 0; i < nest.op.getNumDpsInits(); ++i)
              values.push_back(body.loadOutput(i, Value(), Value()));
            if (combiner && vectorLoop >= 0)
              values = {reduceRows(*combiner, vectorLoop, indices, values[0])};
            else
              values = reduceInOrder(body, indices, values, Value(), Value());
            body.setIndices(indices);
            body.store(values);
          });
}

void Reduction::emitOneResult(const Combiner &combiner, int64_t vectorLoop) {
  OpBuilder &b = e.builder;
  // The outermost loop is cut into blocks.
  constexpr int64_t blocks = 32;
  Type element = combiner.neutral.getType();
  Value partial = e.sharedScratch(MemRefType::get({blocks}, element));
  Value size = tos[0], count = e.index(blocks);
  SmallVector<Value> indices(nest.sizes.size(), e.index(0));
  e.forUnits(count, [&](Value block) {
    froms[0] = arith::DivUIOp::create(b, e.loc, mulIndex(e, block, size), count);
    Value next = mulIndex(e, addIndex(e, block, e.index(1)), size);
    tos[0] = arith::DivUIOp::create(b, e.loc, next, count);
    Value start = arith::ConstantOp::create(b, e.loc, combiner.neutral);
    Value result;
    if (vectorLoop >= 0) {
      result = reduceRows(combiner, vectorLoop, indices, start);
    } else {
      Body body(nest, e, -1, 1);
      result = reduceInOrder(body, indices, start, Value(), Value())[0];
    }
    memref::StoreOp::create(b, e.loc, result, partial, block);
  });
  e.barrier();
  e.onFirstThread([&] {
    Body body(nest, e, -1, 1);
    body.setIndices(indices);
    Value total = e.forLoop(e.index(0), count, 1, body.loadOutput(0, Value(), Value()),
                            [&](Value block, ValueRange carried) {
                              Value part = memref::LoadOp::create(b, e.loc, partial, block);
                              return SmallVector<Value>{combine(combiner, carried[0], part)};
                            })[0];
    body.setIndices(indices);
    body.store(total);
  });
}

void Reduction::emit() {
  if (int64_t loop = nest.vectorLoop(/*reduction=*/false); loop >= 0)
    return emitParallelLanes(loop);
  std::optional<Combiner> combiner = matchCombiner(nest.op);
  int64_t loop = combiner ? nest.vectorLoop(/*reduction=*/true) : -1;
  if (!parallels.empty())
    return emitEachResult(combiner, loop);
  if (combiner)
    return emitOneResult(*combiner, loop);
  e.onFirstThread([&] {
    Body body(nest, e, -1, 1);
    SmallVector<Value> indices(nest.sizes.size(), e.index(0)), values;
    body.setIndices(indices);
    for (int64_t i = 0; i < nest.op.getNumDpsInits(); ++i)
      values.push_back(body.loadOutput(i, Value(), Value()));
    values = reduceInOrder(body, indices, values, Value(), Value());
    body.setIndices(indices);
    body.store(values);
  });
}

} // namespace

LogicalResult emitReduction(const LoopNest &nest, Emission &e) {
  // Sums would be rounded at every step.
  for (const Access &access : nest.accesses)
    if (access.output && computeType(access.element()) != access.element())
      return nest.op.emitOpError("has no emitter for the CPU on elements of type ")
             << access.element() << " that it reduces to; use " << computeType(access.element());
  Reduction(nest, e).emit();
  return success();
}

} // namespace quern::cpu
