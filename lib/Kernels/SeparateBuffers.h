//===- SeparateBuffers.h - An empty tensor for each use ---------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_LIB_KERNELS_SEPARATEBUFFERS_H
#define QUERN_LIB_KERNELS_SEPARATEBUFFERS_H

#include "mlir/IR/Operation.h"

namespace quern::kernels {

/// An empty tensor says nothing but a shape, and several values may start from one: gives uses of
/// those within `root` one of their own, in front of the op that `place` names for a use; null: the
/// use stays as it is. Returns how many more empty tensors there are now.
int64_t separateEmpties(mlir::Operation *root,
                        llvm::function_ref<mlir::Operation *(mlir::OpOperand &use)> place);

} // namespace quern::kernels

#endif // QUERN_LIB_KERNELS_SEPARATEBUFFERS_H
