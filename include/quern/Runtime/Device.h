//===- Device.h - Where programs run and where their data live --------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
///
/// \file
/// A device is the host's processor or a GPU. Weights, optimizer state, caches and the arena live
/// in its memory; inputs go to it and small outputs come back with every run; everything else comes
/// to the host when somebody asks (`readTensor`). On the host all of that is the same memory, and
/// nothing is copied.
///
#ifndef QUERN_RUNTIME_DEVICE_H
#define QUERN_RUNTIME_DEVICE_H

#include "quern/Runtime/Program.h"
#include "quern/Runtime/Tensor.h"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace quern::runtime {

struct Module;
struct Program;

/// Memory of a device, freed with its last owner, which must not outlive the device.
class DeviceBlock {
public:
  DeviceBlock() = default;
  DeviceBlock(std::shared_ptr<void> owner, void *start, int64_t bytes)
      : owner(std::move(owner)), start(static_cast<char *>(start)), length(bytes) {}

  char *data() const { return start; }
  int64_t size() const { return length; }

private:
  std::shared_ptr<void> owner;
  char *start = nullptr;
  int64_t length = 0;
};

/// What memory holds at first: `Any` where all that is read of it is written before.
enum class Contents { Zeros, Any };

/// Bytes that the host and a device hold both, for a copy between them. Empty where they share
/// memory.
struct Transfer {
  char *host = nullptr, *device = nullptr;
  int64_t bytes = 0;
};

/// What a device needs to know to run a program again and again.
struct Work {
  const Program *program = nullptr;
  quern_descriptor *const *arguments = nullptr; // addresses in the device's memory
  Transfer inputs, outputs;                     // copied before and after each run
};

/// A program with its arguments. Runs finish in the order in which they were started.
class Execution {
public:
  virtual ~Execution() = default;
  /// How many runs may have been started without being finished: 1 where `start` does all the work.
  virtual int depth() const = 0;
  /// Takes the inputs, which may be overwritten at once, and begins a run. `arena` lies in the
  /// device's memory.
  virtual void start(void *arena) = 0;
  /// Waits for the oldest run and brings its outputs. Throws Error if a kernel failed.
  virtual void finish() = 0;
};

/// A GPU as `info` and `train` print it.
struct DeviceDescription {
  std::string name, product; // "gpu:0", "NVIDIA H100 80GB HBM3"
  std::string capability;    // "9.0"
  int64_t multiprocessors = 0;
  int64_t memory = 0, free = 0; // bytes
  std::string driver;           // "570.86.10 (CUDA 12.8)"
  std::string code, precision;  // what was chosen: "sm_90a", "bf16"
};

class Device {
public:
  Device() = default;
  virtual ~Device() = default;
  Device(const Device &) = delete;
  Device &operator=(const Device &) = delete;

  virtual bool isHost() const = 0;
  /// What decides on the last bits of results, for checkpoints: the processor that `module` was
  /// compiled for, or the GPU with the code that was chosen.
  virtual std::string target(const Module &module) const = 0;
  /// What it is; nothing for the host.
  virtual std::optional<DeviceDescription> describe() const = 0;
  /// The code of `program` for this device. Throws UsageError with the way out if there is none.
  virtual const quern_program &codeOf(const Program &program) const = 0;

  /// Memory, 256-byte aligned, for `purpose` ("the weights"). Throws Error naming both, with what
  /// is free, when there is no room.
  virtual DeviceBlock allocate(int64_t bytes, const std::string &purpose, Contents contents) = 0;
  virtual void fillZeros(void *to, int64_t bytes) = 0;
  /// Copies that wait for everything started before; `to` and `from` are complete afterwards.
  virtual void upload(void *to, const void *from, int64_t bytes) = 0;
  virtual void download(void *to, const void *from, int64_t bytes) = 0;
  virtual void copy(void *to, const void *from, int64_t bytes) = 0;

  virtual std::unique_ptr<Execution> prepare(const Work &work) = 0;

  /// What `Tensor::device` is for data in this device's memory.
  Device *memory() { return isHost() ? nullptr : this; }
};

/// Calls `use` with `tensor` in the host's memory, row by row: itself, or a copy of what a device
/// holds or what lies in panels.
void readTensor(const Tensor &tensor, const std::function<void(const Tensor &)> &use);
/// Calls `fill` to write all of `tensor` in the host's memory, row by row, and brings it to where
/// and how it lies.
void writeTensor(const Tensor &tensor, const std::function<void(const Tensor &)> &fill);
/// The one number of a tensor of floating-point type.
double readScalar(const Tensor &tensor);

/// Scratch memory shared by programs that run one after the other; grows on demand.
class Arena {
public:
  explicit Arena(Device &device) : owner(device) {}
  Device &device() const { return owner; }
  /// At least `bytes` bytes, 256-byte aligned. Earlier pointers die when it grows.
  void *reserve(int64_t bytes);

private:
  Device &owner;
  DeviceBlock block;
};

/// The host's processor.
std::unique_ptr<Device> makeHostDevice();

/// What is wrong with the text after --device, with what may stand there; "" if nothing is.
std::string checkDeviceName(const std::string &text);
/// The device that `text` names: cpu, gpu, or gpu:N for GPU N; "" means cpu if `module` has code
/// for the processor, else gpu. Throws Error if it is not there or cannot run `module`.
std::unique_ptr<Device> openDevice(const Module &module, const std::string &text);

} // namespace quern::runtime

#endif // QUERN_RUNTIME_DEVICE_H
