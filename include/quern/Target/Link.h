//===- Link.h - Executables and shared libraries ---------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===-----------------------------------------------------------------------------------------===//
///
/// \file
/// The last step: an object file, the runtime and OpenMP become a program or a library.
///
//===-----------------------------------------------------------------------------------------===//
#ifndef QUERN_TARGET_LINK_H
#define QUERN_TARGET_LINK_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <string>

namespace quern::target {

/// Where the pieces lie that a program is linked from.
struct LinkInputs {
  std::string runtimeFolder; ///< with libquern_runtime.a and libquern_runtime_main.a
  std::string openmpFolder;  ///< with libomp.so; also the search path at run time
  std::string zstdFolder;    ///< with libzstd.a, which unpacks code for GPUs
};

/// Finds the pieces: beside the running tool (`tool`: its path), or where the environment variables
/// QUERN_RUNTIME_DIR, QUERN_OPENMP_DIR and QUERN_ZSTD_DIR say. The error names what is missing and
/// the ways out.
llvm::Expected<LinkInputs> findLinkInputs(llvm::StringRef tool);

/// Finds a C++ compiler to link with: $CXX, clang++-22, clang++, g++ or c++.
llvm::Expected<std::string> findLinker();

/// Links `objects` to an executable with the runtime's commands, at `output`.
llvm::Error linkExecutable(llvm::ArrayRef<std::string> objects, llvm::StringRef output,
                           const LinkInputs &inputs, bool strip);

/// Links `objects` to a shared library that exports the C interface (include/quern/Runtime/quern.h)
/// and the table of programs.
llvm::Error linkLibrary(llvm::ArrayRef<std::string> objects, llvm::StringRef output,
                        const LinkInputs &inputs, bool strip);

} // namespace quern::target

#endif // QUERN_TARGET_LINK_H
