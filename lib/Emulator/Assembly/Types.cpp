//===- Types.cpp - Scalar types and state spaces of PTX ---------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "lib/Emulator/Assembly/Types.h"

namespace quern::emulator {

namespace {

enum class Class : uint8_t { Other, Untyped, Unsigned, Signed, Float };

struct Row {
  Type type;
  std::string_view name;
  uint8_t bits;
  Class kind;
};

/// In the order of the enumeration.
constexpr Row rows[] = {
    {Type::None, "", 0, Class::Other},
    {Type::Pred, ".pred", 1, Class::Other},
    {Type::B8, ".b8", 8, Class::Untyped},
    {Type::B16, ".b16", 16, Class::Untyped},
    {Type::B32, ".b32", 32, Class::Untyped},
    {Type::B64, ".b64", 64, Class::Untyped},
    {Type::B128, ".b128", 128, Class::Untyped},
    {Type::U8, ".u8", 8, Class::Unsigned},
    {Type::U16, ".u16", 16, Class::Unsigned},
    {Type::U32, ".u32", 32, Class::Unsigned},
    {Type::U64, ".u64", 64, Class::Unsigned},
    {Type::S8, ".s8", 8, Class::Signed},
    {Type::S16, ".s16", 16, Class::Signed},
    {Type::S32, ".s32", 32, Class::Signed},
    {Type::S64, ".s64", 64, Class::Signed},
    {Type::F16, ".f16", 16, Class::Float},
    {Type::F16x2, ".f16x2", 32, Class::Float},
    {Type::BF16, ".bf16", 16, Class::Float},
    {Type::BF16x2, ".bf16x2", 32, Class::Float},
    {Type::TF32, ".tf32", 32, Class::Float},
    {Type::F32, ".f32", 32, Class::Float},
    {Type::F64, ".f64", 64, Class::Float},
    {Type::E4M3, ".e4m3", 8, Class::Float},
    {Type::E5M2, ".e5m2", 8, Class::Float},
    {Type::E4M3x2, ".e4m3x2", 16, Class::Float},
    {Type::E5M2x2, ".e5m2x2", 16, Class::Float},
    {Type::E2M3x2, ".e2m3x2", 16, Class::Float},
    {Type::E3M2x2, ".e3m2x2", 16, Class::Float},
    {Type::E2M1x2, ".e2m1x2", 8, Class::Float},
    {Type::UE8M0x2, ".ue8m0x2", 16, Class::Float},
    {Type::U16x2, ".u16x2", 32, Class::Unsigned},
    {Type::S16x2, ".s16x2", 32, Class::Signed},
    {Type::F32x2, ".f32x2", 64, Class::Float},
};

const Row &row(Type type) { return rows[size_t(type)]; }

} // namespace

Type typeOf(std::string_view dotName) {
  for (const Row &row : rows)
    if (row.name == dotName && row.type != Type::None)
      return row.type;
  return Type::None;
}

std::string_view name(Type type) { return type == Type::None ? "none" : row(type).name.substr(1); }
unsigned bitsOf(Type type) { return row(type).bits; }
bool isSigned(Type type) { return row(type).kind == Class::Signed; }
bool isUnsigned(Type type) { return row(type).kind == Class::Unsigned; }
bool isUntyped(Type type) { return row(type).kind == Class::Untyped; }
bool isFloat(Type type) { return row(type).kind == Class::Float; }

std::string_view name(Space space) {
  switch (space) {
  case Space::Generic:
    return "generic";
  case Space::Register:
    return "register";
  case Space::Global:
    return "global";
  case Space::Shared:
    return "shared";
  case Space::Local:
    return "local";
  case Space::Constant:
    return "constant";
  case Space::Parameter:
    return "parameter";
  }
  return "";
}

} // namespace quern::emulator
