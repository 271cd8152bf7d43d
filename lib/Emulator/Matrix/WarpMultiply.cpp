//===- WarpMultiply.cpp - mma.sync ------------------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "lib/Emulator/Matrix/WarpMultiply.h"

#include "lib/Emulator/Matrix/Conversions.h"

namespace quern::emulator::matrix {

namespace {
constexpr int rows = 16, columns = 8, maximalK = 32;

uint32_t extract(uint32_t word, int bits, int element) {
  return bits == 32 ? word : word >> (bits * element) & ((1U << bits) - 1);
}

/// C and D as dense arrays of `Value`, for 32-bit accumulators.
template <typename Value>
void gather(const WarpRegister *registers, Value *dense) {
  for (int lane = 0; lane < warpSize; ++lane)
    for (int i = 0; i < 4; ++i) {
      Position at = fragmentOfD(lane, i);
      std::memcpy(&dense[at.row * columns + at.column], &registers[i].lane[lane], 4);
    }
}

template <typename Value>
void scatter(const Value *dense, WarpRegister *registers) {
  for (int lane = 0; lane < warpSize; ++lane)
    for (int i = 0; i < 4; ++i) {
      Position at = fragmentOfD(lane, i);
      std::memcpy(&registers[i].lane[lane], &dense[at.row * columns + at.column], 4);
    }
}

void gatherHalves(const WarpRegister *registers, float *dense) {
  for (int lane = 0; lane < warpSize; ++lane)
    for (int i = 0; i < 4; ++i) {
      Position at = fragmentOfD(lane, i);
      dense[at.row * columns + at.column] =
          floatOfF16(uint16_t(extract(registers[i / 2].lane[lane], 16, i % 2)));
    }
}

void scatterHalves(const float *dense, WarpRegister *registers) {
  for (int lane = 0; lane < warpSize; ++lane)
    for (int i = 0; i < 2; ++i) {
      Position at = fragmentOfD(lane, 2 * i);
      const float *pair = &dense[at.row * columns + at.column];
      registers[i].lane[lane] = encodePair(FloatFormat::F16, double(pair[1]), double(pair[0]));
    }
}
} // namespace

std::string WarpMultiply::check() const {
  int bits = elementBits(a);
  if (isInteger(a) != isInteger(b) || elementBits(b) != bits || (bits > 8 && a != b))
    return "the multiplicands of mma.sync have types of one kind and size";
  bool integer = isInteger(a);
  if (integer != (accumulator == AccumulatorType::S32))
    return "integer multiplicands have s32 accumulators, floating-point ones f32 or f16";
  if (saturate && !integer)
    return ".satfinite applies to integers alone";
  bool half = accumulator == AccumulatorType::F16;
  if (half && (a == ElementType::BF16 || a == ElementType::TF32))
    return "bf16 and tf32 multiplicands have f32 accumulators";
  // A row of A takes 16 or 32 bytes.
  if (k * bits != 128 && k * bits != 256)
    return "the shapes for elements of " + std::to_string(bits) + " bits are m16n8k" +
           std::to_string(128 / bits) + " and m16n8k" + std::to_string(256 / bits);
  return "";
}

void WarpMultiply::run(const WarpRegister *fragmentA, const WarpRegister *fragmentB,
                       const WarpRegister *c, WarpRegister *d) const {
  double denseA[rows * maximalK], denseB[maximalK * columns];
  int bits = elementBits(a), packed = 32 / bits;
  for (int lane = 0; lane < warpSize; ++lane)
    for (int element = 0; element < packed; ++element) {
      for (int i = 0; i < registersOfA(); ++i) {
        Position at = fragmentOfA(bits, lane, i, element);
        denseA[at.row * k + at.column] =
            decodeElement(a, extract(fragmentA[i].lane[lane], bits, element));
      }
      for (int i = 0; i < registersOfB(); ++i) {
        Position at = fragmentOfB(bits, lane, i, element);
        denseB[at.row * columns + at.column] =
            decodeElement(b, extract(fragmentB[i].lane[lane], bits, element));
      }
    }
  if (accumulator == AccumulatorType::S32) {
    int32_t sums[rows * columns];
    gather(c, sums);
    multiplyAccumulate(rows, columns, k, denseA, denseB, sums, saturate);
    scatter(sums, d);
    return;
  }
  float sums[rows * columns];
  bool half = accumulator == AccumulatorType::F16;
  half ? gatherHalves(c, sums) : gather(c, sums);
  multiplyAccumulate(rows, columns, k, /*group=*/128 / bits, denseA, denseB, sums);
  half ? scatterHalves(sums, d) : scatter(sums, d);
}

} // namespace quern::emulator::matrix
