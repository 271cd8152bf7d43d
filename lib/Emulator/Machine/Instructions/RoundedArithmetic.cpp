//===- RoundedArithmetic.cpp - Rounding modes, division, roots, approximations ----------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "lib/Emulator/Machine/Instructions/RoundedArithmetic.h"

#include "lib/Emulator/Machine/Families.h"
#include "lib/Emulator/Machine/Instructions/FloatOperations.h"
#include "lib/Emulator/Machine/Lanes.h"
#include "lib/Emulator/Matrix/ApproximateMath.h"

namespace quern::emulator::machine {

namespace {

/// data[0] is the rounding mode. Lanes of operands that the operation lacks are those of the first.
template <typename T, RoundedOperation operation, bool flush, bool saturate>
Step rounded(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  const std::vector<Operand> &operands = instruction.operands;
  for (size_t i = 1; i < operands.size(); ++i)
    warp.require(instruction, lanes, operands[i]);
  auto rounding = matrix::Rounding(instruction.data[0]);
  const T *a = warp.lanesOf<T>(operands[1]);
  const T *b = warp.lanesOf<T>(operands[operands.size() > 2 ? 2 : 1]);
  const T *c = warp.lanesOf<T>(operands[operands.size() > 3 ? 3 : 1]);
  auto operand = [](T value) { return flush ? flushed(value) : value; };
  assign<T>(warp, operands[0], lanes, [=](unsigned lane) {
    return finished<flush, saturate>(
        roundedResult(operation, rounding, operand(a[lane]), operand(b[lane]), operand(c[lane])));
  });
  return Step::Next;
}

template <RoundedOperation operation>
Handler handlerOf(Type type, bool flush, bool saturate) {
  if (type == Type::F64)
    return rounded<double, operation, false, false>;
  if (saturate)
    return flush ? rounded<float, operation, true, true> : rounded<float, operation, false, true>;
  return flush ? rounded<float, operation, true, false> : rounded<float, operation, false, false>;
}

/// .rn, .rz, .rm, .rp into data[0]; false if there is none.
bool takeRounding(Decoder &decoder) {
  static constexpr matrix::Rounding roundings[] = {matrix::Rounding::NearestEven,
                                                   matrix::Rounding::TowardZero,
                                                   matrix::Rounding::Down, matrix::Rounding::Up};
  int mode = decoder.modifiers.acceptOneOf({".rn", ".rz", ".rm", ".rp"});
  if (mode >= 0)
    decoder.result.data[0] = uint64_t(roundings[mode]);
  return mode >= 0;
}

template <float (*function)(float, bool), bool flush>
struct Approximate {
  static float apply(float a) { return function(a, flush); }
};
template <float (*function)(float, float, bool), bool flush>
struct ApproximateQuotient {
  static float apply(float a, float b) { return function(a, b, flush); }
};

template <float (*function)(float, bool)>
Handler approximate(bool flush) {
  return flush ? unary<float, Approximate<function, true>>
               : unary<float, Approximate<function, false>>;
}

/// rcp.approx.ftz.f64 and rsqrt.approx.ftz.f64 (PTX ISA 8.3, sections 9.7.3.14 and 9.7.3.18): the
/// upper 32 bits of the result, the lower ones are 0. Subnormal operands and results are zeros.
double upperHalf(double value) {
  uint64_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  bits = value == value ? bits & ~uint64_t(0xffffffff) : 0x7fffffff00000000;
  std::memcpy(&value, &bits, sizeof bits);
  return std::fabs(value) < 0x1p-1022 ? std::copysign(0.0, value) : value;
}
double flushedDouble(double value) {
  return std::fabs(value) < 0x1p-1022 ? std::copysign(0.0, value) : value;
}
struct UpperReciprocal {
  static double apply(double a) { return upperHalf(1.0 / flushedDouble(a)); }
};
struct UpperReciprocalSquareRoot {
  static double apply(double a) { return upperHalf(1.0 / std::sqrt(flushedDouble(a))); }
};
/// rsqrt.approx.f64 is a function in software, precise but not correctly rounded.
struct ReciprocalSquareRoot {
  static double apply(double a) { return 1.0 / std::sqrt(a); }
};

void decodeReciprocal(Decoder &decoder) {
  Type type = decoder.modifiers.type({Type::F32, Type::F64});
  decoder.takeOperands(type, {type});
  bool approx = decoder.modifiers.accept(".approx");
  bool flush = decoder.modifiers.accept(".ftz");
  if (approx) {
    if (type == Type::F64 && !flush)
      decoder.fail("'rcp.approx' of f64 needs .ftz");
    decoder.result.handler = type == Type::F64 ? Handler(unary<double, UpperReciprocal>)
                                               : approximate<matrix::approximateReciprocal>(flush);
  } else if (!takeRounding(decoder)) {
    decoder.fail("'rcp' needs .approx or a rounding mode: .rn, .rz, .rm or .rp");
  } else if (type == Type::F64 && flush) {
    decoder.fail("'.ftz' of rcp with a rounding mode is for f32");
  } else {
    decoder.result.handler = handlerOf<RoundedOperation::Rcp>(type, flush, false);
  }
}

void decodeSquareRoot(Decoder &decoder) {
  Type type = decoder.modifiers.type({Type::F32, Type::F64});
  decoder.takeOperands(type, {type});
  bool flush = type == Type::F32 && decoder.modifiers.accept(".ftz");
  if (type == Type::F32 && decoder.modifiers.accept(".approx"))
    decoder.result.handler = approximate<matrix::approximateSquareRoot>(flush);
  else if (!takeRounding(decoder))
    decoder.fail("'sqrt' needs .approx or a rounding mode: .rn, .rz, .rm or .rp");
  else
    decoder.result.handler = handlerOf<RoundedOperation::Sqrt>(type, flush, false);
}

void decodeReciprocalSquareRoot(Decoder &decoder) {
  Type type = decoder.modifiers.type({Type::F32, Type::F64});
  decoder.takeOperands(type, {type});
  decoder.modifiers.oneOf("its accuracy", {".approx"});
  bool flush = decoder.modifiers.accept(".ftz");
  if (type == Type::F32)
    decoder.result.handler = approximate<matrix::approximateReciprocalSquareRoot>(flush);
  else
    decoder.result.handler =
        flush ? unary<double, UpperReciprocalSquareRoot> : unary<double, ReciprocalSquareRoot>;
}

/// sin, cos and lg2: .approx{.ftz}.f32
template <float (*function)(float, bool)>
void decodeApproximate(Decoder &decoder) {
  Type type = decoder.modifiers.type({Type::F32});
  decoder.takeOperands(type, {type});
  decoder.modifiers.oneOf("its accuracy", {".approx"});
  decoder.result.handler = approximate<function>(decoder.modifiers.accept(".ftz"));
}

/// F of a bit pattern of 16 bits, on each half of a register.
template <uint16_t (*function)(uint16_t)>
struct OnBits {
  static uint16_t apply(uint16_t a) { return function(a); }
  static uint32_t apply(uint32_t a) {
    return uint32_t(function(uint16_t(a >> 16))) << 16 | function(uint16_t(a));
  }
};

template <uint16_t (*function)(uint16_t)>
void decodeOnBits(Decoder &decoder, Type type) {
  decoder.takeOperands(type, {type});
  decoder.modifiers.oneOf("its accuracy", {".approx"});
  decoder.result.handler =
      bitsOf(type) == 32 ? unary<uint32_t, OnBits<function>> : unary<uint16_t, OnBits<function>>;
}

void decodeExp2(Decoder &decoder) {
  Type type = decoder.modifiers.type({Type::F32, Type::F16, Type::F16x2, Type::BF16, Type::BF16x2});
  if (type == Type::F32) {
    decoder.takeOperands(type, {type});
    decoder.modifiers.oneOf("its accuracy", {".approx"});
    decoder.result.handler = approximate<matrix::approximateExp2>(decoder.modifiers.accept(".ftz"));
  } else if (type == Type::F16 || type == Type::F16x2) {
    decodeOnBits<matrix::approximateExp2F16>(decoder, type);
  } else {
    decoder.modifiers.oneOf("its treatment of subnormal numbers", {".ftz"});
    decodeOnBits<matrix::approximateExp2BF16>(decoder, type);
  }
}

struct Tanh {
  static float apply(float a) { return matrix::approximateTanh(a); }
};

void decodeTanh(Decoder &decoder) {
  Type type = decoder.modifiers.type({Type::F32, Type::F16, Type::F16x2, Type::BF16, Type::BF16x2});
  if (type == Type::F32) {
    decoder.takeOperands(type, {type});
    decoder.modifiers.oneOf("its accuracy", {".approx"});
    decoder.result.handler = unary<float, Tanh>;
  } else if (type == Type::F16 || type == Type::F16x2) {
    decodeOnBits<matrix::approximateTanhF16>(decoder, type);
  } else {
    decodeOnBits<matrix::approximateTanhBF16>(decoder, type);
  }
}

} // namespace

Handler roundedHandler(Operation operation, Type type, bool flush, bool saturate) {
  switch (operation) {
  case Operation::Add:
    return handlerOf<RoundedOperation::Add>(type, flush, saturate);
  case Operation::Sub:
    return handlerOf<RoundedOperation::Sub>(type, flush, saturate);
  case Operation::Mul:
    return handlerOf<RoundedOperation::Mul>(type, flush, saturate);
  default:
    return handlerOf<RoundedOperation::Fma>(type, flush, saturate);
  }
}

void decodeDivide(Decoder &decoder, Type type) {
  decoder.takeOperands(type, {type, type});
  bool flush = type == Type::F32 && decoder.modifiers.accept(".ftz");
  int approximation = type == Type::F32 ? decoder.modifiers.acceptOneOf({".approx", ".full"}) : -1;
  Handler &handler = decoder.result.handler;
  if (approximation == 0)
    handler = flush ? binary<float, ApproximateQuotient<matrix::approximateDivide, true>>
                    : binary<float, ApproximateQuotient<matrix::approximateDivide, false>>;
  else if (approximation == 1)
    handler = flush ? binary<float, ApproximateQuotient<matrix::approximateDivideFull, true>>
                    : binary<float, ApproximateQuotient<matrix::approximateDivideFull, false>>;
  else if (!takeRounding(decoder))
    decoder.fail("'div' of floating-point numbers needs .approx, .full or a rounding mode: .rn, "
                 ".rz, .rm or .rp");
  else
    handler = handlerOf<RoundedOperation::Div>(type, flush, false);
}

void registerFunctions(InstructionTable &table) {
  table.add("rcp", decodeReciprocal);
  table.add("sqrt", decodeSquareRoot);
  table.add("rsqrt", decodeReciprocalSquareRoot);
  table.add("sin", decodeApproximate<matrix::approximateSine>);
  table.add("cos", decodeApproximate<matrix::approximateCosine>);
  table.add("lg2", decodeApproximate<matrix::approximateLog2>);
  table.add("ex2", decodeExp2);
  table.add("tanh", decodeTanh);
}

} // namespace quern::emulator::machine
