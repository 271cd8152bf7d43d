//===- Passes.td - Passes on models -------------------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_MODEL_PASSES_TD
#define QUERN_MODEL_PASSES_TD

include "mlir/Pass/PassBase.td"

//===- Fuse ---------------------------------------------------------------------------------===//

def InlineCalls : Pass<"quern-inline-calls"> {
  let summary = "put the bodies of called functions in the place of calls";
  let description = [{
    After it no `quern.call` is left, so that what a function computes can be fused and differentiated as a
    whole. The called functions stay. A function that calls itself, directly or through others, is an error.

    ```mlir
    quern.function @loss(%tokens: tensor<?x?xi32>, %targets: tensor<?x?xi32>) -> (tensor<f32>) {
      %logits = quern.call @forward(%tokens) : (tensor<?x?xi32>) -> tensor<?x?x256xf32>
      %loss = quern.cross_entropy %logits, %targets : tensor<?x?x256xf32>, tensor<?x?xi32>
      quern.return %loss : tensor<f32>
    }
    // becomes, with the operations of @forward
    quern.function @loss(%tokens: tensor<?x?xi32>, %targets: tensor<?x?xi32>) -> (tensor<f32>) {
      %table = quern.read @token : tensor<256x48xf32>
      ...
      %logits = quern.linear %n, %table transposed : tensor<?x?x48xf32>, tensor<256x48xf32>
      %loss = quern.cross_entropy %logits, %targets : tensor<?x?x256xf32>, tensor<?x?xi32>
      quern.return %loss : tensor<f32>
    }
    ```
  }];
  let statistics = [Statistic<"numInlined", "inlined", "calls replaced">];
  let dependentDialects = ["::quern::QuernDialect"];
}

def FuseProjections : Pass<"quern-fuse-projections"> {
  let summary = "linear maps of one tensor into one fused linear map";
  let description = [{
    Projections to queries, keys and values, or to gate and up, are one matrix product with the columns of all of
    them. Fused are the `quern.linear` of one block that read the same tensor, store their weights in the same
    order, and have all a bias or none.

    ```mlir
    %q = quern.linear %x, %wq transposed : tensor<?x?x64xf32>, tensor<64x64xf32>
    %k = quern.linear %x, %wk transposed : tensor<?x?x64xf32>, tensor<32x64xf32>
    // becomes
    %q, %k = quern.fused_linear %x weights(%wq, %wk) transposed
        : tensor<?x?x64xf32>, tensor<64x64xf32>, tensor<32x64xf32>
    ```
  }];
  let statistics = [Statistic<"numFused", "fused-linears", "fused linear maps made">,
                    Statistic<"numLinears", "linears", "linear maps that went into them">];
  let dependentDialects = ["::quern::QuernDialect"];
}

def FuseLinearCrossEntropy : Pass<"quern-fuse-linear-cross-entropy"> {
  let summary = "a linear map to logits and their cross-entropy into one operation";
  let description = [{
    When nothing but the loss reads the logits, their gradient can take their place in memory, so that no second
    [tokens x vocabulary] tensor exists in training. Logits that are reshaped to [rows, V] first are recognized as well.

    ```mlir
    %logits = quern.linear %x, %w transposed : tensor<?x?x48xf32>, tensor<256x48xf32>
    %loss = quern.cross_entropy %logits, %targets : tensor<?x?x256xf32>, tensor<?x?xi32>
    // becomes
    %loss = quern.linear_cross_entropy %x, %w, %targets transposed
        : tensor<?x?x48xf32>, tensor<256x48xf32>, tensor<?x?xi32>
    ```
  }];
  let statistics = [Statistic<"numFused", "fused", "losses fused with their linear map">];
  let dependentDialects = ["::quern::QuernDialect", "::mlir::tensor::TensorDialect"];
}

def FuseActivations : Pass<"quern-fuse-activations"> {
  let summary = "activation functions that are written out into their operations";
  let description = [{
    Recognized are SiLU (`x / (1 + exp(-x))`, `x * (1 / (1 + exp(-x)))`), GELU
    (`x/2 (1 + erf(x / sqrt(2)))`, `x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))`) and ReLU (`maximum(x, 0)`). Sums
    and products count in any order; constants may be rounded to f32.

    ```mlir
    %n = arith.negf %x : tensor<?x64xf32>
    %e = math.exp %n : tensor<?x64xf32>
    %one = quern.full 1.0 like %x : tensor<?x64xf32>
    %d = arith.addf %one, %e : tensor<?x64xf32>
    %y = arith.divf %x, %d : tensor<?x64xf32>
    // becomes
    %y = quern.silu %x : tensor<?x64xf32>
    ```
  }];
  let statistics = [Statistic<"numFused", "fused", "activation functions recognized">];
  let dependentDialects = ["::quern::QuernDialect"];
}

def FuseSwiglu : Pass<"quern-fuse-swiglu"> {
  let summary = "the product of a SiLU and another tensor into one operation";
  let description = [{
    A SiLU counts however it was written (see `quern-fuse-activations`), as long as nothing but the product reads it.

    ```mlir
    %s = quern.silu %gate : tensor<?x?x192xf32>
    %y = arith.mulf %s, %up : tensor<?x?x192xf32>
    // becomes
    %y = quern.swiglu %gate, %up : tensor<?x?x192xf32>, tensor<?x?x192xf32>
    ```
  }];
  let statistics = [Statistic<"numFused", "fused", "products fused with their SiLU">];
  let dependentDialects = ["::quern::QuernDialect"];
}

def FuseResidualNorm : Pass<"quern-fuse-residual-norm"> {
  let summary = "a residual addition and the norm of the sum into one operation";
  let description = [{
    The sum is in registers while its statistics are taken. It may have further readers, for it is the second result;
    of several norms of one sum the first is fused.

    ```mlir
    %sum = arith.addf %x, %p : tensor<?x?x48xf32>
    %n = quern.layer_norm %sum weight %w bias %b epsilon 1.0e-5 : tensor<?x?x48xf32>, tensor<48xf32>, tensor<48xf32>
    %y = arith.addf %sum, %d : tensor<?x?x48xf32>
    // becomes
    %n, %sum = quern.residual_norm layer %x, %p weight %w bias %b epsilon 1.0e-5
        : tensor<?x?x48xf32>, tensor<?x?x48xf32>, tensor<48xf32>, tensor<48xf32>
    %y = arith.addf %sum, %d : tensor<?x?x48xf32>
    ```
  }];
  let statistics = [Statistic<"numFused", "fused", "norms fused with an addition">];
  let dependentDialects = ["::quern::QuernDialect"];
}

//===- Deriving programs -------------------------------------------------------------------------===//

def Expand : Pass<"quern-expand", "::mlir::ModuleOp"> {
  let summary = "turn forward and loss into closed programs with rolled loops";
  let description = [{
    Calls are inlined, applied layers become `quern.scan` over their stacked parameters, and each parameter that is
    read becomes an argument, in the order of declaration. The program takes the place of the function.

    ```mlir
    quern.function @forward(%tokens: tensor<?x?xi32>) -> tensor<?x?x48xf32> {
      %table = quern.read @token : tensor<256x48xf32>
      %x = quern.embedding %tokens, %table : tensor<?x?xi32>, tensor<256x48xf32>
      %y = quern.apply @block(%x) : (tensor<?x?x48xf32>) -> tensor<?x?x48xf32>
      ...
    // becomes
    quern.function @forward(%tokens: tensor<?x?xi32> {quern.role = "input"},
        %token: tensor<256x48xf32> {quern.parameter = @token, quern.role = "parameter"},
        %block.proj: tensor<3x48x48xf32> {quern.parameter = @block::@proj, quern.role = "parameter"})
        -> (tensor<?x?x48xf32> {quern.name = "logits", quern.role = "output"}) attributes {program} {
      %x = quern.embedding %tokens, %token : tensor<?x?xi32>, tensor<256x48xf32>
      %y = quern.scan 3 carry (%h = %x : tensor<?x?x48xf32>) slices (%w = %block.proj : tensor<3x48x48xf32>) ...
    ```
  }];
  let options = [ListOption<"programs", "programs", "std::string",
                            "functions to expand: forward, loss (default: those that exist)">];
  let dependentDialects = ["::quern::QuernDialect", "::mlir::tensor::TensorDialect"];
}

def Derive : Pass<"quern-derive", "::mlir::ModuleOp"> {
  let summary = "derive the programs of a model from forward and loss";
  let description = [{
    Adds a `quern.function` with the attribute `program` for each program:

    - `forward`, `loss`: the functions, closed as by `quern-expand`.
    - `gradients`: the loss, then d loss / d parameter for each parameter, by reverse mode on the IR. Through a
      `quern.scan` the forward loop gives the values that the backward pass needs as stacked results, and a reverse loop
      computes the gradients. What is saved is a minimum cut by bytes between the results of matrix products and the
      backward pass; norms, activations and other cheap work are computed again. With `report`, remarks tell bytes
      and flops.
    - `train_step`: the gradients, clipped to a global norm, and AdamW's update of each parameter.

    Functions that are no programs are erased; a `forward` that was not asked for stays.

    An op without a gradient rule is an error at its place.
  }];
  let options = [
    ListOption<"programs", "programs", "std::string",
               "programs to derive: forward, loss, gradients, train_step, prefill, decode (default: all that the model allows)">,
    Option<"report", "report", "bool", /*default=*/"false",
           "remarks on what the backward pass saves and recomputes">
  ];
  let statistics = [Statistic<"numPrograms", "programs", "derived programs">,
                    Statistic<"numSaved", "saved", "values of a layer that the forward pass saves">,
                    Statistic<"numRecomputed", "recomputed", "values of a layer that the backward pass recomputes">];
  let dependentDialects = ["::quern::QuernDialect", "::mlir::arith::ArithDialect",
                           "::mlir::math::MathDialect", "::mlir::tensor::TensorDialect"];
}

def SetShapes : Pass<"quern-set-shapes", "::mlir::ModuleOp"> {
  let summary = "fix dimensions of programs by their names";
  let description = [{
    Gives dimensions that `quern.dims` names a size, in all derived programs, and infers the types in them anew,
    those in loops included. Decoders (programs with caches) keep the dimensions that they share with other programs:
    batch and sequence of training are not those of generation. An unknown name is an error that tells
    the names that there are.

    ```mlir
    // quern-opt --quern-derive --quern-set-shapes=dims=batch=4,sequence=64
    quern.function @forward(%tokens: tensor<?x?xi32> {quern.dims = ["batch", "sequence"]}, ...) -> tensor<?x?x256xf32>
    // becomes
    quern.function @forward(%tokens: tensor<4x64xi32> {quern.dims = ["batch", "sequence"]}, ...) -> tensor<4x64x256xf32>
    ```
  }];
  let options = [
    ListOption<"dims", "dims", "std::string", "sizes, such as batch=4,sequence=64">,
    Option<"decoders", "decoders", "bool", /*default=*/"false",
           "fix batch and sequence of decoders too">
  ];
  let dependentDialects = ["::quern::QuernDialect", "::mlir::arith::ArithDialect",
                           "::mlir::tensor::TensorDialect"];
}

#endif // QUERN_MODEL_PASSES_TD
