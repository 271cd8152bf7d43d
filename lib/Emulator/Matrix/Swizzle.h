//===- Swizzle.h - How 16-byte chunks of shared memory change places --------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
///
/// \file
/// The swizzle modes that TMA and wgmma share (PTX ISA 9.1, sections 5.5.7 and 9.7.15.5.1.2): the
/// index of a 16-byte chunk within its span of 32, 64 or 128 bytes is combined by exclusive or with
/// the number of the 128-byte line. The pattern belongs to the address, not to the buffer: it
/// starts anew at every multiple of 256, 512 or 1024 bytes.
///
#ifndef QUERN_EMULATOR_MATRIX_SWIZZLE_H
#define QUERN_EMULATOR_MATRIX_SWIZZLE_H

#include <cstdint>

namespace quern::emulator::matrix {

enum class Swizzle : uint8_t { None, Bytes32, Bytes64, Bytes128 };

/// 32, 64 or 128; 16, the chunk itself, for None.
constexpr uint32_t swizzleSpan(Swizzle mode) { return 16U << unsigned(mode); }

/// Where the byte lands that would lie at `address` without swizzling. `lineOffset` is the number
/// of 128-byte lines (modulo 8) by which the pattern starts after a multiple of its length: the
/// base offset of a matrix descriptor.
constexpr uint32_t swizzleAddress(Swizzle mode, uint32_t address, uint32_t lineOffset = 0) {
  uint32_t mask = swizzleSpan(mode) / 16 - 1;
  return address ^ (((address >> 7) - lineOffset) & mask) << 4;
}

} // namespace quern::emulator::matrix

#endif // QUERN_EMULATOR_MATRIX_SWIZZLE_H
