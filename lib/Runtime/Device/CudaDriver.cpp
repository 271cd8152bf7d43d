//===- CudaDriver.cpp - Opens the CUDA driver -------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "quern/Runtime/CudaDriver.h"

#include "quern/Runtime/Error.h"

#include <cstdlib>
#include <dlfcn.h>
#include <fstream>

using quern::runtime::concat;
using quern::runtime::Error;

namespace quern::cuda {

static const char *const usualName = "libcuda.so.1";
/// The first with cuLaunchKernelEx, which launches clusters of blocks.
static constexpr int oldestVersion = 11080;

std::string formatCudaVersion(int version) {
  return concat(version / 1000, ".", version % 1000 / 10);
}

CudaDriver::CudaDriver() {
  const char *given = std::getenv("QUERN_CUDA_DRIVER");
  name = given && *given ? given : usualName;
  // It is never closed: libcuda cannot be unloaded once it has been initialized.
  void *library = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    const char *reason = dlerror();
    throw Error(concat("there is no CUDA driver: ", reason ? reason : name.c_str(),
                       "; running on a GPU needs NVIDIA's driver for CUDA ",
                       formatCudaVersion(oldestVersion), " or newer"));
  }
  const char *missing = nullptr;
#define QUERN_CUDA_LOAD(function, parameters)                                                      \
  function = reinterpret_cast<decltype(function)>(dlsym(library, #function));                      \
  if (!function && !missing)                                                                       \
    missing = #function;
  QUERN_CUDA_FUNCTIONS(QUERN_CUDA_LOAD)
#undef QUERN_CUDA_LOAD
  if (!cuInit || !cuDriverGetVersion || !cuGetErrorName || !cuGetErrorString)
    throw Error(concat(name, " is not a CUDA driver: it lacks the function ", missing,
                       "; unset QUERN_CUDA_DRIVER"));
  check(cuDriverGetVersion(&cudaVersion), "cannot read the version of the CUDA driver");
  require(oldestVersion, "this program");
  if (missing)
    throw Error(concat("the CUDA driver ", name, " for CUDA ", formatCudaVersion(cudaVersion),
                       " lacks the function ", missing, "; install a newer driver"));
  Result result = cuInit(0);
  int count = 0;
  if (result == Success)
    check(cuDeviceGetCount(&count), "cannot count the GPUs");
  if (result == NoDevice || (result == Success && count == 0))
    throw Error("the CUDA driver found no GPU; see that nvidia-smi lists one and that "
                "CUDA_VISIBLE_DEVICES does not hide it");
  check(result, "the CUDA driver cannot be initialized");
}

void CudaDriver::require(int version, const std::string &what) const {
  if (cudaVersion < version)
    throw Error(concat("the driver is too old: it knows CUDA ", formatCudaVersion(cudaVersion),
                       ", ", what, " needs CUDA ", formatCudaVersion(version),
                       "; install a newer driver"));
}

std::string CudaDriver::describe() const {
  std::string version = concat("CUDA ", formatCudaVersion(cudaVersion));
  std::string release;
  if (name == usualName)
    std::getline(std::ifstream("/sys/module/nvidia/version"), release);
  return release.empty() ? version : concat(release, " (", version, ")");
}

std::string CudaDriver::describe(Result result) const {
  const char *label = nullptr, *text = nullptr;
  cuGetErrorName(result, &label);
  cuGetErrorString(result, &text);
  return label && text ? concat(text, " (", label, ")") : concat("CUDA error ", int(result));
}

void CudaDriver::check(Result result, const char *action) const {
  if (result != Success)
    throw Error(concat(action, ": ", describe(result)));
}

} // namespace quern::cuda
