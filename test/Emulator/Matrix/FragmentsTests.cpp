//===- FragmentsTests.cpp - Fragment layouts against the manual's formulas --------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
///
/// \file
/// The one layout of Fragments.h against the formulas that the manual gives for each shape and type
/// (PTX ISA 9.1, sections 9.7.14.5.6 to 9.7.14.5.10), in its own words: element i of a lane's
/// vector, groupID and threadID_in_group.
///
#include "lib/Emulator/Matrix/Fragments.h"
#include "lib/Emulator/Matrix/MatrixMoves.h"

#include <gtest/gtest.h>

#include <functional>

using namespace quern::emulator::matrix;

namespace {
using Formula = std::function<Position(int group, int thread, int i)>;
using Layout = Position (*)(int bits, int lane, int index, int element);

void expectFormula(Layout layout, int bits, int elements, const Formula &formula) {
  int packed = 32 / bits;
  for (int lane = 0; lane < warpSize; ++lane)
    for (int i = 0; i < elements; ++i) {
      Position expected = formula(lane >> 2, lane % 4, i);
      Position found = layout(bits, lane, i / packed, i % packed);
      EXPECT_TRUE(expected == found)
          << "lane " << lane << " element " << i << ": row " << found.row << " column "
          << found.column << " rather than " << expected.row << " " << expected.column;
    }
}
} // namespace

TEST(Fragments, MultiplicandA) {
  // m16n8k4 .tf32
  expectFormula(fragmentOfA, 32, 2, [](int group, int thread, int i) {
    return Position{i == 0 ? group : group + 8, thread};
  });
  // m16n8k8 .f16, .bf16
  expectFormula(fragmentOfA, 16, 4, [](int group, int thread, int i) {
    return Position{i < 2 ? group : group + 8, thread * 2 + (i & 1)};
  });
  // m16n8k8 .tf32
  expectFormula(fragmentOfA, 32, 4, [](int group, int thread, int i) {
    return Position{i == 0 || i == 2 ? group : group + 8, i < 2 ? thread : thread + 4};
  });
  // m16n8k16 .f16, .bf16
  expectFormula(fragmentOfA, 16, 8, [](int group, int thread, int i) {
    return Position{i < 2 || (4 <= i && i < 6) ? group : group + 8,
                    thread * 2 + (i & 1) + (i < 4 ? 0 : 8)};
  });
  // m16n8k16 .s8, .u8, .e4m3, .e5m2
  expectFormula(fragmentOfA, 8, 8, [](int group, int thread, int i) {
    return Position{i < 4 ? group : group + 8, thread * 4 + (i & 3)};
  });
  // m16n8k32 .s8, .u8, .e4m3, .e5m2
  expectFormula(fragmentOfA, 8, 16, [](int group, int thread, int i) {
    return Position{i < 4 || (8 <= i && i < 12) ? group : group + 8,
                    thread * 4 + (i & 3) + (i < 8 ? 0 : 16)};
  });
}

TEST(Fragments, MultiplicandB) {
  // m16n8k8 .f16, .bf16
  expectFormula(fragmentOfB, 16, 2,
                [](int group, int thread, int i) { return Position{thread * 2 + i, group}; });
  // m16n8k8 .tf32
  expectFormula(fragmentOfB, 32, 2, [](int group, int thread, int i) {
    return Position{i == 0 ? thread : thread + 4, group};
  });
  // m16n8k16 .f16, .bf16
  expectFormula(fragmentOfB, 16, 4, [](int group, int thread, int i) {
    return Position{thread * 2 + (i & 1) + (i < 2 ? 0 : 8), group};
  });
  // m16n8k16 .s8 and others
  expectFormula(fragmentOfB, 8, 4,
                [](int group, int thread, int i) { return Position{thread * 4 + i, group}; });
  // m16n8k32 .s8 and others
  expectFormula(fragmentOfB, 8, 8, [](int group, int thread, int i) {
    return Position{thread * 4 + (i & 3) + (i < 4 ? 0 : 16), group};
  });
}

TEST(Fragments, Accumulators) {
  for (int lane = 0; lane < warpSize; ++lane)
    for (int i = 0; i < 4; ++i)
      EXPECT_TRUE((fragmentOfD(lane, i) ==
                   Position{i < 2 ? lane / 4 : lane / 4 + 8, lane % 4 * 2 + (i & 1)}));
  // Cells read off the figure of wgmma's D (section 9.7.15.5.1.1.1): d4 of lane 0 is the first of
  // the next 8 columns, d7 of lane 31 the last of them, in the lower half of the rows.
  EXPECT_TRUE((fragmentOfD(0, 4) == Position{0, 8}));
  EXPECT_TRUE((fragmentOfD(31, 7) == Position{15, 15}));
  EXPECT_TRUE((fragmentOfD(5, 126) == Position{9, 250}));
}

TEST(MatrixMoves, LoadStoreTranspose) {
  MatrixRows rows;
  for (int row = 0; row < 8; ++row)
    for (int column = 0; column < 8; ++column)
      rows.element[row][column] = uint16_t(0x100 * row + column);
  WarpRegister plain = loadMatrix(rows, false), transposed = loadMatrix(rows, true);
  EXPECT_EQ(plain.lane[0], 0x00010000U);
  EXPECT_EQ(plain.lane[7], 0x01070106U);
  EXPECT_EQ(transposed.lane[0], 0x01000000U);
  EXPECT_EQ(transposed.lane[7], 0x07010601U);
  WarpRegister moved = transposeMatrix(plain);
  for (int lane = 0; lane < warpSize; ++lane)
    EXPECT_EQ(moved.lane[lane], transposed.lane[lane]);
  for (bool transpose : {false, true}) {
    MatrixRows stored = storeMatrix(loadMatrix(rows, transpose), transpose);
    for (int row = 0; row < 8; ++row)
      for (int column = 0; column < 8; ++column)
        EXPECT_EQ(stored.element[row][column], rows.element[row][column]);
  }
}

// What kernels rely on: four matrices by ldmatrix are A of m16n8k16, if their rows are given as
// upper left, lower left, upper right, lower right.
TEST(MatrixMoves, LoadsFragmentsOfA) {
  for (int matrix = 0; matrix < 4; ++matrix) {
    MatrixRows rows;
    for (int row = 0; row < 8; ++row)
      for (int column = 0; column < 8; ++column)
        rows.element[row][column] =
            uint16_t(16 * (row + 8 * (matrix & 1)) + column + 8 * (matrix >> 1));
    WarpRegister loaded = loadMatrix(rows, false);
    for (int lane = 0; lane < warpSize; ++lane)
      for (int i = 0; i < 2; ++i) {
        Position at = fragmentOfA(16, lane, matrix, i);
        EXPECT_EQ(loaded.lane[lane] >> 16 * i & 0xffff, unsigned(16 * at.row + at.column));
      }
  }
}
