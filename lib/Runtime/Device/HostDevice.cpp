//===- HostDevice.cpp - The host's processor as a device --------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "quern/Runtime/Device.h"
#include "quern/Runtime/Error.h"
#include "quern/Runtime/Memory.h"
#include "quern/Runtime/Module.h"

#include <cstring>

namespace quern::runtime {

namespace {

/// Inputs and outputs are where the program reads and writes them, and `start` does all the work.
class HostExecution : public Execution {
public:
  HostExecution(const quern_program &code, quern_descriptor *const *arguments)
      : code(code), arguments(arguments) {}
  int depth() const override { return 1; }
  void start(void *arena) override { code.run(arguments, arena); }
  void finish() override {}

private:
  const quern_program &code;
  quern_descriptor *const *arguments;
};

class HostDevice : public Device {
public:
  bool isHost() const override { return true; }
  std::string target(const Module &module) const override { return module.cpu; }
  std::optional<DeviceDescription> describe() const override { return std::nullopt; }

  const quern_program &codeOf(const Program &program) const override {
    if (program.code)
      return *program.code;
    throw UsageError(concat("program '", program.name,
                            "' has code for GPUs only, none for the processor; use --device=gpu, "
                            "or compile the model with --target=cpu,nvidia"));
  }

  DeviceBlock allocate(int64_t bytes, const std::string &purpose, Contents) override {
    auto block = std::make_shared<Block>(bytes, purpose);
    return DeviceBlock(block, block->data(), block->size());
  }
  void fillZeros(void *to, int64_t bytes) override {
    if (bytes)
      std::memset(to, 0, size_t(bytes));
  }
  void upload(void *to, const void *from, int64_t bytes) override { copy(to, from, bytes); }
  void download(void *to, const void *from, int64_t bytes) override { copy(to, from, bytes); }
  void copy(void *to, const void *from, int64_t bytes) override {
    if (bytes)
      std::memcpy(to, from, size_t(bytes));
  }

  std::unique_ptr<Execution> prepare(const Work &work) override {
    return std::make_unique<HostExecution>(codeOf(*work.program), work.arguments);
  }
};

} // namespace

std::unique_ptr<Device> makeHostDevice() { return std::make_unique<HostDevice>(); }

} // namespace quern::runtime
