//===- Machine.h - What the figures were taken on ---------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#ifndef QUERN_LIB_BENCH_MACHINE_H
#define QUERN_LIB_BENCH_MACHINE_H

#include "llvm/Support/JSON.h"

#include <string>
#include <utility>
#include <vector>

namespace quern::bench {

/// What one number of threads does at most; 0 where the processor has no such thing. GFLOP/s, GB/s.
struct Ceilings {
  int threads = 0;
  double multiplyAdds = 0, bf16Dots = 0, reading = 0, updating = 0;
};

struct MachineReport {
  std::string processor; ///< as the system names it
  std::string model;     ///< as the compiler takes it
  std::vector<Ceilings> ceilings;
  std::vector<std::pair<std::string, std::string>> peers; ///< name, version

  std::string toText() const;
  llvm::json::Object toJSON() const;
};

MachineReport describeMachine(const std::vector<int> &threads, const std::string &model);

} // namespace quern::bench

#endif // QUERN_LIB_BENCH_MACHINE_H
