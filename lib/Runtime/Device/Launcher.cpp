//===- Launcher.cpp - Takes the launches that a program asks for ------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "Launcher.h"

#include "quern/Runtime/Error.h"
#include "quern/Runtime/Module.h"

#include <array>
#include <climits>

namespace quern::runtime {

/// The program that runs in this thread.
static thread_local Launcher *current = nullptr;

Launcher::Launcher(CudaDevice &device, const Program &program, bool waits)
    : device(device), program(program), waits(waits) {
  current = this;
}

Launcher::~Launcher() { current = nullptr; }

void Launcher::finish() const {
  if (!failure.empty())
    throw Error(failure);
}

void Launcher::launch(const quern_launch &launch) noexcept {
  if (!failure.empty())
    return;
  try {
    tryLaunch(launch);
  } catch (const std::exception &error) {
    failure = error.what();
  }
}

void Launcher::encode(const quern_tensor_map &description, void *encoded) noexcept {
  if (!failure.empty())
    return;
  try {
    tryEncode(description, encoded);
  } catch (const std::exception &error) {
    failure = error.what();
  }
}

/// `value` as the driver takes it; one that does not fit becomes one that the driver refuses.
static unsigned narrow(int64_t value) {
  return value < 0 || value > INT_MAX ? UINT_MAX : unsigned(value);
}

static std::string times(const int64_t *sizes) {
  return concat(sizes[0], " x ", sizes[1], " x ", sizes[2]);
}

void Launcher::tryLaunch(const quern_launch &launch) {
  const cuda::CudaDriver &driver = device.api();
  if (launch.grid[0] == 0 || launch.grid[1] == 0 || launch.grid[2] == 0)
    return;
  cuda::LaunchAttribute cluster = {};
  cluster.id = cuda::ClusterDimension;
  cluster.value.clusterDimension = {narrow(launch.cluster[0]), narrow(launch.cluster[1]),
                                    narrow(launch.cluster[2])};
  bool hasCluster = launch.cluster[0] != 1 || launch.cluster[1] != 1 || launch.cluster[2] != 1;
  cuda::LaunchConfiguration configuration = {};
  for (int i = 0; i < 3; ++i) {
    configuration.grid[i] = narrow(launch.grid[i]);
    configuration.block[i] = narrow(launch.block[i]);
  }
  configuration.sharedBytes = narrow(launch.shared_bytes);
  configuration.stream = device.mainStream();
  configuration.attributes = hasCluster ? &cluster : nullptr;
  configuration.attributeCount = hasCluster ? 1 : 0;
  cuda::Function function = device.kernel(launch.kernel, launch.shared_bytes);
  cuda::Result result = driver.cuLaunchKernelEx(&configuration, function,
                                                const_cast<void **>(launch.arguments), nullptr);
  if (result != cuda::Success)
    throw Error(concat("kernel '", launch.kernel, "' of program '", program.name,
                       "' cannot be launched on ", device.title(), " with a grid of ",
                       times(launch.grid), " blocks of ", times(launch.block), " threads, ",
                       launch.shared_bytes, " bytes of shared memory and clusters of ",
                       times(launch.cluster), ": ", driver.describe(result)));
  result = waits ? driver.cuStreamSynchronize(device.mainStream()) : cuda::Success;
  if (result != cuda::Success)
    throw Error(concat("kernel '", launch.kernel, "' of program '", program.name, "' failed on ",
                       device.title(), ": ", driver.describe(result)));
}

void Launcher::tryEncode(const quern_tensor_map &map, void *encoded) {
  cuda::TensorMapType type = map.type == 2   ? cuda::TensorMapFloat16
                             : map.type == 1 ? cuda::TensorMapFloat32
                                             : cuda::TensorMapBfloat16;
  const cuda::CudaDriver &driver = device.api();
  std::array<uint64_t, 5> sizes = {};
  std::array<uint64_t, 4> strides = {};
  std::array<unsigned, 5> box = {}, steps = {1, 1, 1, 1, 1};
  for (size_t i = 0; i < 5; ++i) {
    sizes[i] = uint64_t(map.sizes[i]);
    box[i] = narrow(map.box[i]);
  }
  for (size_t i = 0; i < 4; ++i)
    strides[i] = uint64_t(map.strides[i]);
  cuda::TensorMapSwizzle swizzle = map.swizzle == 128  ? cuda::Swizzle128
                                   : map.swizzle == 64 ? cuda::Swizzle64
                                   : map.swizzle == 32 ? cuda::Swizzle32
                                                       : cuda::SwizzleNone;
  cuda::Result result = driver.cuTensorMapEncodeTiled(
      static_cast<cuda::TensorMap *>(encoded), type, unsigned(map.rank), map.address, sizes.data(),
      strides.data(), box.data(), steps.data(), cuda::InterleaveNone, swizzle, cuda::Promotion128,
      cuda::FillZeros);
  if (result == cuda::Success)
    return;
  auto dimensions = size_t(map.rank < 1 || map.rank > 5 ? 5 : map.rank);
  throw Error(concat("program '", program.name, "' describes a tensor of ",
                     formatShape(Shape(map.sizes, map.sizes + dimensions)),
                     " elements in boxes of ", formatShape(Shape(map.box, map.box + dimensions)),
                     " that the driver does not take: ", driver.describe(result)));
}

} // namespace quern::runtime

extern "C" {

void quern_device_launch(const quern_launch *launch) {
  if (quern::runtime::current)
    quern::runtime::current->launch(*launch);
}

void quern_device_tensor_map(const quern_tensor_map *description, void *encoded) {
  if (quern::runtime::current)
    quern::runtime::current->encode(*description, encoded);
}
}
