//===- cuda_device.cpp - Device memory and runs on a real GPU for device.py -------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
///
/// \file
/// The C interface of test/GPU/emulated_device.cpp over the CUDA driver, by the runtime's own
/// device, executions and launches. What the emulator sees of each access, memory shows here
/// afterwards: all of it starts as NaNs of one kind, inside and around each block.
///
//===------------------------------------------------------------------------------------------===//

#include "CodeChoice.h"
#include "quern/Runtime/CudaDriver.h"
#include "quern/Runtime/Device.h"
#include "quern/Runtime/Error.h"
#include "quern/Runtime/Module.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <map>

using namespace quern::runtime;

/// What Launcher.cpp defines as `quern_device_launch` elsewhere.
extern "C" void quern_runtime_launch(const quern_launch *launch);

namespace {

/// What nobody has written: a NaN in bf16 and f16, and twice or four times in f32 and f64. No
/// instruction makes a NaN with these bits.
constexpr uint16_t unwritten = 0xFFA5;
/// Bytes of it around each block. Blocks stay aligned to 256 bytes.
constexpr int64_t guard = 1024;

struct Block {
  DeviceBlock memory; // with its guards
  int64_t bytes = 0;  // without
  std::string name;
};

/// A table of codes that was loaded: what a Module is to a whole program.
struct Code {
  Module module;
  std::unique_ptr<Device> device;
};

struct State {
  std::map<const quern_device_code *, Code> codes;
  Code *code = nullptr; // that runs now
  std::map<uint64_t, Block> blocks;
  std::string problems, description, launched;

  Device &device() {
    if (!code)
      throw Error("no code was loaded");
    return *code->device;
  }
};

State &state() {
  // Never destroyed: the driver may be gone before our destructors run.
  static State &state = *new State;
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

void *pointer(uint64_t address) { return reinterpret_cast<void *>(address); }

/// Fills memory of the device by doubling what is there of the pattern.
void fill(Device &device, char *to, int64_t bytes, const void *pattern, int64_t patternBytes) {
  int64_t there = std::min(bytes, patternBytes);
  device.upload(to, pattern, there);
  for (int64_t next; there < bytes; there += next) {
    next = std::min(there, bytes - there);
    device.copy(to + there, to, next);
  }
}

/// Appends to the problems what was overwritten around blocks.
void checkGuards() {
  std::vector<uint16_t> words(guard / 2);
  for (const auto &[address, block] : state().blocks) {
    int64_t after = (block.bytes + 1) / 2 * 2;
    for (int64_t start : {int64_t(0), guard + after}) {
      state().device().download(words.data(), block.memory.data() + start, guard);
      auto changed = std::count_if(words.begin(), words.end(),
                                   [](uint16_t word) { return word != unwritten; });
      if (changed)
        state().problems += concat("memory ", start ? "after " : "before ", block.name,
                                   " was overwritten at ", changed, " places\n");
    }
  }
}

std::unique_ptr<Execution> prepare(const char *name, quern_descriptor *const *arguments,
                                   Program &program) {
  program.name = name;
  Work work;
  work.program = &program;
  work.arguments = arguments;
  return state().device().prepare(work);
}

} // namespace

extern "C" {

/// "NAME, compute capability 9.0, driver ...", or null with the reason among the problems.
const char *device_describe() {
  const char *text = nullptr;
  guarded([&] {
    quern::cuda::CudaDriver driver;
    quern::cuda::DeviceHandle handle = 0;
    char name[256] = "";
    int major = 0, minor = 0;
    driver.check(driver.cuDeviceGet(&handle, 0), "cannot open the GPU");
    driver.check(driver.cuDeviceGetName(name, sizeof name - 1, handle), "cannot read its name");
    for (auto [value, attribute] : {std::pair(&major, quern::cuda::ComputeCapabilityMajor),
                                    std::pair(&minor, quern::cuda::ComputeCapabilityMinor)})
      driver.check(driver.cuDeviceGetAttribute(value, attribute, handle),
                   "cannot read its compute capability");
    state().description =
        concat(name, ", compute capability ", major, ".", minor, ", driver ", driver.describe());
    text = state().description.c_str();
  });
  return text;
}

/// The PTX in a row of quern_device_codes, until the next call; null if it is damaged.
const char *device_unpack(const void *frame, int64_t bytes) {
  static std::string text;
  text.clear();
  quern_device_code code = {"this GPU", static_cast<const char *>(frame), nullptr, bytes};
  guarded([&] { text = unpackCode(code); });
  return text.empty() ? nullptr : text.c_str();
}

/// Makes `codes`, a program's quern_device_codes, the code that runs from now on.
void device_load_codes(const quern_device_code *codes) {
  guarded([&] {
    Code &code = state().codes[codes];
    if (!code.device) {
      code.module.name = "kernels";
      code.module.deviceCodes = codes;
      code.device = openDevice(code.module, "gpu");
    }
    state().code = &code;
  });
}

uint64_t device_allocate(uint64_t bytes, const char *name) {
  uint64_t address = 0;
  guarded([&] {
    Device &device = state().device();
    // An odd size is rounded up: the pattern goes by twos.
    int64_t whole = int64_t(bytes + 1) / 2 * 2 + 2 * guard;
    Block block = {device.allocate(whole, name, Contents::Any), int64_t(bytes), name};
    std::vector<uint16_t> pattern(32768, unwritten);
    fill(device, block.memory.data(), whole, pattern.data(), int64_t(pattern.size()) * 2);
    address = reinterpret_cast<uintptr_t>(block.memory.data()) + guard;
    state().blocks[address] = std::move(block);
  });
  return address;
}
void device_free(uint64_t address) {
  guarded([&] { state().blocks.erase(address); });
}
void device_write(uint64_t address, const void *source, uint64_t bytes) {
  guarded([&] { state().device().upload(pointer(address), source, int64_t(bytes)); });
}
/// Writes `source` again and again until `bytes` are full.
void device_repeat(uint64_t address, uint64_t bytes, const void *source, uint64_t sourceBytes) {
  guarded([&] {
    fill(state().device(), static_cast<char *>(pointer(address)), int64_t(bytes), source,
         int64_t(sourceBytes));
  });
}
void device_read(uint64_t address, void *destination, uint64_t bytes) {
  guarded([&] { state().device().download(destination, pointer(address), int64_t(bytes)); });
}
/// Bytes of elements that nobody has written to.
uint64_t device_uninitialized(uint64_t address, uint64_t bytes, uint64_t elementBytes) {
  uint64_t missing = 0;
  std::vector<char> data(bytes);
  device_read(address, data.data(), bytes);
  std::vector<uint16_t> element(elementBytes / 2, unwritten);
  for (uint64_t i = 0; elementBytes > 1 && i + elementBytes <= bytes; i += elementBytes)
    missing += std::memcmp(data.data() + i, element.data(), elementBytes) ? 0 : elementBytes;
  return missing;
}

/// The text of all problems since `device_clear`; empty when there are none.
const char *device_problems() {
  if (state().problems.empty())
    guarded(checkGuards);
  return state().problems.c_str();
}
/// The kernels that were launched since `device_clear`, one a line.
const char *device_launched() { return state().launched.c_str(); }
void device_clear() {
  state().problems.clear();
  state().launched.clear();
}

void quern_device_launch(const quern_launch *launch) {
  if (launch->grid[0] && launch->grid[1] && launch->grid[2])
    state().launched += std::string(launch->kernel) + "\n";
  quern_runtime_launch(launch);
}

/// Runs a program of the code that was loaded, waiting for each of its kernels.
void device_run(const char *name, quern_descriptor *const *arguments, uint64_t arena) {
  if (!state().problems.empty())
    return;
  guarded([&] {
    Program program;
    auto execution = prepare(name, arguments, program);
    execution->start(pointer(arena));
    execution->finish();
  });
}

/// Seconds a run takes when `runs` of them follow one another, as graphs; 0 if there are problems.
double device_time(const char *name, quern_descriptor *const *arguments, uint64_t arena,
                   uint64_t runs) {
  double seconds = 0;
  if (!state().problems.empty())
    return seconds;
  guarded([&] {
    Program program;
    auto execution = prepare(name, arguments, program);
    // The first run waits for each kernel, the second records the graph.
    for (int i = 0; i < 3; ++i) {
      execution->start(pointer(arena));
      execution->finish();
    }
    auto start = std::chrono::steady_clock::now();
    for (uint64_t i = 0, finished = 0; finished < runs;) {
      while (i < runs && i - finished < uint64_t(execution->depth())) {
        execution->start(pointer(arena));
        ++i;
      }
      execution->finish();
      ++finished;
    }
    seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() /
              double(runs);
  });
  return seconds;
}

/// Bytes a second that copies of `bytes` bytes on the device read and write; 0 if there are
/// problems.
double device_copy_rate(uint64_t bytes) {
  double rate = 0;
  guarded([&] {
    Device &device = state().device();
    DeviceBlock from = device.allocate(int64_t(bytes), "a copy", Contents::Zeros);
    DeviceBlock to = device.allocate(int64_t(bytes), "a copy", Contents::Zeros);
    for (int i = 0; i < 10; ++i) {
      auto start = std::chrono::steady_clock::now();
      device.copy(to.data(), from.data(), int64_t(bytes));
      std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
      rate = std::max(rate, 2.0 * double(bytes) / time.count());
    }
  });
  return rate;
}

} // extern "C"
