//===- FloatArithmetic.cpp - Arithmetic of f32 and f64 ----------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "lib/Emulator/Machine/Instructions/Arithmetic.h"
#include "lib/Emulator/Machine/Lanes.h"

#include <cmath>

namespace quern::emulator::machine {

namespace {

struct Add {
  template <typename T>
  static T apply(T a, T b) {
    return a + b;
  }
};
struct Sub {
  template <typename T>
  static T apply(T a, T b) {
    return a - b;
  }
};
struct Mul {
  template <typename T>
  static T apply(T a, T b) {
    return a * b;
  }
};
struct Fma {
  template <typename T>
  static T apply(T a, T b, T c) {
    return std::fma(a, b, c);
  }
};

} // namespace

void decodeFloat(Decoder &decoder, Operation operation, Type type) {
  if (type != Type::F32 && type != Type::F64)
    decoder.fail("'" + decoder.source.opcode + "' is not known for the type ." +
                 std::string(name(type)));
  bool single = type == Type::F32;
  decoder.modifiers.accept(".rn");
  size_t sources = operation == Operation::Mad ? 3 : 2;
  Handler &handler = decoder.result.handler;
  switch (operation) {
  case Operation::Add:
    handler = single ? binary<float, Add> : binary<double, Add>;
    break;
  case Operation::Sub:
    handler = single ? binary<float, Sub> : binary<double, Sub>;
    break;
  case Operation::Mul:
    handler = single ? binary<float, Mul> : binary<double, Mul>;
    break;
  case Operation::Mad:
    handler = single ? ternary<float, Fma> : ternary<double, Fma>;
    break;
  default:
    decoder.fail("'" + decoder.source.opcode + "' is not known for the type ." +
                 std::string(name(type)));
  }
  decoder.operandCount(sources + 1);
  decoder.result.operands = {decoder.write(0, type)};
  for (size_t i = 1; i <= sources; ++i)
    decoder.result.operands.push_back(decoder.read(i, type));
}

} // namespace quern::emulator::machine
