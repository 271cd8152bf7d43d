//===- Elementwise.cpp - linalg.generic -------------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
// One thread computes neighbouring elements of the outputs, as many as one access holds, and the
// next thread the next ones: that is all that memory asks for. What goes across (transposes) goes
// through shared memory, and sums are shared out among threads.

#include "Elementwise.h"
#include "Emitters.h"

using namespace mlir;

namespace quern::nvidia {

/// Runs the reduction loops from `loop` on in index order, for one element of the outputs.
static Body::Values reduceInOrder(const LoopNest &nest, Body &body, Thread &t,
                                  ArrayRef<int64_t> loops, Body::Values indices,
                                  ValueRange carried) {
  if (loops.empty())
    return body.run(indices, -1, 1, Body::Values(carried))[0];
  return t.forLoop(t.index(0), nest.sizes[loops.front()], 1, carried,
                   [&](Value i, ValueRange inner) {
                     indices[loops.front()] = i;
                     return reduceInOrder(nest, body, t, loops.drop_front(), indices, inner);
                   });
}

/// `lanes` elements of the outputs, from `indices` on along `loop`; one where there are reductions.
static void emitElements(const LoopNest &nest, Thread &t, ArrayRef<Value> indices, int64_t loop,
                         int64_t lanes) {
  Body body(nest, t);
  if (nest.isParallel())
    return body.storeOutputs(indices, body.run(indices, loop, lanes));
  Body::Values start;
  for (const Access &access : nest.accesses)
    if (access.output)
      start.push_back(body.load(access, indices, loop, 1)[0]);
  body.storeOutputs(
      indices, reduceInOrder(nest, body, t, loopsOf(nest, true), Body::Values(indices), start));
}

LogicalResult emit(linalg::GenericOp op, ValueRange operands, Emission &e) {
  FailureOr<LoopNest> nest = LoopNest::get(op, operands, e);
  if (failed(nest))
    return failure();
  if (nest->isParallel() ? emitTransposed(*nest, operands, e) : emitReduction(*nest, operands, e))
    return success();

  SmallVector<int64_t> order = loopsOf(*nest, /*reduction=*/false);
  int64_t loop = contiguousLoop(*nest, order);
  bool isWide = loop >= 0 && nest->isParallel();
  if (loop < 0 && !order.empty())
    loop = order.back();
  llvm::erase(order, loop); // the others, then this one
  Value rows = countOf(e, *nest, order), columns = loop < 0 ? e.index(1) : nest->sizes[loop];
  auto launch = [&](int64_t lanes) {
    constexpr int64_t threads = 256;
    auto groupsOf = [&](Code &code, Value size) {
      return code.builder.createOrFold<arith::DivUIOp>(code.loc, size, code.index(lanes));
    };
    Value blocks = ceilDiv(e, mulIndex(e, rows, groupsOf(e, columns)), e.index(threads));
    launchNest(e, op, {blocks, {}, {}}, threads, operands,
               [&](Thread &t, const LoopNest &inner, ValueRange) {
                 SmallVector<Value> indices(inner.sizes.size()), sizes;
                 for (int64_t other : order)
                   sizes.push_back(inner.sizes[other]);
                 if (loop >= 0)
                   sizes.push_back(groupsOf(t, inner.sizes[loop]));
                 Value all = t.index(1);
                 for (Value size : sizes)
                   all = mulIndex(t, all, size);
                 Value number = addIndex(t, mulIndex(t, t.block(0), t.index(threads)), t.thread());
                 t.when(t.less(number, all), [&] {
                   SmallVector<Value> place = delinearize(t, number, sizes);
                   for (auto [other, index] : llvm::zip(order, place))
                     indices[other] = index;
                   if (loop >= 0)
                     indices[loop] = mulIndex(t, place.back(), t.index(lanes));
                   emitElements(inner, t, indices, loop, lanes);
                 });
               });
  };
  if (isWide)
    forLanes(e, buffersAlong(*nest, loop), columns, launch);
  else
    launch(1);
  return success();
}

} // namespace quern::nvidia
