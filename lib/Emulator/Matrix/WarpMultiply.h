//===- WarpMultiply.h - mma.sync --------------------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
///
/// \file
/// `mma.sync.aligned` with shapes m16n8k4 to m16n8k32 (PTX ISA 9.1, section 9.7.14.5.14), on the
/// registers of one warp.
///
#ifndef QUERN_EMULATOR_MATRIX_WARPMULTIPLY_H
#define QUERN_EMULATOR_MATRIX_WARPMULTIPLY_H

#include "lib/Emulator/Matrix/Fragments.h"
#include "lib/Emulator/Matrix/MultiplyAccumulate.h"

#include <string>

namespace quern::emulator::matrix {

/// A 32-bit register in all lanes of a warp.
struct WarpRegister {
  uint32_t lane[warpSize];
};

/// One variant of `mma.sync.aligned.m16n8kK.row.col`.
struct WarpMultiply {
  int k;
  ElementType a, b;
  /// Of C and D.
  AccumulatorType accumulator;
  /// `.satfinite`, for integers.
  bool saturate = false;

  int registersOfA() const { return 16 * k * elementBits(a) / 32 / warpSize; }
  int registersOfB() const { return 8 * k * elementBits(b) / 32 / warpSize; }
  int registersOfD() const { return accumulator == AccumulatorType::F16 ? 2 : 4; }

  /// Empty if the manual has this variant, else what is wrong with it.
  std::string check() const;

  /// D = A B + C. The arrays have registersOfA(), registersOfB() and registersOfD() elements; `d`
  /// may be `c`.
  void run(const WarpRegister *a, const WarpRegister *b, const WarpRegister *c,
           WarpRegister *d) const;
};

} // namespace quern::emulator::matrix

#endif // QUERN_EMULATOR_MATRIX_WARPMULTIPLY_H
