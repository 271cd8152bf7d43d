//===- Passes.h - Passes that make a module callable from outside ----------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===-----------------------------------------------------------------------------------------===//
#ifndef QUERN_TARGET_PASSES_H
#define QUERN_TARGET_PASSES_H

#include "mlir/Pass/Pass.h"

#include <memory>
#include <string>

namespace quern::target {

#define GEN_PASS_DECL
#include "quern/Target/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "quern/Target/Passes.h.inc"

} // namespace quern::target

#endif // QUERN_TARGET_PASSES_H
