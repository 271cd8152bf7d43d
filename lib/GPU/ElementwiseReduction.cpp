//===- ElementwiseReduction.cpp - linalg.generic that combines elements -----------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
// Outputs that are sums, maxima and the like: threads share the terms, each combines its own in
// order, and the threads' results are combined in a fixed order. Where neighbouring outputs depend
// on neighbouring elements, the threads of a warp take these, and the warps of a block share the
// terms. Otherwise a team takes all terms of one output. A single output gets many blocks, whose
// results another launch combines.

#include "Elementwise.h"

using namespace mlir;

namespace quern::nvidia {

namespace {

using Values = Body::Values;

/// The op that adds a term to an output, and what changes nothing as a term.
struct Combiner {
  Operation *op;
  TypedAttr neutral;
};

/// The combiners of all outputs, or nothing where one of them depends on the order of its terms.
std::optional<SmallVector<Combiner>> matchCombiners(linalg::GenericOp generic) {
  SmallVector<Combiner> combiners;
  for (auto [output, yielded] : llvm::zip(generic.getRegionOutputArgs(),
                                          generic.getBody()->getTerminator()->getOperands())) {
    Operation *op = yielded.getDefiningOp();
    Type type = output.getType();
    bool isKnown = isa_and_nonnull<arith::AddFOp, arith::AddIOp, arith::MulFOp, arith::MulIOp,
                                   arith::MaximumFOp, arith::MinimumFOp, arith::MaxNumFOp,
                                   arith::MinNumFOp, arith::MaxSIOp, arith::MinSIOp, arith::MaxUIOp,
                                   arith::MinUIOp, arith::AndIOp, arith::OrIOp, arith::XOrIOp>(op);
    if (!isKnown || !output.hasOneUse() || !llvm::is_contained(op->getOperands(), output))
      return std::nullopt;
    std::optional<TypedAttr> neutral = arith::getNeutralElement(op);
    // Other widths do not fit a shuffle.
    bool fits = type.isIntOrFloat() && llvm::is_contained({32u, 64u}, type.getIntOrFloatBitWidth());
    if (!neutral || !fits)
      return std::nullopt;
    combiners.push_back({op, *neutral});
  }
  return combiners;
}

class Reduction {
public:
  Reduction(const LoopNest &nest, ValueRange operands, Emission &emission,
            ArrayRef<Combiner> combiners)
      : host(nest), op(nest.op), operands(operands), e(emission), combiners(combiners),
        parallels(loopsOf(nest, false)), terms(loopsOf(nest, true)) {}

  bool emit();

private:
  void emitColumns(int64_t column, int64_t lanes);
  void emitRows(int64_t row, int64_t lanes);
  void emitOne(int64_t row, int64_t lanes, ArrayRef<Value> partials);

  Values neutral(Thread &t, int64_t lanes);
  Value combine(Thread &t, size_t output, Value a, Value b);
  Values step(Body &body, ArrayRef<Value> indices, int64_t loop, int64_t lanes, ValueRange carried);
  Values overLanes(Thread &t, ValueRange sums, int64_t lanes);
  void finish(Thread &t, const LoopNest &nest, ArrayRef<Value> indices, ValueRange totals);

  const LoopNest &host;
  linalg::GenericOp op;
  ValueRange operands;
  Emission &e;
  ArrayRef<Combiner> combiners;
  SmallVector<int64_t> parallels, terms; ///< loops; in emitRows the terms' fastest loop is last
};

/// The neutral elements of all outputs, for `lanes` lanes of each.
Values Reduction::neutral(Thread &t, int64_t lanes) {
  Values values;
  for (const Combiner &combiner : combiners)
    values.append(lanes, arith::ConstantOp::create(t.builder, t.loc, combiner.neutral));
  return values;
}

Value Reduction::combine(Thread &t, size_t output, Value a, Value b) {
  Operation *combiner = combiners[output].op;
  OperationState state(t.loc, combiner->getName());
  state.addOperands({a, b});
  state.addTypes(a.getType());
  state.addAttributes(combiner->getAttrs());
  return t.builder.create(state)->getResult(0);
}

/// Combines `lanes` neighbours along `loop` into `carried`, each into its own.
Values Reduction::step(Body &body, ArrayRef<Value> indices, int64_t loop, int64_t lanes,
                       ValueRange carried) {
  SmallVector<Values> byLane(lanes);
  for (int64_t lane = 0; lane < lanes; ++lane)
    for (size_t output = 0; output < combiners.size(); ++output)
      byLane[lane].push_back(carried[output * lanes + lane]);
  SmallVector<Values> results = body.run(indices, loop, lanes, byLane);
  Values next;
  for (size_t output = 0; output < combiners.size(); ++output)
    for (int64_t lane = 0; lane < lanes; ++lane)
      next.push_back(results[lane][output]);
  return next;
}

/// The lanes of each output combined.
Values Reduction::overLanes(Thread &t, ValueRange sums, int64_t lanes) {
  Values totals;
  for (size_t output = 0; output < combiners.size(); ++output) {
    Value total = sums[output * lanes];
    for (int64_t lane = 1; lane < lanes; ++lane)
      total = combine(t, output, total, sums[output * lanes + lane]);
    totals.push_back(total);
  }
  return totals;
}

/// Combines the totals with what the outputs hold.
void Reduction::finish(Thread &t, const LoopNest &nest, ArrayRef<Value> indices,
                       ValueRange totals) {
  Body body(nest, t);
  Values results;
  for (const Access &access : nest.accesses)
    if (access.output) {
      size_t output = results.size();
      results.push_back(combine(t, output, body.load(access, indices, -1, 1)[0], totals[output]));
    }
  body.storeOutputs(indices, results);
}

/// Threads of a warp along `column`, warps along the terms.
void Reduction::emitColumns(int64_t column, int64_t lanes) {
  constexpr int64_t warps = blockThreads / warpSize;
  SmallVector<int64_t> others(parallels);
  llvm::erase(others, column);
  int64_t width = warpSize * lanes;
  auto stripsOf = [&](Code &code, const LoopNest &nest) {
    return ceilDiv(code, nest.sizes[column], code.index(width));
  };
  Value blocks = mulIndex(e, countOf(e, host, others), stripsOf(e, host));
  launchNest(e, op, {blocks, {}, {}}, blockThreads, operands,
             [&](Thread &t, const LoopNest &nest, ValueRange) {
               Body body(nest, t);
               SmallVector<Value> sizes, indices(nest.sizes.size());
               for (int64_t other : others)
                 sizes.push_back(nest.sizes[other]);
               sizes.push_back(stripsOf(t, nest));
               SmallVector<Value> place = delinearize(t, t.block(0), sizes);
               for (auto [other, index] : llvm::zip(others, place))
                 indices[other] = index;
               Value strip = mulIndex(t, place.back(), t.index(width));
               Value ofThread = mulIndex(t, t.lane(), t.index(lanes));
               indices[column] = addIndex(t, strip, ofThread);
               Values zeros = neutral(t, lanes);
               Values sums = t.when(t.less(indices[column], nest.sizes[column]), zeros, [&] {
                 return t.strided(t.warp(), countOf(t, nest, terms), t.index(warps), zeros,
                                  [&](Value term, ValueRange carried) {
                                    setIndices(t, nest, terms, term, indices);
                                    return step(body, indices, column, lanes, carried);
                                  });
               });
               Values shared;
               for (size_t output = 0; output < combiners.size(); ++output) {
                 shared.push_back(t.shared({warps, width}, sums[output * lanes].getType()));
                 t.storeVector(ValueRange(sums).slice(output * lanes, lanes), shared.back(),
                               {t.warp(), ofThread});
               }
               t.barrier();
               t.strided(t.thread(), t.index(width), t.index(t.threads), [&](Value i) {
                 indices[column] = addIndex(t, strip, i);
                 t.when(t.less(indices[column], nest.sizes[column]), [&] {
                   Values totals;
                   for (auto [output, from] : llvm::enumerate(shared)) {
                     Value total = t.load(from, {t.index(0), i});
                     for (int64_t warp = 1; warp < warps; ++warp)
                       total = combine(t, output, total, t.load(from, {t.index(warp), i}));
                     totals.push_back(total);
                   }
                   finish(t, nest, indices, totals);
                 });
               });
             });
}

/// A team for each output, its threads along `row`.
void Reduction::emitRows(int64_t row, int64_t lanes) {
  Value results = countOf(e, host, parallels), columns = countOf(e, host, terms);
  Value blocks = blocksFor(e, results, columns);
  bool isWarp = Team::isWarp(columns);
  launchNest(
      e, op, {blocks, {}, {}}, blockThreads, operands,
      [&](Thread &t, const LoopNest &nest, ValueRange) {
        Body body(nest, t);
        Team team(t, countOf(t, nest, terms), lanes);
        auto emitOutput = [&] {
          SmallVector<Value> indices(nest.sizes.size());
          setIndices(t, nest, parallels, team.number(), indices);
          Values sums = team.forGroups(neutral(t, lanes), [&](Value term, ValueRange carried) {
            setIndices(t, nest, terms, term, indices);
            return step(body, indices, row, lanes, carried);
          });
          Values totals = overLanes(t, sums, lanes);
          for (auto [output, total] : llvm::enumerate(totals)) {
            size_t number = output;
            total = team.combine(total, [&](Value a, Value b) { return combine(t, number, a, b); });
          }
          team.onFirst([&] { finish(t, nest, indices, totals); });
        };
        if (isWarp)
          t.when(t.less(team.number(), countOf(t, nest, parallels)), emitOutput);
        else
          emitOutput();
      });
}

/// Blocks share the terms of the only output.
void Reduction::emitOne(int64_t row, int64_t lanes, ArrayRef<Value> partials) {
  Value columns = countOf(e, host, terms);
  Value blocks = atMost(e, ceilDiv(e, columns, e.index(blockThreads * lanes)), partialBlocks);
  auto overBlock = [&](Thread &t, Values values) {
    for (auto [output, value] : llvm::enumerate(values)) {
      size_t number = output;
      value = t.overBlock(value, [&](Value a, Value b) { return combine(t, number, a, b); });
    }
    return values;
  };
  launchNest(
      e, op, {blocks, {}, {}}, blockThreads, operands,
      [&](Thread &t, const LoopNest &nest, ValueRange more) {
        Body body(nest, t);
        SmallVector<Value> indices(nest.sizes.size(), t.index(0));
        Values sums = t.forShare(countOf(t, nest, terms), lanes, neutral(t, lanes),
                                 [&](Value term, ValueRange carried) {
                                   setIndices(t, nest, terms, term, indices);
                                   return step(body, indices, row, lanes, carried);
                                 });
        Values totals = overBlock(t, overLanes(t, sums, lanes));
        t.when(t.equal(t.thread(), t.index(0)), [&] {
          for (auto [total, partial] : llvm::zip(totals, more))
            t.store(total, partial, t.block(0));
        });
      },
      partials);
  SmallVector<Value> more(partials);
  more.push_back(blocks);
  static_assert(partialBlocks == blockThreads, "each thread takes the result of one block");
  launchNest(
      e, op, {}, blockThreads, operands,
      [&](Thread &t, const LoopNest &nest, ValueRange inputs) {
        Values own = t.when(t.less(t.thread(), inputs.back()), neutral(t, 1), [&] {
          Values loaded;
          for (Value partial : inputs.drop_back())
            loaded.push_back(t.load(partial, t.thread()));
          return loaded;
        });
        Values totals = overBlock(t, own);
        t.when(t.equal(t.thread(), t.index(0)),
               [&] { finish(t, nest, SmallVector<Value>(nest.sizes.size(), t.index(0)), totals); });
      },
      more);
}

bool Reduction::emit() {
  // So few terms are better left to one thread.
  constexpr int64_t fewTerms = 16;
  auto known = constantOf(countOf(e, host, terms));
  int64_t column = contiguousLoop(host, parallels);
  if (column >= 0 && constantOf(host.sizes[column]) != 1) {
    if (known && *known <= fewTerms)
      return false;
    forLanes(e, buffersAlong(host, column), host.sizes[column],
             [&](int64_t lanes) { emitColumns(column, lanes); });
    return true;
  }
  int64_t row = contiguousLoop(host, terms);
  bool isWide = row >= 0;
  if (!isWide)
    row = terms.back();
  llvm::erase(terms, row);
  terms.push_back(row);
  bool isOne = constantOf(countOf(e, host, parallels)) == 1 &&
               (!known || *known > blockThreads * partialBlocks / 8);
  SmallVector<Value> partials;
  if (isOne)
    for (const Combiner &combiner : combiners)
      partials.push_back(e.scratch({partialBlocks}, combiner.neutral.getType()));
  auto launch = [&](int64_t lanes) {
    isOne ? emitOne(row, lanes, partials) : emitRows(row, lanes);
  };
  if (isWide)
    forLanes(e, buffersAlong(host, row), host.sizes[row], launch);
  else
    launch(1);
  return true;
}

} // namespace

bool emitReduction(const LoopNest &nest, ValueRange operands, Emission &e) {
  std::optional<SmallVector<Combiner>> combiners = matchCombiners(nest.op);
  return combiners && Reduction(nest, operands, e, *combiners).emit();
}

} // namespace quern::nvidia
