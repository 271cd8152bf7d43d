//===- Architecture.cpp - The architectures that there is code for ---------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "quern/GPU/Architecture.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"

namespace quern::nvidia {

// The lowest version of PTX that has what our kernels use lets the oldest drivers run them: 7.8
// came with CUDA 11.8, 8.0 with 12.0.
static const Architecture architectures[] = {
    {"sm_80", "+ptx78", 163 << 10, false}, {"sm_86", "+ptx78", 99 << 10, false},
    {"sm_89", "+ptx78", 99 << 10, false},  {"sm_90", "+ptx80", 227 << 10, false},
    {"sm_90a", "+ptx80", 227 << 10, true},
};

llvm::Expected<Architecture> Architecture::get(llvm::StringRef name) {
  const auto *found =
      llvm::find_if(architectures, [&](const Architecture &each) { return each.name == name; });
  if (found != std::end(architectures))
    return *found;
  auto names = llvm::map_range(architectures, [](const Architecture &each) { return each.name; });
  return llvm::createStringError("there is no GPU architecture '" + name + "'; there are " +
                                 llvm::join(names, ", "));
}

std::optional<Architecture> Architecture::forCapability(int major, int minor) {
  std::optional<Architecture> best;
  for (const Architecture &each : architectures) {
    llvm::StringRef digits = llvm::StringRef(each.name).drop_front(3);
    // Code for sm_90a runs on 9.0 alone, other code on all that is newer.
    bool isExact = digits.consume_back("a");
    int capability = 10 * major + minor, wanted = 0;
    digits.getAsInteger(10, wanted);
    if (isExact ? wanted == capability : wanted <= capability)
      best = each; // they are listed from the oldest to the newest
  }
  return best;
}

} // namespace quern::nvidia
