//===- Architecture.h - What emitters know of a GPU ------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_GPU_ARCHITECTURE_H
#define QUERN_GPU_ARCHITECTURE_H

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <cstdint>
#include <optional>
#include <string>

namespace quern::nvidia {

struct Architecture {
  std::string name;     ///< "sm_80", "sm_90a": the target of the PTX
  std::string features; ///< of LLVM's NVPTX backend: the version of PTX, "+ptx78"
  int64_t sharedBytes;  ///< of shared memory that a block can have (CUDA C++ Programming Guide,
                        ///< table of compute capabilities)
  bool hasWgmma;        ///< warp-group matrix products, the tensor memory accelerator, clusters

  /// The architecture called `name`. Fails with a message that lists those there are.
  static llvm::Expected<Architecture> get(llvm::StringRef name);
  /// The one whose code runs best on GPUs of this compute capability; nothing for those that are
  /// too old.
  static std::optional<Architecture> forCapability(int major, int minor);
};

} // namespace quern::nvidia

#endif // QUERN_GPU_ARCHITECTURE_H
