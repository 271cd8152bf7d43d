//===- emulated_device.cpp - Device memory and launches for device.py -------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
///
/// \file
/// A C interface to one emulated device. Programs that device.py loads after this library ask it
/// for their launches (`quern_device_launch`, include/quern/Runtime/Program.h); what is wrong with
/// them is text in `device_problems`.
///
//===------------------------------------------------------------------------------------------===//

#include "lib/Emulator/Driver/LaunchReport.h"
#include "lib/Emulator/Matrix/TensorMap.h"
#include "quern/Emulator/Emulator.h"
#include "quern/Runtime/Program.h"

#include <zstd.h>

#include <cstring>
#include <optional>

using namespace quern::emulator;

namespace {

struct State {
  Device device;
  std::optional<Module> module;
  std::string problems, launched, reports;
  uint64_t schedule = 0, sample = 0;
  Counters counters;
};

State &state() {
  static State state;
  return state;
}

/// Runs `body`; what it throws is a problem.
template <typename Body>
void guarded(Body body) {
  try {
    body();
  } catch (const std::exception &error) {
    state().problems += std::string(error.what()) + "\n";
  }
}

Dim3 dimensions(const int64_t (&sizes)[3]) {
  return {static_cast<uint32_t>(sizes[0]), static_cast<uint32_t>(sizes[1]),
          static_cast<uint32_t>(sizes[2])};
}

void execute(const quern_launch &request) {
  const Kernel *kernel = state().module ? state().module->find(request.kernel) : nullptr;
  if (!kernel)
    throw Error("there is no kernel '" + std::string(request.kernel) + "'");
  if (kernel->parameters.size() != static_cast<size_t>(request.argument_count))
    throw Error("kernel '" + kernel->name + "' gets another number of arguments than it takes");
  Launch launch;
  launch.kernel = request.kernel;
  launch.grid = dimensions(request.grid);
  launch.block = dimensions(request.block);
  launch.cluster = dimensions(request.cluster);
  launch.sharedBytes = static_cast<uint32_t>(request.shared_bytes);
  launch.schedule = state().schedule;
  launch.sample = state().sample;
  launch.checkRaces = !launch.sample;
  for (size_t i = 0; i < kernel->parameters.size(); ++i) {
    const auto *bytes = static_cast<const std::byte *>(request.arguments[i]);
    launch.arguments.emplace_back(bytes, bytes + kernel->parameters[i].bytes);
  }
  state().launched += kernel->name + "\n";
  Report report = run(state().device, *state().module, launch);
  for (const Finding &finding : report.findings)
    state().problems += format(finding, "kernels.ptx") + "\n";
  if (launch.sample)
    state().reports += quern::cuda::describe(launch, report) + "\n";
  Counters &sum = state().counters;
  sum.warpInstructions += report.counters.warpInstructions;
  sum.threadInstructions += report.counters.threadInstructions;
  sum.globalSectors += report.counters.globalSectors;
  sum.sharedAccesses += report.counters.sharedAccesses;
  sum.bankConflicts += report.counters.bankConflicts;
}

void encode(const quern_tensor_map &description, void *encoded) {
  matrix::TensorMap map;
  map.type = description.type == 2   ? matrix::TensorType::F16
             : description.type == 1 ? matrix::TensorType::F32
                                     : matrix::TensorType::BF16;
  map.rank = static_cast<int>(description.rank);
  map.address = reinterpret_cast<uint64_t>(description.address);
  map.swizzle = description.swizzle == 128  ? matrix::Swizzle::Bytes128
                : description.swizzle == 64 ? matrix::Swizzle::Bytes64
                : description.swizzle == 32 ? matrix::Swizzle::Bytes32
                                            : matrix::Swizzle::None;
  for (size_t i = 0; i < static_cast<size_t>(map.rank) && i < map.dimensions.size(); ++i) {
    map.dimensions[i] = static_cast<uint64_t>(description.sizes[i]);
    map.box[i] = static_cast<uint32_t>(description.box[i]);
    if (i)
      map.strides[i - 1] = static_cast<uint64_t>(description.strides[i - 1]);
  }
  if (std::string wrong = map.check(); !wrong.empty())
    throw Error("a tensor map: " + wrong);
  matrix::TensorMap::Encoded bytes = map.encode();
  std::memcpy(encoded, bytes.data(), bytes.size());
}

} // namespace

extern "C" {

/// The PTX in a row of quern_device_codes, until the next call; null if there is none.
const char *device_unpack(const void *frame, int64_t bytes) {
  static std::string text;
  unsigned long long size = ZSTD_getFrameContentSize(frame, size_t(bytes));
  if (size > 1u << 30)
    return nullptr;
  text.resize(size_t(size));
  bool isWhole = ZSTD_decompress(text.data(), text.size(), frame, size_t(bytes)) == text.size();
  return isWhole ? text.c_str() : nullptr;
}

void device_load(const char *text) {
  guarded([&] { state().module = Module::load(text, "kernels.ptx"); });
}

/// Warps take turns at random places that follow from `seed`; at barriers alone when it is 0.
void device_schedule(uint64_t seed) { state().schedule = seed; }

/// From now on only so many clusters of each launch run, spread over its grid, to be counted; all
/// if it is 0.
void device_sample(uint64_t clusters) { state().sample = clusters; }

uint64_t device_allocate(uint64_t bytes, const char *name) {
  uint64_t address = 0;
  guarded([&] { address = state().device.allocate(bytes, name); });
  return address;
}
void device_free(uint64_t address) {
  guarded([&] { state().device.free(address); });
}
void device_write(uint64_t address, const void *source, uint64_t bytes) {
  guarded([&] { state().device.write(address, source, bytes); });
}
void device_read(uint64_t address, void *destination, uint64_t bytes) {
  guarded([&] { state().device.read(address, destination, bytes); });
}
/// Bytes that nobody has written to, whatever the size of elements is.
uint64_t device_uninitialized(uint64_t address, uint64_t bytes, uint64_t) {
  return state().device.uninitialized(address, bytes);
}

/// The text of all problems since `device_clear`; empty when there are none.
const char *device_problems() { return state().problems.c_str(); }

/// The names of the kernels launched since `device_clear`, a line each.
const char *device_launched() { return state().launched.c_str(); }

/// The sum over all launches since `device_clear` of: warp instructions, thread instructions,
/// sectors of global memory, accesses of shared memory, bank conflicts.
void device_counters(uint64_t counters[5]) {
  const Counters &sum = state().counters;
  const uint64_t values[5] = {sum.warpInstructions, sum.threadInstructions, sum.globalSectors,
                              sum.sharedAccesses, sum.bankConflicts};
  std::copy(std::begin(values), std::end(values), counters);
}

/// What launches since `device_clear` counted, of which only some clusters ran: lines of JSON as in
/// QUERN_EMULATE_REPORT (lib/Emulator/Driver).
const char *device_reports() { return state().reports.c_str(); }

void device_clear() {
  state().problems.clear();
  state().launched.clear();
  state().reports.clear();
  state().counters = {};
}

void quern_device_launch(const quern_launch *launch) {
  // As on a device: nothing runs after a fault, and a launch of no blocks is none.
  if (!state().problems.empty() || !launch->grid[0] || !launch->grid[1] || !launch->grid[2])
    return;
  guarded([&] { execute(*launch); });
}

void quern_device_tensor_map(const quern_tensor_map *description, void *encoded) {
  guarded([&] { encode(*description, encoded); });
}

} // extern "C"
