//===- LaunchReport.h - One launch as a line of JSON ------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#ifndef QUERN_LIB_EMULATOR_DRIVER_LAUNCHREPORT_H
#define QUERN_LIB_EMULATOR_DRIVER_LAUNCHREPORT_H

#include "quern/Emulator/Emulator.h"

namespace quern::cuda {

/// What was launched, what it counted and what was found, without a line end: a line of
/// QUERN_EMULATE_REPORT.
std::string describe(const emulator::Launch &launch, const emulator::Report &report);

} // namespace quern::cuda

#endif // QUERN_LIB_EMULATOR_DRIVER_LAUNCHREPORT_H
