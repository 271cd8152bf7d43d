//===- Kernel.h - The kernel dialect ---------------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
///
/// \file
/// The contract between model passes and targets; see KernelOps.td for every op's formula.
///
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_DIALECTS_KERNEL_KERNEL_H
#define QUERN_DIALECTS_KERNEL_KERNEL_H

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/Interfaces/DestinationStyleOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "dialects/Kernel/KernelDialect.h.inc"
#include "dialects/Kernel/KernelEnums.h.inc"

#define GET_ATTRDEF_CLASSES
#include "dialects/Kernel/KernelAttributes.h.inc"

#define GET_OP_CLASSES
#include "dialects/Kernel/KernelOps.h.inc"

namespace quern::kernel {
/// The type in which kernels compute with elements of this one: f32 for 16-bit floats.
mlir::Type computeType(mlir::Type element);

/// Whether the region of a product may hold the op: (C6) of `kernel.gemm`.
bool isEpilogueOp(mlir::Operation &op);

/// Makes the kernel ops known to one-shot bufferization.
void registerBufferization(mlir::DialectRegistry &registry);
} // namespace quern::kernel

#endif // QUERN_DIALECTS_KERNEL_KERNEL_H
