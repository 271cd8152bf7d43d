//===- WarpgroupMultiply.h - wgmma.mma_async --------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
///
/// \file
/// The arithmetic of `wgmma.mma_async.sync.aligned` (PTX ISA 9.1, section 9.7.15.5.2): D = A B + D
/// or, with scale-d false, D = A B, where A is 64 x k in registers or shared memory and B is k x N
/// in shared memory. What is asynchronous about it is the engine's affair.
///
#ifndef QUERN_EMULATOR_MATRIX_WARPGROUPMULTIPLY_H
#define QUERN_EMULATOR_MATRIX_WARPGROUPMULTIPLY_H

#include "lib/Emulator/Matrix/MatrixDescriptor.h"
#include "lib/Emulator/Matrix/WarpMultiply.h"

#include <vector>

namespace quern::emulator::matrix {

/// Warps of a warpgroup.
constexpr int warpgroupWarps = 4;

/// 16 bytes of an operand, as they lie in shared memory.
struct Chunk {
  uint8_t byte[16];
};

/// One variant of wgmma.mma_async.sync.aligned.m64nNkK.
struct WarpgroupMultiply {
  int n, k;
  ElementType a, b;
  AccumulatorType accumulator;
  bool saturate = false;   ///< .satfinite, for integers
  bool accumulate = true;  ///< scale-d
  bool negateA = false;    ///< imm-scale-a is -1
  bool negateB = false;    ///< imm-scale-b is -1
  bool transposeA = false; ///< imm-trans-a
  bool transposeB = false; ///< imm-trans-b
  bool registersHoldA = false;

  int registersOfD() const { return accumulator == AccumulatorType::F16 ? n / 4 : n / 2; }
  /// All of A, of which the chunks from `chunksOfWarp * w` are warp w's.
  OperandShape shapeOfA() const {
    return {64, elementBits(a) / 8, transposeA ? Major::MN : Major::K};
  }
  OperandShape shapeOfB() const {
    return {n, elementBits(b) / 8, transposeB ? Major::MN : Major::K};
  }
  static constexpr int chunksOfWarp = 32;

  /// Empty if the manual has this variant, else what is wrong with it.
  std::string check() const;

  /// A warp's part of A as a dense 16 x k array: from its four registers, or from its chunks.
  std::vector<double> gatherA(const WarpRegister *registers) const;
  std::vector<double> gatherA(const Chunk *chunks) const;

  /// B as a dense k x N array, from the chunks of shapeOfB() in their order.
  std::vector<double> gatherB(const Chunk *chunks) const;

  /// Updates a warp's part of the accumulator, registersOfD() registers.
  void run(const std::vector<double> &a, const std::vector<double> &b, WarpRegister *d) const;
};

} // namespace quern::emulator::matrix

#endif // QUERN_EMULATOR_MATRIX_WARPGROUPMULTIPLY_H
