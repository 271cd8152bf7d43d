//===- Passes.h - Passes of the CPU target ----------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_CPU_PASSES_H
#define QUERN_CPU_PASSES_H

#include "mlir/Pass/Pass.h"

#include <memory>
#include <string>

namespace quern::cpu {

#define GEN_PASS_DECL
#include "quern/CPU/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "quern/CPU/Passes.h.inc"

} // namespace quern::cpu

#endif // QUERN_CPU_PASSES_H
