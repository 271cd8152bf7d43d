//===- Passes.h - Passes from models to programs --------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------------------------===//
#ifndef QUERN_MODEL_PASSES_H
#define QUERN_MODEL_PASSES_H

#include "mlir/Pass/Pass.h"

#include <memory>
#include <string>

namespace quern::model {

#define GEN_PASS_DECL
#include "quern/Model/Passes.h.inc"

/// Adds the passes of the phase `fuse` in their order: calls are inlined, then attention, linear +
/// cross-entropy, activations, projections and residual + norm become single operations. Takes any
/// pass manager, since the passes work on whatever holds operations.
void addFusePasses(mlir::OpPassManager &manager);

/// Registers `quern-fuse`, the phase as a pipeline.
void registerModelPipelines();

#define GEN_PASS_REGISTRATION
#include "quern/Model/Passes.h.inc"

} // namespace quern::model

#endif // QUERN_MODEL_PASSES_H
