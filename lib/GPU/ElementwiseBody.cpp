//===- ElementwiseBody.cpp - The body of a linalg.generic, for one thread ---------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "Elementwise.h"

#include "mlir/IR/IRMapping.h"

using namespace mlir;

namespace quern::nvidia {

using Values = Body::Values;

bool Body::isUsed(size_t operand) const {
  return !nest.op.getBody()->getArgument(operand).use_empty();
}

Values Body::places(const Access &access, ArrayRef<Value> indices) {
  Values result;
  for (int64_t loop : access.loops)
    result.push_back(loop < 0 ? t.index(0) : indices[loop]);
  return result;
}

Values Body::shifted(ArrayRef<Value> indices, int64_t loop, int64_t by) {
  Values result(indices);
  if (by)
    result[loop] = addIndex(t, result[loop], t.index(by));
  return result;
}

Values Body::load(const Access &access, ArrayRef<Value> indices, int64_t loop, int64_t count) {
  if (!isa<MemRefType>(access.memref.getType()))
    return Values(count, access.memref);
  if (!access.uses(loop))
    return Values(count, t.load(access.memref, places(access, indices)));
  return t.loadVector(access.memref, places(access, indices), count);
}

void Body::store(const Access &access, ArrayRef<Value> indices, ValueRange values) {
  t.storeVector(values, access.memref, places(access, indices));
}

Values Body::yield(ArrayRef<Value> indices, ArrayRef<Value> elements) {
  Block *block = nest.op.getBody();
  IRMapping mapping;
  for (auto [argument, element] : llvm::zip(block->getArguments(), elements))
    if (element)
      mapping.map(argument, element);
  auto indexOf = [&](linalg::IndexOp op) { return indices[nest.loopOfDim[op.getDim()]]; };
  for (Operation &inside : block->without_terminator()) {
    if (auto index = dyn_cast<linalg::IndexOp>(inside)) {
      mapping.map(index.getResult(), indexOf(index));
      continue;
    }
    Operation *clone = t.builder.clone(inside, mapping);
    clone->walk([&](linalg::IndexOp index) {
      index.replaceAllUsesWith(indexOf(index));
      index.erase();
    });
  }
  Values results;
  for (Value value : block->getTerminator()->getOperands())
    results.push_back(mapping.lookupOrDefault(value));
  return results;
}

SmallVector<Values> Body::run(ArrayRef<Value> indices, int64_t loop, int64_t count,
                              ArrayRef<Values> carried) {
  SmallVector<Values> elements(count, Values(nest.accesses.size()));
  size_t output = 0;
  for (auto [operand, access] : llvm::enumerate(nest.accesses)) {
    bool isCarried = access.output && !carried.empty();
    size_t number = output;
    output += access.output;
    if (!isUsed(operand))
      continue;
    Values loaded = isCarried ? Values() : load(access, indices, loop, count);
    for (int64_t i = 0; i < count; ++i)
      elements[i][operand] = isCarried ? carried[i][number] : loaded[i];
  }
  SmallVector<Values> results;
  for (int64_t i = 0; i < count; ++i)
    results.push_back(yield(shifted(indices, loop, i), elements[i]));
  return results;
}

void Body::storeOutputs(ArrayRef<Value> indices, ArrayRef<Values> results) {
  size_t output = 0;
  for (const Access &access : nest.accesses) {
    if (!access.output)
      continue;
    Values values;
    for (const Values &result : results)
      values.push_back(result[output]);
    store(access, indices, values);
    ++output;
  }
}

SmallVector<int64_t> loopsOf(const LoopNest &nest, bool reduction) {
  SmallVector<int64_t> loops;
  for (auto [loop, reduces] : llvm::enumerate(nest.reduces))
    if (reduces == reduction)
      loops.push_back(static_cast<int64_t>(loop));
  return loops;
}

int64_t contiguousLoop(const LoopNest &nest, ArrayRef<int64_t> loops) {
  int64_t found = -1;
  for (int64_t loop : loops) {
    bool possible = llvm::all_of(nest.accesses, [&](const Access &access) {
      return !access.uses(loop) || access.isContiguous(loop);
    });
    if (possible && (found < 0 || constantOf(nest.sizes[loop]) != 1))
      found = loop;
  }
  return found;
}

Value countOf(Code &code, const LoopNest &nest, ArrayRef<int64_t> loops) {
  Value count = code.index(1);
  for (int64_t loop : loops)
    count = mulIndex(code, count, nest.sizes[loop]);
  return count;
}

void setIndices(Thread &t, const LoopNest &nest, ArrayRef<int64_t> loops, Value linear,
                MutableArrayRef<Value> indices) {
  Values sizes;
  for (int64_t loop : loops)
    sizes.push_back(nest.sizes[loop]);
  for (auto [loop, index] : llvm::zip(loops, delinearize(t, linear, sizes)))
    indices[loop] = index;
}

SmallVector<Value> buffersAlong(const LoopNest &nest, int64_t loop) {
  SmallVector<Value> buffers;
  for (const Access &access : nest.accesses)
    if (access.uses(loop))
      buffers.push_back(access.memref);
  return buffers;
}

void launchNest(Emission &e, linalg::GenericOp op, const Grid &grid, int64_t threads,
                ValueRange operands,
                llvm::function_ref<void(Thread &, const LoopNest &, ValueRange)> body,
                ValueRange more) {
  SmallVector<Value> all(operands);
  all.append(more.begin(), more.end());
  e.launch(grid, threads, all, [&](Thread &t, ValueRange onDevice) {
    // The host's nest took the same decisions: types say all that they depend on.
    LoopNest nest = *LoopNest::get(op, onDevice.take_front(operands.size()), t);
    body(t, nest, onDevice.drop_front(operands.size()));
  });
}

} // namespace quern::nvidia
