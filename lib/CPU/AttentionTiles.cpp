//===- AttentionTiles.cpp - Tiles of attention in a thread's own memory -----------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "AttentionTiles.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "llvm/Support/MathExtras.h"

#include <limits>
#include <numeric>

using namespace mlir;

namespace quern::cpu {

LogicalResult checkAttention(Operation *op, ValueRange operands, Value q, Value k, Value v) {
  if (failed(checkRows(op, operands)))
    return failure();
  auto width = [](Value x) { return cast<MemRefType>(x.getType()).getDimSize(3); };
  auto heads = [](Value x) { return cast<MemRefType>(x.getType()).getDimSize(2); };
  for (Value x : {q, k, v})
    if (ShapedType::isDynamic(width(x)) || ShapedType::isDynamic(heads(x)))
      return op->emitOpError("needs static heads and head dimensions on the CPU, not ")
             << x.getType();
  constexpr int64_t widest = 256;
  if (width(q) > widest || width(v) > widest)
    return op->emitOpError("has a head dimension of ")
           << std::max(width(q), width(v)) << "; the CPU target computes up to " << widest
           << ": use more heads";
  return success();
}

AttentionTiles::AttentionTiles(Emission &e, Value q, Value k, Value value, Value mask,
                               Value lengths, Value offset, bool causal, int64_t queryTiles,
                               int64_t keysOfTile)
    : e(e), b(e.builder), loc(e.loc),
      v(e, computeType(cast<MemRefType>(q.getType()).getElementType())), lanes(v.lanes), mask(mask),
      lengths(lengths), causal(causal), offset(loadOffset(e, offset)) {
  auto size = [](Value x, int64_t i) { return cast<MemRefType>(x.getType()).getDimSize(i); };
  batch = e.dim(q, 0);
  queries = e.dim(q, 1);
  keys = e.dim(k, 1);
  heads = size(q, 2);
  groups = size(k, 2);
  keyWidth = size(q, 3);
  valueWidth = size(value, 3);
  paddedKeyWidth = llvm::alignTo(keyWidth, lanes);
  paddedValueWidth = llvm::alignTo(valueWidth, lanes);

  // Two loads a multiplication-addition cycle must feed two of them: rows x 2 vectors need
  // rows + 2 loads for 2 rows of them.
  bool manyRegisters = e.machine.vectorRegisters >= 32;
  microVectors = 2;
  microRows = std::min<int64_t>(manyRegisters ? 8 : 4, lanes);
  microQueries = microVectors * lanes;
  int64_t widest = std::max(paddedKeyWidth, paddedValueWidth);
  blockKeys = widest > 128 ? 32 : keysOfTile;
  // Each tile of keys is copied once for all queries of a block, and meets all tiles of them, which
  // should stay in the second-level cache. Not all of a unit's are in use at a time.
  int64_t bytes = std::min<int64_t>(e.machine.l2Bytes, 512 << 10);
  int64_t most = bytes / elementBytes(v.compute) / (queryTiles * widest);
  blockQueries = std::clamp<int64_t>(llvm::alignDown(most, 64), 64, 256);
  // Short sequences need no more than they have.
  if (!ShapedType::isDynamic(size(q, 1)))
    blockQueries = std::min<int64_t>(blockQueries,
                                     llvm::alignTo(std::max<int64_t>(size(q, 1), 1), microQueries));
}

Value AttentionTiles::tile(int64_t rows, int64_t columns) {
  int64_t line = 64 / elementBytes(v.compute);
  int64_t lines = llvm::divideCeil(columns, line) | 1;
  return e.privateScratch(MemRefType::get({rows, lines * line}, v.compute));
}
Value AttentionTiles::load(Value tile, Value row, Value column) {
  return vector::LoadOp::create(b, loc, v.type, tile, ValueRange{row, column});
}
void AttentionTiles::store(Value value, Value tile, Value row, Value column) {
  vector::StoreOp::create(b, loc, value, tile, ValueRange{row, column});
}
void AttentionTiles::zero(Value tile, Value firstRow, Value endRow, Value columns) {
  e.forLoop(firstRow, endRow, 1, [&](Value row) {
    e.forLoop(e.index(0), columns, lanes,
              [&](Value column) { store(v.splat(0.0), tile, row, column); });
  });
}

Value AttentionTiles::subtract(Value a, Value c) {
  return b.createOrFold<arith::SubIOp>(loc, a, c);
}
Value AttentionTiles::minimum(Value a, Value c) {
  return b.createOrFold<arith::MinSIOp>(loc, a, c);
}
Value AttentionTiles::maximum(Value a, Value c) {
  return b.createOrFold<arith::MaxSIOp>(loc, a, c);
}
Value AttentionTiles::less(Value a, Value c) {
  return b.createOrFold<arith::CmpIOp>(loc, arith::CmpIPredicate::slt, a, c);
}
Value AttentionTiles::roundUp(Value a, int64_t multiple) {
  Value size = e.index(multiple);
  Value count = b.createOrFold<arith::DivUIOp>(loc, add(a, multiple - 1), size);
  return mulIndex(e, count, size);
}

void AttentionTiles::when(Value condition, llvm::function_ref<void()> body) {
  auto conditional = scf::IfOp::create(b, loc, condition, /*withElseRegion=*/false);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(conditional.thenBlock());
  body();
}

Value AttentionTiles::visibleKeys(Value batchIndex) {
  if (!lengths)
    return keys;
  Value length = memref::LoadOp::create(b, loc, lengths, ValueRange{batchIndex});
  length = arith::IndexCastOp::create(b, loc, b.getIndexType(), length);
  return minimum(keys, maximum(length, e.index(0)));
}

Value AttentionTiles::visibleKeysUntil(Value visible, Value queryEnd) {
  return causal ? minimum(visible, add(offset, queryEnd)) : visible;
}

Value AttentionTiles::columnMask(Value column, int64_t width, Value valid) {
  if (width % lanes == 0 && !valid)
    return {};
  Value left = subtract(e.index(width), column);
  if (valid)
    left = arith::SelectOp::create(b, loc, valid, left, e.index(0));
  return vector::CreateMaskOp::create(b, loc, VectorType::get({lanes}, b.getI1Type()),
                                      ValueRange{left});
}

void AttentionTiles::packRows(Value tile, Value rows, Value x, Value batchIndex, Value first,
                              Value count, Value head, int64_t width, Value scale) {
  int64_t padded = llvm::alignTo(width, lanes);
  e.forLoop(e.index(0), count, 1, [&](Value row) {
    Value source = rowAt(e, x, {batchIndex, add(first, row), head});
    e.forLoop(e.index(0), e.index(padded), lanes, [&](Value column) {
      Value value = v.load(source, column, columnMask(column, width));
      store(scale ? v.mul(value, scale) : value, tile, row, column);
    });
  });
  zero(tile, count, rows, e.index(padded));
}

SmallVector<Value> AttentionTiles::transposeBlock(SmallVector<Value> rows) {
  // Exchanges one bit of the row number with one bit of the lane number at a time.
  for (int64_t bit = 1; bit < lanes; bit *= 2) {
    SmallVector<int64_t> low(lanes), high(lanes);
    for (int64_t lane = 0; lane < lanes; ++lane) {
      low[lane] = lane & bit ? lanes + lane - bit : lane;
      high[lane] = lane & bit ? lanes + lane : lane + bit;
    }
    for (int64_t row = 0; row < lanes; ++row) {
      if (row & bit)
        continue;
      Value first = rows[row], second = rows[row | bit];
      rows[row] = vector::ShuffleOp::create(b, loc, first, second, low);
      rows[row | bit] = vector::ShuffleOp::create(b, loc, first, second, high);
    }
  }
  return rows;
}

void AttentionTiles::transpose(Value from, Value to, Value rows, int64_t width, Value firstColumn) {
  e.forLoop(e.index(0), rows, lanes, [&](Value row) {
    e.forLoop(e.index(0), e.index(width), lanes, [&](Value column) {
      SmallVector<Value> block;
      for (int64_t i = 0; i < lanes; ++i)
        block.push_back(load(from, add(row, i), column));
      block = transposeBlock(block);
      for (int64_t i = 0; i < lanes; ++i)
        store(block[i], to, add(column, i), add(firstColumn, row));
    });
  });
}

SmallVector<Value> AttentionTiles::multiply(ValueRange accumulators, int64_t rows, int64_t vectors,
                                            Value from, Value to,
                                            llvm::function_ref<Value(Value, int64_t)> a,
                                            llvm::function_ref<Value(Value, int64_t)> bVector) {
  return e.forLoop(from, to, 1, accumulators, [&](Value k, ValueRange carried) {
    SmallVector<Value> next(carried), right;
    for (int64_t j = 0; j < vectors; ++j)
      right.push_back(bVector(k, j));
    for (int64_t i = 0; i < rows; ++i) {
      Value left = v.splat(a(k, i));
      for (int64_t j = 0; j < vectors; ++j)
        next[i * vectors + j] = v.fma(left, right[j], next[i * vectors + j]);
    }
    return next;
  });
}

void AttentionTiles::bound(ScoreTile &s) {
  Value zero = e.index(0);
  Value end = s.keyCount;
  Value firstSight = add(offset, s.firstQuery); // the last key that the first query sees
  if (causal)
    end = minimum(end, subtract(add(firstSight, microQueries), s.firstKey));
  // Rows are computed by whole register tiles; of blocks past the last query, none.
  Value inside = less(s.firstQuery, queries);
  end = arith::SelectOp::create(b, loc, inside, maximum(end, zero), zero);
  s.rows = roundUp(end, microRows);
  Value last = add(s.firstKey, s.rows);
  s.masked = less(s.visible, last);
  if (causal) {
    Value crosses = less(add(firstSight, 1), last);
    s.masked = arith::OrIOp::create(b, loc, s.masked, crosses);
  }
  if (mask)
    s.masked = arith::ConstantOp::create(b, loc, b.getBoolAttr(true));
}

Value AttentionTiles::maskElement(Value batchIndex, Value head, Value query, Value key) {
  // A dimension of size 1, static or not, repeats; so does one that the mask lacks.
  auto type = cast<MemRefType>(mask.getType());
  Value indices[] = {batchIndex, head, minimum(query, subtract(queries, e.index(1))),
                     minimum(key, subtract(keys, e.index(1)))};
  SmallVector<Value> at;
  for (int64_t i = 0, rank = type.getRank(); i < rank; ++i) {
    Value index = indices[4 - rank + i];
    if (type.getDimSize(i) == 1)
      index = e.index(0);
    else if (type.isDynamicDim(i))
      index = minimum(index, subtract(e.dim(mask, i), e.index(1)));
    at.push_back(index);
  }
  Value value = memref::LoadOp::create(b, loc, mask, at);
  Type from = value.getType();
  if (from == v.compute)
    return value;
  if (from.getIntOrFloatBitWidth() < v.compute.getIntOrFloatBitWidth())
    return arith::ExtFOp::create(b, loc, v.compute, value);
  return arith::TruncFOp::create(b, loc, v.compute, value);
}

void AttentionTiles::writeMask(const ScoreTile &s) {
  IntegerType i32 = b.getI32Type();
  auto intVector = VectorType::get({lanes}, i32);
  SmallVector<int32_t> numbers(lanes);
  std::iota(numbers.begin(), numbers.end(), 0);
  Value lane =
      arith::ConstantOp::create(b, loc, DenseElementsAttr::get(intVector, ArrayRef(numbers)));
  Value hidden = v.splat(-std::numeric_limits<double>::infinity());
  Value lanesIndex = e.index(lanes), zeroIndex = e.index(0);

  when(s.masked, [&] {
    e.forLoop(zeroIndex, s.rows, 1, [&](Value row) {
      Value key = add(s.firstKey, row);
      if (mask)
        e.forLoop(zeroIndex, e.index(microQueries), 1, [&](Value i) {
          Value value = maskElement(s.batchIndex, s.head, add(s.firstQuery, i), key);
          memref::StoreOp::create(b, loc, value, s.tile, ValueRange{row, add(s.column, i)});
        });
      Value exists = less(key, s.visible);
      for (int64_t j = 0; j < microVectors; ++j) {
        // The first lane that sees the key: all of them without a causal mask.
        Value from = zeroIndex;
        if (causal)
          from = minimum(lanesIndex, subtract(subtract(key, offset), add(s.firstQuery, j * lanes)));
        from = arith::SelectOp::create(b, loc, exists, from, lanesIndex);
        Value threshold = vector::BroadcastOp::create(
            b, loc, intVector, arith::IndexCastOp::create(b, loc, i32, from).getResult());
        Value sees = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::sge, lane, threshold);
        Value column = add(s.column, j * lanes);
        Value value = mask ? load(s.tile, row, column) : v.splat(0.0);
        store(arith::SelectOp::create(b, loc, sees, value, hidden), s.tile, row, column);
      }
    });
  });
}

SmallVector<Value> AttentionTiles::scoreRows(const ScoreTile &s, Value row, Value keyTile,
                                             Value transposedQueries) {
  SmallVector<Type> types(microRows * microVectors, v.type);
  auto start = scf::IfOp::create(b, loc, types, s.masked, /*withElseRegion=*/true);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(start.thenBlock());
    SmallVector<Value> values;
    for (int64_t i = 0; i < microRows; ++i)
      for (int64_t j = 0; j < microVectors; ++j)
        values.push_back(load(s.tile, add(row, i), add(s.column, j * lanes)));
    scf::YieldOp::create(b, loc, values);
    b.setInsertionPointToStart(start.elseBlock());
    scf::YieldOp::create(b, loc, SmallVector<Value>(types.size(), v.splat(0.0)));
  }
  Value column = subtract(s.firstQuery, s.queryBase);
  return multiply(
      start.getResults(), microRows, microVectors, e.index(0), e.index(keyWidth),
      [&](Value k, int64_t i) -> Value {
        return memref::LoadOp::create(b, loc, keyTile, ValueRange{add(row, i), k});
      },
      [&](Value k, int64_t j) { return load(transposedQueries, k, add(column, j * lanes)); });
}

Value AttentionTiles::larger(Value a, Value c) {
  // One instruction, unlike maximumf. A NaN shows in the sum of exponentials.
  Value greater = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OGT, a, c);
  return select(greater, a, c);
}
Value AttentionTiles::equals(Value a, double value) {
  return arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OEQ, a, v.splat(value));
}
Value AttentionTiles::select(Value condition, Value a, Value c) {
  return arith::SelectOp::create(b, loc, condition, a, c);
}

Value AttentionTiles::exponential(Value x, Value shift) {
  // exp2 is the shorter code. (x - shift) first: the other order overflows with a mask of -1e38.
  constexpr double log2E = 1.4426950408889634;
  Value difference = v.sub(x, shift);
  return v.exp2NonPositive(mask ? v.mul(difference, v.splat(log2E)) : difference);
}

Value AttentionTiles::logSumExp(Value maximum, Value sum) {
  Value logarithm = math::LogOp::create(b, loc, sum);
  return v.fma(maximum, v.splat(1 / scoreUnit()), logarithm);
}

} // namespace quern::cpu
