//===- MatrixDescriptor.h - Operands of wgmma in shared memory --------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
///
/// \file
/// The 64-bit matrix descriptor of `wgmma.mma_async` (PTX ISA 9.1, section 9.7.15.5.1.2.2) and the
/// addresses that it stands for (the canonical layouts of section 9.7.15.5.1.2.1.3).
///
/// An operand is `extent` x k, extent being M for A (64) and N for B. All is counted in chunks of
/// 16 bytes. Without transposition the operand is K-major: a chunk holds consecutive k of one row
/// or column; a group of 8 rows is followed by the next after the stride byte offset. Transposed
/// (16-bit elements alone) it is MN-major: a chunk holds 8 consecutive rows or columns at one k.
///
/// | majorness | swizzle | from chunk to chunk |
/// |---|---|---|
/// | K | none | row 16, 8 rows SBO, along k LBO |
/// | K | 32, 64, 128 | row the span, 8 rows SBO, along k 16; LBO unused |
/// | MN | none | along M or N SBO, k 16, 8 k LBO |
/// | MN | 32, 64, 128 | within the span 16, from span to span LBO, k the span, 8 k SBO |
///
#ifndef QUERN_EMULATOR_MATRIX_MATRIXDESCRIPTOR_H
#define QUERN_EMULATOR_MATRIX_MATRIXDESCRIPTOR_H

#include "lib/Emulator/Matrix/Swizzle.h"

#include <string>

namespace quern::emulator::matrix {

struct MatrixDescriptor {
  /// Bytes; multiples of 16 below 2^18. `start` is an address of the shared window of the block.
  uint32_t start = 0, leadingOffset = 0, strideOffset = 0;
  /// Lines of 128 bytes, 0 to 7.
  uint32_t baseOffset = 0;
  Swizzle swizzle = Swizzle::None;

  bool operator==(const MatrixDescriptor &other) const { return encode() == other.encode(); }
  uint64_t encode() const;

  /// False, with the reason in `problem`, if `bits` is not a descriptor: bits are set that the
  /// format leaves at zero (those of sm_100's descriptors, say), or a base offset without swizzle.
  static bool decode(uint64_t bits, MatrixDescriptor &result, std::string &problem);
};

/// Which dimension is contiguous in memory.
enum class Major : uint8_t { K, MN };

/// An operand of `extent` rows (A) or columns (B) and 32 bytes of k, as all shapes of wgmma have.
struct OperandShape {
  int extent;
  int elementBytes;
  Major major;

  int k() const { return 32 / elementBytes; }
  int chunks() const { return extent * 2; }
  /// Of a chunk: the first row or column, and the first k.
  int firstExtent(int chunk) const { return major == Major::K ? chunk / 2 : chunk / k() * 8; }
  int firstK(int chunk) const { return major == Major::K ? chunk % 2 * (k() / 2) : chunk % k(); }
};

/// The address of one chunk of the operand, in the shared window, modulo 2^18.
uint32_t chunkAddress(const MatrixDescriptor &descriptor, const OperandShape &shape, int chunk);

} // namespace quern::emulator::matrix

#endif // QUERN_EMULATOR_MATRIX_MATRIXDESCRIPTOR_H
