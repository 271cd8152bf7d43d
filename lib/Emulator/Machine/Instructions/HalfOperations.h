//===- HalfOperations.h - f16 and bf16 as numbers ---------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#ifndef QUERN_EMULATOR_MACHINE_INSTRUCTIONS_HALFOPERATIONS_H
#define QUERN_EMULATOR_MACHINE_INSTRUCTIONS_HALFOPERATIONS_H

#include "lib/Emulator/Machine/Instructions/FloatOperations.h"

namespace quern::emulator::machine {

/// Bit patterns of 16 bits as doubles, which hold every value and every product exactly.
struct F16 {
  static double decode(uint16_t bits) { return double(matrix::floatOfF16(bits)); }
  static uint16_t encode(double value) {
    return uint16_t(matrix::encodeFloat(matrix::FloatFormat::F16, value));
  }
  static uint16_t flush(uint16_t bits) { return bits & 0x7c00 ? bits : uint16_t(bits & 0x8000); }
};

struct BF16 {
  static double decode(uint16_t bits) { return double(matrix::floatOfBF16(bits)); }
  static uint16_t encode(double value) {
    return uint16_t(matrix::encodeFloat(matrix::FloatFormat::BF16, value));
  }
  static uint16_t flush(uint16_t bits) { return bits & 0x7f80 ? bits : uint16_t(bits & 0x8000); }
};

} // namespace quern::emulator::machine

#endif // QUERN_EMULATOR_MACHINE_INSTRUCTIONS_HALFOPERATIONS_H
