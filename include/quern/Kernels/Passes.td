//===- Passes.td - From programs to kernels in one arena --------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_KERNELS_PASSES_TD
#define QUERN_KERNELS_PASSES_TD

include "mlir/Pass/PassBase.td"

def ConvertQuernToKernel : Pass<"convert-quern-to-kernel", "::mlir::ModuleOp"> {
  let summary = "partition the programs of a model into kernels";
  let description = [{
    Each program (a `quern.function` with the attribute `program`) becomes a `func.func` on memrefs, one for each argument and
    then one for each result that is not an update of an argument. Inside, values are tensors and each operation
    is a kernel in destination style, a `linalg.generic` where it is elementwise, or a view. Scans become `scf.for`.
    Activations and residual additions that follow a linear map become its epilogue. What a runtime needs to
    know (parameters, arguments, flops) is left as JSON in the module attribute `quern.model`.

    ```mlir
    quern.function @f(%x: tensor<4x768xf32> {...}, %w: tensor<768x3072xf32> {...}) -> (tensor<4x3072xf32> {quern.name = "y"})
        attributes {program} {
      %0 = quern.linear %x, %w : tensor<4x768xf32>, tensor<768x3072xf32>
      %1 = quern.gelu %0 tanh : tensor<4x3072xf32>
      quern.return %1 : tensor<4x3072xf32>
    }
    // becomes
    func.func @f(%x: memref<4x768xf32>, %w: memref<768x3072xf32>, %y: memref<4x3072xf32>) attributes {quern.program} {
      %0 = bufferization.to_tensor %x restrict : ...
      %1 = bufferization.to_tensor %w restrict : ...
      %2 = tensor.empty() : tensor<4x3072xf32>
      %3 = kernel.gemm %0, %1 into %2 {activation = gelu_tanh} : ...
      bufferization.materialize_in_destination %3 in restrict writable %y : ...
      return
    }
    ```
  }];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::bufferization::BufferizationDialect", "::mlir::func::FuncDialect",
    "::mlir::linalg::LinalgDialect", "::mlir::math::MathDialect", "::mlir::memref::MemRefDialect",
    "::mlir::scf::SCFDialect", "::mlir::tensor::TensorDialect", "::quern::kernel::KernelDialect"];
  let statistics = [Statistic<"numPrograms", "programs", "programs converted">,
                    Statistic<"numEpilogues", "epilogues", "activations and residuals that became epilogues of gemms">];
}

def FuseEpilogues : Pass<"quern-fuse-epilogues", "::mlir::ModuleOp"> {
  let summary = "elementwise work on the result of a product becomes its region";
  let description = [{
    A `linalg.generic` all of whose loops are parallel moves into the `kernel.gemm` that makes one of its operands, into the last one
    where several do: its elements are then in registers. Its other operands have the shape of the product, or that of its columns, or rank 0;
    a result of the product that has other uses stays one. What product and work read and write must not change in between.
    Where the work wrote a fresh tensor and reads one that nothing else needs, it writes that one in place.

    ```mlir
    %0 = kernel.gemm %x, %gate into %e : ...
    %1 = kernel.gemm %x, %up into %e : ...
    %2 = linalg.generic ... ins(%0, %1 : ...) outs(%e : ...) {
    ^bb0(%g: f32, %u: f32, %out: f32):
      ...
      %s = arith.mulf %silu, %u : f32
      linalg.yield %s : f32
    }
    // becomes
    %0 = kernel.gemm %x, %gate into %e : ...
    %2 = kernel.gemm %x, %up with %0 into %0 : ... epilogue (%u: f32, %g: f32) {
      ...
      %s = arith.mulf %silu, %u : f32
      kernel.yield %s : f32
    }
    ```
  }];
  let dependentDialects = ["::quern::kernel::KernelDialect"];
  let statistics = [Statistic<"numFused", "fused", "elementwise operations that became regions of products">];
}

def AdvanceUpdates : Pass<"quern-advance-updates", "::mlir::ModuleOp"> {
  let summary = "update parameters as soon as nothing reads their old values";
  let description = [{
    A gradient takes memory from where it is computed to where its parameter is updated. Where the options of an update are known before
    the loop over layers that makes a stacked gradient, that loop updates each layer itself, at the end of its iteration: it carries the
    parameter in the place of the gradient, and both moments, and the gradient of one layer is all that there is at a time. That takes a loop
    whose iterations insert a whole layer each, another one every time, and read no other layer of the parameter, and nothing behind
    the loop that reads the old parameter. Updates of other matrices move before loops that they need not wait for.

    A factor that depends on all gradients, such as that of clipping, is known last, and leaves everything as it is.

    ```mlir
    %g = scf.for %i = %c0 to %c12 step %c1 iter_args(%stack = %empty) -> (tensor<12x8x8xf32>) {
      %w = tensor.extract_slice %p[%i, 0, 0] [1, 8, 8] [1, 1, 1] : tensor<12x8x8xf32> to tensor<8x8xf32>
      %gi = kernel.gemm %x, %dy into %e {transpose_a} : ...
      %next = tensor.insert_slice %gi into %stack[%i, 0, 0] [1, 8, 8] [1, 1, 1] : tensor<8x8xf32> into tensor<12x8x8xf32>
      scf.yield %next : tensor<12x8x8xf32>
    }
    %new:3 = kernel.adamw %g options ... into %p, %m, %v : ...
    // becomes
    %new:3 = scf.for %i = %c0 to %c12 step %c1 iter_args(%pc = %p, %mc = %m, %vc = %v) -> (...) {
      %w = tensor.extract_slice %pc[%i, 0, 0] [1, 8, 8] [1, 1, 1] : tensor<12x8x8xf32> to tensor<8x8xf32>
      %gi = kernel.gemm %x, %dy into %e {transpose_a} : ...
      %pi = tensor.extract_slice %pc[%i, 0, 0] [1, 8, 8] [1, 1, 1] : tensor<12x8x8xf32> to tensor<8x8xf32>
      ...
      %ui:3 = kernel.adamw %gi options ... into %pi, %mi, %vi : ...
      %pn = tensor.insert_slice %ui#0 into %pc[%i, 0, 0] [1, 8, 8] [1, 1, 1] : tensor<8x8xf32> into tensor<12x8x8xf32>
      ...
      scf.yield %pn, %mn, %vn : ...
    }
    ```
  }];
  let dependentDialects = ["::mlir::scf::SCFDialect", "::mlir::tensor::TensorDialect", "::quern::kernel::KernelDialect"];
  let statistics = [Statistic<"numInLoops", "in-loops", "updates that loops over layers make">];
}

def FuseUpdates : Pass<"quern-fuse-updates", "::mlir::ModuleOp"> {
  let summary = "update parameters on the accumulators of their gradients";
  let description = [{
    In programs for a CPU, a gradient that is a plain product, and that nothing but the update of its parameter reads, is never stored: the
    update becomes the epilogue of the product. It stands after the product and after whatever else reads the old parameter. Gradients that are sums
    of several terms, such as that of a table of embeddings which is the output matrix as well, stay in memory.

    ```mlir
    %g = kernel.gemm %x, %dy into %empty {transpose_a} : ...
    %dx = kernel.gemm %dy, %p into %e {transpose_b} : ...
    %u:3 = kernel.adamw %g options %lr, %b1, %b2, %e, %t decay %d into %p, %m, %v : ...
    // becomes
    %dx = kernel.gemm %dy, %p into %e {transpose_b} : ...
    %u:3 = kernel.gemm_adamw %x, %dy options %lr, %b1, %b2, %e, %t decay %d into %p, %m, %v : ...
    ```
  }];
  let dependentDialects = ["::quern::kernel::KernelDialect"];
  let statistics = [Statistic<"numFused", "fused", "updates in the epilogue of a product">];
}

def MergeAdamW : Pass<"quern-merge-adamw", "::mlir::ModuleOp"> {
  let summary = "update all parameters of a step by one operation";
  let description = [{
    Updates with the same options, whose moments have the same type, become one where the last of them stands, as long as nothing
    uses the result of an earlier one before that: one launch on a device, and one barrier on a CPU. An update that stands before a loop
    stays there, since the loop takes the memory of its gradient.

    ```mlir
    %0:3 = kernel.adamw %g0 scale %s options %lr, %b1, %b2, %e, %t decay %d0 into %p0, %m0, %v0 : ...
    %1:3 = kernel.adamw %g1 scale %s options %lr, %b1, %b2, %e, %t decay %d1 into %p1, %m1, %v1 : ...
    // becomes
    %0:6 = kernel.adamw %g0, %g1 scale %s options %lr, %b1, %b2, %e, %t decay %d0, %d1 into %p0, %m0, %v0, %p1, %m1, %v1 : ...
    ```
  }];
  let dependentDialects = ["::quern::kernel::KernelDialect"];
}

def FuseCacheAppends : Pass<"quern-fuse-cache-appends", "::mlir::ModuleOp"> {
  let summary = "a step of a decoder appends and attends in one kernel";
  let description = [{
    In programs for a CPU, causal attention of one query a sequence takes over the appending of its key and its value to the caches that it
    reads, when all three have the same offset: threads then need not wait for each other in between.

    ```mlir
    %k1 = kernel.cache_append %k, %offset into %keys : ...
    %v1 = kernel.cache_append %v, %offset into %values : ...
    %o = kernel.attention %q, %k1, %v1 offset %offset into %e {causal, scale = 0.125} : ...
    // becomes
    %o, %k1, %v1 = kernel.cached_attention %q, %k, %v offset %offset into %e, %keys, %values {scale = 0.125} : ...
    ```
  }];
  let dependentDialects = ["::quern::kernel::KernelDialect"];
  let statistics = [Statistic<"numFused", "fused", "attention kernels that append to their caches">];
}

def SeparateBuffers : Pass<"quern-separate-buffers", "::mlir::ModuleOp"> {
  let summary = "each kernel writes an empty tensor of its own";
  let description = [{
    An empty tensor that several kernels write, one after the other, would become one buffer that lives from the first of them to the last, and is
    given up to be a thread's own where only some of them could have that. Each gets one of its own, which lives as long as its value;
    the plan of the arena finds the memory that they can share.

    ```mlir
    %e = tensor.empty() : tensor<4x768xf32>
    %n = kernel.norm rms %x weight %w into %e : ...
    %y = kernel.gemm %n, %p into %e : ...
    // becomes
    %e0 = tensor.empty() : tensor<4x768xf32>
    %n = kernel.norm rms %x weight %w into %e0 : ...
    %e1 = tensor.empty() : tensor<4x768xf32>
    %y = kernel.gemm %n, %p into %e1 : ...
    ```
  }];
  let statistics = [Statistic<"numAdded", "added", "empty tensors more than there were">];
}

def PerThreadBuffers : Pass<"quern-per-thread-buffers", "::mlir::ModuleOp"> {
  let summary = "buffers of few rows of which each thread has its own copy";
  let description = [{
    In a step of a decoder, normalizations and rotations work on one row. Shared, such a row takes a barrier after it, at which all threads
    wait for the one that had the work; each thread is done sooner when it computes the row for itself. In programs for a CPU, this pass marks the buffers
    that only such kernels write: `quern.per_thread = R` says that every thread has a copy of a buffer of R or fewer rows. How many rows there are may be known only at run
    time (the batch), so that the buffer has its place in the arena as well. `quern-emit-cpu` makes the copies, and runs all of
    the kernels that write them on each thread.

    A buffer is taken when it has one dynamic size at most, its first, which is the same in the whole program, and
    is small: R rows have 16 KiB, R is 1 to 7, and all copies of a thread 128 KiB. It is written by `norm`, `rotary`, `embedding`, `position_embedding`,
    elementwise work, or as the first output of `cached_attention`, and read by kernels.

    ```mlir
    %n = memref.alloc(%batch) : memref<?x1x576xf32>
    // becomes
    %n = memref.alloc(%batch) {quern.per_thread = 7 : i64} : memref<?x1x576xf32>
    ```
  }];
  let statistics = [Statistic<"numBuffers", "buffers", "buffers of which each thread has a copy">];
}

def PlanArena : Pass<"quern-plan-arena", "::mlir::ModuleOp"> {
  let summary = "place all buffers of a program in one arena";
  let description = [{
    Buffers whose lives do not overlap share memory. Sizes are products of a constant and dynamic dimensions; buffers with the
    same dynamic factor share one region of the arena, so its size stays a closed formula: the sum over
    regions of a constant times the factor. The program gets an argument `%arena` with the attribute `quern.arena`, and a function
    `@<program>.arena_bytes` evaluates the formula. Each view of the arena says by `quern.place = [region, begin, end]`, the last two
    in bytes times the region's factor, which part of it it is.

    ```mlir
    func.func @f(%x: memref<?x768xf32>) attributes {quern.program} {
      %0 = memref.alloc(%n) : memref<?x3072xf32>
      ...
    // becomes
    func.func @f(%x: memref<?x768xf32>, %arena: memref<?xi8> {quern.arena}) attributes {quern.program} {
      %0 = memref.view %arena[%offset][%n] {quern.place = array<i64: 0, 0, 12288>} : memref<?xi8> to memref<?x3072xf32>
      ...
    func.func @f.arena_bytes(%x: memref<?x768xf32>) -> i64
    ```
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::func::FuncDialect", "::mlir::memref::MemRefDialect"];
  let statistics = [Statistic<"numBuffers", "buffers", "buffers placed">,
                    Statistic<"staticBytes", "static-bytes", "bytes of the regions of constant size">,
                    Statistic<"unsharedBytes", "unshared-bytes", "what constant buffers would take without sharing">];
}

def PadRows : Pass<"quern-pad-rows", "::mlir::ModuleOp"> {
  let summary = "let rows of buffers begin at multiples of 16 bytes";
  let description = [{
    In programs for GPUs, a buffer that a matrix product reads gets rows that begin at multiples of 16 bytes (of 128 bytes
    where they are longer than 4 KiB), which accesses of 16 bytes and tensor maps need. What was the buffer becomes a view of the
    first columns. Kernels that count the leading dimensions together see them as one where they are dynamic, so that types
    still tell that all rows are the same distance apart.
    Arguments, and buffers that something else than kernels, elementwise work and views uses, stay as they are.

    ```mlir
    %0 = memref.alloc() : memref<8x1024x50257xbf16>
    kernel.gemm %x, %w into %0 {transpose_b} : ...
    // becomes
    %0 = memref.alloc() : memref<8x1024x50304xbf16>
    %1 = memref.subview %0[0, 0, 0] [8, 1024, 50257] [1, 1, 1]
       : memref<8x1024x50304xbf16> to memref<8x1024x50257xbf16, strided<[51511296, 50304, 1]>>
    kernel.gemm %x, %w into %1 {transpose_b} : ...
    ```
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::memref::MemRefDialect"];
  let statistics = [Statistic<"numBuffers", "buffers", "buffers whose rows were padded">];
}

def SelectTargets : Pass<"quern-select-targets", "::mlir::ModuleOp"> {
  let summary = "a copy of each program for each target";
  let description = [{
    A target is `cpu` or an architecture of a GPU (`sm_80`). Programs for the latter get its name before theirs, and in the
    attribute `quern.target`, by which its emitter finds them; so do the formulas of their arenas.
    Without `cpu` among the targets, the original is removed.

    ```mlir
    func.func @f(...) attributes {quern.program} { ... }
    // with targets=cpu,sm_80 gains
    func.func @sm_80.f(...) attributes {quern.program, quern.target = "sm_80"} { ... }
    ```
  }];
  let options = [ListOption<"targets", "targets", "std::string", "cpu, or architectures of GPUs">];
}

def Precision : Pass<"quern-precision", "::mlir::ModuleOp"> {
  let summary = "store activations, caches and weights in bf16";
  let description = [{
    What is bf16 follows from the target of a program, and from whether it trains (takes gradients or moments):

    | | trains | does not |
    |---|---|---|
    | GPU | activations and their gradients | activations, caches, weights |
    | CPU | activations and their gradients | caches, weights |

    Activations are what kernels make of a batch. In training there are many of them, kept for the backward pass; in other programs
    a CPU has them in its caches, where rounding would cost instructions and save nothing. Weights that are trained stay f32, and
    products of activations take copies of them in bf16, which are made once a step: so both factors are of one type, as matrix
    instructions want them (a GPU's; on processors with AVX512-BF16 `vdpbf16ps`). A GPU takes such copies of all other f32 factors too; a CPU
    widens what it loads. On processors that do not multiply bf16 by such an instruction a copy would cost time and memory and save
    nothing: there `weight-copies=false` leaves the weights themselves, unrounded, to the products. Of programs that do not train, weights are
    those parameters that a program only reads as factors of products and as tables of embeddings: they become arguments of type bf16,
    which the runtime rounds once, and kernels widen what they load; so does a decoder, which is bound by reading weights, read half
    the bytes. All else, such as the weights of norms, biases, moments, gradients of parameters, statistics, logits and losses, stays
    f32, and kernels go on accumulating in f32 (Micikevicius et al. 2018, Mixed Precision Training). `auto` does this to programs for
    GPUs only.

    ```mlir
    func.func @forward(%x: memref<?x768xf32>, %weight: memref<768x3072xf32> {quern.role = "parameter"}, ...)
      %w = bufferization.to_tensor %weight : memref<768x3072xf32> to tensor<768x3072xf32>
      %0 = tensor.empty(%n) : tensor<?x3072xf32>
      %1 = kernel.gemm %x, %w into %0 : (tensor<?x768xf32>, tensor<768x3072xf32>, tensor<?x3072xf32>) -> tensor<?x3072xf32>
    // becomes on a GPU, where x is an activation
    func.func @forward(%x: memref<?x768xf32>, %weight: memref<768x3072xbf16> {quern.role = "parameter"}, ...)
      %w = bufferization.to_tensor %weight : memref<768x3072xbf16> to tensor<768x3072xbf16>
      %0 = tensor.empty(%n) : tensor<?x3072xbf16>
      %1 = kernel.gemm %x, %w into %0 : (tensor<?x768xbf16>, tensor<768x3072xbf16>, tensor<?x3072xbf16>) -> tensor<?x3072xbf16>
    ```
  }];
  let options = [
    Option<"precision", "precision", "std::string", /*default=*/"\"auto\"", "f32, bf16 or auto">,
    Option<"weightCopies", "weight-copies", "bool", /*default=*/"true",
        "on a CPU, programs that train multiply copies of weights in bf16">];
  let statistics = [Statistic<"numPrograms", "programs", "programs that store something in bf16">];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::linalg::LinalgDialect", "::mlir::tensor::TensorDialect"];
}

#endif // QUERN_KERNELS_PASSES_TD
