//===- Measure.cpp - Times --------------------------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "Measure.h"

#include "quern/Runtime/Ceiling.h"
#include "quern/Runtime/Threads.h"

#include <algorithm>

namespace quern::bench {

Times summarize(std::vector<double> seconds) {
  std::sort(seconds.begin(), seconds.end());
  return {seconds.front(), seconds[seconds.size() / 2]};
}

Times measure(double seconds, const std::function<void()> &once) {
  constexpr int warmUps = 2, fewest = 3;
  for (int i = 0; i < warmUps; ++i)
    once();
  std::vector<double> times;
  double end = now() + seconds;
  while (times.size() < fewest || now() < end) {
    double start = now();
    once();
    times.push_back(now() - start);
  }
  return summarize(std::move(times));
}

double ceilingOf(Limit limit, int threads) {
  runtime::setThreads(threads);
  switch (limit) {
  case Limit::MultiplyAdds:
    return runtime::measureMultiplyAdds();
  case Limit::Bf16Products:
    return std::max(runtime::measureMultiplyAdds(), runtime::measureBf16Dots());
  case Limit::Reading:
    return runtime::measureReading();
  case Limit::Updating:
    return runtime::measureUpdating();
  case Limit::None:
    break;
  }
  return 0;
}

} // namespace quern::bench
