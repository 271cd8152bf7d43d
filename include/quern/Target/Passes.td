//===- Passes.td - Passes that make a module callable from outside ---------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===-----------------------------------------------------------------------------------------===//
#ifndef QUERN_TARGET_PASSES_TD
#define QUERN_TARGET_PASSES_TD

include "mlir/Pass/PassBase.td"

def ExportPrograms : Pass<"quern-export-programs", "::mlir::ModuleOp"> {
  let summary = "the symbols that the runtime reads: programs, their table, their description";
  let description = [{
    Writes what include/quern/Runtime/Program.h promises. Each function with the attribute
    `quern.program` gets two C functions, which unpack tensor descriptors into memrefs and call it
    and its `arena_bytes` formula; `quern_programs` lists them. Those with the attribute `quern.target`, whose names
    begin with it (`sm_80.forward`), belong to an architecture of a device, and are listed beside its code, the
    text in the module's attribute `quern.device_code`, in `quern_device_codes`. `quern_module_json` is the module's
    attribute `quern.model` (a JSON object) with the targets added.

    ```mlir
    module attributes {quern.model = "{...}"} {
      func.func @forward(%x: memref<?xf32>, %arena: memref<?xi8> {quern.arena})
          attributes {quern.program} { ... }
      func.func @forward.arena_bytes(%x: memref<?xf32>) -> i64 { ... }
    }
    // gains
    llvm.func @forward.run(%arguments: !llvm.ptr, %arena: !llvm.ptr) { ... }
    llvm.func @forward.arena(%arguments: !llvm.ptr) -> i64 { ... }
    llvm.mlir.global constant @quern_programs() : !llvm.array<2 x struct<(ptr, ptr, ptr)>> { ... }
    llvm.mlir.global constant @quern_module_json("{...}\00")
    ```

    A module without `quern.model` is a library of kernels: it is left as it is.
  }];
  let options = [
    Option<"cpu", "cpu", "std::string", /*default=*/"\"native\"",
           "processor to describe: native, x86-64-v3, x86-64-v4, or a name of LLVM's">
  ];
  let dependentDialects = ["::mlir::func::FuncDialect", "::mlir::LLVM::LLVMDialect"];
}

def IntegerBfloat : Pass<"quern-integer-bfloat"> {
  let summary = "loads and stores of bf16 as those of integers";
  let description = [{
    Where a processor has no instructions on bf16, LLVM moves such elements one by one whenever it must mask them, compare them, or
    keep them from one basic block to another, through registers of f32 and back by calls of a library that not every system has.
    As integers they stay what they are. Numbers in bf16 are only ever widened and narrowed, which `quern-expand-math` does on
    integers as well.

    ```mlir
    %x = llvm.intr.masked.load %p, %mask, %zero : (!llvm.ptr, vector<8xi1>, vector<8xbf16>) -> vector<8xbf16>
    // becomes
    %other = llvm.bitcast %zero : vector<8xbf16> to vector<8xi16>
    %bits = llvm.intr.masked.load %p, %mask, %other : (!llvm.ptr, vector<8xi1>, vector<8xi16>) -> vector<8xi16>
    %x = llvm.bitcast %bits : vector<8xi16> to vector<8xbf16>
    ```
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect"];
}

def DeviceCode : Pass<"quern-device-code", "::mlir::ModuleOp"> {
  let summary = "the text of every gpu.module, as PTX";
  let description = [{
    Each `gpu.module`, whose name is the architecture that it is for and which stands in the LLVM and NVVM dialects, is
    optimized and translated by LLVM's NVPTX backend; the text goes into the module's attribute `quern.device_code`.

    ```mlir
    gpu.module @sm_80 { llvm.func @softmax_0_0(...) attributes {nvvm.kernel} { ... } }
    // becomes
    module attributes {quern.device_code = {sm_80 = ".version 7.8\0A.target sm_80 ..."}}
    ```
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect", "::mlir::NVVM::NVVMDialect"];
}

#endif // QUERN_TARGET_PASSES_TD
