//===- FloatArithmetic.cpp - Arithmetic of f32 and f64 ----------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "lib/Emulator/Machine/Instructions/Arithmetic.h"
#include "lib/Emulator/Machine/Instructions/FloatOperations.h"
#include "lib/Emulator/Machine/Instructions/HalfArithmetic.h"
#include "lib/Emulator/Machine/Instructions/RoundedArithmetic.h"
#include "lib/Emulator/Machine/Lanes.h"

namespace quern::emulator::machine {

namespace {

template <typename F>
Handler binaryHandler(Type type, bool flush, bool saturate) {
  if (type == Type::F64)
    return binary<double, Float<F, false, false>>;
  if (saturate)
    return flush ? binary<float, Float<F, true, true>> : binary<float, Float<F, false, true>>;
  return flush ? binary<float, Float<F, true, false>> : binary<float, Float<F, false, false>>;
}

template <typename F>
Handler unaryHandler(Type type, bool flush) {
  if (type == Type::F64)
    return unary<double, Float<F, false, false>>;
  return flush ? unary<float, Float<F, true, false>> : unary<float, Float<F, false, false>>;
}

/// fma of a whole warp, without a call for each lane.
template <typename T, bool flush, bool saturate>
Step fuse(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  const Operand *operands = instruction.operands.data();
  warp.require(instruction, lanes, operands[1], operands[2], operands[3]);
  alignas(64) T results[warpSize];
  if (flush) {
    alignas(64) T a[warpSize], b[warpSize], c[warpSize];
    for (unsigned lane = 0; lane < warpSize; ++lane) {
      a[lane] = flushed(warp.lanesOf<T>(operands[1])[lane]);
      b[lane] = flushed(warp.lanesOf<T>(operands[2])[lane]);
      c[lane] = flushed(warp.lanesOf<T>(operands[3])[lane]);
    }
    fuseLanes(a, b, c, results);
  } else {
    fuseLanes(warp.lanesOf<T>(operands[1]), warp.lanesOf<T>(operands[2]),
              warp.lanesOf<T>(operands[3]), results);
  }
  assign<T>(warp, operands[0], lanes,
            [&](unsigned lane) { return finished<flush, saturate>(results[lane]); });
  return Step::Next;
}

Handler fuseHandler(Type type, bool flush, bool saturate) {
  if (type == Type::F64)
    return fuse<double, false, false>;
  if (saturate)
    return flush ? fuse<float, true, true> : fuse<float, false, true>;
  return flush ? fuse<float, true, false> : fuse<float, false, false>;
}

/// min and max: {.ftz}{.NaN}{.xorsign.abs}
template <template <bool, bool> class F>
Handler extremeHandler(Type type, bool flush, bool propagate, bool xorSign) {
  if (xorSign)
    return propagate ? binaryHandler<F<true, true>>(type, flush, false)
                     : binaryHandler<F<false, true>>(type, flush, false);
  return propagate ? binaryHandler<F<true, false>>(type, flush, false)
                   : binaryHandler<F<false, false>>(type, flush, false);
}

/// add, sub, mul, fma with a rounding mode.
void decodeRounded(Decoder &decoder, Operation operation, Type type) {
  static constexpr matrix::Rounding roundings[] = {matrix::Rounding::NearestEven,
                                                   matrix::Rounding::TowardZero,
                                                   matrix::Rounding::Down, matrix::Rounding::Up};
  bool flush = type == Type::F32 && decoder.modifiers.accept(".ftz");
  bool saturate = type == Type::F32 && decoder.modifiers.accept(".sat");
  int mode = decoder.modifiers.acceptOneOf({".rn", ".rz", ".rm", ".rp"});
  if (operation == Operation::Mad)
    decoder.takeOperands(type, {type, type, type});
  else
    decoder.takeOperands(type, {type, type});
  Handler &handler = decoder.result.handler;
  if (mode > 0) {
    handler = roundedHandler(operation, type, flush, saturate);
    decoder.result.data[0] = uint64_t(roundings[mode]);
    return;
  }
  switch (operation) {
  case Operation::Add:
    handler = binaryHandler<AddFloat>(type, flush, saturate);
    break;
  case Operation::Sub:
    handler = binaryHandler<SubFloat>(type, flush, saturate);
    break;
  case Operation::Mul:
    handler = binaryHandler<MulFloat>(type, flush, saturate);
    break;
  default:
    handler = fuseHandler(type, flush, saturate);
    break;
  }
}

} // namespace

void decodeFloat(Decoder &decoder, Operation operation, Type type) {
  if (type == Type::F16 || type == Type::F16x2 || type == Type::BF16 || type == Type::BF16x2) {
    decodeHalf(decoder, operation, type);
    return;
  }
  if (type != Type::F32 && type != Type::F64)
    decoder.fail("'" + decoder.source.opcode + "' is not known for the type ." +
                 std::string(name(type)));
  Handler &handler = decoder.result.handler;
  switch (operation) {
  case Operation::Add:
  case Operation::Sub:
  case Operation::Mul:
  case Operation::Mad:
    decodeRounded(decoder, operation, type);
    return;
  case Operation::Div:
    decodeDivide(decoder, type);
    return;
  case Operation::Min:
  case Operation::Max: {
    bool single = type == Type::F32;
    bool flush = single && decoder.modifiers.accept(".ftz");
    bool propagate = single && decoder.modifiers.accept(".NaN");
    bool xorSign = single && decoder.modifiers.accept(".xorsign");
    if (xorSign && !decoder.modifiers.accept(".abs"))
      decoder.fail("'.xorsign' is only known together with '.abs'");
    handler = operation == Operation::Min
                  ? extremeHandler<MinFloat>(type, flush, propagate, xorSign)
                  : extremeHandler<MaxFloat>(type, flush, propagate, xorSign);
    decoder.takeOperands(type, {type, type});
    return;
  }
  case Operation::Abs:
  case Operation::Neg: {
    bool flush = type == Type::F32 && decoder.modifiers.accept(".ftz");
    handler = operation == Operation::Abs ? unaryHandler<AbsFloat>(type, flush)
                                          : unaryHandler<NegFloat>(type, flush);
    decoder.takeOperands(type, {type});
    return;
  }
  case Operation::Rem:
    decoder.fail("'rem' is not known for floating-point types");
  }
}

} // namespace quern::emulator::machine
