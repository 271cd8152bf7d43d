//===- NativeGpus.cpp - Architectures of the GPUs that are here -------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//

#include "NativeGpus.h"

#include "quern/GPU/Architecture.h"
#include "quern/Runtime/CudaDriver.h"
#include "quern/Runtime/Error.h"

#include "llvm/ADT/STLExtras.h"

namespace quern::tools {

llvm::Expected<std::vector<std::string>> nativeGpus() {
  std::vector<std::string> names;
  std::string old;
  try {
    cuda::CudaDriver driver;
    int count = 0;
    driver.check(driver.cuDeviceGetCount(&count), "counting GPUs");
    for (int i = 0; i < count; ++i) {
      cuda::DeviceHandle device = 0;
      int major = 0, minor = 0;
      driver.check(driver.cuDeviceGet(&device, i), "looking at a GPU");
      driver.check(driver.cuDeviceGetAttribute(&major, cuda::ComputeCapabilityMajor, device),
                   "asking a GPU for its compute capability");
      driver.check(driver.cuDeviceGetAttribute(&minor, cuda::ComputeCapabilityMinor, device),
                   "asking a GPU for its compute capability");
      std::optional<nvidia::Architecture> best = nvidia::Architecture::forCapability(major, minor);
      if (!best)
        old = std::to_string(major) + "." + std::to_string(minor);
      else if (!llvm::is_contained(names, best->name))
        names.push_back(best->name);
    }
  } catch (const runtime::Error &error) {
    return llvm::createStringError(error.what());
  }
  if (names.empty())
    return llvm::createStringError("the GPU here has compute capability " + old +
                                   ", and code is written for 8.0 and newer");
  return names;
}

} // namespace quern::tools
