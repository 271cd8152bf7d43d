//===- MatrixMoves.h - ldmatrix, stmatrix, movmatrix ------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
///
/// \file
/// How an 8 x 8 matrix of 16-bit elements lies in one register of a warp (PTX ISA 9.1, sections
/// 9.7.14.5.15 to 9.7.14.5.17): lane i holds elements 2 (i mod 4) and 2 (i mod 4) + 1 of row i / 4.
/// Matrix j of .x1, .x2 and .x4 takes the row addresses of lanes 8 j to 8 j + 7.
///
#ifndef QUERN_EMULATOR_MATRIX_MATRIXMOVES_H
#define QUERN_EMULATOR_MATRIX_MATRIXMOVES_H

#include "lib/Emulator/Matrix/WarpMultiply.h"

namespace quern::emulator::matrix {

/// An 8 x 8 matrix of 16-bit elements as its eight rows of 16 bytes lie in memory.
struct MatrixRows {
  uint16_t element[8][8];
};

/// ldmatrix: the register that holds the matrix, or with `transposed` (.trans) its transpose.
WarpRegister loadMatrix(const MatrixRows &rows, bool transposed);

/// stmatrix: the rows to write.
MatrixRows storeMatrix(const WarpRegister &value, bool transposed);

/// movmatrix.trans.
WarpRegister transposeMatrix(const WarpRegister &value);

} // namespace quern::emulator::matrix

#endif // QUERN_EMULATOR_MATRIX_MATRIXMOVES_H
