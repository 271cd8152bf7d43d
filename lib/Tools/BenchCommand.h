//===- BenchCommand.h - The options of quern bench --------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#ifndef QUERN_LIB_TOOLS_BENCHCOMMAND_H
#define QUERN_LIB_TOOLS_BENCHCOMMAND_H

#include "quern/Bench/Bench.h"

namespace CLI {
class App;
}

namespace quern::tools {

struct BenchCommand {
  bench::Settings settings;
  std::string tool; ///< path of the running tool
  std::string cpu = "native";
  std::string machineChanges; ///< as cpu::Machine::get takes them

  void add(CLI::App &app);
  /// The exit status.
  int run();
};

} // namespace quern::tools

#endif // QUERN_LIB_TOOLS_BENCHCOMMAND_H
