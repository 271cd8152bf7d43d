//===- Threads.h - Threads and processor features ---------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#ifndef QUERN_RUNTIME_THREADS_H
#define QUERN_RUNTIME_THREADS_H

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace quern::runtime {

/// Sets the number of threads of compiled code and runtime; 0 keeps OMP_NUM_THREADS or all cores.
void setThreads(int threads);
/// The number of threads in use.
int threads();

/// Calls `body(i)` for i in [0, count) on all threads, in any order.
void parallelFor(int64_t count, const std::function<void(int64_t)> &body);

/// The entries of `features` (LLVM's names: avx512f, bmi2, ...) that this processor lacks.
std::vector<std::string> missingFeatures(const std::vector<std::string> &features);

/// Throws Error saying which features are missing and how to recompile.
void checkProcessor(const std::vector<std::string> &features, const std::string &cpu);

} // namespace quern::runtime

#endif // QUERN_RUNTIME_THREADS_H
