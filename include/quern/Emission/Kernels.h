//===- Kernels.h - The kernels of a program ---------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_EMISSION_KERNELS_H
#define QUERN_EMISSION_KERNELS_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/SymbolTable.h"

namespace quern::emission {

/// An op of the kernel dialect, or a linalg.generic.
bool isKernel(mlir::Operation *op);

/// A function with work that an emitter must do: kernels, copies, named ops of linalg.
bool hasKernels(mlir::func::FuncOp function);

/// The kernels of a program, in order, after copies and named ops of linalg were rewritten as
/// linalg.generic and the constants that generics use went into their bodies. Fails, with a message
/// that names `target`, on what is no kernel and yet writes memory.
llvm::FailureOr<llvm::SmallVector<mlir::Operation *>> takeKernels(mlir::func::FuncOp program,
                                                                  llvm::StringRef target);

/// Equal but for the values they read: name, attributes, operand types and regions.
bool sameKernel(mlir::Operation *a, mlir::Operation *b);

/// Adds `bytes` to what `<program>.arena_bytes` computes, when there is such a function.
void growArena(mlir::SymbolTable &symbols, mlir::func::FuncOp program, int64_t bytes);

} // namespace quern::emission

#endif // QUERN_EMISSION_KERNELS_H
