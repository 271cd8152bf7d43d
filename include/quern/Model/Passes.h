//===- Passes.h - Passes on models
//--------------------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_MODEL_PASSES_H
#define QUERN_MODEL_PASSES_H

#include "mlir/Pass/Pass.h"

#include <memory>
#include <string>

namespace quern::model {

#define GEN_PASS_DECL
#include "quern/Model/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "quern/Model/Passes.h.inc"

} // namespace quern::model

#endif // QUERN_MODEL_PASSES_H
