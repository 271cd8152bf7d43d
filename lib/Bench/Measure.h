//===- Measure.h - Times ----------------------------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#ifndef QUERN_LIB_BENCH_MEASURE_H
#define QUERN_LIB_BENCH_MEASURE_H

#include "Work.h"

#include <chrono>
#include <functional>

namespace quern::bench {

inline double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Seconds of one run: the least and the median of several.
struct Times {
  double least = 0, median = 0;
};
Times summarize(std::vector<double> seconds);

/// Runs `once` until caches and pages are warm, then again and again for about `seconds`, three
/// times at least.
Times measure(double seconds, const std::function<void()> &once);

/// What this machine does at most right now, on `threads` threads: 1e9 operations or bytes a
/// second; 0 for a limit of none.
double ceilingOf(Limit limit, int threads);

} // namespace quern::bench

#endif // QUERN_LIB_BENCH_MEASURE_H
