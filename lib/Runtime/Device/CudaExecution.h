//===- CudaExecution.h - A program that runs on an NVIDIA GPU again and again -----------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#ifndef QUERN_LIB_RUNTIME_DEVICE_CUDAEXECUTION_H
#define QUERN_LIB_RUNTIME_DEVICE_CUDAEXECUTION_H

#include "CudaDevice.h"

#include <array>

namespace quern::runtime {

/// The first run waits for every kernel, so that an error names the one that failed; the second is
/// recorded as a CUDA graph, and from then on the graph is replayed. With QUERN_CUDA_GRAPHS=0 in
/// the environment every run is like the first.
class CudaExecution : public Execution {
public:
  CudaExecution(CudaDevice &device, const Work &work);

  int depth() const override { return int(slots.size()); }
  void start(void *arena) override;
  void finish() override;

private:
  /// What one run's inputs travel through, and its outputs. There are two, so that the inputs of
  /// the next run travel while a run uses its own.
  struct Slot {
    std::shared_ptr<char> hostInputs, hostOutputs; // page-locked
    DeviceBlock inputs;
    std::shared_ptr<cuda::EventRecord> arrived, done;
  };
  void bringInputs(Slot &slot);
  void launch(void *arena);
  void record(void *arena);
  void runProgram(void *arena, bool waits);
  /// Throws Error unless `result` is success.
  void check(cuda::Result result) const;

  CudaDevice &device;
  const cuda::CudaDriver &driver;
  Work work;
  const quern_program &code;
  std::array<Slot, 2> slots;
  int64_t started = 0, finished = 0;
  const char *sent = nullptr; // the inputs that the device has, in the slot that they came through
  std::shared_ptr<cuda::GraphExecutionRecord> graph;
  void *graphArena = nullptr; // whose address the graph holds
  bool usesGraphs = true;
};

} // namespace quern::runtime

#endif // QUERN_LIB_RUNTIME_DEVICE_CUDAEXECUTION_H
