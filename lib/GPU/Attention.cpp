//===- Attention.cpp - What the kernels of attention share ------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "AttentionMma.h"
#include "Emitters.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

#include <limits>

using namespace mlir;

namespace quern::nvidia {

constexpr double infinity = std::numeric_limits<double>::infinity();

static int64_t sizeOf(Value memref, int64_t dim) {
  return cast<MemRefType>(memref.getType()).getDimSize(dim);
}

LogicalResult checkAttention(Operation *op, ValueRange operands, Value q, Value v) {
  if (failed(checkRows(op, operands)))
    return failure();
  for (Value operand : operands)
    if (cast<MemRefType>(operand.getType()).getElementType().isF64())
      return op->emitOpError("has operands of type ")
             << operand.getType()
             << "; NVIDIA GPUs compute attention in f32: use f32, or compile with --target=cpu";
  constexpr int64_t widest = 256;
  if (int64_t width = std::max(sizeOf(q, 3), sizeOf(v, 3)); width > widest)
    return op->emitOpError("has a head dimension of ")
           << width << "; NVIDIA GPUs compute up to " << widest << ": use more heads";
  return success();
}

AttentionProblem::AttentionProblem(Thread &thread, Value q, Value k, Value v, Value mask,
                                   Value lengths, Value offset, bool causal)
    : t(thread), mask(mask), lengths(lengths), causal(causal), offset(loadOffset(t, offset)),
      batch(t.dim(q, 0)), queries(t.dim(q, 1)), keys(t.dim(k, 1)), heads(sizeOf(q, 2)),
      groups(sizeOf(k, 2)), keyWidth(sizeOf(q, 3)), valueWidth(sizeOf(v, 3)) {}

Value AttentionProblem::smaller(Value a, Value b) {
  return t.builder.createOrFold<arith::MinSIOp>(t.loc, a, b);
}
Value AttentionProblem::larger(Value a, Value b) {
  return t.builder.createOrFold<arith::MaxSIOp>(t.loc, a, b);
}

Value AttentionProblem::groupOf(Value head) {
  return t.builder.createOrFold<arith::DivUIOp>(t.loc, head, t.index(heads / groups));
}

Value AttentionProblem::visibleKeys(Value sequence) {
  if (!lengths)
    return keys;
  Value length = arith::IndexCastOp::create(t.builder, t.loc, t.builder.getIndexType(),
                                            t.load(lengths, sequence));
  return larger(smaller(length, keys), t.index(0));
}

Value AttentionProblem::keysOf(Value query, Value visible) {
  if (causal) {
    Value seen = addIndex(t, addIndex(t, offset, query), t.index(1));
    visible = larger(smaller(visible, seen), t.index(0));
  }
  return t.select(t.less(query, queries), visible, t.index(0));
}

Value AttentionProblem::keysOfAny(Value first, int64_t count, Value visible) {
  Value last = arith::SubIOp::create(t.builder, t.loc, queries, t.index(1));
  return keysOf(minIndex(t, addIndex(t, first, t.index(count - 1)), last), visible);
}

Value AttentionProblem::maskElement(Value sequence, Value head, Value query, Value key) {
  // A dimension of size 1, static or not, repeats; so does one that the mask lacks.
  auto last = [&](Value size) { return arith::SubIOp::create(t.builder, t.loc, size, t.index(1)); };
  Value indices[] = {sequence, head, minIndex(t, query, last(queries)),
                     minIndex(t, key, last(keys))};
  SmallVector<Value> at;
  for (int64_t i = 0, rank = cast<MemRefType>(mask.getType()).getRank(); i < rank; ++i) {
    Value index = indices[4 - rank + i];
    if (sizeOf(mask, i) == 1)
      index = t.index(0);
    else if (ShapedType::isDynamic(sizeOf(mask, i)))
      index = minIndex(t, index, last(t.dim(mask, i)));
    at.push_back(index);
  }
  return t.load(mask, at, t.builder.getF32Type());
}

SmallVector<Value> AttentionProblem::masked(ValueRange scores, Value keyEnd, Value fewest,
                                            llvm::function_ref<Place(int64_t)> placeOf) {
  Value hidden = t.number(t.builder.getF32Type(), -infinity);
  // Numbers of keys fit in 32 bits, as lengths do; half the registers hold them.
  auto narrow = [&](Value index) -> Value {
    return arith::IndexCastOp::create(t.builder, t.loc, t.builder.getI32Type(), index);
  };
  auto mask = [&] {
    SmallVector<Value> values;
    for (auto [i, score] : llvm::enumerate(scores)) {
      Place place = placeOf(static_cast<int64_t>(i));
      Value value = score;
      if (this->mask)
        value = t.add(value, maskElement(place.sequence, place.head, place.query, place.key));
      values.push_back(t.select(t.less(narrow(place.key), narrow(place.bound)), value, hidden));
    }
    return values;
  };
  return this->mask ? mask() : t.when(t.less(fewest, keyEnd), scores, mask);
}

Value exp2(Thread &t, Value x) {
  // One instruction; denormal results would take three.
  auto name = t.builder.getStringAttr("llvm.nvvm.ex2.approx.ftz");
  return LLVM::CallIntrinsicOp::create(t.builder, t.loc, x.getType(), name, ValueRange{x})
      .getResult(0);
}

Value exponential(Thread &t, Value x, Value shift) {
  return exp2(t, t.mul(t.sub(x, shift), t.number(x.getType(), log2E)));
}

static Value isEqual(Thread &t, Value x, double value) {
  return arith::CmpFOp::create(t.builder, t.loc, arith::CmpFPredicate::OEQ, x,
                               t.number(x.getType(), value));
}

Value finiteShift(Thread &t, Value maximum) {
  return t.select(isEqual(t, maximum, -infinity), t.number(maximum.getType(), 0), maximum);
}

SoftmaxEnd finishSoftmax(Thread &t, Value maximum, Value sum) {
  Type type = sum.getType();
  Value empty = isEqual(t, sum, 0);
  Value logSumExp = t.add(maximum, t.log(sum));
  return {t.select(empty, t.number(type, 0), t.div(t.number(type, 1), sum)),
          t.select(empty, t.number(type, -infinity), logSumExp)};
}

Value headOf(Code &code, Value x, Value sequence, Value head) {
  OpBuilder &b = code.builder;
  auto type = cast<MemRefType>(x.getType());
  SmallVector<OpFoldResult> offsets{getAsOpFoldResult(sequence), b.getIndexAttr(0),
                                    getAsOpFoldResult(head), b.getIndexAttr(0)};
  SmallVector<OpFoldResult> sizes(4, b.getIndexAttr(1)), strides(4, b.getIndexAttr(1));
  for (int64_t dim : {1, 3})
    sizes[dim] = getAsOpFoldResult(code.dim(x, dim));
  MemRefType matrix = memref::SubViewOp::inferRankReducedResultType(
      {type.getDimSize(1), type.getDimSize(3)}, type, offsets, sizes, strides);
  return memref::SubViewOp::create(b, code.loc, matrix, x, offsets, sizes, strides);
}

TileSizes chooseTiles(const Architecture &architecture, ArrayRef<TileSizes> tiles,
                      llvm::function_ref<int64_t(TileSizes)> bytes) {
  // Each block costs 1 KiB more than it asks for (CUDA C++ Programming Guide, shared memory).
  constexpr int64_t reserved = 1 << 10;
  for (int64_t blocks : {2, 1})
    for (TileSizes tile : tiles)
      if (blocks * (bytes(tile) + reserved) <= architecture.sharedBytes + reserved)
        return tile;
  return tiles.back();
}

LogicalResult emit(kernel::AttentionOp op, ValueRange operands, Emission &e) {
  kernel::AttentionOp::Adaptor in(operands, op);
  if (failed(checkAttention(op, operands, in.getQ(), in.getV())))
    return failure();
  if (isDecodeAttention(op))
    emitDecodeAttention(op, operands, e);
  else if (hasTensorTiles({in.getQ(), in.getK(), in.getV(), in.getOutputs()[0]}))
    emitGroupAttention(op, operands, e, [&] { emitTensorAttention(op, operands, e); });
  else
    emitForwardAttention(op, operands, e);
  return success();
}

} // namespace quern::nvidia
