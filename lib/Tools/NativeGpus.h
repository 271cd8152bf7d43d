//===- NativeGpus.h - Architectures of the GPUs that are here ---------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#ifndef QUERN_LIB_TOOLS_NATIVEGPUS_H
#define QUERN_LIB_TOOLS_NATIVEGPUS_H

#include "llvm/Support/Error.h"

#include <string>
#include <vector>

namespace quern::tools {

/// The architectures whose code runs best on the GPUs of this machine, each once. Fails with the
/// reason when there is no driver, no GPU, or none that there is code for.
llvm::Expected<std::vector<std::string>> nativeGpus();

} // namespace quern::tools

#endif // QUERN_LIB_TOOLS_NATIVEGPUS_H
