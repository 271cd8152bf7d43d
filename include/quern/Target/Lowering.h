//===- Lowering.h - From vector code to the LLVM dialect --------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===-----------------------------------------------------------------------------------------===//
#ifndef QUERN_TARGET_LOWERING_H
#define QUERN_TARGET_LOWERING_H

namespace mlir {
class OpPassManager;
}

namespace quern::target {
/// Appends the passes that take emitted code (scf, vector, memref, math, arith, omp) to the LLVM
/// dialect.
void addLoweringToLLVM(mlir::OpPassManager &manager);

/// The same for the code of a GPU, in every gpu.module: to the LLVM and NVVM dialects.
void addDeviceLowering(mlir::OpPassManager &manager);
} // namespace quern::target

#endif // QUERN_TARGET_LOWERING_H
