//===- KernelDialect.td - The kernel dialect --------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_KERNEL_DIALECT_TD
#define QUERN_KERNEL_DIALECT_TD

include "mlir/IR/OpBase.td"

def Kernel_Dialect : Dialect {
  let name = "kernel";
  let cppNamespace = "::quern::kernel";
  let summary = "The kernels that every target must be able to emit";
  let description = [{
    The contract between the model passes and the targets: destination-style operations on tensors,
    and after bufferization on memrefs, at the granularity of one hot kernel. A target that emits
    every op of this dialect, and `linalg.generic` for what is elementwise, runs every model.

    Operands may be strided memrefs, as slices of larger tensors are, under two conditions that every
    emitter relies on: the innermost stride is 1, and dimensions that an op flattens (written `...`
    in its shapes) are dense among themselves, so that they collapse to one dimension with one stride.
  }];
  let useDefaultAttributePrinterParser = 1;
  let dependentDialects = ["::mlir::memref::MemRefDialect", "::mlir::tensor::TensorDialect"];
}

#endif // QUERN_KERNEL_DIALECT_TD
