//===- Types.h - Scalar types and state spaces of PTX -----------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#ifndef QUERN_EMULATOR_ASSEMBLY_TYPES_H
#define QUERN_EMULATOR_ASSEMBLY_TYPES_H

#include <cstdint>
#include <string_view>

namespace quern::emulator {

/// PTX ISA 8.3, sections 5.2 and 9.7.9.21 (alternate floating-point formats).
enum class Type : uint8_t {
  None,
  Pred,
  B8,
  B16,
  B32,
  B64,
  B128,
  U8,
  U16,
  U32,
  U64,
  S8,
  S16,
  S32,
  S64,
  F16,
  F16x2,
  BF16,
  BF16x2,
  TF32,
  F32,
  F64,
  E4M3,
  E5M2,
  E4M3x2,
  E5M2x2,
  E2M3x2,
  E3M2x2,
  E2M1x2,
  UE8M0x2,
  U16x2,
  S16x2,
  F32x2,
};

enum class Space : uint8_t { Generic, Register, Global, Shared, Local, Constant, Parameter };

/// The type of a modifier or directive like ".f32"; None when it is not one.
Type typeOf(std::string_view dotName);
/// "f32".
std::string_view name(Type type);
/// Bits of a value; 1 for a predicate.
unsigned bitsOf(Type type);
bool isSigned(Type type);
bool isUnsigned(Type type);
/// B8 to B128.
bool isUntyped(Type type);
/// Any floating-point format.
bool isFloat(Type type);
/// s or u.
inline bool isInteger(Type type) { return isSigned(type) || isUnsigned(type); }
std::string_view name(Space space);

} // namespace quern::emulator

#endif // QUERN_EMULATOR_ASSEMBLY_TYPES_H
