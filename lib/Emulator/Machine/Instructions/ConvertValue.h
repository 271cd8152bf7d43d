//===- ConvertValue.h - One conversion of one value -------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#ifndef QUERN_EMULATOR_MACHINE_INSTRUCTIONS_CONVERTVALUE_H
#define QUERN_EMULATOR_MACHINE_INSTRUCTIONS_CONVERTVALUE_H

#include "lib/Emulator/Assembly/Types.h"
#include "lib/Emulator/Matrix/Conversions.h"

namespace quern::emulator::machine {

/// cvt between scalar types (PTX ISA 8.3, section 9.7.8.21).
struct ValueConversion {
  Type to, from;
  matrix::Rounding rounding = matrix::Rounding::NearestEven;
  /// .rni, .rzi, .rmi, .rpi: the result is a whole number, also as a floating-point one.
  bool toIntegral = false;
  /// .ftz: of f32 operands and results.
  bool flush = false;
  /// .sat: to the range of an integer type, or to [0, 1].
  bool saturate = false;
  /// .satfinite, .relu
  bool saturateFinite = false, clampNegative = false;
};

/// Whether both types are integers, or f16, bf16, tf32 (as result), f32, f64.
bool canConvert(const ValueConversion &conversion);

/// The result's bits in the lower bits of the returned word. Higher bits of `bits` are ignored.
uint64_t convertValue(const ValueConversion &conversion, uint64_t bits);

} // namespace quern::emulator::machine

#endif // QUERN_EMULATOR_MACHINE_INSTRUCTIONS_CONVERTVALUE_H
