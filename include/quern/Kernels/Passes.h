//===- Passes.h - From programs to kernels in one arena ---------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_KERNELS_PASSES_H
#define QUERN_KERNELS_PASSES_H

#include "mlir/Pass/Pass.h"

#include <memory>

namespace quern::kernels {

#define GEN_PASS_DECL
#include "quern/Kernels/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "quern/Kernels/Passes.h.inc"

/// The phase `kernels`: partition into kernels, then fuse what is elementwise, with products too.
void addKernelsPasses(mlir::OpPassManager &manager);

/// The end of the phase `precision`: where and how parameters are updated, which depends on the
/// target and on how weights are stored.
void addTargetPasses(mlir::OpPassManager &manager);

/// The phase `buffers`: tensors to memrefs, in place wherever that is possible, in one arena.
void addBuffersPasses(mlir::OpPassManager &manager);

} // namespace quern::kernels

#endif // QUERN_KERNELS_PASSES_H
