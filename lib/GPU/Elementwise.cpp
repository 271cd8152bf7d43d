//===- Elementwise.cpp - linalg.generic
//--------------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
// One thread computes one element of the outputs. Threads of a warp are neighbours in the last
// loop; the others are counted together. Reductions run in index order.

#include "Emitters.h"
#include "Rows.h"
#include "quern/Emission/LoopNest.h"

#include "mlir/IR/IRMapping.h"

using namespace mlir;

namespace quern::nvidia {

namespace {

/// Writes the body of a generic for one iteration of all its loops.
class Body {
public:
  Body(const LoopNest &nest, Thread &thread) : nest(nest), op(nest.op), t(thread) {}

  /// What the body yields at `indices`; `outputs` replaces what the outputs hold.
  SmallVector<Value> at(ArrayRef<Value> indices, ValueRange outputs) {
    Block *block = op.getBody();
    IRMapping mapping;
    for (auto [argument, access] : llvm::zip(block->getArguments(), nest.accesses)) {
      if (argument.use_empty())
        continue;
      unsigned number = argument.getArgNumber();
      mapping.map(argument, access.output && !outputs.empty()
                                ? outputs[number - op.getNumDpsInputs()]
                                : load(access, indices));
    }
    for (Operation &inside : block->without_terminator()) {
      if (auto index = dyn_cast<linalg::IndexOp>(inside)) {
        mapping.map(index.getResult(), indices[nest.loopOfDim[index.getDim()]]);
        continue;
      }
      Operation *clone = t.builder.clone(inside, mapping);
      clone->walk([&](linalg::IndexOp index) {
        index.replaceAllUsesWith(indices[nest.loopOfDim[index.getDim()]]);
        index.erase();
      });
    }
    SmallVector<Value> results;
    for (Value value : block->getTerminator()->getOperands())
      results.push_back(mapping.lookupOrDefault(value));
    return results;
  }

  /// What the outputs hold at `indices`.
  SmallVector<Value> loadOutputs(ArrayRef<Value> indices) {
    SmallVector<Value> values;
    for (const Access &access : nest.accesses)
      if (access.output)
        values.push_back(load(access, indices));
    return values;
  }

  void storeOutputs(ArrayRef<Value> indices, ValueRange values) {
    size_t next = 0;
    for (const Access &access : nest.accesses)
      if (access.output)
        t.store(values[next++], access.memref, places(access, indices));
  }

private:
  SmallVector<Value> places(const Access &access, ArrayRef<Value> indices) {
    SmallVector<Value> result;
    for (int64_t loop : access.loops)
      result.push_back(loop < 0 ? t.index(0) : indices[loop]);
    return result;
  }
  Value load(const Access &access, ArrayRef<Value> indices) {
    if (!isa<MemRefType>(access.memref.getType()))
      return access.memref;
    return t.load(access.memref, places(access, indices));
  }

  const LoopNest &nest;
  linalg::GenericOp op;
  Thread &t;
};

/// Threads of a block for `columns` columns: no more than there are, in whole warps.
int64_t blockSize(Value columns) {
  constexpr int64_t most = 256;
  auto known = constantOf(columns);
  return known ? std::clamp<int64_t>(llvm::alignTo(*known, warpSize), warpSize, most) : most;
}

/// The parallel loops of a nest, in order.
SmallVector<int64_t> parallelLoops(const LoopNest &nest) {
  SmallVector<int64_t> loops;
  for (auto [loop, reduces] : llvm::enumerate(nest.reduces))
    if (!reduces)
      loops.push_back(static_cast<int64_t>(loop));
  return loops;
}

/// Runs the reduction loops from `loop` on, in index order.
SmallVector<Value> reduce(const LoopNest &nest, Body &body, Thread &t, size_t loop,
                          SmallVector<Value> &indices, ValueRange carried) {
  while (loop < nest.sizes.size() && !nest.reduces[loop])
    ++loop;
  if (loop == nest.sizes.size())
    return body.at(indices, carried);
  return t.forLoop(t.index(0), nest.sizes[loop], 1, carried, [&](Value i, ValueRange inner) {
    indices[loop] = i;
    return reduce(nest, body, t, loop + 1, indices, inner);
  });
}

/// Computes the element of the outputs at `parallel` (indices of the parallel loops).
void emitElement(const LoopNest &nest, Thread &t, ArrayRef<int64_t> loops,
                 ArrayRef<Value> parallel) {
  Body body(nest, t);
  SmallVector<Value> indices(nest.sizes.size());
  for (auto [loop, index] : llvm::zip(loops, parallel))
    indices[loop] = index;
  SmallVector<Value> values;
  if (nest.isParallel())
    values = body.at(indices, {});
  else
    values = reduce(nest, body, t, 0, indices, body.loadOutputs(indices));
  body.storeOutputs(indices, values);
}

} // namespace

LogicalResult emit(linalg::GenericOp op, ValueRange operands, Emission &e) {
  FailureOr<LoopNest> nest = LoopNest::get(op, operands, e);
  if (failed(nest))
    return failure();
  SmallVector<int64_t> loops = parallelLoops(*nest);
  Value columns = loops.empty() ? e.index(1) : nest->sizes[loops.back()];
  Value rows = e.index(1);
  for (int64_t loop : ArrayRef<int64_t>(loops).drop_back(loops.empty() ? 0 : 1))
    rows = mulIndex(e, rows, nest->sizes[loop]);
  int64_t threads = blockSize(columns);
  Value chunks = ceilDiv(e, columns, e.index(threads));
  e.launch(
      {mulIndex(e, rows, chunks), {}, {}}, threads, operands, [&](Thread &t, ValueRange onDevice) {
        // The host's nest took the same decisions: types say all that they depend on.
        LoopNest inner = *LoopNest::get(op, onDevice, t);
        SmallVector<Value> sizes;
        for (int64_t loop : loops)
          sizes.push_back(inner.sizes[loop]);
        Value size = sizes.empty() ? t.index(1) : sizes.pop_back_val();
        Value chunksInRow = ceilDiv(t, size, t.index(threads));
        SmallVector<Value> place = delinearize(t, t.block(0), at(sizes, chunksInRow));
        Value chunk = place.pop_back_val();
        Value column = addIndex(t, mulIndex(t, chunk, t.index(threads)), t.thread());
        t.when(t.less(column, size),
               [&] { emitElement(inner, t, loops, loops.empty() ? place : at(place, column)); });
      });
  return success();
}

} // namespace quern::nvidia
