//===- Machine.cpp - What the figures were taken on -------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "Machine.h"

#include "quern/Runtime/Ceiling.h"
#include "quern/Runtime/Threads.h"

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/FormatVariadic.h"

#include <fstream>

namespace quern::bench {

static std::string processorName() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (llvm::StringRef(line).starts_with("model name"))
      return llvm::StringRef(line).split(':').second.trim().str();
  return "unknown";
}

MachineReport describeMachine(const std::vector<int> &threads, const std::string &model) {
  MachineReport report{processorName(), model, {}, {}};
  for (int count : threads) {
    runtime::setThreads(count);
    report.ceilings.push_back({count, runtime::measureMultiplyAdds(), runtime::measureBf16Dots(),
                               runtime::measureReading(), runtime::measureUpdating()});
  }
  return report;
}

std::string MachineReport::toText() const {
  std::string text = processor + "\n" + model + "\n";
  for (const Ceilings &c : ceilings) {
    text += llvm::formatv("ceilings, {0} thread{1}: f32 {2:f0} GFLOP/s, ", c.threads,
                          c.threads == 1 ? "" : "s", c.multiplyAdds)
                .str();
    if (c.bf16Dots)
      text += llvm::formatv("bf16 dot products {0:f0} GFLOP/s, ", c.bf16Dots).str();
    text += llvm::formatv("reading {0:f1} GB/s, reading and writing {1:f1} GB/s\n", c.reading,
                          c.updating)
                .str();
  }
  for (const auto &[name, description] : peers)
    text += "peer " + name + ": " + description + "\n";
  return text;
}

llvm::json::Object MachineReport::toJSON() const {
  llvm::json::Array measured;
  for (const Ceilings &c : ceilings)
    measured.push_back(llvm::json::Object{{"threads", c.threads},
                                          {"f32_gflops", c.multiplyAdds},
                                          {"bf16_gflops", c.bf16Dots},
                                          {"read_gigabytes", c.reading},
                                          {"update_gigabytes", c.updating}});
  llvm::json::Object versions;
  for (const auto &[name, description] : peers)
    versions[name] = description;
  return llvm::json::Object{{"processor", processor},
                            {"compiled_for", model},
                            {"ceilings", std::move(measured)},
                            {"versions", std::move(versions)}};
}

} // namespace quern::bench
