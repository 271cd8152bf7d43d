//===- Reduction.cpp - Sums over rows and over everything -------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
// Both cut their input into blocks that depend on its shape alone, sum each block on its own, and
// add up the blocks in their order.

#include "Emitters.h"
#include "Rows.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;

namespace quern::cpu {

/// Sums rows [from, to) of x in the columns [first, last) into `target` (overwritten), four rows at
/// a time: that reads x at the speed of memory, and the sums stay in the first-level cache.
static void sumBlock(Vectors &v, Value x, Value from, Value to, Value first, Value last,
                     Value target) {
  Emission &e = v.emission;
  OpBuilder &b = e.builder;
  constexpr int64_t ways = 4;
  v.forColumns(first, last,
               [&](Value column, Value mask) { v.store(v.splat(0.0), target, column, mask); });
  Value length = arith::SubIOp::create(b, e.loc, to, from);
  Value rest = arith::RemUIOp::create(b, e.loc, length, e.index(ways));
  Value whole = arith::SubIOp::create(b, e.loc, to, rest);
  auto addRows = [&](Value row, int64_t count) {
    SmallVector<Value> rows;
    for (int64_t way = 0; way < count; ++way)
      rows.push_back(rowOf(e, x, addIndex(e, row, e.index(way))));
    v.forColumns(first, last, [&](Value column, Value mask) {
      SmallVector<Value> terms{v.load(target, column, mask)};
      for (Value source : rows)
        terms.push_back(v.load(source, column, mask));
      Value sum =
          count == 1 ? v.add(terms[0], terms[1])
                     : v.add(terms[0], v.add(v.add(terms[1], terms[2]), v.add(terms[3], terms[4])));
      v.store(sum, target, column, mask);
    });
  };
  e.forLoop(from, whole, ways, [&](Value row) { addRows(row, ways); });
  e.forLoop(whole, to, 1, [&](Value row) { addRows(row, 1); });
}

LogicalResult emit(kernel::SumRowsOp op, ValueRange operands, Emission &e) {
  if (failed(checkRows(op, operands)))
    return failure();
  kernel::SumRowsOp::Adaptor in(operands, op);
  auto type = cast<MemRefType>(in.getX().getType());
  if (type.getRank() == 0)
    return op.emitOpError("x has no dimension to keep");
  int64_t last = type.getRank() - 1;
  Value x = mergeRows(e, in.getX()), y = in.getOutputs()[0];
  Vectors v(e, computeType(type.getElementType()));
  Value rows = e.leadingSize(in.getX(), last), columns = e.dim(in.getX(), last), zero = e.index(0);
  OpBuilder &b = e.builder;

  // Wide rows: threads divide the columns. So do those of a width that is not known, because the
  // place of partial sums must be, and those in 16 bits, whose sums y cannot hold.
  constexpr int64_t wide = 4096, blocks = 16;
  bool inPlace = cast<MemRefType>(y.getType()).getElementType() == v.compute;
  Value chunk = e.index(512);
  if (inPlace && (type.isDynamicDim(last) || type.getDimSize(last) >= wide)) {
    e.forUnits(ceilDiv(e, columns, chunk), [&](Value unit) {
      Value first = mulIndex(e, unit, chunk);
      sumBlock(v, x, zero, rows, first, minIndex(e, addIndex(e, first, chunk), columns), y);
    });
    return success();
  }
  if (type.isDynamicDim(last))
    return op.emitOpError("needs a static last dimension or a result of type ")
           << v.compute << ": partial sums have a fixed place in the arena";
  Value partial = e.sharedScratch(MemRefType::get({blocks, type.getDimSize(last)}, v.compute));
  Value count = e.index(blocks);
  e.forUnits(count, [&](Value block) {
    Value from = arith::DivUIOp::create(b, e.loc, mulIndex(e, block, rows), count);
    Value next = mulIndex(e, addIndex(e, block, e.index(1)), rows);
    Value to = arith::DivUIOp::create(b, e.loc, next, count);
    sumBlock(v, x, from, to, zero, columns, rowOf(e, partial, block));
  });
  e.barrier();
  e.forUnits(ceilDiv(e, columns, chunk), [&](Value unit) {
    Value first = mulIndex(e, unit, chunk);
    v.forColumns(first, minIndex(e, addIndex(e, first, chunk), columns),
                 [&](Value column, Value mask) {
                   Value total = v.splat(0.0);
                   for (int64_t block = 0; block < blocks; ++block)
                     total = v.add(total, v.load(rowOf(e, partial, e.index(block)), column, mask));
                   v.store(total, y, column, mask);
                 });
  });
  return success();
}

/// Sum of the squares of [from, to) of a row, as f64.
static Value sumOfSquares(Vectors &v, Value row, Value from, Value to) {
  Emission &e = v.emission;
  Value sum = v.sums(from, to, 1, [&](Value column, Value mask) {
    Value x = v.load(row, column, mask);
    return SmallVector<Value>{v.mul(x, x)};
  })[0];
  Type f64 = e.builder.getF64Type();
  return v.compute == f64 ? sum : arith::ExtFOp::create(e.builder, e.loc, f64, sum).getResult();
}

LogicalResult emit(kernel::SquaredNormOp op, ValueRange operands, Emission &e) {
  if (failed(checkRows(op, operands)))
    return failure();
  kernel::SquaredNormOp::Adaptor in(operands, op);
  OpBuilder &b = e.builder;
  Type f64 = b.getF64Type();
  Value one = e.index(1);
  // An input has as many blocks as its size asks for: enough for any number of threads, and short
  // enough that sums in f32 lose nothing. Blocks add to their f64 sum in pieces.
  constexpr int64_t piece = 16 << 10, mostBlocks = 64;
  int64_t blocksOfAll = 0;
  SmallVector<int64_t> starts;
  for (Value input : in.getInputs()) {
    auto type = cast<MemRefType>(input.getType());
    int64_t blocks = mostBlocks;
    if (type.hasStaticShape())
      blocks = std::min(blocks, std::max<int64_t>(1, type.getNumElements() / piece));
    starts.push_back(blocksOfAll);
    blocksOfAll += blocks;
  }
  starts.push_back(blocksOfAll);
  if (!blocksOfAll)
    return op.emitOpError("has no inputs");
  Value partial = e.sharedScratch(MemRefType::get({blocksOfAll}, f64));
  Value zero = arith::ConstantOp::create(b, e.loc, b.getF64FloatAttr(0.0));

  for (size_t number = 0; number < in.getInputs().size(); ++number) {
    Value input = in.getInputs()[number];
    auto type = cast<MemRefType>(input.getType());
    Vectors v(e, computeType(type.getElementType()));
    Value blocks = e.index(starts[number + 1] - starts[number]);
    Value flat = flatten(e, input);
    // Dense inputs are divided by elements, others by rows.
    Value size = e.leadingSize(input, flat ? type.getRank() : type.getRank() - 1);
    e.forUnits(blocks, [&](Value block) {
      Value from = arith::DivUIOp::create(b, e.loc, mulIndex(e, block, size), blocks);
      Value next = mulIndex(e, addIndex(e, block, one), size);
      Value to = arith::DivUIOp::create(b, e.loc, next, blocks);
      Value sum = e.forLoop(from, to, flat ? piece : 1, zero, [&](Value at, ValueRange carried) {
        Value added;
        if (flat)
          added = sumOfSquares(v, flat, at, minIndex(e, addIndex(e, at, e.index(piece)), to));
        else
          added =
              sumOfSquares(v, rowOf(e, input, at), e.index(0), e.dim(input, type.getRank() - 1));
        return SmallVector<Value>{arith::AddFOp::create(b, e.loc, carried[0], added)};
      })[0];
      memref::StoreOp::create(b, e.loc, sum, partial, addIndex(e, block, e.index(starts[number])));
    });
  }
  e.barrier();
  e.onFirstThread([&] {
    Value total =
        e.forLoop(e.index(0), e.index(blocksOfAll), 1, zero, [&](Value block, ValueRange carried) {
          Value part = memref::LoadOp::create(b, e.loc, partial, block);
          return SmallVector<Value>{arith::AddFOp::create(b, e.loc, carried[0], part)};
        })[0];
    Value result = in.getOutputs()[0];
    Type element = cast<MemRefType>(result.getType()).getElementType();
    if (element != f64)
      total = arith::TruncFOp::create(b, e.loc, element, total);
    memref::StoreOp::create(b, e.loc, total, result, ValueRange());
  });
  return success();
}

} // namespace quern::cpu
