//===- Row.h - What was measured --------------------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#ifndef QUERN_LIB_BENCH_ROW_H
#define QUERN_LIB_BENCH_ROW_H

#include "Measure.h"

#include "llvm/Support/JSON.h"

#include <map>

namespace quern::bench {

/// One line of the result. A rate is in 1e9 of `unit`'s things a second, unless the unit has none.
struct Row {
  Row(std::string work, std::string shape) : work(std::move(work)), shape(std::move(shape)) {}

  std::string work, shape, type = "f32";
  int threads = 0;
  Times times;
  double rate = 0;
  std::string unit;
  /// Of what the ratio is taken, in the units of `rate`; 0 where nothing limits that was measured.
  double ceiling = 0;
  /// Rate over ceiling, or what the work says a ratio is; 0: none.
  double ratio = 0;
  std::map<std::string, double> peers; ///< name to rate
  /// Rate over that of one thread; 0 where that was not measured, or where this is it.
  double speedup = 0;
  /// Bytes at most in use, as the system saw it and as the program's description predicts; 0 where
  /// memory is not looked at.
  double memory = 0, predictedMemory = 0;

  llvm::json::Object toJSON() const;
  std::string toText() const;
};

/// Compares rows of several threads with that of one, where both are of the same work.
void compareThreads(std::vector<Row> &rows);

/// The line above `Row::toText`.
std::string tableHead();

} // namespace quern::bench

#endif // QUERN_LIB_BENCH_ROW_H
