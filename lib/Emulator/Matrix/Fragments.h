//===- Fragments.h - Which thread holds which element -----------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
///
/// \file
/// The register fragments of `mma.sync` (PTX ISA 9.1, sections 9.7.14.5.6 to 9.7.14.5.10) and
/// `wgmma.mma_async` (9.7.15.5.1.1). The manual draws a figure for every shape and type; written in
/// 32-bit registers of 32/bits elements they are one layout: a group of four lanes holds a row of
/// A, a column of B, a row of D; registers alternate between the upper and lower half of A's rows
/// first and then move along k.
///
#ifndef QUERN_EMULATOR_MATRIX_FRAGMENTS_H
#define QUERN_EMULATOR_MATRIX_FRAGMENTS_H

namespace quern::emulator::matrix {

/// Lanes of a warp.
constexpr int warpSize = 32;

struct Position {
  int row, column;
  bool operator==(const Position &other) const {
    return row == other.row && column == other.column;
  }
};

/// Where in A (16 x k; k 64 for the four warps of a warpgroup are 16 rows apart) lies element
/// `element`, counted from the low bits, of register `index` of lane `lane`. `bits` is the size of
/// an element.
inline Position fragmentOfA(int bits, int lane, int index, int element) {
  int packed = 32 / bits;
  return {lane / 4 + 8 * (index & 1), lane % 4 * packed + element + 4 * packed * (index >> 1)};
}

/// The same for B (k x 8) of `mma.sync`.
inline Position fragmentOfB(int bits, int lane, int index, int element) {
  int packed = 32 / bits;
  return {lane % 4 * packed + element + 4 * packed * index, lane / 4};
}

/// Where in C and D (16 x n) lies accumulator `index` of a lane; f16 accumulators 2i and 2i + 1
/// share a register.
inline Position fragmentOfD(int lane, int index) {
  return {lane / 4 + 8 * (index >> 1 & 1), 8 * (index >> 2) + lane % 4 * 2 + (index & 1)};
}

} // namespace quern::emulator::matrix

#endif // QUERN_EMULATOR_MATRIX_FRAGMENTS_H
