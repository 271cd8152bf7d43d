//===- LibraryHeader.h - The C header of a compiled library ----------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===-----------------------------------------------------------------------------------------===//
#ifndef QUERN_LIB_TOOLS_LIBRARYHEADER_H
#define QUERN_LIB_TOOLS_LIBRARYHEADER_H

#include "llvm/ADT/StringRef.h"

#include <string>

namespace quern::tools {

/// A self-contained header: the C interface of the runtime, the model's sizes, and one typed
/// function for each program whose tensors can be told from its description. `description` is the
/// JSON text of Program.h.
std::string libraryHeader(llvm::StringRef description);

} // namespace quern::tools

#endif // QUERN_LIB_TOOLS_LIBRARYHEADER_H
