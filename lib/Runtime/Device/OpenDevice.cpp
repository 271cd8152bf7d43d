//===- OpenDevice.cpp - The device that --device names ----------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "CudaDevice.h"
#include "quern/Runtime/Device.h"
#include "quern/Runtime/Error.h"
#include "quern/Runtime/Module.h"
#include "quern/Runtime/Threads.h"

#include <optional>

namespace quern::runtime {

/// The N of gpu:N, 0 for gpu; nothing for another text.
static std::optional<int> gpuIndex(const std::string &text) {
  if (text == "gpu")
    return 0;
  if (text.compare(0, 4, "gpu:") != 0 || text.size() < 5 || text.size() > 8 ||
      text.find_first_not_of("0123456789", 4) != std::string::npos)
    return std::nullopt;
  return std::stoi(text.substr(4));
}

std::string checkDeviceName(const std::string &text) {
  if (text == "cpu" || gpuIndex(text))
    return "";
  return concat("'", text, "' is no device; give cpu, gpu, or gpu:N for GPU number N");
}

std::unique_ptr<Device> openDevice(const Module &module, const std::string &text) {
  std::string name = !text.empty() ? text : module.hasHostCode() ? "cpu" : "gpu";
  if (std::string wrong = checkDeviceName(name); !wrong.empty())
    throw UsageError("--device: " + wrong);
  if (name == "cpu") {
    if (!module.hasHostCode())
      throw UsageError("--device=cpu: this executable has code for GPUs only; use --device=gpu, or "
                       "compile the model with --target=cpu,nvidia");
    checkProcessor(module.requires_, module.cpu);
    return makeHostDevice();
  }
  if (module.deviceArchitectures().empty())
    throw UsageError(concat("--device=", name,
                            ": this executable has no code for GPUs; compile the model with "
                            "--target=cpu,nvidia, or use --device=cpu"));
  try {
    return std::make_unique<CudaDevice>(module, *gpuIndex(name));
  } catch (const Error &error) {
    if (!module.hasHostCode())
      throw;
    throw Error(concat(error.what(), "; --device=cpu runs without a GPU"));
  }
}

} // namespace quern::runtime
