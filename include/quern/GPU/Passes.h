//===- Passes.h - Passes of the NVIDIA target -------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_GPU_PASSES_H
#define QUERN_GPU_PASSES_H

#include "mlir/Pass/Pass.h"

#include <memory>
#include <string>

namespace quern::nvidia {

#define GEN_PASS_DECL
#include "quern/GPU/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "quern/GPU/Passes.h.inc"

} // namespace quern::nvidia

#endif // QUERN_GPU_PASSES_H
