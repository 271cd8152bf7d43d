//===- Passes.td - Passes of the CPU target -----------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_CPU_PASSES_TD
#define QUERN_CPU_PASSES_TD

include "mlir/Pass/PassBase.td"

def EmitCPU : Pass<"quern-emit-cpu", "::mlir::ModuleOp"> {
  let summary = "emit every kernel as vector code that all threads of a program share";
  let description = [{
    Each function that contains kernels becomes one parallel region: all threads run its control flow,
    and each kernel becomes a call of a function that splits the work by the shape of the problem.

    ```mlir
    func.func @f(%x: memref<?x768xf32>, %y: memref<?x768xf32>) {
      kernel.softmax %x into %y : (memref<?x768xf32>, memref<?x768xf32>) -> ()
      return
    }
    // becomes
    func.func @f(%x: memref<?x768xf32>, %y: memref<?x768xf32>) {
      omp.parallel {
        %thread = func.call @omp_get_thread_num() ...
        func.call @f.threads(%x, %y, %scratch, %thread, %threads)
        omp.terminator
      }
      return
    }
    func.func private @f.threads(...) {
      func.call @kernel.softmax.0(%x, %y, %scratch, %thread, %threads)
      omp.barrier
      return
    }
    ```

    Kernels with equal types and attributes share one function. Shared scratch of the kernels is taken from the end
    of the argument marked `quern.arena`, and `@f.arena_bytes`, when it exists, grows by as much.
  }];
  let options = [
    Option<"cpu", "cpu", "std::string", /*default=*/"\"native\"",
           "processor to emit for: native, x86-64-v3, x86-64-v4, or a name of LLVM's">
  ];
  let statistics = [Statistic<"numKernels", "kernels", "kernel calls">,
                    Statistic<"numFunctions", "kernel-functions", "distinct kernel functions">];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::func::FuncDialect", "::mlir::linalg::LinalgDialect",
    "::mlir::math::MathDialect",
    "::mlir::memref::MemRefDialect", "::mlir::omp::OpenMPDialect", "::mlir::scf::SCFDialect",
    "::mlir::vector::VectorDialect", "::mlir::LLVM::LLVMDialect"];
}

#endif // QUERN_CPU_PASSES_TD
