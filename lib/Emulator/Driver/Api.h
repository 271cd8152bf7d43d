//===- Api.h - What the functions of the emulated driver share --------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#ifndef QUERN_LIB_EMULATOR_DRIVER_API_H
#define QUERN_LIB_EMULATOR_DRIVER_API_H

#include "Records.h"

namespace quern::cuda {

extern "C" {
#define QUERN_CUDA_EXPORT(name, parameters)                                                        \
  __attribute__((visibility("default"))) Result name parameters;
QUERN_CUDA_FUNCTIONS(QUERN_CUDA_EXPORT)
#undef QUERN_CUDA_EXPORT
}

/// Calls `body` with the state of the driver, one thread at a time, and turns failures into
/// results. Their messages go to standard error.
Result guarded(const std::function<void(DriverState &)> &body) noexcept;
/// The same in the context of the calling thread, unless a kernel has failed there before.
Result guardedContext(const std::function<void(DriverState &, ContextRecord &)> &body) noexcept;

/// Makes `context` (or none) the one of the calling thread.
void setCurrentContext(ContextRecord *context);
/// Throws Failure for null.
void need(const void *pointer);

} // namespace quern::cuda

#endif // QUERN_LIB_EMULATOR_DRIVER_API_H
