//===- CudaExecution.cpp - A program that runs on an NVIDIA GPU again and again ---------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "CudaExecution.h"

#include "Launcher.h"
#include "quern/Runtime/Error.h"
#include "quern/Runtime/Module.h"

#include <cstdlib>
#include <cstring>

namespace quern::runtime {

CudaExecution::CudaExecution(CudaDevice &device, const Work &work)
    : device(device), driver(device.api()), work(work), code(device.codeOf(*work.program)) {
  const char *graphs = std::getenv("QUERN_CUDA_GRAPHS");
  usesGraphs = !graphs || std::strcmp(graphs, "0") != 0;
  for (Slot &slot : slots) {
    slot.hostInputs = device.allocatePinned(work.inputs.bytes);
    slot.hostOutputs = device.allocatePinned(work.outputs.bytes);
    slot.inputs = device.allocate(work.inputs.bytes, "inputs on their way", Contents::Any);
    slot.arrived = device.makeEvent();
    slot.done = device.makeEvent();
  }
}

void CudaExecution::check(cuda::Result result) const {
  // Faults show late: in whatever the host asks for next.
  if (result != cuda::Success)
    throw Error(concat("program '", work.program->name, "' failed on ", device.title(), ": ",
                       driver.describe(result),
                       usesGraphs ? "; with QUERN_CUDA_GRAPHS=0 in the environment the message "
                                    "says which kernel failed"
                                  : ""));
}

void CudaExecution::start(void *arena) {
  device.use();
  Slot &slot = slots[size_t(started % 2)];
  bringInputs(slot);
  launch(arena);
  if (work.outputs.bytes)
    check(driver.cuMemcpyDtoHAsync_v2(slot.hostOutputs.get(),
                                      reinterpret_cast<uintptr_t>(work.outputs.device),
                                      size_t(work.outputs.bytes), device.mainStream()));
  check(driver.cuEventRecord(slot.done.get(), device.mainStream()));
  ++started;
}

/// The run before the last has finished, so nothing uses the slot any more. Where the last has not,
/// it may still read its inputs: those of this run travel meanwhile, and take their place in turn.
/// Inputs that are as they were need not travel: a program that goes on from its own state waits
/// for nothing.
void CudaExecution::bringInputs(Slot &slot) {
  auto bytes = size_t(work.inputs.bytes);
  if (!bytes || (sent && std::memcmp(sent, work.inputs.host, bytes) == 0))
    return;
  sent = slot.hostInputs.get();
  auto between = reinterpret_cast<uintptr_t>(slot.inputs.data());
  auto to = reinterpret_cast<uintptr_t>(work.inputs.device);
  std::memcpy(slot.hostInputs.get(), work.inputs.host, bytes);
  if (started == finished)
    return check(
        driver.cuMemcpyHtoDAsync_v2(to, slot.hostInputs.get(), bytes, device.mainStream()));
  check(driver.cuMemcpyHtoDAsync_v2(between, slot.hostInputs.get(), bytes, device.copyStream()));
  check(driver.cuEventRecord(slot.arrived.get(), device.copyStream()));
  check(driver.cuStreamWaitEvent(device.mainStream(), slot.arrived.get(), 0));
  check(driver.cuMemcpyDtoDAsync_v2(to, between, bytes, device.mainStream()));
}

void CudaExecution::launch(void *arena) {
  if (arena != graphArena)
    graph = nullptr;
  if (started == 0 || !usesGraphs)
    return runProgram(arena, /*waits=*/true);
  if (!graph)
    record(arena);
  check(driver.cuGraphLaunch(graph.get(), device.mainStream()));
}

void CudaExecution::record(void *arena) {
  check(driver.cuStreamBeginCapture_v2(device.mainStream(), cuda::CaptureRelaxed));
  cuda::Graph captured = nullptr;
  try {
    runProgram(arena, /*waits=*/false);
  } catch (...) {
    driver.cuStreamEndCapture(device.mainStream(), &captured);
    if (captured)
      driver.cuGraphDestroy(captured);
    throw;
  }
  check(driver.cuStreamEndCapture(device.mainStream(), &captured));
  cuda::GraphExecution ready = nullptr;
  cuda::Result result = driver.cuGraphInstantiateWithFlags(&ready, captured, 0);
  driver.cuGraphDestroy(captured);
  check(result);
  graph = std::shared_ptr<cuda::GraphExecutionRecord>(ready,
                                                      [&device = device](cuda::GraphExecution old) {
                                                        device.drain();
                                                        device.api().cuGraphExecDestroy(old);
                                                      });
  graphArena = arena;
}

void CudaExecution::runProgram(void *arena, bool waits) {
  Launcher launcher(device, *work.program, waits);
  code.run(work.arguments, arena);
  launcher.finish();
}

void CudaExecution::finish() {
  device.use();
  Slot &slot = slots[size_t(finished++ % 2)];
  check(driver.cuEventSynchronize(slot.done.get()));
  if (work.outputs.bytes)
    std::memcpy(work.outputs.host, slot.hostOutputs.get(), size_t(work.outputs.bytes));
}

} // namespace quern::runtime
