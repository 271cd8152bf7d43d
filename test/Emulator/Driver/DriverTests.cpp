//===- DriverTests.cpp - The emulated CUDA driver: order of work, and what it refuses ---------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "quern/Runtime/CudaDriver.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <memory>
#include <sstream>

using namespace quern::cuda;

// set: *x = value. both: needs blocks of exactly 32 threads. racy: two threads write one place.
static const char ptx[] = R"(
.version 8.0
.target sm_80
.address_size 64
.visible .entry set(.param .u64 x, .param .u32 value) {
  .reg .b32 %r;
  .reg .b64 %d;
  ld.param.u64 %d, [x];
  ld.param.u32 %r, [value];
  st.global.u32 [%d], %r;
  ret;
}
.visible .entry exact() .reqntid 32 { ret; }
.visible .entry most() .maxntid 64 { ret; }
.visible .entry racy(.param .u64 x) {
  .reg .b32 %r;
  .reg .b64 %d;
  ld.param.u64 %d, [x];
  mov.u32 %r, %tid.x;
  st.global.u32 [%d], %r;
  ret;
}
)";

namespace {

struct Driver : testing::Test {
  Driver() { set("QUERN_CUDA_DRIVER", QUERN_CUDA_EMULATOR); }
  ~Driver() override {
    if (context)
      driver->cuDevicePrimaryCtxRelease_v2(0);
    for (const std::string &name : variables)
      unsetenv(name.c_str());
  }
  void set(const char *name, const char *value) {
    variables.push_back(name);
    setenv(name, value, 1);
  }
  /// Opens GPU 0 with a stream, the code and four words of memory.
  void open() {
    driver = std::make_unique<CudaDriver>();
    ASSERT_EQ(driver->cuDevicePrimaryCtxRetain(&context, 0), Success);
    ASSERT_EQ(driver->cuCtxSetCurrent(context), Success);
    ASSERT_EQ(driver->cuStreamCreate(&stream, streamNonBlocking), Success);
    ASSERT_EQ(driver->cuModuleLoadDataEx(&module, ptx, 0, nullptr, nullptr), Success);
    ASSERT_EQ(driver->cuMemAlloc_v2(&memory, 16), Success);
    void *pinned = nullptr;
    ASSERT_EQ(driver->cuMemHostAlloc(&pinned, 16, 0), Success);
    host = static_cast<int32_t *>(pinned);
    ASSERT_EQ(driver->cuMemsetD8Async(memory, 0, 16, stream), Success);
  }
  Function kernel(const char *name) {
    Function function = nullptr;
    EXPECT_EQ(driver->cuModuleGetFunction(&function, module, name), Success);
    return function;
  }
  Result launch(const char *name, unsigned threads, std::vector<void *> arguments = {}) {
    LaunchConfiguration configuration = {{1, 1, 1}, {threads, 1, 1}, 0, stream, nullptr, 0};
    return driver->cuLaunchKernelEx(&configuration, kernel(name), arguments.data(), nullptr);
  }
  Result launchSet(int32_t value) { return launch("set", 1, {&memory, &value}); }
  /// The first word, when all work of the stream is done.
  int32_t word() {
    int32_t value = -1;
    EXPECT_EQ(driver->cuMemcpyDtoHAsync_v2(&value, memory, 4, stream), Success);
    return value;
  }

  std::vector<std::string> variables;
  std::unique_ptr<CudaDriver> driver;
  Context context = nullptr;
  ModuleHandle module = nullptr;
  Stream stream = nullptr;
  Pointer memory = 0;
  int32_t *host = nullptr; // page-locked
};

} // namespace

TEST_F(Driver, WorkIsDoneWhenSomebodyWaits) {
  open();
  host[0] = 1;
  driver->cuMemcpyHtoDAsync_v2(memory, host, 4, stream);
  host[0] = 2; // too early: the copy has not been waited for
  EXPECT_EQ(word(), 2);
  int32_t pageable = 3;
  driver->cuMemcpyHtoDAsync_v2(memory, &pageable, 4, stream);
  pageable = 4; // in time: such memory has been read when the call returns
  EXPECT_EQ(word(), 3);
  ASSERT_EQ(launchSet(5), Success);
  host[1] = 0;
  driver->cuMemcpyDtoHAsync_v2(host + 1, memory, 4, stream);
  EXPECT_EQ(host[1], 0);
  driver->cuStreamSynchronize(stream);
  EXPECT_EQ(host[1], 5);
}

TEST_F(Driver, AnEventStandsForWhatWasBeforeIt) {
  open();
  Event event = nullptr;
  ASSERT_EQ(driver->cuEventCreate(&event, eventDisableTiming), Success);
  host[0] = host[1] = 0;
  launchSet(1);
  driver->cuMemcpyDtoHAsync_v2(host, memory, 4, stream);
  driver->cuEventRecord(event, stream);
  driver->cuMemcpyDtoHAsync_v2(host + 1, memory, 4, stream);
  driver->cuEventSynchronize(event);
  EXPECT_EQ(host[0], 1);
  EXPECT_EQ(host[1], 0);
  // Another stream that waits for it comes after it, and no later than that.
  Stream other = nullptr;
  driver->cuStreamCreate(&other, streamNonBlocking);
  launchSet(2);
  driver->cuEventRecord(event, stream);
  launchSet(3);
  driver->cuStreamWaitEvent(other, event, 0);
  driver->cuMemcpyDtoHAsync_v2(host, memory, 4, other);
  driver->cuStreamSynchronize(other);
  EXPECT_EQ(host[0], 2);
  EXPECT_EQ(word(), 3);
}

TEST_F(Driver, CapturedWorkRunsWithTheGraph) {
  open();
  Graph graph = nullptr;
  GraphExecution execution = nullptr;
  ASSERT_EQ(driver->cuStreamBeginCapture_v2(stream, CaptureRelaxed), Success);
  ASSERT_EQ(launchSet(7), Success);
  EXPECT_EQ(driver->cuStreamSynchronize(stream), StreamCaptureUnsupported);
  ASSERT_EQ(driver->cuStreamEndCapture(stream, &graph), Success);
  EXPECT_EQ(driver->cuStreamEndCapture(stream, &graph), StreamCaptureUnmatched);
  ASSERT_EQ(driver->cuGraphInstantiateWithFlags(&execution, graph, 0), Success);
  ASSERT_EQ(driver->cuGraphDestroy(graph), Success);
  EXPECT_EQ(word(), 0);
  for (int i = 0; i < 2; ++i) {
    ASSERT_EQ(driver->cuGraphLaunch(execution, stream), Success);
    EXPECT_EQ(word(), 7);
    launchSet(8);
  }
  EXPECT_EQ(driver->cuGraphExecDestroy(execution), Success);
  EXPECT_EQ(driver->cuGraphLaunch(execution, stream), InvalidHandle);
}

TEST_F(Driver, WhatTheEmulatorFindsEndsTheContext) {
  std::string report = (std::filesystem::temp_directory_path() / "quern-driver-report").string();
  std::filesystem::remove(report);
  set("QUERN_EMULATE_REPORT", report.c_str());
  open();
  ASSERT_EQ(launchSet(1), Success);
  ASSERT_EQ(launch("racy", 64, {&memory}), Success); // faults show later
  testing::internal::CaptureStderr();
  EXPECT_EQ(driver->cuStreamSynchronize(stream), LaunchFailed);
  std::string said = testing::internal::GetCapturedStderr();
  EXPECT_NE(said.find("race"), std::string::npos) << said;
  EXPECT_NE(said.find("kernel racy"), std::string::npos) << said;
  EXPECT_EQ(driver->cuMemFree_v2(memory), LaunchFailed);
  std::ifstream file(report);
  std::string first, second, none;
  std::getline(file, first);
  std::getline(file, second);
  EXPECT_NE(first.find(R"({"kernel":"set","grid":[1,1,1],"block":[1,1,1])"), std::string::npos);
  EXPECT_NE(first.find(R"("global_bytes_written":4)"), std::string::npos) << first;
  EXPECT_NE(first.find(R"("findings":[])"), std::string::npos);
  EXPECT_NE(second.find(R"("findings":[{"kind":"global-race")"), std::string::npos) << second;
  EXPECT_FALSE(std::getline(file, none));
  // The next user of the GPU finds it as new.
  driver->cuDevicePrimaryCtxRelease_v2(0);
  context = nullptr;
  open();
  EXPECT_EQ(word(), 0);
}

TEST_F(Driver, WithoutRacesNoneAreFound) {
  set("QUERN_EMULATE_RACES", "0");
  open();
  ASSERT_EQ(launch("racy", 64, {&memory}), Success);
  EXPECT_EQ(driver->cuStreamSynchronize(stream), Success);
}

TEST_F(Driver, LaunchesAreChecked) {
  open();
  EXPECT_EQ(launch("exact", 32), Success);
  EXPECT_EQ(launch("exact", 16), InvalidValue);
  EXPECT_EQ(launch("most", 64), Success);
  EXPECT_EQ(launch("most", 65), InvalidValue);
  EXPECT_EQ(launch("exact", 0), InvalidValue);
  EXPECT_EQ(launch("set", 1, {&memory, nullptr}), InvalidValue); // no value
  Function missing = nullptr;
  EXPECT_EQ(driver->cuModuleGetFunction(&missing, module, "gone"), NotFound);
  EXPECT_EQ(driver->cuFuncSetAttribute(kernel("set"), MaxDynamicSharedSizeBytes, 227 * 1024),
            Success);
  EXPECT_EQ(driver->cuFuncSetAttribute(kernel("set"), MaxDynamicSharedSizeBytes, 227 * 1024 + 1),
            InvalidValue);
}

TEST_F(Driver, MisuseIsRefused) {
  open();
  EXPECT_EQ(driver->cuMemcpyHtoDAsync_v2(memory + 8, host, 12, stream), InvalidValue);
  EXPECT_EQ(driver->cuMemcpyDtoDAsync_v2(memory, memory + 16, 4, stream), InvalidValue);
  EXPECT_EQ(driver->cuMemFree_v2(memory + 4), InvalidValue);
  EXPECT_EQ(driver->cuMemFree_v2(memory), Success);
  EXPECT_EQ(driver->cuMemFree_v2(memory), InvalidValue);
  EXPECT_EQ(driver->cuMemFreeHost(host + 1), InvalidValue);
  EXPECT_EQ(driver->cuMemAlloc_v2(&memory, 0), InvalidValue);
  EXPECT_EQ(driver->cuMemAlloc_v2(&memory, size_t(1) << 40), OutOfMemory);
  DeviceHandle device = 0;
  EXPECT_EQ(driver->cuDeviceGet(&device, 1), InvalidDevice);
  EXPECT_EQ(driver->cuStreamDestroy_v2(stream), Success);
  EXPECT_EQ(driver->cuStreamSynchronize(stream), InvalidHandle);
  EXPECT_EQ(driver->cuCtxSetCurrent(nullptr), Success);
  EXPECT_EQ(driver->cuMemAlloc_v2(&memory, 4), InvalidContext);
}

TEST_F(Driver, ReadingWhatNobodyWroteFails) {
  open();
  Pointer fresh = 0;
  ASSERT_EQ(driver->cuMemAlloc_v2(&fresh, 8), Success);
  EXPECT_EQ(driver->cuMemcpyDtoHAsync_v2(host, fresh, 8, stream), Success);
  testing::internal::CaptureStderr();
  EXPECT_EQ(driver->cuStreamSynchronize(stream), InvalidValue);
  EXPECT_NE(testing::internal::GetCapturedStderr().find("reads 8 bytes of 'allocation 2"),
            std::string::npos);
}

TEST_F(Driver, TellsWhatIsLeftBehind) {
  open();
  testing::internal::CaptureStderr();
  driver->cuDevicePrimaryCtxRelease_v2(0);
  context = nullptr;
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "emulated CUDA driver: GPU 0 is given back with 16 bytes, 1 pieces of page-locked "
            "memory, 1 modules and 1 streams, events and graphs in use\n");
}

TEST_F(Driver, CodeForOtherGpusAndDriversIsRefused) {
  set("QUERN_EMULATE_CAPABILITY", "8.9");
  set("QUERN_EMULATE_CUDA", "12.6");
  open();
  auto load = [&](const char *version, const char *target) {
    std::string text = ptx;
    text.replace(text.find("8.0"), 3, version);
    text.replace(text.find("sm_80"), 5, target);
    char log[256] = "";
    JitOption options[] = {ErrorLogBuffer, ErrorLogBufferSizeBytes};
    void *values[] = {log, reinterpret_cast<void *>(sizeof log)};
    Result result = driver->cuModuleLoadDataEx(&module, text.c_str(), 2, options, values);
    EXPECT_EQ(result == Success, log[0] == 0) << log;
    return result;
  };
  EXPECT_EQ(load("8.5", "sm_89"), Success); // CUDA 12.6 brought no PTX of its own
  EXPECT_EQ(load("8.6", "sm_89"), UnsupportedPtxVersion);
  EXPECT_EQ(load("8.0", "sm_90"), NoBinaryForGpu);
  EXPECT_EQ(load("8.0", "sm_90a"), NoBinaryForGpu);
  EXPECT_EQ(load("8.0", "other"), InvalidPtx);
}

TEST_F(Driver, SettingsThatMakeNoSenseAreNamed) {
  for (auto [name, value] :
       {std::pair("QUERN_EMULATE_MEMORY", "16G"), std::pair("QUERN_EMULATE_CAPABILITY", "9"),
        std::pair("QUERN_EMULATE_COUNT", "-1")}) {
    set(name, value);
    testing::internal::CaptureStderr();
    EXPECT_ANY_THROW(CudaDriver());
    EXPECT_NE(
        testing::internal::GetCapturedStderr().find(std::string(name) + "=" + value + ": not"),
        std::string::npos);
    unsetenv(name);
  }
}
