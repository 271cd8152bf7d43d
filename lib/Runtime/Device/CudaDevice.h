//===- CudaDevice.h - An NVIDIA GPU as a device -----------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#ifndef QUERN_LIB_RUNTIME_DEVICE_CUDADEVICE_H
#define QUERN_LIB_RUNTIME_DEVICE_CUDADEVICE_H

#include "quern/Runtime/CudaDriver.h"
#include "quern/Runtime/Device.h"

#include <map>

namespace quern::runtime {

/// A context on one GPU with the code that fits to it. Programs run on one stream in the order in
/// which they are started; a second stream brings their inputs meanwhile.
class CudaDevice : public Device {
public:
  /// Opens GPU `index` for `module`. Throws Error naming what is there and what is needed when
  /// there is no driver, no such GPU, no code for it, or the driver does not take the code.
  CudaDevice(const Module &module, int index);
  ~CudaDevice() override;

  bool isHost() const override { return false; }
  std::string target(const Module &module) const override;
  std::optional<DeviceDescription> describe() const override;
  const quern_program &codeOf(const Program &program) const override;
  DeviceBlock allocate(int64_t bytes, const std::string &purpose, Contents contents) override;
  void fillZeros(void *to, int64_t bytes) override;
  void upload(void *to, const void *from, int64_t bytes) override;
  void download(void *to, const void *from, int64_t bytes) override;
  void copy(void *to, const void *from, int64_t bytes) override;
  std::unique_ptr<Execution> prepare(const Work &work) override;

  /// "NVIDIA H100 80GB HBM3 (gpu:0)".
  const std::string &title() const { return label; }
  const cuda::CudaDriver &api() const { return driver; }
  cuda::Stream mainStream() const { return main; }
  cuda::Stream copyStream() const { return copies; }
  /// Makes this GPU the one that the calling thread's calls of the driver are about.
  void use() const { driver.check(driver.cuCtxSetCurrent(context), "cannot use the GPU"); }
  /// Makes it so and waits for the main stream, before something that runs may use is freed. Errors
  /// do not matter then.
  void drain() noexcept;
  /// Page-locked memory of the host, from which the GPU reads by itself; null for no bytes.
  std::shared_ptr<char> allocatePinned(int64_t bytes);
  std::shared_ptr<cuda::EventRecord> makeEvent();
  /// The kernel of that name, allowed to use so much dynamic shared memory. Throws Error if the
  /// code has no such kernel or the GPU has less.
  cuda::Function kernel(const char *name, int64_t sharedBytes);

private:
  /// No GPU yet. What the public constructor opens is closed by the destructor, even if it throws.
  CudaDevice() = default;
  struct Kernel {
    cuda::Function function = nullptr;
    int64_t sharedBytes = 0; // that it may use
  };
  void findGpu();
  void chooseCode(const Module &module);
  void loadCode();
  int attribute(cuda::DeviceAttribute which) const;
  /// Waits for what was `enqueued` on the main stream. Throws Error if either failed.
  void wait(cuda::Result enqueued, const char *action);

  cuda::CudaDriver driver;
  cuda::DeviceHandle handle = 0;
  cuda::Context context = nullptr;
  cuda::ModuleHandle code = nullptr;
  cuda::Stream main = nullptr, copies = nullptr;
  int index = 0, major = 0, minor = 0;
  std::string product, label, precision;
  const quern_device_code *chosen = nullptr;
  std::string text; // its PTX, until the driver has it
  std::map<std::string, Kernel> kernels;
};

} // namespace quern::runtime

#endif // QUERN_LIB_RUNTIME_DEVICE_CUDADEVICE_H
