//===- Special.h - Special registers ----------------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
///
/// \file
/// PTX ISA 8.3, section 10. Those that do not change while a warp runs are lanes of its frame;
/// clocks are read by `mov`.
///
#ifndef QUERN_EMULATOR_MACHINE_SPECIAL_H
#define QUERN_EMULATOR_MACHINE_SPECIAL_H

#include <cstdint>
#include <string_view>

namespace quern::emulator::machine {

enum class Special : uint32_t {
  None,
  TidX,
  TidY,
  TidZ,
  NtidX,
  NtidY,
  NtidZ,
  CtaidX,
  CtaidY,
  CtaidZ,
  NctaidX,
  NctaidY,
  NctaidZ,
  LaneId,
  WarpId,
  NWarpId,
  SmId,
  NSmId,
  GridId,
  LanemaskEq,
  LanemaskLe,
  LanemaskLt,
  LanemaskGe,
  LanemaskGt,
  ClusterIdX,
  ClusterIdY,
  ClusterIdZ,
  NClusterIdX,
  NClusterIdY,
  NClusterIdZ,
  ClusterCtaidX,
  ClusterCtaidY,
  ClusterCtaidZ,
  ClusterNctaidX,
  ClusterNctaidY,
  ClusterNctaidZ,
  ClusterCtaRank,
  ClusterNctaRank,
  IsExplicitCluster,
  DynamicSmemSize,
  TotalSmemSize,
  AggrSmemSize,
  ReservedSmemOffsetBegin,
  ReservedSmemOffsetEnd,
  Clock,
  ClockHi,
  Clock64,
  GlobalTimer,
  GlobalTimerLo,
  GlobalTimerHi,
};

/// "%tid.x"; None for an unknown name.
Special specialOf(std::string_view name);
/// Its width, 32 or 64.
unsigned bitsOf(Special special);
/// Clocks and timers.
inline bool isClock(Special special) { return special >= Special::Clock; }

} // namespace quern::emulator::machine

#endif // QUERN_EMULATOR_MACHINE_SPECIAL_H
