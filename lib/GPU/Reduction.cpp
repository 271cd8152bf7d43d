//===- Reduction.cpp - Sums over rows and over everything -------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
// Both cut their input into blocks that depend on its shape alone, sum each block on its own, and
// add up the blocks in their order in another launch.

#include "Reduction.h"
#include "BufferLists.h"
#include "Emitters.h"

#include <numeric>

using namespace mlir;

namespace quern::nvidia {

/// The warps of a block take turns at the rows, and `lanes` columns go to a thread: a block has as
/// many columns as a warp. Block y of the grid takes every `slots`-th set of rows. It writes to row
/// y of `y`, or to `y` itself where that is 1-D.
static void sumSlots(Emission &e, Value x, Value rows, Value y, Value slots, int64_t lanes) {
  constexpr int64_t warps = blockThreads / warpSize;
  int64_t rank = cast<MemRefType>(x.getType()).getRank();
  Type compute = computeType(cast<MemRefType>(x.getType()).getElementType());
  Value strips = ceilDiv(e, e.dim(x, rank - 1), e.index(warpSize * lanes));
  e.launch({strips, slots, {}}, blockThreads, {x, rows, y}, [&](Thread &t, ValueRange in) {
    Value warpsOfAll = mulIndex(t, t.blocks(1), t.index(warps));
    Value first = addIndex(t, mulIndex(t, t.block(1), t.index(warps)), t.warp());
    Value columns = t.dim(in[0], rank - 1);
    Value strip = mulIndex(t, t.block(0), t.index(warpSize * lanes));
    Value ofThread = mulIndex(t, t.lane(), t.index(lanes));
    Value column = addIndex(t, strip, ofThread);
    Value inside = t.less(column, columns);
    // How many rows this warp has: those of first + i * warpsOfAll below all.
    Value past = arith::MaxUIOp::create(t.builder, t.loc, in[1], first);
    Value count = ceilDiv(t, arith::SubIOp::create(t.builder, t.loc, past, first), warpsOfAll);
    SmallVector<Value> zeros(lanes, t.number(compute, 0));
    SmallVector<Value> sums = t.when(inside, zeros, [&] {
      return t.inOrder(count, zeros, [&](Value i) {
        Value row = addIndex(t, first, mulIndex(t, i, warpsOfAll));
        return t.loadVector(rowOf(t, in[0], row), column, lanes, compute);
      });
    });
    Value ofWarps = t.shared({warps, warpSize * lanes}, compute);
    t.storeVector(sums, ofWarps, {t.warp(), ofThread});
    t.barrier();
    t.strided(t.thread(), t.index(warpSize * lanes), t.index(t.threads), [&](Value i) {
      Value target = addIndex(t, strip, i);
      t.when(t.less(target, columns), [&] {
        Value sum = t.inOrder(t.index(warps), t.number(compute, 0),
                              [&](Value warp) { return t.load(ofWarps, {warp, i}); });
        bool isRow = cast<MemRefType>(in[2].getType()).getRank() == 1;
        t.store(sum, in[2],
                isRow ? SmallVector<Value>{target} : SmallVector<Value>{t.block(1), target});
      });
    });
  });
}

void sumOverRows(Emission &e, Value x, Value rows, Value y) {
  Value columns = e.dim(x, cast<MemRefType>(x.getType()).getRank() - 1);
  forLanes(e, x, columns, [&](int64_t lanes) { sumSlots(e, x, rows, y, {}, lanes); });
}

LogicalResult emit(kernel::SumRowsOp op, ValueRange operands, Emission &e) {
  if (failed(checkRows(op, operands)))
    return failure();
  kernel::SumRowsOp::Adaptor in(operands, op);
  auto type = cast<MemRefType>(in.getX().getType());
  int64_t last = type.getRank() - 1;
  Value rows = e.leadingSize(in.getX(), last), columns = e.dim(in.getX(), last);
  Value x = mergeRows(e, in.getX()), y = in.getOutputs()[0];
  // So many rows keep a block of 8 warps busy; partial sums of a width that is not known have no
  // place in the arena.
  constexpr int64_t rowsOfSlot = 64, mostSlots = 64;
  auto known = constantOf(rows);
  if (type.isDynamicDim(last) || (known && *known <= rowsOfSlot)) {
    sumOverRows(e, x, rows, y);
    return success();
  }
  Value partial = e.scratch({mostSlots, type.getDimSize(last)}, computeType(type.getElementType()));
  Value slots = atMost(e, ceilDiv(e, rows, e.index(rowsOfSlot)), mostSlots);
  forLanes(e, x, columns, [&](int64_t lanes) { sumSlots(e, x, rows, partial, slots, lanes); });
  sumOverRows(e, partial, slots, y);
  return success();
}

void sumPartials(Emission &e, Value partials, Value count, ValueRange operands,
                 llvm::function_ref<void(Thread &, Value, ValueRange)> finish) {
  constexpr int64_t threads = 512;
  SmallVector<Value> all(operands);
  all.append({partials, count});
  e.launch({}, threads, all, [&](Thread &t, ValueRange onDevice) {
    ValueRange inputs = onDevice.drop_back(2);
    Value from = onDevice[inputs.size()], end = onDevice.back();
    Type type = cast<MemRefType>(from.getType()).getElementType();
    Value own = t.strided(t.thread(), end, t.index(threads), t.number(type, 0),
                          [&](Value i, ValueRange carried) {
                            return SmallVector<Value>{t.add(carried[0], t.load(from, i))};
                          })[0];
    Value sum = t.sumOverBlock(own);
    t.when(t.equal(t.thread(), t.index(0)), [&] { finish(t, sum, inputs); });
  });
}

/// A launch that sums squares of what it is given: block i writes its sum to `partials[start + i]`.
struct SquareSums {
  Emission &e;
  Value partials;
  int64_t start;

  /// This block's sum, of all its threads' `own` ones.
  void finish(Thread &t, Value own, Value memory) const {
    Value sum = t.sumOverBlock(own);
    t.when(t.equal(t.thread(), t.index(0)),
           [&] { t.store(sum, memory, addIndex(t, t.block(0), t.index(start))); });
  }
  /// Few squares are added in f32, all others in f64.
  static Value add(Thread &t, Value sum, ValueRange elements) {
    SmallVector<Value> squares;
    for (Value x : elements)
      squares.push_back(t.mul(x, x));
    return t.add(sum, t.convert(t.sumOf(squares), sum.getType()));
  }

  void ofLists(ArrayRef<BufferLists::List> lists, int64_t blocks) const;
  void ofInput(Value input, int64_t blocks) const;
};

/// All that lies dense in memory, in one launch.
void SquareSums::ofLists(ArrayRef<BufferLists::List> lists, int64_t blocks) const {
  BufferLists buffers(lists);
  SmallVector<Value> operands(buffers.operands());
  operands.push_back(partials);
  Type f64 = e.builder.getF64Type();
  e.launch({e.index(blocks), {}, {}}, listThreads, operands, [&](Thread &t, ValueRange onDevice) {
    buffers.writeTable(t, onDevice.drop_back());
    t.barrier();
    Value own = buffers.forChunks(
        t, t.number(f64, 0), [&](Value, ArrayRef<Pointer> places, int64_t count, ValueRange sum) {
          return BufferLists::Values{
              add(t, sum[0], places[0].load(t, count, computeType(places[0].element)))};
        })[0];
    finish(t, own, onDevice.back());
  });
}

void SquareSums::ofInput(Value input, int64_t blocks) const {
  auto type = cast<MemRefType>(input.getType());
  Type compute = computeType(type.getElementType()), f64 = e.builder.getF64Type();
  Value size = e.leadingSize(input, type.getRank());
  e.launch({e.index(blocks), {}, {}}, blockThreads, {input, size, partials},
           [&](Thread &t, ValueRange in) {
             SmallVector<Value> sizes;
             for (int64_t i = 0; i < type.getRank(); ++i)
               sizes.push_back(t.dim(in[0], i));
             Value own = t.forShare(in[1], 1, t.number(f64, 0), [&](Value i, ValueRange sum) {
               return SmallVector<Value>{
                   add(t, sum[0], t.load(in[0], delinearize(t, i, sizes), compute))};
             })[0];
             finish(t, own, in[2]);
           });
}

/// As many blocks as so many elements ask for.
static int64_t blocksOfSquares(ArrayRef<Value> inputs) {
  constexpr int64_t elementsOfBlock = 8192, mostBlocks = 1024;
  int64_t elements = 0;
  for (Value input : inputs) {
    auto type = cast<MemRefType>(input.getType());
    if (!type.hasStaticShape())
      return mostBlocks;
    elements += type.getNumElements();
  }
  return std::clamp<int64_t>(elements / elementsOfBlock, 1, mostBlocks);
}

LogicalResult emit(kernel::SquaredNormOp op, ValueRange operands, Emission &e) {
  if (failed(checkRows(op, operands)))
    return failure();
  kernel::SquaredNormOp::Adaptor in(operands, op);
  if (in.getInputs().empty())
    return op.emitOpError("has no inputs");
  SmallVector<BufferLists::List> lists;
  SmallVector<Value> others;
  for (Value input : in.getInputs()) {
    if (Value flat = BufferLists::flatten(e, input))
      lists.push_back({flat});
    else
      others.push_back(input);
  }
  SmallVector<SmallVector<BufferLists::List>> parts;
  SmallVector<int64_t> blocks;
  for (const SmallVector<size_t> &numbers : BufferLists::divide(lists, /*others=*/0)) {
    SmallVector<Value> inputs;
    for (size_t number : numbers) {
      if (inputs.empty())
        parts.emplace_back();
      parts.back().push_back(lists[number]);
      inputs.push_back(lists[number][0]);
    }
    blocks.push_back(blocksOfSquares(inputs));
  }
  for (Value input : others)
    blocks.push_back(blocksOfSquares(input));
  int64_t all = std::accumulate(blocks.begin(), blocks.end(), int64_t{0}), start = 0;
  Value partials = e.scratch({all}, e.builder.getF64Type());
  for (auto [number, count] : llvm::enumerate(blocks)) {
    SquareSums sums{e, partials, start};
    if (number < parts.size())
      sums.ofLists(parts[number], count);
    else
      sums.ofInput(others[number - parts.size()], count);
    start += count;
  }
  sumPartials(e, partials, e.index(all), in.getOutputs()[0],
              [](Thread &t, Value sum, ValueRange outputs) { t.store(sum, outputs[0], {}); });
  return success();
}

} // namespace quern::nvidia
