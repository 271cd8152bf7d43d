//===- Passes.td - Passes of the CPU target ---------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_CPU_PASSES_TD
#define QUERN_CPU_PASSES_TD

include "mlir/Pass/PassBase.td"

def Layout : Pass<"quern-layout", "::mlir::ModuleOp"> {
  let summary = "let parameters lie in memory as the micro-kernel reads them";
  let description = [{
    A tiled product copies its B into panels before it multiplies. Where B is a parameter, that is the same work in every product of
    every step. This pass lets a parameter, its moments and its gradient lie in panels in the memory of all programs (the attribute
    `#kernel.panels` has the order of the elements), as wide as the tile in registers: the forward product then reads them in place,
    its gradient is written so, and optimizers, which work element by element, need not know. The runtime converts when weights are
    read or written.

    A parameter has panels when the first product that has it as B is as large as a tile and all ops that touch it, in all programs,
    can do with them; a table of embeddings, of which rows are taken, stays in rows. Programs are the functions with the attribute
    `quern.program`; all of them must be for the CPU.

    ```mlir
    func.func @f(..., %w: memref<768x2304xf32> {quern.name = "w", quern.role = "parameter"}) attributes {quern.program} {
      %0 = bufferization.to_tensor %w ...
      %1 = kernel.gemm %x, %0 into %y : ...
    // becomes
    func.func @f(..., %w: memref<768x2304xf32> {quern.name = "w", quern.panels = #kernel.panels<24 columns>, ...}) ... {
      %0 = bufferization.to_tensor %w ...
      %1 = kernel.gemm %x, %0 into %y {panels_b = #kernel.panels<24 columns>} : ...
    ```
  }];
  let options = [
    Option<"cpu", "cpu", "std::string", /*default=*/"\"native\"",
           "processor to emit for: native, x86-64-v3, x86-64-v4, or a name of LLVM's">,
    Option<"machine", "machine", "std::string", /*default=*/"\"\"",
           "changes to the model of the processor, such as l2=1M,tile-rows=2">
  ];
  let statistics = [Statistic<"numParameters", "parameters", "parameters in panels">];
}

def EmitCPU : Pass<"quern-emit-cpu", "::mlir::ModuleOp"> {
  let summary = "emit every kernel as vector code that all threads of a program share";
  let description = [{
    Each function that contains kernels (and is not of another target, by its attribute `quern.target`) becomes one parallel region: all threads run its control flow,
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
      return
    }
    ```

    Before a kernel that touches what one before it writes, or writes what one before it touches, all threads wait for each other
    (`omp.barrier`); a kernel that does neither begins while others still work on those before it. Parts of the arena are told apart by
    `quern.place`, which quern-plan-arena gives them.

    Kernels with equal types and attributes share one function. Shared scratch of the kernels is taken from the end
    of the argument marked `quern.arena`, and `@f.arena_bytes`, when it exists, grows by as much.
  }];
  let options = [
    Option<"cpu", "cpu", "std::string", /*default=*/"\"native\"",
           "processor to emit for: native, x86-64-v3, x86-64-v4, or a name of LLVM's">,
    Option<"machine", "machine", "std::string", /*default=*/"\"\"",
           "changes to the model of the processor, such as l2=1M,tile-rows=2">
  ];
  let statistics = [Statistic<"numKernels", "kernels", "kernel calls">,
                    Statistic<"numBarriers", "barriers", "barriers between kernels">,
                    Statistic<"numFunctions", "kernel-functions", "distinct kernel functions">];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::func::FuncDialect", "::mlir::linalg::LinalgDialect",
    "::mlir::math::MathDialect",
    "::mlir::memref::MemRefDialect", "::mlir::omp::OpenMPDialect", "::mlir::scf::SCFDialect",
    "::mlir::vector::VectorDialect", "::mlir::x86vector::X86VectorDialect", "::mlir::LLVM::LLVMDialect"];
}

def ExpandMath : Pass<"quern-expand-math"> {
  let summary = "elementary functions as straight-line vector code";
  let description = [{
    Rewrites `math.exp`, `exp2`, `log`, `log2`, `tanh`, `erf` and `rsqrt` on f32 and on 1-D vectors of f32 into
    multiplications, additions and operations on bits, so that no call of libm stands in a loop. f64 and all other
    functions stay with libm.

    Largest errors over all inputs, in units in the last place: exp and exp2 1.5; log and log2 2; tanh 3; erf 3;
    rsqrt 1.5 (a correctly rounded square root and division). NaN gives NaN; infinities, zeros and their signs
    follow C99's annex F; small results of exp and exp2 become denormal numbers gradually. With the attribute
    `quern.non_positive`, which a softmax sets, exp and exp2 may give 0 instead of those, and are shorter.

    `arith.truncf` from f32 to bf16 becomes operations on bits as well: to nearest, ties to even, denormal numbers kept. So does
    `arith.extf` from bf16 to f32.

    With AVX-512, vectors of 16 use its rounding and scaling instructions.

    ```mlir
    %y = math.exp2 %x : vector<8xf32>
    // becomes
    %shifted = arith.addf %clamped, %magic : vector<8xf32>
    ...
    %p = math.fma %p1, %f, %one : vector<8xf32>
    %y = arith.mulf %scaled, %second : vector<8xf32>
    ```
  }];
  let options = [
    Option<"cpu", "cpu", "std::string", /*default=*/"\"x86-64-v2\"",
           "processor to emit for: native, x86-64-v3, x86-64-v4, or a name of LLVM's">
  ];
  let statistics = [Statistic<"numExpanded", "expanded", "functions rewritten">];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::math::MathDialect",
                           "::mlir::x86vector::X86VectorDialect"];
}

#endif // QUERN_CPU_PASSES_TD
