//===- Settings.h - Which GPUs the emulated driver has ----------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#ifndef QUERN_LIB_EMULATOR_DRIVER_SETTINGS_H
#define QUERN_LIB_EMULATOR_DRIVER_SETTINGS_H

#include <cstdint>
#include <string>

namespace quern::cuda {

/// Taken from the environment when the driver is initialized; README.md explains the variables.
struct Settings {
  int count = 1;
  int major = 9, minor = 0;            // compute capability
  int cuda = 13000;                    // 1000 x major + 10 x minor
  uint64_t memory = uint64_t(1) << 34; // bytes of each GPU
  uint64_t schedule = 0;               // see emulator::Launch
  bool checkRaces = true;
  uint64_t sample = 0;       // see emulator::Launch
  uint64_t faultyLaunch = 0; // meets an error of the memory; 0: none
  std::string report;        // file

  /// Shared memory of a block at most, in bytes (CUDA C++ Programming Guide, "Technical
  /// Specifications per Compute Capability").
  int sharedBytes() const;
  /// Reads the environment. Throws std::runtime_error naming the variable and its value.
  static Settings read();
};

} // namespace quern::cuda

#endif // QUERN_LIB_EMULATOR_DRIVER_SETTINGS_H
