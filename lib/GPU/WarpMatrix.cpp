//===- WarpMatrix.cpp - Products of matrices by the tensor cores of a warp --------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "WarpMatrix.h"
#include "quern/Emission/Views.h"
#include "quern/GPU/Emission.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;

namespace quern::nvidia {

using namespace emission;

/// Elements in 16 bytes, what a thread copies at a time.
constexpr int64_t chunk = 8;

bool hasWarpProducts(Type element) { return element.isBF16() || element.isF16(); }

int64_t fragmentDepth(Type element) { return element.isF32() ? 8 : 16; }

//===---------------------------------------------------------------------------------------------===//
// Memory
//===---------------------------------------------------------------------------------------------===//

HalfMatrix::HalfMatrix(Thread &t, int64_t rows, int64_t columns, Type element)
    : rows(rows), columns(columns), pitch(pitchOf(columns)),
      start(t, t.shared({rows, pitchOf(columns)}, element)) {}

HalfMatrix HalfMatrix::part(Thread &t, Value row, int64_t count) const {
  HalfMatrix result = *this;
  result.rows = count;
  result.start = at(t, row, t.int32(0));
  return result;
}

Pointer HalfMatrix::at(Thread &t, Value row, Value column) const {
  return start.at(t, addIndex(t, mulIndex(t, row, t.int32(pitch)), column));
}

HalfRows::HalfRows(Thread &t, Value memref)
    : start(t, memref), aligned(t.isAligned(memref, chunk * 2)) {
  auto metadata = memref::ExtractStridedMetadataOp::create(t.builder, t.loc, memref);
  stride = metadata.getStrides()[0];
}

/// Calls `each(row, column)` (i32) for this thread's share of the chunks of a matrix.
static void forChunks(Thread &t, Value thread, int64_t threads, int64_t rows, int64_t columns,
                      llvm::function_ref<void(Value row, Value column)> each) {
  int64_t inRow = columns / chunk, total = rows * inRow;
  for (int64_t first = 0; first < total; first += threads) {
    SmallVector<Value> place;
    if (threads % inRow == 0) {
      // A thread stays in its column.
      place = t.digits(thread, {threads / inRow, inRow});
      place[0] = addIndex(t, place[0], t.int32(first / inRow));
    } else {
      place = t.digits(addIndex(t, thread, t.int32(first)), {rows, inRow});
    }
    auto copy = [&] { each(place[0], mulIndex(t, place[1], t.int32(chunk))); };
    if (first + threads <= total)
      copy();
    else
      t.when(t.less(place[0], t.int32(rows)), copy);
  }
}

/// How many rows there are from `first` to `end`, in 32 bits: no more than `limit`.
static Value countRows(Thread &t, Value first, Value end, int64_t limit) {
  Value left = arith::SubIOp::create(t.builder, t.loc, end, first);
  left = arith::MaxSIOp::create(t.builder, t.loc, left, t.index(0));
  return t.int32(minIndex(t, left, t.index(limit)));
}

/// The place of an element in rows that begin at `base`.
static Pointer elementOf(Thread &t, const Pointer &base, const HalfRows &rows, Value row,
                         Value column) {
  Value offset = mulIndex(t, t.toIndex(row), rows.stride);
  return base.at(t, addIndex(t, offset, t.toIndex(column)));
}

void startCopy(Thread &t, const HalfMatrix &to, const HalfRows &from, Value first, Value end,
               int64_t columns) {
  // The places of this thread are found again each time: products need the registers.
  Value count = countRows(t, first, end, to.rows), thread = t.int32(t.rereadThread());
  Pointer base = from.start.at(t, mulIndex(t, first, from.stride));
  auto forEach = [&](llvm::function_ref<void(Value, Value)> each) {
    forChunks(t, thread, t.threads, to.rows, columns, each);
  };
  auto atOnce = [&] {
    Value all = t.int32(chunk * 2), none = t.int32(0);
    forEach([&](Value row, Value column) {
      Pointer source = elementOf(t, base, from, row, column);
      copyAsync(t, to.at(t, row, column), source, chunk * 2,
                t.select(t.less(row, count), all, none));
    });
  };
  auto oneByOne = [&] {
    Type element = to.start.element;
    Value zero = t.number(element, 0);
    forEach([&](Value row, Value column) {
      Pointer source = elementOf(t, base, from, row, column);
      SmallVector<Value> zeros(chunk, zero);
      SmallVector<Value> values = t.when(t.less(row, count), zeros, [&] {
        SmallVector<Value> loaded;
        for (int64_t i = 0; i < chunk; ++i)
          loaded.push_back(source.at(t, i).load(t, 1, element)[0]);
        return loaded;
      });
      to.at(t, row, column).store(t, values);
    });
  };
  choose(t, from.aligned, atOnce, oneByOne);
}

void writeRows(Thread &t, const HalfMatrix &from, Value firstRow, int64_t rows, const HalfRows &to,
               Value first, Value end, int64_t columns) {
  t.syncWarp();
  Value count = countRows(t, first, end, rows), lane = t.int32(t.lane());
  Pointer base = to.start.at(t, mulIndex(t, first, to.stride));
  Type element = from.start.element;
  forChunks(t, lane, warpSize, rows, columns, [&](Value row, Value column) {
    t.when(t.less(row, count), [&] {
      Pointer target = elementOf(t, base, to, row, column);
      SmallVector<Value> values =
          from.at(t, addIndex(t, firstRow, row), column).load(t, chunk, element);
      choose(
          t, to.aligned, [&] { target.store(t, values); },
          [&] {
            for (int64_t i = 0; i < chunk; ++i)
              target.at(t, i).store(t, values[i]);
          });
    });
  });
}

//===---------------------------------------------------------------------------------------------===//
// Fragments and products
//===---------------------------------------------------------------------------------------------===//

static Value shiftRight(Thread &t, Value x, int64_t bits) {
  return arith::ShRUIOp::create(t.builder, t.loc, x, t.int32(bits));
}
static Value lowBits(Thread &t, Value x, int64_t mask) {
  return arith::AndIOp::create(t.builder, t.loc, x, t.int32(mask));
}

Value fragmentGroup(Thread &t) { return shiftRight(t, t.int32(t.lane()), 2); }
Value fragmentPlace(Thread &t) { return lowBits(t, t.int32(t.lane()), 3); }

static bool isTransposed(Role role) {
  return role == Role::TransposedA || role == Role::TransposedB;
}

FragmentReader::FragmentReader(Thread &t, const HalfMatrix &matrix, Role role, Value row,
                               Value column)
    : pitch(matrix.pitch), role(role) {
  if (matrix.start.element.isF32() && isTransposed(role)) {
    // Rows run across the depth: a lane's first element stands in row place, column group.
    Value down = fragmentPlace(t), right = fragmentGroup(t);
    start =
        matrix
            .at(t, row ? addIndex(t, row, down) : down, column ? addIndex(t, column, right) : right)
            .anew(t);
    return;
  }
  // Lanes 8 i to 8 i + 7 give the rows of the i-th matrix, which becomes register i. Those of A and
  // of transposed B go down first, the others to the right.
  Value lane = t.int32(t.lane());
  Value down = lowBits(t, lane, 15), right = shiftRight(t, lane, 4);
  if (role == Role::B || role == Role::TransposedA) {
    down = addIndex(t, lowBits(t, lane, 7), mulIndex(t, right, t.int32(8)));
    right = lowBits(t, shiftRight(t, lane, 3), 1);
  }
  if (row)
    down = addIndex(t, row, down);
  right = mulIndex(t, right, t.int32(16 / matrix.start.elementBytes()));
  if (column)
    right = addIndex(t, column, right);
  start = matrix.at(t, down, right).anew(t);
}

FragmentReader FragmentReader::below(Thread &t, Value rows) const {
  FragmentReader result = *this;
  result.start = start.at(t, mulIndex(t, rows, t.int32(pitch)));
  return result;
}

/// The f32 in the nearest of TF32, ties away from 0, as a register.
static Value roundToTensorFloat(Thread &t, Value x) {
  return NVVM::ConvertFloatToTF32Op::create(t.builder, t.loc, t.builder.getI32Type(), x,
                                            NVVM::FPRoundingMode::RNA);
}

/// Fragments whose rows run across the depth, of f32.
SmallVector<Value> FragmentReader::loadOneByOne(Thread &t, const Pointer &first) const {
  SmallVector<Value> registers;
  // Four rows further down is 4 deeper, eight columns to the right the next eight rows or columns
  // of the product. Of A the latter comes first.
  for (int64_t outer : {0, 1})
    for (int64_t inner : {0, 1}) {
      int64_t deeper = role == Role::TransposedA ? outer : inner;
      int64_t further = role == Role::TransposedA ? inner : outer;
      Pointer place = first.at(t, 4 * deeper * pitch + 8 * further);
      registers.push_back(roundToTensorFloat(t, place.load(t, 1, first.element)[0]));
    }
  return registers;
}

SmallVector<Value> FragmentReader::load(Thread &t, int64_t row, int64_t column) const {
  MLIRContext *context = t.builder.getContext();
  Type i32 = t.builder.getI32Type();
  bool isFloat = start.element.isF32();
  if (isFloat && isTransposed(role))
    return loadOneByOne(t, start.at(t, row * pitch + column));
  Type four = LLVM::LLVMStructType::getLiteral(context, {i32, i32, i32, i32});
  Value all = NVVM::LdMatrixOp::create(
      t.builder, t.loc, four, start.at(t, row * pitch + column).address(t), /*num=*/4,
      isTransposed(role) ? NVVM::MMALayout::col : NVVM::MMALayout::row,
      NVVM::LdStMatrixShapeAttr::get(context, 8, 8), NVVM::LdStMatrixEltType::B16);
  SmallVector<Value> registers;
  for (int64_t i = 0; i < 4; ++i)
    registers.push_back(LLVM::ExtractValueOp::create(t.builder, t.loc, all, i));
  if (isFloat)
    for (Value &value : registers)
      value = roundToTensorFloat(
          t, LLVM::BitcastOp::create(t.builder, t.loc, t.builder.getF32Type(), value));
  return registers;
}

WarpSums::WarpSums(Thread &t, int64_t rowTiles, int64_t columnTiles)
    : rowTiles(rowTiles), columnTiles(columnTiles),
      values(rowTiles * columnTiles * 4, t.number(t.builder.getF32Type(), 0)) {}

/// sums + a b for one tile.
static void multiplyAdd(Thread &t, Type element, ValueRange a, ValueRange b,
                        MutableArrayRef<Value> sums) {
  OpBuilder &builder = t.builder;
  NVVM::MMATypes type = element.isF32()    ? NVVM::MMATypes::tf32
                        : element.isBF16() ? NVVM::MMATypes::bf16
                                           : NVVM::MMATypes::f16;
  auto factors = [&](ValueRange registers) {
    SmallVector<Value> values(registers);
    Type pair = VectorType::get({2}, element);
    for (Value &value : values)
      if (element.isF16()) // the op takes f16 as pairs, all others as i32
        value = LLVM::BitcastOp::create(builder, t.loc, pair, value);
    return values;
  };
  Type f32 = builder.getF32Type();
  Type four = LLVM::LLVMStructType::getLiteral(builder.getContext(), {f32, f32, f32, f32});
  Value result = NVVM::MmaOp::create(
      builder, t.loc, four, factors(a), factors(b), ValueRange(ArrayRef<Value>(sums)),
      ArrayRef<int64_t>{16, 8, fragmentDepth(element)}, std::nullopt, std::nullopt,
      std::array<NVVM::MMATypes, 2>{type, type},
      std::array<NVVM::MMALayout, 2>{NVVM::MMALayout::row, NVVM::MMALayout::col});
  for (int64_t i = 0; i < 4; ++i)
    sums[i] = LLVM::ExtractValueOp::create(builder, t.loc, result, i);
}

void addProduct(Thread &t, Type element, WarpSums &sums, int64_t depthTiles,
                llvm::function_ref<SmallVector<Value>(int64_t, int64_t)> a,
                llvm::function_ref<SmallVector<Value>(int64_t, int64_t)> b) {
  for (int64_t k = 0; k < depthTiles; ++k) {
    SmallVector<SmallVector<Value>> left;
    for (int64_t i = 0; i < sums.rowTiles; ++i)
      left.push_back(a(i, k));
    for (int64_t j = 0; j < sums.columnTiles; j += 2) {
      SmallVector<Value> right = b(k, j);
      for (int64_t i = 0; i < sums.rowTiles; ++i)
        for (int64_t half = 0; half < 2; ++half)
          multiplyAdd(
              t, element, left[i], ArrayRef<Value>(right).slice(2 * half, 2),
              MutableArrayRef<Value>(sums.values).slice((i * sums.columnTiles + j + half) * 4, 4));
    }
  }
}

/// Two sums, rounded, as one register (i32), `low` in its lower half.
Value packPair(Thread &t, Value low, Value high, Type element) {
  StringRef name = element.isBF16() ? "llvm.nvvm.ff2bf16x2.rn" : "llvm.nvvm.ff2f16x2.rn";
  Value pair = LLVM::CallIntrinsicOp::create(t.builder, t.loc, VectorType::get({2}, element),
                                             t.builder.getStringAttr(name), ValueRange{high, low})
                   .getResult(0);
  return LLVM::BitcastOp::create(t.builder, t.loc, t.builder.getI32Type(), pair);
}

void storeMatrices(Thread &t, const Pointer &row, ValueRange registers) {
  SmallVector<Value> operands{row.sharedAddress(t)};
  llvm::append_range(operands, registers);
  t.assembly("stmatrix.sync.aligned.m8n8.x4.shared.b16 [$0], {$1, $2, $3, $4};",
             "r,r,r,r,r,~{memory}", operands);
}

SmallVector<SmallVector<Value>> asFactor(Thread &t, WarpSums &sums, Type element) {
  SmallVector<SmallVector<Value>> fragments;
  for (int64_t i = 0; i < sums.rowTiles; ++i)
    for (int64_t j = 0; j < sums.columnTiles; j += 2) {
      SmallVector<Value> fragment;
      for (int64_t right : {0, 1})
        for (int64_t down : {0, 2})
          fragment.push_back(
              packPair(t, sums.at(i, j + right, down), sums.at(i, j + right, down + 1), element));
      fragments.push_back(fragment);
    }
  return fragments;
}

void storeSums(Thread &t, WarpSums &sums, const HalfMatrix &to, Value row) {
  Value column = mulIndex(t, fragmentPlace(t), t.int32(2));
  Pointer start = to.at(t, addIndex(t, row, fragmentGroup(t)), column);
  Type element = to.start.element;
  for (int64_t i = 0; i < sums.rowTiles; ++i)
    for (int64_t j = 0; j < sums.columnTiles; ++j)
      for (int64_t down : {0, 1}) {
        Pointer target = start.at(t, (16 * i + 8 * down) * to.pitch + 8 * j);
        Value pair = packPair(t, sums.at(i, j, 2 * down), sums.at(i, j, 2 * down + 1), element);
        LLVM::StoreOp::create(t.builder, t.loc, pair, target.address(t), /*alignment=*/4);
      }
}

} // namespace quern::nvidia
