//===- Launcher.h - Takes the launches that a program asks for --------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#ifndef QUERN_LIB_RUNTIME_DEVICE_LAUNCHER_H
#define QUERN_LIB_RUNTIME_DEVICE_LAUNCHER_H

#include "CudaDevice.h"

namespace quern::runtime {

/// While it lives, `quern_device_launch` and `quern_device_tensor_map` of this thread come here. No
/// exception passes through compiled code: the first failure is kept for `finish`.
class Launcher {
public:
  /// With `waits` the host waits for each kernel, and a failure is blamed on the right one.
  Launcher(CudaDevice &device, const Program &program, bool waits);
  ~Launcher();
  Launcher(const Launcher &) = delete;
  Launcher &operator=(const Launcher &) = delete;

  /// Throws Error with the first failure, if there was one.
  void finish() const;

  void launch(const quern_launch &launch) noexcept;
  void encode(const quern_tensor_map &description, void *encoded) noexcept;

private:
  void tryLaunch(const quern_launch &launch);
  void tryEncode(const quern_tensor_map &description, void *encoded);

  CudaDevice &device;
  const Program &program;
  bool waits;
  std::string failure;
};

} // namespace quern::runtime

#endif // QUERN_LIB_RUNTIME_DEVICE_LAUNCHER_H
