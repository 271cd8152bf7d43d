//===- WarpgroupMultiply.cpp - wgmma.mma_async ------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "lib/Emulator/Matrix/WarpgroupMultiply.h"

#include "lib/Emulator/Matrix/Conversions.h"

namespace quern::emulator::matrix {

namespace {
constexpr int rows = 16;

/// Of an element of a dense matrix.
size_t offset(int row, int columns, int column) {
  return size_t(row) * size_t(columns) + size_t(column);
}

uint32_t element(const Chunk &chunk, int bytes, int index) {
  uint32_t bits = 0;
  std::memcpy(&bits, chunk.byte + bytes * index, size_t(bytes));
  return bits;
}

/// Calls `visit(row or column, k, value)` for all elements of an operand.
template <typename Visit>
void forEachElement(const OperandShape &shape, ElementType type, const Chunk *chunks, bool negate,
                    Visit visit) {
  int bytes = shape.elementBytes;
  for (int chunk = 0; chunk < shape.chunks(); ++chunk)
    for (int i = 0; i < 16 / bytes; ++i) {
      double value = decodeElement(type, element(chunks[chunk], bytes, i));
      bool alongK = shape.major == Major::K;
      visit(shape.firstExtent(chunk) + (alongK ? 0 : i), shape.firstK(chunk) + (alongK ? i : 0),
            negate ? -value : value);
    }
}
} // namespace

std::string WarpgroupMultiply::check() const {
  int bits = elementBits(a);
  bool integer = isInteger(a);
  if (integer != isInteger(b) || elementBits(b) != bits || (bits > 8 && a != b))
    return "the multiplicands of wgmma have types of one kind and size";
  if (k * bits != 256)
    return "the shapes for elements of " + std::to_string(bits) + " bits are m64nNk" +
           std::to_string(256 / bits);
  if (n < 8 || n > 256 || n % 8 != 0)
    return "N is a multiple of 8 from 8 to 256";
  if (integer && n > 32 && n % 16 != 0)
    return "for integers N beyond 32 is a multiple of 16";
  if (integer != (accumulator == AccumulatorType::S32))
    return "integer multiplicands have s32 accumulators, floating-point ones f32 or f16";
  if (accumulator == AccumulatorType::F16 && (a == ElementType::BF16 || a == ElementType::TF32))
    return "bf16 and tf32 multiplicands have f32 accumulators";
  if (saturate && !integer)
    return ".satfinite applies to integers alone";
  if (integer && (negateA || negateB))
    return "integers cannot be negated";
  if ((transposeA || transposeB) && bits != 16)
    return "f16 and bf16 alone can be transposed";
  if (transposeA && registersHoldA)
    return "A in registers cannot be transposed";
  return "";
}

std::vector<double> WarpgroupMultiply::gatherA(const WarpRegister *registers) const {
  int bits = elementBits(a), packed = 32 / bits;
  std::vector<double> dense(size_t(rows) * size_t(k));
  for (int i = 0; i < 4; ++i)
    for (int lane = 0; lane < warpSize; ++lane)
      for (int part = 0; part < packed; ++part) {
        Position at = fragmentOfA(bits, lane, i, part);
        double value = decodeElement(a, registers[i].lane[lane] >> (bits * part));
        dense[offset(at.row, k, at.column)] = negateA ? -value : value;
      }
  return dense;
}

std::vector<double> WarpgroupMultiply::gatherA(const Chunk *chunks) const {
  std::vector<double> dense(size_t(rows) * size_t(k));
  OperandShape quarter = shapeOfA();
  quarter.extent = rows;
  forEachElement(quarter, a, chunks, negateA,
                 [&](int row, int step, double value) { dense[offset(row, k, step)] = value; });
  return dense;
}

std::vector<double> WarpgroupMultiply::gatherB(const Chunk *chunks) const {
  std::vector<double> dense(size_t(k) * size_t(n));
  forEachElement(shapeOfB(), b, chunks, negateB, [&](int column, int step, double value) {
    dense[offset(step, n, column)] = value;
  });
  return dense;
}

void WarpgroupMultiply::run(const std::vector<double> &denseA, const std::vector<double> &denseB,
                            WarpRegister *d) const {
  // f16 accumulators lie in pairs; f32 and s32 ones in registers of their own.
  bool half = accumulator == AccumulatorType::F16, integer = isInteger(a);
  std::vector<float> sums(size_t(rows) * size_t(n));
  std::vector<int32_t> integerSums(integer ? size_t(rows) * size_t(n) : 0);
  auto forEachAccumulator = [&](auto visit) {
    for (int i = 0; i < n / 2; ++i)
      for (int lane = 0; lane < warpSize; ++lane) {
        Position at = fragmentOfD(lane, i);
        visit(offset(at.row, n, at.column), d[half ? i / 2 : i].lane[lane], i % 2 * 16);
      }
  };
  if (accumulate)
    forEachAccumulator([&](size_t at, uint32_t word, int shift) {
      if (integer)
        integerSums[at] = int32_t(word);
      else
        sums[at] = half ? floatOfF16(uint16_t(word >> shift)) : floatOfBits(word);
    });
  if (integer)
    multiplyAccumulate(rows, n, k, denseA.data(), denseB.data(), integerSums.data(), saturate);
  else
    multiplyAccumulate(rows, n, k, /*group=*/128 / elementBits(a), denseA.data(), denseB.data(),
                       sums.data());
  forEachAccumulator([&](size_t at, uint32_t &word, int shift) {
    if (integer)
      word = uint32_t(integerSums[at]);
    else if (half)
      word = (word & 0xffff0000U >> shift) | encodeFloat(FloatFormat::F16, double(sums[at]))
                                                 << shift;
    else
      word = bitsOfFloat(sums[at]);
  });
}

} // namespace quern::emulator::matrix
