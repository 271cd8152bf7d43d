//===- MatrixMoves.cpp - ldmatrix, stmatrix, movmatrix ----------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "lib/Emulator/Matrix/MatrixMoves.h"

namespace quern::emulator::matrix {

WarpRegister loadMatrix(const MatrixRows &rows, bool transposed) {
  WarpRegister result;
  for (int lane = 0; lane < warpSize; ++lane) {
    int row = lane / 4, column = lane % 4 * 2;
    uint32_t low = transposed ? rows.element[column][row] : rows.element[row][column];
    uint32_t high = transposed ? rows.element[column + 1][row] : rows.element[row][column + 1];
    result.lane[lane] = high << 16 | low;
  }
  return result;
}

MatrixRows storeMatrix(const WarpRegister &value, bool transposed) {
  MatrixRows rows;
  for (int lane = 0; lane < warpSize; ++lane)
    for (int i = 0; i < 2; ++i) {
      int row = lane / 4, column = lane % 4 * 2 + i;
      auto &element = transposed ? rows.element[column][row] : rows.element[row][column];
      element = uint16_t(value.lane[lane] >> 16 * i);
    }
  return rows;
}

WarpRegister transposeMatrix(const WarpRegister &value) {
  return loadMatrix(storeMatrix(value, /*transposed=*/false), /*transposed=*/true);
}

} // namespace quern::emulator::matrix
