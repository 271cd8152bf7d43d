//===- Row.cpp - What was measured ------------------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "Row.h"

#include "llvm/Support/FormatVariadic.h"

namespace quern::bench {

llvm::json::Object Row::toJSON() const {
  llvm::json::Object others;
  for (const auto &[name, peer] : peers)
    others[name] = peer;
  auto orNull = [](double value) {
    return value ? llvm::json::Value(value) : llvm::json::Value(nullptr);
  };
  return llvm::json::Object{{"work", work},
                            {"shape", shape},
                            {"type", type},
                            {"threads", threads},
                            {"seconds_min", times.least},
                            {"seconds_median", times.median},
                            {"rate", rate},
                            {"unit", unit},
                            {"ceiling", orNull(ceiling)},
                            {"ratio", orNull(ratio)},
                            {"peers", std::move(others)},
                            {"speedup", orNull(speedup)},
                            {"memory_bytes", orNull(memory)},
                            {"memory_predicted_bytes", orNull(predictedMemory)}};
}

void compareThreads(std::vector<Row> &rows) {
  for (Row &row : rows)
    for (const Row &one : rows)
      if (row.threads > 1 && one.threads == 1 && one.work == row.work && one.shape == row.shape)
        row.speedup = row.rate / one.rate;
}

std::string tableHead() {
  return llvm::formatv("{0,-14}{1,-24}{2,-4} {3,4} {4,10} {5,10} {6,9} {7,-9}{8,7} {9}\n", "work",
                       "shape", "type", "thr", "min ms", "median ms", "rate", "", "ratio",
                       "peers: rate (ours/theirs)")
      .str();
}

std::string Row::toText() const {
  std::string line =
      llvm::formatv("{0,-14}{1,-24}{2,-4} {3,4} {4,10:f3} {5,10:f3} {6,9:f1} {7,-9}{8,7}", work,
                    shape, type, threads, times.least * 1e3, times.median * 1e3, rate, unit,
                    ratio ? llvm::formatv("{0:f3}", ratio).str() : "-")
          .str();
  if (speedup)
    line += llvm::formatv(" speedup {0:f2}", speedup).str();
  for (const auto &[name, peer] : peers)
    line += llvm::formatv(" {0} {1:f1} ({2:f2})", name, peer, rate / peer).str();
  if (memory && predictedMemory)
    line += llvm::formatv(" memory {0:f0} MB, predicted {1:f0} ({2:f2})", memory * 1e-6,
                          predictedMemory * 1e-6, memory / predictedMemory)
                .str();
  return line + "\n";
}

} // namespace quern::bench
