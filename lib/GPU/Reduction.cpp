//===- Reduction.cpp - Sums over rows and over everything -------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
// Both cut their input into blocks that depend on its shape alone, sum each block on its own, and
// add up the blocks in their order in another launch.

#include "Reduction.h"
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

/// Launches a kernel whose blocks share the elements of `input`; block i writes the sum of its
/// squares to `partials[start + i]`.
static void sumSquares(Emission &e, Value input, Value partials, int64_t start, int64_t blocks) {
  auto type = cast<MemRefType>(input.getType());
  Type compute = computeType(type.getElementType()), f64 = e.builder.getF64Type();
  Value flat = flatten(e, input);
  Value data = flat ? flat : input, size = e.leadingSize(input, type.getRank());
  auto launch = [&](int64_t lanes) {
    e.launch({e.index(blocks), {}, {}}, blockThreads, {data, size, partials},
             [&](Thread &t, ValueRange in) {
               SmallVector<Value> sizes;
               for (int64_t i = 0; i < cast<MemRefType>(in[0].getType()).getRank(); ++i)
                 sizes.push_back(t.dim(in[0], i));
               // Few squares are added in f32, all others in f64.
               Value own = t.forShare(in[1], lanes, t.number(f64, 0), [&](Value i, ValueRange sum) {
                 SmallVector<Value> squares;
                 for (Value x : t.loadVector(in[0], delinearize(t, i, sizes), lanes, compute))
                   squares.push_back(t.mul(x, x));
                 return SmallVector<Value>{t.add(sum[0], t.convert(t.sumOf(squares), f64))};
               })[0];
               Value sum = t.sumOverBlock(own);
               t.when(t.equal(t.thread(), t.index(0)),
                      [&] { t.store(sum, in[2], addIndex(t, t.block(0), t.index(start))); });
             });
  };
  if (flat)
    return forLanes(e, flat, size, launch);
  launch(1);
}

LogicalResult emit(kernel::SquaredNormOp op, ValueRange operands, Emission &e) {
  if (failed(checkRows(op, operands)))
    return failure();
  kernel::SquaredNormOp::Adaptor in(operands, op);
  // An input has as many blocks as its size asks for.
  constexpr int64_t elementsOfBlock = 8192, mostBlocks = 1024;
  SmallVector<int64_t> blocks;
  for (Value input : in.getInputs()) {
    auto type = cast<MemRefType>(input.getType());
    int64_t wanted = type.hasStaticShape() ? type.getNumElements() / elementsOfBlock : mostBlocks;
    blocks.push_back(std::clamp<int64_t>(wanted, 1, mostBlocks));
  }
  if (blocks.empty())
    return op.emitOpError("has no inputs");
  int64_t all = std::accumulate(blocks.begin(), blocks.end(), int64_t{0}), start = 0;
  Value partials = e.scratch({all}, e.builder.getF64Type());
  for (auto [input, count] : llvm::zip(in.getInputs(), blocks)) {
    sumSquares(e, input, partials, start, count);
    start += count;
  }
  sumPartials(e, partials, e.index(all), in.getOutputs()[0],
              [](Thread &t, Value sum, ValueRange outputs) { t.store(sum, outputs[0], {}); });
  return success();
}

} // namespace quern::nvidia
