//===- Transpose.cpp - Rows of a matrix to panels, in registers -------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
///
/// \file
/// The place of an element is a number whose bits say its row and its lane; transposing moves these
/// bits. A stage takes the vectors in pairs, whose numbers differ in one bit, and makes that bit a
/// bit of the lane, in exchange for one that so far was a bit of the lane. What pairs a processor
/// can interleave in one instruction decides which stages there are.
///
//===---------------------------------------------------------------------------------------------===//

#include "MicroKernel.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/MathExtras.h"

#include <numeric>

using namespace mlir;

namespace quern::cpu {
namespace {

/// Bits are numbered by where they come to stand at last: those of the row, then those of the lane.
class Transposition {
public:
  Transposition(Emission &e, ArrayRef<Value> rows)
      : e(e), vectors(rows), rowBits(llvm::Log2_64(rows.size())), laneBits(llvm::Log2_64(lanes())) {
    row.resize(rowBits);
    std::iota(row.begin(), row.end(), 0);
    lane.resize(laneBits);
    std::iota(lane.begin(), lane.end(), rowBits);
  }

  SmallVector<Value> run() {
    if (e.machine.vectorBytes == 64)
      byWholeVectors();
    else
      byLanesOf128Bits();
    return ordered();
  }

private:
  VectorType type() { return cast<VectorType>(vectors[0].getType()); }
  int64_t lanes() { return type().getNumElements(); }

  void exchange(size_t rowBit, size_t low, size_t high);
  void byWholeVectors();
  void byLanesOf128Bits();
  SmallVector<Value> ordered();

  Emission &e;
  SmallVector<Value> vectors;
  size_t rowBits, laneBits;
  SmallVector<size_t> row,
      lane; ///< which bit stands at each bit of a vector's number and of the lane
};

} // namespace

/// The bit of the vector's number goes to bit `low` of the lane, whose bits from there to `high`
/// move up by one, the highest to the vector's number.
void Transposition::exchange(size_t rowBit, size_t low, size_t high) {
  SmallVector<Value> next(vectors.size());
  int64_t count = lanes(), inner = (int64_t(1) << (high - low)) - 1;
  for (size_t i = 0; i < vectors.size(); ++i) {
    if (i >> rowBit & 1)
      continue;
    size_t partner = i | size_t(1) << rowBit;
    for (int64_t part = 0; part < 2; ++part) {
      SmallVector<int64_t> from;
      for (int64_t to = 0; to < count; ++to) {
        int64_t second = to >> low & 1, moved = (to >> (low + 1) & inner) << low,
                kept = to & ~(((inner << 1) | 1) << low);
        from.push_back(second * count + (kept | moved | part << high));
      }
      next[part ? partner : i] =
          vector::ShuffleOp::create(e.builder, e.loc, vectors[i], vectors[partner], from);
    }
  }
  vectors = std::move(next);
  size_t leaving = lane[high];
  for (size_t bit = high; bit > low; --bit)
    lane[bit] = lane[bit - 1];
  lane[low] = std::exchange(row[rowBit], leaving);
}

/// Where any two vectors can be interleaved as a whole (AVX-512's vpermt2ps): perfect shuffles.
void Transposition::byWholeVectors() {
  for (size_t bit = rowBits; bit-- > 0;)
    exchange(bit, 0, laneBits - 1);
}

/// Where instructions interleave within 128 bits (unpcklps, unpcklpd) or exchange whole lanes of
/// 128 bits (vperm2f128).
void Transposition::byLanesOf128Bits() {
  if (rowBits && laneBits)
    exchange(0, 0, type().getElementTypeBitWidth() == 32 && laneBits > 1 ? 1 : 0);
  for (size_t bit = 0; bit < laneBits; ++bit)
    if (lane[bit] != bit)
      exchange(size_t(llvm::find(row, bit) - row.begin()), bit, bit);
}

SmallVector<Value> Transposition::ordered() {
  SmallVector<Value> result(vectors.size());
  for (auto [i, vector] : llvm::enumerate(vectors)) {
    size_t place = 0;
    for (auto [bit, final] : llvm::enumerate(row))
      place |= (i >> bit & 1) << (final - laneBits);
    result[place] = vector;
  }
  return result;
}

SmallVector<Value> transpose(Emission &e, ArrayRef<Value> rows) {
  return Transposition(e, rows).run();
}

} // namespace quern::cpu
