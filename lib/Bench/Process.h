//===- Process.h - Other programs -------------------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#ifndef QUERN_LIB_BENCH_PROCESS_H
#define QUERN_LIB_BENCH_PROCESS_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <string>
#include <vector>

namespace quern::bench {

/// A program that has come to its end, and what it printed.
struct Finished {
  bool succeeded = false;
  std::string out, err;

  /// The last line of `err`, which most programs end with when they fail.
  std::string lastError() const;
};

/// Runs the program at `path` and waits for it. `variables` ("NAME=VALUE") stand in its environment
/// in place of ours. One that takes longer than `secondsAtMost` is ended and has failed; 0: none
/// is. The error: there is no place for what it prints.
llvm::Expected<Finished> runProcess(llvm::StringRef path, const std::vector<std::string> &arguments,
                                    llvm::ArrayRef<std::string> variables = {},
                                    unsigned secondsAtMost = 0);

} // namespace quern::bench

#endif // QUERN_LIB_BENCH_PROCESS_H
