//===- DeviceTests.cpp - Programs on an emulated GPU, and all that can go wrong ---------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "lib/Runtime/Device/CodeChoice.h"
#include "quern/Runtime/Bfloat.h"
#include "quern/Runtime/Call.h"
#include "quern/Runtime/Device.h"

#include "../TestFiles.h"
#include "../TinyModel.h"

#include <cstring>

using namespace quern::runtime;

//===------------------------------------------------------------------------------------------===//
// Which code is chosen
//===------------------------------------------------------------------------------------------===//

static std::string chosen(std::vector<const char *> architectures, int major, int minor) {
  std::vector<quern_device_code> codes;
  for (const char *architecture : architectures)
    codes.push_back({architecture, "", nullptr, 0});
  codes.push_back({nullptr, nullptr, nullptr, 0});
  const quern_device_code *code = chooseCode(codes.data(), major, minor);
  return code ? code->architecture : "none";
}

TEST(CodeChoice, TakesTheNewestThatRuns) {
  EXPECT_EQ(chosen({"sm_80", "sm_90"}, 8, 0), "sm_80");
  EXPECT_EQ(chosen({"sm_90", "sm_80"}, 8, 9), "sm_80");
  EXPECT_EQ(chosen({"sm_80", "sm_90", "sm_86"}, 12, 0), "sm_90");
  EXPECT_EQ(chosen({"sm_80"}, 7, 5), "none");
  EXPECT_EQ(chosen({}, 9, 0), "none");
}

TEST(CodeChoice, ArchitectureSpecificCodeRunsOnItsOwnAlone) {
  EXPECT_EQ(chosen({"sm_90a", "sm_90", "sm_80"}, 9, 0), "sm_90a");
  EXPECT_EQ(chosen({"sm_80", "sm_90", "sm_90a"}, 9, 0), "sm_90a");
  EXPECT_EQ(chosen({"sm_80", "sm_90a"}, 10, 0), "sm_80");
  EXPECT_EQ(chosen({"sm_90a"}, 10, 0), "none");
  EXPECT_EQ(chosen({"sm_90a"}, 8, 9), "none");
}

TEST(CodeChoice, KnowsWhichCudaBroughtAPtx) {
  EXPECT_EQ(requiredCuda("//\n.version 7.8\n.target sm_80\n"), 11080);
  EXPECT_EQ(requiredCuda(".version 8.3\n"), 12030);
  EXPECT_EQ(requiredCuda(".version 8.5\n"), 12050);
  EXPECT_EQ(requiredCuda(".version 8.6\n"), 12070);
  EXPECT_EQ(requiredCuda(".version 8.8\n"), 12090);
  EXPECT_EQ(requiredCuda(".version 9.0\n"), 13000);
  EXPECT_EQ(requiredCuda("no PTX"), 0);
}

//===------------------------------------------------------------------------------------------===//
// A program of our own: y = f(x), where a test chooses the launches
//===------------------------------------------------------------------------------------------===//

// triple: y[i] = 3 x[i]. wild: writes to address 16 if x[0] is not 0. tile: reads dynamic shared
// memory after writing it. ranks: y[i] = rank of the block in its cluster.
static const char ptx[] = R"(
.version 8.0
.target sm_80
.address_size 64
.extern .shared .align 16 .b8 scratch[];

.visible .entry triple(.param .u64 x, .param .u64 y) {
  .reg .b32 %r<3>;
  .reg .b64 %d<6>;
  ld.param.u64 %d0, [x];
  ld.param.u64 %d1, [y];
  mov.u32 %r0, %tid.x;
  mul.wide.u32 %d2, %r0, 4;
  add.s64 %d3, %d0, %d2;
  add.s64 %d4, %d1, %d2;
  ld.global.u32 %r1, [%d3];
  mul.lo.s32 %r2, %r1, 3;
  st.global.u32 [%d4], %r2;
  ret;
}
.visible .entry wild(.param .u64 x) {
  .reg .b32 %r<2>;
  .reg .b64 %d<3>;
  .reg .pred %p<2>;
  ld.param.u64 %d0, [x];
  ld.global.u32 %r0, [%d0];
  setp.eq.s32 %p0, %r0, 0;
  @%p0 bra done;
  mov.u64 %d1, 16;
  st.global.u32 [%d1], %r0;
done:
  ret;
}
.visible .entry tile(.param .u64 x, .param .u64 y, .param .u32 at) {
  .reg .b32 %r<5>;
  .reg .b64 %d<3>;
  ld.param.u64 %d0, [x];
  ld.param.u64 %d1, [y];
  ld.param.u32 %r0, [at];
  ld.global.u32 %r1, [%d0];
  mov.u32 %r2, scratch;
  add.s32 %r3, %r2, %r0;
  st.shared.u32 [%r3], %r1;
  ld.shared.u32 %r4, [%r3];
  st.global.u32 [%d1], %r4;
  ret;
}
)";

// The same with what only sm_90 has.
static const std::string hopperPtx = [] {
  std::string text = ptx;
  text.replace(text.find("sm_80"), 5, "sm_90");
  return text + R"(
.visible .entry ranks(.param .u64 y) {
  .reg .b32 %r<4>;
  .reg .b64 %d<4>;
  ld.param.u64 %d0, [y];
  mov.u32 %r0, %cluster_ctarank;
  mov.u32 %r1, %ctaid.x;
  mul.wide.u32 %d1, %r1, 4;
  add.s64 %d2, %d0, %d1;
  st.global.u32 [%d2], %r0;
  ret;
}
)";
}();

static const char json[] = R"({"quern": 1, "model": "test", "kind": "other",
  "device": {"kind": "nvidia", "architectures": ["sm_80"], "precision": "f32"},
  "parameters": [], "programs": [{"name": "apply", "arguments": [
    {"name": "x", "role": "input", "type": "i32", "shape": [4]},
    {"name": "y", "role": "output", "type": "i32", "shape": [4]},
    {"name": "large", "role": "output", "type": "i32", "shape": [-1], "dimensions": ["length"]}]}]})";

namespace {

using Arguments = quern_descriptor *const *;
void (*body)(Arguments, void *) = nullptr; // what the program does
int bodyRuns = 0;
int64_t arenaSize = 64;

const quern_program programs[] = {{"apply",
                                   [](Arguments arguments, void *arena) {
                                     ++bodyRuns;
                                     body(arguments, arena);
                                   },
                                   [](Arguments) { return arenaSize; }},
                                  {nullptr, nullptr, nullptr}};
const quern_program none[] = {{nullptr, nullptr, nullptr}};

template <typename... Values>
void launch(const char *kernel, quern_launch launch, Values... values) {
  const void *const arguments[] = {&values..., nullptr};
  launch.kernel = kernel;
  launch.argument_count = sizeof...(values);
  launch.arguments = arguments;
  quern_device_launch(&launch);
}

/// One block of four threads.
const quern_launch four = {nullptr, {1, 1, 1}, {4, 1, 1}, {1, 1, 1}, 0, 0, nullptr};

void triple(Arguments a, void *) { launch("triple", four, a[0]->aligned, a[1]->aligned); }

struct Gpu : testing::Test {
  Gpu() {
    setenv("QUERN_CUDA_DRIVER", QUERN_CUDA_EMULATOR, 1);
    body = triple;
    bodyRuns = 0;
    arenaSize = 64;
  }
  ~Gpu() override {
    for (const char *name : {"QUERN_CUDA_DRIVER", "QUERN_CUDA_GRAPHS", "QUERN_EMULATE_CAPABILITY"})
      unsetenv(name);
  }

  /// Opens the GPU with `text` as the code.
  void open(const char *text = ptx) { openPacked(tiny::packed(text)); }
  void openPacked(const std::string &frame) {
    codes[0] = {"sm_80", frame.data(), programs, int64_t(frame.size())};
    codes[1] = {nullptr, nullptr, nullptr, 0};
    module = Module::parse(json, none, codes);
    device = openDevice(module, "gpu");
    arena = std::make_unique<Arena>(*device);
    call = std::make_unique<Call>(module.programs[0], Dimensions{{"length", 100000}}, *arena);
  }
  void write(std::vector<int32_t> values) {
    std::memcpy(call->find("x", Role::Input)->data, values.data(), values.size() * 4);
  }
  std::vector<int32_t> read(const char *name = "y") {
    std::vector<int32_t> values(4);
    readTensor(*call->find(name, Role::Output),
               [&](const Tensor &tensor) { std::memcpy(values.data(), tensor.data, 16); });
    return values;
  }
  /// Expects that a run fails with a message that has `part`.
  void expectFailure(const std::string &part) {
    expectError(part, [&] { call->run(); });
  }

  quern_device_code codes[2];
  Module module;
  std::unique_ptr<Device> device;
  std::unique_ptr<Arena> arena;
  std::unique_ptr<Call> call;
};

using Values = std::vector<int32_t>;

} // namespace

TEST_F(Gpu, TellsDamagedCode) {
  std::string frame = tiny::packed(ptx);
  for (size_t size : {frame.size() - 1, size_t(3), size_t(0)})
    expectError("the code for sm_80 in this program is damaged; compile the model again",
                [&] { openPacked(frame.substr(0, size)); });
  frame[0] ^= 1; // no frame of Zstandard
  expectError("the code for sm_80 in this program is damaged", [&] { openPacked(frame); });
}

TEST_F(Gpu, RunsAndReplays) {
  open();
  for (int32_t i = 0; i < 5; ++i) {
    write({i, i + 1, i + 2, -i});
    call->run();
    EXPECT_EQ(read(), (Values{3 * i, 3 * i + 3, 3 * i + 6, -3 * i}));
  }
  // Once to try each kernel, once to record; then the graph is replayed.
  EXPECT_EQ(bodyRuns, 2);
}

TEST_F(Gpu, RecordsAgainWhenTheArenaMoves) {
  open();
  body = [](Arguments a, void *arena) { // through the arena
    launch("triple", four, a[0]->aligned, arena);
    launch("triple", four, arena, a[1]->aligned);
  };
  write({1, 2, 3, 4});
  for (int i = 0; i < 3; ++i)
    call->run();
  EXPECT_EQ(bodyRuns, 2);
  arena->reserve(1 << 20); // another program needs more
  for (int i = 0; i < 3; ++i) {
    call->run();
    EXPECT_EQ(read(), (Values{9, 18, 27, 36}));
  }
  EXPECT_EQ(bodyRuns, 3);
}

TEST_F(Gpu, WithoutGraphsEveryRunIsLaunchedAnew) {
  setenv("QUERN_CUDA_GRAPHS", "0", 1);
  open();
  for (int i = 0; i < 4; ++i)
    call->run();
  EXPECT_EQ(bodyRuns, 4);
}

TEST_F(Gpu, TheNextRunStartsBeforeTheLastHasFinished) {
  open();
  EXPECT_EQ(call->depth(), 2);
  write({1, 1, 1, 1});
  call->start();
  for (int32_t i = 2; i < 6; ++i) {
    write({i, i, i, i});
    call->start();
    write({-1, -1, -1, -1}); // after `start` the inputs are the caller's again
    call->finish();
    EXPECT_EQ(read(), Values(4, 3 * i - 3));
  }
  call->finish();
  EXPECT_EQ(read(), Values(4, 15));
}

TEST_F(Gpu, LargeOutputsStayUntilTheyAreRead) {
  open();
  body = [](Arguments a, void *) { launch("triple", four, a[0]->aligned, a[2]->aligned); };
  write({1, 2, 3, 4});
  call->run();
  const Tensor &large = *call->find("large", Role::Output);
  ASSERT_EQ(large.device, device.get());
  Tensor part = large;
  part.shape = {2};
  readTensor(part, [](const Tensor &tensor) {
    EXPECT_EQ(tensor.device, nullptr);
    EXPECT_EQ(static_cast<int32_t *>(tensor.data)[1], 6);
  });
  writeTensor(part, [](const Tensor &tensor) { std::memset(tensor.data, 0, 8); });
  readTensor(part,
             [](const Tensor &tensor) { EXPECT_EQ(static_cast<int32_t *>(tensor.data)[1], 0); });
  // What no kernel wrote is an error of the program; the emulated driver finds it.
  testing::internal::CaptureStderr();
  expectError("cannot copy from the GPU", [&] { readTensor(large, [](const Tensor &) {}); });
  EXPECT_NE(testing::internal::GetCapturedStderr().find("that nothing has written"),
            std::string::npos);
}

TEST_F(Gpu, LaunchesInOrderAndNoneOfAnEmptyGrid) {
  open();
  body = [](Arguments a, void *) {
    launch("triple", four, a[0]->aligned, a[1]->aligned);
    launch("triple", four, a[1]->aligned, a[1]->aligned);
    quern_launch empty = four;
    empty.grid[1] = 0;
    launch("no such kernel", empty);
  };
  write({1, 2, 3, 4});
  call->run();
  EXPECT_EQ(read(), (Values{9, 18, 27, 36}));
}

TEST_F(Gpu, SharedMemoryIsAskedFor) {
  open();
  body = [](Arguments a, void *) {
    quern_launch one = four;
    one.block[0] = 1;
    one.shared_bytes = 100000;
    launch("tile", one, a[0]->aligned, a[1]->aligned, int32_t(99996));
  };
  write({7});
  call->run();
  EXPECT_EQ(read()[0], 7);
}

// What compiled programs rely on (Program.h).
TEST_F(Gpu, AddressesAreAligned) {
  open();
  static bool aligned;
  aligned = true;
  body = [](Arguments a, void *arena) {
    for (void *address : {a[0]->aligned, a[1]->aligned, a[2]->aligned, arena})
      aligned &= reinterpret_cast<uintptr_t>(address) % 256 == 0;
    launch("triple", four, a[0]->aligned, a[1]->aligned);
  };
  call->run();
  ParameterBlock weights(tinyModule(), "the weights", *device);
  for (size_t i = 0; i < tinyModule().parameters.size(); ++i)
    aligned &= reinterpret_cast<uintptr_t>(weights[i].data) % 256 == 0;
  EXPECT_TRUE(aligned);
}

// A GPU may take weights in another type than the host (Program.h).
TEST_F(Gpu, WeightsAreRoundedOnTheirWay) {
  open();
  Module model = Module::parse(R"({"quern": 1, "model": "m", "kind": "other",
    "parameters": [{"name": "w", "file": "w", "type": "f32", "shape": [5],
                    "initializer": {"kind": "normal", "scale": 1}}],
    "programs": [{"name": "apply", "arguments": [
      {"name": "w", "role": "parameter", "type": "f32", "device_type": "bf16", "shape": [5]}]}]})",
                               none, codes);
  const std::vector<const Program *> users = {&model.programs[0]};
  ParameterBlock onHost(model, "weights", hostDevice(), users),
      narrow(model, "weights", *device, users), wide(model, "weights", *device);
  EXPECT_EQ(onHost[0].type, Type::F32);
  EXPECT_EQ(narrow[0].type, Type::BF16);
  EXPECT_EQ(wide[0].type, Type::F32);
  for (ParameterBlock *block : {&onHost, &narrow, &wide})
    block->initialize(3);
  auto expectRounded = [&](const Tensor &tensor) {
    readTensor(tensor, [&](const Tensor &halves) {
      for (int64_t i = 0; i < 5; ++i)
        EXPECT_EQ(static_cast<uint16_t *>(halves.data)[i],
                  toBfloat(static_cast<float *>(onHost[0].data)[i]));
    });
  };
  expectRounded(narrow[0]);
  const Tensor &copy = wide.in(Type::BF16, 0);
  wide.refresh();
  expectRounded(copy);
  // What is written to the GPU reaches its copy.
  onHost.initialize(4);
  writeTensor(wide[0], [&](const Tensor &to) { std::memcpy(to.data, onHost[0].data, 20); });
  wide.changed();
  wide.refresh();
  expectRounded(copy);
}

TEST_F(Gpu, ClustersAreLaunched) {
  open(hopperPtx.c_str());
  body = [](Arguments a, void *) {
    quern_launch clusters = four;
    clusters.grid[0] = 4;
    clusters.block[0] = 1;
    clusters.cluster[0] = 2;
    launch("ranks", clusters, a[1]->aligned);
  };
  call->run();
  EXPECT_EQ(read(), (Values{0, 1, 0, 1}));
}

//===------------------------------------------------------------------------------------------===//
// Errors
//===------------------------------------------------------------------------------------------===//

TEST_F(Gpu, AFaultNamesItsKernelInTheFirstRun) {
  open();
  body = [](Arguments a, void *) {
    launch("triple", four, a[0]->aligned, a[1]->aligned);
    launch("wild", four, a[0]->aligned);
    launch("triple", four, a[0]->aligned, a[1]->aligned);
  };
  write({1});
  expectFailure("kernel 'wild' of program 'apply' failed on Emulated GPU (gpu:0): an access to an "
                "illegal address (CUDA_ERROR_ILLEGAL_ADDRESS)");
  // The GPU's context is lost, and every further use says so.
  expectError("CUDA_ERROR_ILLEGAL_ADDRESS", [&] { device->allocate(64, "x", Contents::Any); });
}

TEST_F(Gpu, AFaultInAGraphTellsHowToFindItsKernel) {
  open();
  body = [](Arguments a, void *) { launch("wild", four, a[0]->aligned); };
  for (int i = 0; i < 3; ++i)
    call->run();
  write({1});
  expectFailure("program 'apply' failed on Emulated GPU (gpu:0): an access to an illegal address "
                "(CUDA_ERROR_ILLEGAL_ADDRESS); with QUERN_CUDA_GRAPHS=0 in the environment the "
                "message says which kernel failed");
}

TEST_F(Gpu, AMissingKernelIsNamed) {
  open();
  body = [](Arguments, void *) { launch("absent", four); };
  expectFailure("the code for sm_80 has no kernel 'absent': the executable is damaged");
}

TEST_F(Gpu, AnImpossibleLaunchIsDescribed) {
  open();
  body = [](Arguments a, void *) {
    quern_launch large = four;
    large.block[0] = 2048;
    launch("triple", large, a[0]->aligned, a[1]->aligned);
  };
  expectFailure(
      "kernel 'triple' of program 'apply' cannot be launched on Emulated GPU (gpu:0) with "
      "a grid of 1 x 1 x 1 blocks of 2048 x 1 x 1 threads, 0 bytes of shared memory and "
      "clusters of 1 x 1 x 1: invalid argument (CUDA_ERROR_INVALID_VALUE)");
}

TEST_F(Gpu, SizesBeyondTheDriversAreNotCutOff) {
  open();
  body = [](Arguments a, void *) {
    quern_launch large = four;
    large.grid[0] = (int64_t(1) << 32) + 1;
    launch("triple", large, a[0]->aligned, a[1]->aligned);
  };
  expectFailure("with a grid of 4294967297 x 1 x 1 blocks");
}

TEST_F(Gpu, TooMuchSharedMemoryIsNamed) {
  setenv("QUERN_EMULATE_CAPABILITY", "8.0", 1);
  open();
  body = [](Arguments a, void *) {
    quern_launch large = four;
    large.shared_bytes = 200000;
    launch("tile", large, a[0]->aligned, a[1]->aligned, int32_t(0));
  };
  expectFailure(
      "kernel 'tile' needs 200000 bytes of shared memory, Emulated GPU (gpu:0) has 166912 "
      "for a block");
}

TEST_F(Gpu, AClusterOnAGpuWithoutThemIsRefused) {
  setenv("QUERN_EMULATE_CAPABILITY", "8.0", 1);
  open();
  body = [](Arguments a, void *) {
    quern_launch clusters = four;
    clusters.grid[0] = clusters.cluster[0] = 2;
    launch("triple", clusters, a[0]->aligned, a[1]->aligned);
  };
  expectFailure("and clusters of 2 x 1 x 1: invalid argument");
}

TEST_F(Gpu, AWrongTensorMapIsDescribed) {
  open();
  body = [](Arguments a, void *) {
    alignas(64) char encoded[128];
    quern_tensor_map map = {a[0]->aligned, 1, 2, {64, 32}, {256}, {64, 300}, 0};
    quern_device_tensor_map(&map, encoded);
    launch("triple", four, a[0]->aligned, a[1]->aligned); // ignored
  };
  expectFailure("program 'apply' describes a tensor of 64x32 elements in boxes of 64x300 that the "
                "driver does not take: invalid argument (CUDA_ERROR_INVALID_VALUE)");
}

TEST_F(Gpu, CodeThatTheDriverRefusesComesWithItsLog) {
  open(".version 8.0\n.target sm_80\n.address_size 64\n.visible .entry k() { flies; }\n");
  expectFailure(
      "the driver does not take the code for sm_80 on Emulated GPU (gpu:0): the PTX could "
      "not be compiled (CUDA_ERROR_INVALID_PTX):\nptx:4:23: error:");
}

TEST_F(Gpu, TooLittleMemorySaysWhatIsThere) {
  open();
  arenaSize = int64_t(1) << 40;
  call = std::make_unique<Call>(module.programs[0], Dimensions{{"length", 4}}, *arena);
  expectFailure(
      "cannot allocate 1099511627776 bytes (1.0 TiB) on Emulated GPU (gpu:0) for the arena "
      "of activations: 16 GiB of 16 GiB are free; use a smaller batch, sequence or model");
}

TEST_F(Gpu, NothingIsLeftBehind) {
  testing::internal::CaptureStderr();
  open();
  for (int i = 0; i < 3; ++i)
    call->run();
  call = nullptr;
  arena = nullptr;
  device = nullptr;
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}
