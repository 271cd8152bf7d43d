//===- Passes.td - Passes of the NVIDIA target ------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_GPU_PASSES_TD
#define QUERN_GPU_PASSES_TD

include "mlir/Pass/PassBase.td"

def EmitNVIDIA : Pass<"quern-emit-nvidia", "::mlir::ModuleOp"> {
  let summary = "emit every kernel as device code and the launches that run it";
  let description = [{
    Each function with the attribute `quern.target = "sm_..."` that contains kernels goes on as a function of the host,
    in which each kernel becomes a call of a function that asks the runtime for launches
    (`quern_device_launch`, include/quern/Runtime/Program.h). The code of these goes into a `gpu.module` named after the architecture.

    ```mlir
    func.func @sm_80.f(%x: memref<?x768xf32>, %y: memref<?x768xf32>) attributes {quern.target = "sm_80"} {
      kernel.softmax %x into %y : (memref<?x768xf32>, memref<?x768xf32>) -> ()
      return
    }
    // becomes
    func.func @sm_80.f(%x: memref<?x768xf32>, %y: memref<?x768xf32>) {
      call @sm_80.softmax.0(%x, %y, %scratch)
      return
    }
    func.func private @sm_80.softmax.0(...) {
      ...
      llvm.call @quern_device_launch(%launch) : (!llvm.ptr) -> ()
      return
    }
    gpu.module @sm_80 {
      gpu.func @softmax_0_0(%x: !llvm.ptr<1>, %rows: i64, ...) kernel { ... }
    }
    ```

    Kernels with equal types and attributes share one function. Their scratch memory is taken from the end
    of the argument marked `quern.arena`, and `@sm_80.f.arena_bytes`, when it exists, grows by as much.

    With `tensor-float`, matrix products of more than a few rows round f32 factors to TF32 (10 bits of mantissa; products are exact
    and sums f32), which tensor cores multiply; without it f32 is multiplied as it is.
  }];
  let options = [Option<"tensorFloat", "tensor-float", "bool", /*default=*/"false", "round f32 factors to TF32">];
  let statistics = [Statistic<"numKernels", "kernels", "kernel calls">,
                    Statistic<"numFunctions", "kernel-functions", "distinct kernel functions">];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::func::FuncDialect", "::mlir::gpu::GPUDialect",
    "::mlir::linalg::LinalgDialect", "::mlir::math::MathDialect", "::mlir::memref::MemRefDialect",
    "::mlir::scf::SCFDialect", "::mlir::vector::VectorDialect", "::mlir::LLVM::LLVMDialect", "::mlir::NVVM::NVVMDialect"];
}

def ExpandDeviceMath : Pass<"quern-expand-device-math", "::mlir::gpu::GPUModuleOp"> {
  let summary = "elementary functions on the device's own approximations";
  let description = [{
    Rewrites `math.exp`, `exp2`, `log`, `log2`, `tanh`, `erf` and `rsqrt` on f32 into `ex2.approx`
    and polynomials, so that no kernel calls libdevice. Largest errors in units in the last place: exp 3, exp2 2, log and log2 2, tanh 4, erf 4, rsqrt 3. Other elementary functions, and those on f64, are an error at their place.

    ```mlir
    %y = math.exp %x : f32
    // becomes
    %t = arith.mulf %x, %log2e : f32
    ...
    %y = llvm.call_intrinsic "llvm.nvvm.ex2.approx.f"(%t) : (f32) -> f32
    ```
  }];
  let statistics = [Statistic<"numExpanded", "expanded", "functions rewritten">];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::math::MathDialect",
                           "::mlir::LLVM::LLVMDialect"];
}

#endif // QUERN_GPU_PASSES_TD
