//===- Memory.h - What a program needs, predicted and seen ------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#ifndef QUERN_LIB_BENCH_MEMORY_H
#define QUERN_LIB_BENCH_MEMORY_H

#include "llvm/Support/JSON.h"

#include <map>
#include <optional>
#include <string>

namespace quern::bench {

/// Bytes that `program` needs at the given sizes of its dimensions, by the description of its
/// module (quern/Runtime/Program.h): parameters, moments, and the arena; nothing if the description
/// does not say.
std::optional<double> predictedBytes(const llvm::json::Object &description,
                                     const std::string &program,
                                     const std::map<std::string, int64_t> &sizes);

/// Watches how much memory this process has in use.
class MemoryWatch {
public:
  /// Starts over: what is in use now does not count.
  MemoryWatch();
  /// The most bytes since then beyond those in use at the start; nothing where the system does not
  /// tell.
  std::optional<double> peak() const;

private:
  std::optional<double> before;
};

} // namespace quern::bench

#endif // QUERN_LIB_BENCH_MEMORY_H
