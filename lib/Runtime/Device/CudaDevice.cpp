//===- CudaDevice.cpp - An NVIDIA GPU as a device ---------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "CudaDevice.h"

#include "CodeChoice.h"
#include "CudaExecution.h"
#include "quern/Runtime/Error.h"
#include "quern/Runtime/Memory.h"
#include "quern/Runtime/Module.h"

#include <algorithm>
#include <vector>

namespace quern::runtime {

static cuda::Pointer addressOf(const void *data) { return reinterpret_cast<uintptr_t>(data); }

CudaDevice::CudaDevice(const Module &module, int number) : CudaDevice() {
  index = number;
  precision = module.devicePrecision;
  findGpu();
  chooseCode(module);
  driver.check(driver.cuDevicePrimaryCtxRetain(&context, handle), "cannot open the GPU");
  use();
  driver.check(driver.cuStreamCreate(&main, cuda::streamNonBlocking), "cannot make a stream");
  driver.check(driver.cuStreamCreate(&copies, cuda::streamNonBlocking), "cannot make a stream");
}

CudaDevice::~CudaDevice() {
  // After a fault of a kernel all of these fail, which changes nothing any more.
  if (!context)
    return;
  driver.cuCtxSetCurrent(context);
  if (code)
    driver.cuModuleUnload(code);
  for (cuda::Stream stream : {main, copies})
    if (stream)
      driver.cuStreamDestroy_v2(stream);
  driver.cuDevicePrimaryCtxRelease_v2(handle);
}

int CudaDevice::attribute(cuda::DeviceAttribute which) const {
  int value = 0;
  driver.check(driver.cuDeviceGetAttribute(&value, which, handle),
               "cannot read an attribute of the GPU");
  return value;
}

void CudaDevice::findGpu() {
  int count = 0;
  driver.check(driver.cuDeviceGetCount(&count), "cannot count the GPUs");
  if (index >= count)
    throw Error(concat("there is no GPU ", index, ": the driver lists ", count, " GPU",
                       count == 1 ? "" : "s", ", the last of them is gpu:", count - 1));
  driver.check(driver.cuDeviceGet(&handle, index), "cannot open the GPU");
  char name[256] = "";
  driver.check(driver.cuDeviceGetName(name, sizeof name - 1, handle),
               "cannot read the name of the GPU");
  product = name;
  label = concat(product, " (gpu:", index, ")");
  major = attribute(cuda::ComputeCapabilityMajor);
  minor = attribute(cuda::ComputeCapabilityMinor);
}

void CudaDevice::chooseCode(const Module &module) {
  chosen = runtime::chooseCode(module.deviceCodes, major, minor);
  if (!chosen)
    throw Error(concat(label, " has compute capability ", major, ".", minor,
                       ", but this program has code for ", join(module.deviceArchitectures(), ", "),
                       " only; ",
                       major < 8 ? "use a GPU of compute capability 8.0 or newer"
                                 : "compile the model with --gpu=sm_80 as well, which runs here "
                                   "too"));
  text = unpackCode(*chosen);
  driver.require(requiredCuda(text.c_str()), concat("the code for ", chosen->architecture));
}

void CudaDevice::loadCode() {
  if (code)
    return;
  std::vector<char> log(16384);
  cuda::JitOption options[] = {cuda::ErrorLogBuffer, cuda::ErrorLogBufferSizeBytes};
  void *values[] = {log.data(), reinterpret_cast<void *>(uintptr_t(log.size() - 1))};
  cuda::Result result = driver.cuModuleLoadDataEx(&code, text.c_str(), 2, options, values);
  if (result == cuda::Success) {
    text = {};
    return;
  }
  std::string problem = log.data();
  while (!problem.empty() && (problem.back() == '\n' || problem.back() == ' '))
    problem.pop_back();
  throw Error(concat("the driver does not take the code for ", chosen->architecture, " on ", label,
                     ": ", driver.describe(result), problem.empty() ? "" : ":\n", problem,
                     problem.empty() ? "; " : "\n", "compile the model again"));
}

std::string CudaDevice::target(const Module &) const {
  return concat(product, " (", chosen->architecture, ", ", precision, ")");
}

std::optional<DeviceDescription> CudaDevice::describe() const {
  use();
  size_t free = 0, total = 0;
  driver.check(driver.cuMemGetInfo_v2(&free, &total), "cannot read the size of the GPU's memory");
  DeviceDescription description;
  description.name = concat("gpu:", index);
  description.product = product;
  description.capability = concat(major, ".", minor);
  description.multiprocessors = attribute(cuda::MultiprocessorCount);
  description.memory = int64_t(total);
  description.free = int64_t(free);
  description.driver = driver.describe();
  description.code = chosen->architecture;
  description.precision = precision;
  return description;
}

const quern_program &CudaDevice::codeOf(const Program &program) const {
  const quern_program *row = chosen->programs;
  while (program.name != row->name) // Module::parse has seen that it is there
    ++row;
  return *row;
}

void CudaDevice::drain() noexcept {
  driver.cuCtxSetCurrent(context);
  driver.cuStreamSynchronize(main);
}

DeviceBlock CudaDevice::allocate(int64_t bytes, const std::string &purpose, Contents contents) {
  if (bytes <= 0)
    return {};
  use();
  cuda::Pointer address = 0;
  cuda::Result result = driver.cuMemAlloc_v2(&address, size_t(bytes));
  if (result != cuda::Success) {
    size_t free = 0, total = 0;
    std::string there;
    if (driver.cuMemGetInfo_v2(&free, &total) == cuda::Success)
      there =
          concat(": ", formatBytes(double(free)), " of ", formatBytes(double(total)), " are free");
    std::string reason =
        result == cuda::OutOfMemory ? there : concat(": ", driver.describe(result));
    throw Error(concat("cannot allocate ", bytes, " bytes (", formatBytes(double(bytes)), ") on ",
                       label, " for ", purpose, reason,
                       "; use a smaller batch, sequence or model"));
  }
  std::shared_ptr<void> owner(reinterpret_cast<void *>(address), [this](void *start) {
    drain();
    driver.cuMemFree_v2(addressOf(start));
  });
  if (contents == Contents::Zeros)
    fillZeros(owner.get(), bytes);
  return DeviceBlock(owner, owner.get(), bytes);
}

void CudaDevice::fillZeros(void *to, int64_t bytes) {
  if (!bytes)
    return;
  use();
  wait(driver.cuMemsetD8Async(addressOf(to), 0, size_t(bytes), main),
       "cannot clear memory of the GPU");
}

std::shared_ptr<char> CudaDevice::allocatePinned(int64_t bytes) {
  if (bytes <= 0)
    return nullptr;
  use();
  void *start = nullptr;
  driver.check(driver.cuMemHostAlloc(&start, size_t(bytes), 0),
               "cannot allocate page-locked memory for copies to the GPU");
  return std::shared_ptr<char>(static_cast<char *>(start), [this](char *memory) {
    drain();
    driver.cuMemFreeHost(memory);
  });
}

std::shared_ptr<cuda::EventRecord> CudaDevice::makeEvent() {
  use();
  cuda::Event event = nullptr;
  driver.check(driver.cuEventCreate(&event, cuda::eventDisableTiming), "cannot make an event");
  return std::shared_ptr<cuda::EventRecord>(event, [this](cuda::Event event) {
    drain();
    driver.cuEventDestroy_v2(event);
  });
}

void CudaDevice::wait(cuda::Result enqueued, const char *action) {
  driver.check(enqueued, action);
  driver.check(driver.cuStreamSynchronize(main), action);
}

void CudaDevice::upload(void *to, const void *from, int64_t bytes) {
  if (!bytes)
    return;
  use();
  wait(driver.cuMemcpyHtoDAsync_v2(addressOf(to), from, size_t(bytes), main),
       "cannot copy to the GPU");
}

void CudaDevice::download(void *to, const void *from, int64_t bytes) {
  if (!bytes)
    return;
  use();
  wait(driver.cuMemcpyDtoHAsync_v2(to, addressOf(from), size_t(bytes), main),
       "cannot copy from the GPU");
}

void CudaDevice::copy(void *to, const void *from, int64_t bytes) {
  if (!bytes)
    return;
  use();
  wait(driver.cuMemcpyDtoDAsync_v2(addressOf(to), addressOf(from), size_t(bytes), main),
       "cannot copy on the GPU");
}

std::unique_ptr<Execution> CudaDevice::prepare(const Work &work) {
  loadCode(); // not before: the driver compiles it, which `info` need not wait for
  return std::make_unique<CudaExecution>(*this, work);
}

cuda::Function CudaDevice::kernel(const char *name, int64_t sharedBytes) {
  Kernel &kernel = kernels[name];
  if (!kernel.function) {
    cuda::Result result = driver.cuModuleGetFunction(&kernel.function, code, name);
    if (result == cuda::NotFound)
      throw Error(concat("the code for ", chosen->architecture, " has no kernel '", name,
                         "': the executable is damaged; compile the model again"));
    driver.check(result, "cannot find a kernel");
    // Clusters of more than 8 blocks are not portable between GPUs, but this one was chosen. GPUs
    // without clusters do not know the attribute.
    driver.cuFuncSetAttribute(kernel.function, cuda::NonPortableClusterSizeAllowed, 1);
  }
  // Up to 48 KiB need no permission.
  if (sharedBytes > std::max<int64_t>(kernel.sharedBytes, 48 * 1024)) {
    cuda::Result result =
        driver.cuFuncSetAttribute(kernel.function, cuda::MaxDynamicSharedSizeBytes,
                                  int(std::min<int64_t>(sharedBytes, INT32_MAX)));
    if (result != cuda::Success)
      throw Error(concat("kernel '", name, "' needs ", sharedBytes, " bytes of shared memory, ",
                         label, " has ", attribute(cuda::MaxSharedMemoryPerBlockOptin),
                         " for a block (", driver.describe(result), "); compile the model again"));
    kernel.sharedBytes = sharedBytes;
  }
  return kernel.function;
}

} // namespace quern::runtime
