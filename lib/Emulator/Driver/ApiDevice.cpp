//===- ApiDevice.cpp - Errors, devices and contexts -------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "Api.h"

#include <cstdio>

namespace quern::cuda {

namespace {
struct ResultText {
  Result result;
  const char *name, *text;
};
} // namespace

/// Names as in cuda.h, in the order of their numbers; texts are our own.
static const ResultText resultTexts[] = {
    {Success, "CUDA_SUCCESS", "no error"},
    {InvalidValue, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {OutOfMemory, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {NotInitialized, "CUDA_ERROR_NOT_INITIALIZED", "the driver is not initialized"},
    {StubLibrary, "CUDA_ERROR_STUB_LIBRARY", "this is a stub of the driver"},
    {NoDevice, "CUDA_ERROR_NO_DEVICE", "there is no GPU"},
    {InvalidDevice, "CUDA_ERROR_INVALID_DEVICE", "there is no such GPU"},
    {InvalidContext, "CUDA_ERROR_INVALID_CONTEXT", "invalid context"},
    {NoBinaryForGpu, "CUDA_ERROR_NO_BINARY_FOR_GPU", "the code is not for this GPU"},
    {EccUncorrectable, "CUDA_ERROR_ECC_UNCORRECTABLE", "an uncorrectable ECC error"},
    {InvalidPtx, "CUDA_ERROR_INVALID_PTX", "the PTX could not be compiled"},
    {UnsupportedPtxVersion, "CUDA_ERROR_UNSUPPORTED_PTX_VERSION",
     "the PTX is of a newer version than the driver"},
    {InvalidHandle, "CUDA_ERROR_INVALID_HANDLE", "invalid handle"},
    {NotFound, "CUDA_ERROR_NOT_FOUND", "no such symbol"},
    {IllegalAddress, "CUDA_ERROR_ILLEGAL_ADDRESS", "an access to an illegal address"},
    {MisalignedAddress, "CUDA_ERROR_MISALIGNED_ADDRESS", "a misaligned access"},
    {LaunchFailed, "CUDA_ERROR_LAUNCH_FAILED", "a kernel failed"},
    {StreamCaptureUnsupported, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED",
     "not permitted while a stream is captured"},
    {StreamCaptureUnmatched, "CUDA_ERROR_STREAM_CAPTURE_UNMATCHED",
     "the stream is not being captured"},
};

static const ResultText *find(Result result) {
  for (const ResultText &row : resultTexts)
    if (row.result == result)
      return &row;
  return nullptr;
}

static ContextRecord &gpuAt(DriverState &state, int index) {
  if (!state.initialized)
    throw Failure{NotInitialized, "cuInit has not been called"};
  if (index < 0 || index >= state.settings.count)
    throw Failure{InvalidDevice, ""};
  return *state.gpus[size_t(index)];
}

/// Tells what a context still owns when it is given back: a leak of its user.
static void reportLeaks(DriverState &state, ContextRecord &context) {
  size_t bytes = context.memory.allocatedBytes(), modules = state.modules.countIn(context);
  size_t pinned = 0;
  for (const auto &[start, memory] : state.pinned)
    pinned += memory.context == &context;
  size_t others = state.streams.countIn(context) + state.events.countIn(context) +
                  state.graphs.countIn(context) + state.executions.countIn(context);
  if (bytes || modules || others || pinned)
    std::fprintf(stderr,
                 "emulated CUDA driver: GPU %d is given back with %zu bytes, %zu pieces of "
                 "page-locked memory, %zu modules and %zu streams, events and graphs in use\n",
                 context.index, bytes, pinned, modules, others);
}

/// The context is gone, and all that was in it; the GPU is as new.
static void reset(DriverState &state, ContextRecord &context) {
  state.executions.destroyIn(context);
  state.graphs.destroyIn(context);
  state.events.destroyIn(context);
  state.streams.destroyIn(context);
  state.modules.destroyIn(context);
  for (auto entry = state.pinned.begin(); entry != state.pinned.end();)
    entry = entry->second.context == &context ? state.pinned.erase(entry) : std::next(entry);
  context.memory = emulator::Device();
  context.allocations = 0;
  context.fault = Success;
}

extern "C" {

Result cuGetErrorName(Result result, const char **text) {
  const ResultText *row = find(result);
  *text = row ? row->name : nullptr;
  return row ? Success : InvalidValue;
}

Result cuGetErrorString(Result result, const char **text) {
  const ResultText *row = find(result);
  *text = row ? row->text : nullptr;
  return row ? Success : InvalidValue;
}

Result cuInit(unsigned) {
  return guarded([&](DriverState &state) {
    for (const auto &gpu : state.gpus)
      if (gpu->retained)
        return;
    // Nobody uses a GPU yet, or any more: a test may set others.
    state.settings = Settings::read();
    state.initialized = state.settings.count > 0;
    if (!state.initialized)
      throw Failure{NoDevice, ""};
    while (int(state.gpus.size()) < state.settings.count)
      state.gpus.push_back(std::make_unique<ContextRecord>(int(state.gpus.size())));
  });
}

Result cuDriverGetVersion(int *version) {
  return guarded([&](DriverState &) {
    need(version);
    *version = Settings::read().cuda; // asked before cuInit
  });
}

Result cuDeviceGetCount(int *count) {
  return guarded([&](DriverState &state) {
    need(count);
    *count = state.initialized ? state.settings.count : 0;
  });
}

Result cuDeviceGet(DeviceHandle *device, int index) {
  return guarded([&](DriverState &state) {
    need(device);
    *device = gpuAt(state, index).index;
  });
}

Result cuDeviceGetName(char *name, int size, DeviceHandle device) {
  return guarded([&](DriverState &state) {
    need(name);
    gpuAt(state, device);
    std::snprintf(name, size_t(size), "Emulated GPU");
  });
}

Result cuDeviceGetAttribute(int *value, DeviceAttribute attribute, DeviceHandle device) {
  return guarded([&](DriverState &state) {
    need(value);
    gpuAt(state, device);
    switch (attribute) {
    case MaxThreadsPerBlock:
      *value = 1024;
      return;
    case WarpSize:
      *value = 32;
      return;
    case MultiprocessorCount:
      *value = 4;
      return;
    case ComputeCapabilityMajor:
      *value = state.settings.major;
      return;
    case ComputeCapabilityMinor:
      *value = state.settings.minor;
      return;
    case MaxSharedMemoryPerBlockOptin:
      *value = state.settings.sharedBytes();
      return;
    }
    throw Failure{InvalidValue, "unknown attribute " + std::to_string(int(attribute))};
  });
}

Result cuDeviceTotalMem_v2(size_t *bytes, DeviceHandle device) {
  return guarded([&](DriverState &state) {
    need(bytes);
    gpuAt(state, device);
    *bytes = state.settings.memory;
  });
}

Result cuDevicePrimaryCtxRetain(Context *context, DeviceHandle device) {
  return guarded([&](DriverState &state) {
    need(context);
    ContextRecord &gpu = gpuAt(state, device);
    ++gpu.retained;
    *context = &gpu;
  });
}

Result cuDevicePrimaryCtxRelease_v2(DeviceHandle device) {
  return guarded([&](DriverState &state) {
    ContextRecord &gpu = gpuAt(state, device);
    if (!gpu.retained)
      throw Failure{InvalidContext, "the context was given back too often"};
    if (--gpu.retained > 0)
      return;
    if (gpu.fault == Success)
      reportLeaks(state, gpu);
    reset(state, gpu);
  });
}

Result cuCtxSetCurrent(Context context) {
  return guarded([&](DriverState &state) {
    bool known = !context;
    for (const auto &gpu : state.gpus)
      known |= gpu.get() == context;
    if (!known)
      throw Failure{InvalidContext, "not a context"};
    setCurrentContext(context);
  });
}

} // extern "C"

} // namespace quern::cuda
