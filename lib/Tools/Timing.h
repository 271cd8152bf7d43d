//===- Timing.h - Time and size, as --timing prints them -------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===-----------------------------------------------------------------------------------------===//
#ifndef QUERN_LIB_TOOLS_TIMING_H
#define QUERN_LIB_TOOLS_TIMING_H

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/raw_ostream.h"

#include <chrono>
#include <string>
#include <utility>
#include <vector>

namespace quern::tools {

/// Wall-clock seconds of named stages, one after another.
class Timing {
public:
  /// Ends the stage that runs now.
  void stage(llvm::StringRef name) {
    auto now = Clock::now();
    stages.emplace_back(name.str(), std::chrono::duration<double>(now - last).count());
    last = now;
  }

  void print(llvm::raw_ostream &out) const {
    double total = 0;
    for (const auto &[name, seconds] : stages) {
      out << llvm::formatv("  {0,-12} {1,8:f3} s\n", name, seconds);
      total += seconds;
    }
    out << llvm::formatv("  {0,-12} {1,8:f3} s\n", "total", total);
  }

private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point last = Clock::now();
  std::vector<std::pair<std::string, double>> stages;
};

} // namespace quern::tools

#endif // QUERN_LIB_TOOLS_TIMING_H
