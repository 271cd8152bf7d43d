//===- LaneValues.h - Lanes of operands of any width ------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#ifndef QUERN_EMULATOR_MACHINE_LANEVALUES_H
#define QUERN_EMULATOR_MACHINE_LANEVALUES_H

#include "lib/Emulator/Machine/Warp.h"

namespace quern::emulator::machine {

/// The lower 64 bits of a lane.
inline uint64_t laneValue(Warp &warp, const Operand &operand, unsigned lane) {
  switch (operand.bits) {
  case 16:
    return warp.lanesOf<uint16_t>(operand)[lane];
  case 32:
    return warp.lanesOf<uint32_t>(operand)[lane];
  case 64:
    return warp.lanesOf<uint64_t>(operand)[lane];
  default:
    return warp.lanesOf<uint64_t>(operand)[2 * lane];
  }
}

/// Sets a lane, the upper half of 128 bits to 0; does not mark it initialized.
inline void setLaneValue(Warp &warp, const Operand &operand, unsigned lane, uint64_t value) {
  switch (operand.bits) {
  case 16:
    warp.lanesOf<uint16_t>(operand)[lane] = uint16_t(value);
    break;
  case 32:
    warp.lanesOf<uint32_t>(operand)[lane] = uint32_t(value);
    break;
  case 64:
    warp.lanesOf<uint64_t>(operand)[lane] = value;
    break;
  default:
    warp.lanesOf<uint64_t>(operand)[2 * lane] = value;
    warp.lanesOf<uint64_t>(operand)[2 * lane + 1] = 0;
    break;
  }
}

/// A value of a type as a register holds it that may be wider: signed types are sign-extended,
/// others zero-extended.
inline uint64_t extendedTo64(Type type, uint64_t value) {
  unsigned bits = bitsOf(type);
  if (bits >= 64)
    return value;
  unsigned shift = 64 - bits;
  return isSigned(type) ? uint64_t(int64_t(value << shift) >> shift) : value << shift >> shift;
}

} // namespace quern::emulator::machine

#endif // QUERN_EMULATOR_MACHINE_LANEVALUES_H
