//===- Lanes.h - Handlers that do the same in each lane ---------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#ifndef QUERN_EMULATOR_MACHINE_LANES_H
#define QUERN_EMULATOR_MACHINE_LANES_H

#include "lib/Emulator/Machine/Warp.h"

namespace quern::emulator::machine {

/// destination[lane] = f(lane) for `lanes`. The results go through an array of their own, so that
/// the compiler can vectorize the loop although the destination may be one of the sources.
template <typename T, typename F>
inline void assign(Warp &warp, const Operand &destination, LaneMask lanes, F f) {
  T *to = warp.lanesOf<T>(destination);
  if (lanes == allLanes) {
    alignas(64) T results[warpSize];
    for (unsigned lane = 0; lane < warpSize; ++lane)
      results[lane] = f(lane);
    for (unsigned lane = 0; lane < warpSize; ++lane)
      to[lane] = results[lane];
  } else {
    for (LaneMask rest = lanes; rest; rest &= rest - 1) {
      unsigned lane = unsigned(__builtin_ctz(rest));
      to[lane] = f(lane);
    }
  }
  warp.setValid(destination, lanes);
}

/// d = F::apply(a), all of type T.
template <typename T, typename F>
Step unary(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  const Operand *operands = instruction.operands.data();
  warp.require(instruction, lanes, operands[1]);
  const T *a = warp.lanesOf<T>(operands[1]);
  assign<T>(warp, operands[0], lanes, [=](unsigned lane) { return F::apply(a[lane]); });
  return Step::Next;
}

/// d = F::apply(a, b)
template <typename T, typename F>
Step binary(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  const Operand *operands = instruction.operands.data();
  warp.require(instruction, lanes, operands[1], operands[2]);
  const T *a = warp.lanesOf<T>(operands[1]);
  const T *b = warp.lanesOf<T>(operands[2]);
  assign<T>(warp, operands[0], lanes, [=](unsigned lane) { return F::apply(a[lane], b[lane]); });
  return Step::Next;
}

/// d = F::apply(a, b, c)
template <typename T, typename F>
Step ternary(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  const Operand *operands = instruction.operands.data();
  warp.require(instruction, lanes, operands[1], operands[2], operands[3]);
  const T *a = warp.lanesOf<T>(operands[1]);
  const T *b = warp.lanesOf<T>(operands[2]);
  const T *c = warp.lanesOf<T>(operands[3]);
  assign<T>(warp, operands[0], lanes,
            [=](unsigned lane) { return F::apply(a[lane], b[lane], c[lane]); });
  return Step::Next;
}

/// `make(T())` for the C++ integer type of an integer or untyped PTX type; null for others.
template <typename F>
Handler forInteger(Type type, F make) {
  switch (type) {
  case Type::U16:
    return make(uint16_t());
  case Type::U32:
    return make(uint32_t());
  case Type::U64:
    return make(uint64_t());
  case Type::S16:
    return make(int16_t());
  case Type::S32:
    return make(int32_t());
  case Type::S64:
    return make(int64_t());
  case Type::B16:
    return make(uint16_t());
  case Type::B32:
    return make(uint32_t());
  case Type::B64:
    return make(uint64_t());
  default:
    return nullptr;
  }
}

} // namespace quern::emulator::machine

#endif // QUERN_EMULATOR_MACHINE_LANES_H
