//===- Api.cpp - What the functions of the emulated driver share ------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "Api.h"

#include <cstdio>
#include <mutex>
#include <new>

namespace quern::cuda {

static thread_local ContextRecord *current = nullptr;

void setCurrentContext(ContextRecord *context) { current = context; }

void need(const void *pointer) {
  if (!pointer)
    throw Failure{InvalidValue, "a pointer is null"};
}

static void say(const char *message) {
  if (*message)
    std::fprintf(stderr, "emulated CUDA driver: %s\n", message);
}

Result guarded(const std::function<void(DriverState &)> &body) noexcept {
  static std::mutex one;
  // Never destroyed: threads may still call the driver while the process ends.
  static auto *state = new DriverState;
  std::lock_guard<std::mutex> lock(one);
  try {
    body(*state);
    return Success;
  } catch (const Failure &failure) {
    say(failure.message.c_str());
    return failure.result;
  } catch (const std::bad_alloc &) {
    return OutOfMemory;
  } catch (const std::exception &error) {
    say(error.what());
    return InvalidValue;
  }
}

Result guardedContext(const std::function<void(DriverState &, ContextRecord &)> &body) noexcept {
  return guarded([&](DriverState &state) {
    if (!state.initialized)
      throw Failure{NotInitialized, "cuInit has not been called"};
    if (!current || !current->retained)
      throw Failure{InvalidContext, "the thread has no context"};
    if (current->fault != Success)
      throw Failure{current->fault, ""};
    body(state, *current);
  });
}

} // namespace quern::cuda
