//===- Passes.td - Passes on models -----------------------------------------------------------===//
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

def FuseLinalg : Pass<"quern-fuse-linalg"> {
  let summary = "linalg and tensor operations that are quern operations written out";
  let description = [{
    Contractions with one dimension each for rows, columns and the sum (`linalg.matmul`, `linalg.batch_matmul`,
    `linalg.contract`, an einsum as a `linalg.generic`) into zeros become `quern.matmul` with transposes around it, where
    any are needed; `linalg.transpose` and `linalg.softmax` over the last dimension become quern's;
    `tensor.expand_shape` and `tensor.collapse_shape` of the last dimension become `quern.split_heads` and `quern.merge_heads`;
    a broadcast along a new dimension that is then merged becomes `quern.repeat`. Everything else stays as it is.

    ```mlir
    %zero = arith.constant dense<0.0> : tensor<2x8x8xf32>
    %s = linalg.batch_matmul ins(%q, %k : tensor<2x8x4xf32>, tensor<2x4x8xf32>) outs(%zero : tensor<2x8x8xf32>) -> tensor<2x8x8xf32>
    // becomes
    %s = quern.matmul %q, %k : tensor<2x8x4xf32>, tensor<2x4x8xf32>
    ```
  }];
  let dependentDialects = ["::quern::QuernDialect", "::mlir::tensor::TensorDialect"];
}

def FuseSoftmax : Pass<"quern-fuse-softmax"> {
  let summary = "a softmax that is written out into its operations";
  let description = [{
    Recognized is `exp(x - m) / sum(exp(x - m))` over the last dimension, also as a product with the reciprocal of the sum,
    with m the maximum of the row or absent, and with the division after a matrix product of the exponentials.
    Sums and maxima are `quern.sum`, `linalg.reduce` or a `linalg.generic`; rows come back to full size by
    `quern.broadcast` (after a `tensor.expand_shape`) or `linalg.broadcast`. Exponentials that something else reads stay.

    ```mlir
    %e = math.exp %x : tensor<2x8xf32>
    %s = quern.sum %e dimensions [1] : tensor<2x8xf32>
    %c = tensor.expand_shape %s [[0, 1]] output_shape [2, 1] : tensor<2xf32> into tensor<2x1xf32>
    %d = quern.broadcast %c like %e : tensor<2x1xf32>, tensor<2x8xf32>
    %y = arith.divf %e, %d : tensor<2x8xf32>
    // becomes
    %y = quern.softmax %x : tensor<2x8xf32>
    ```
  }];
  let statistics = [Statistic<"numFused", "fused", "softmaxes recognized">];
  let dependentDialects = ["::quern::QuernDialect"];
}

def FuseAttention : Pass<"quern-fuse-attention"> {
  let summary = "scaled dot-product attention, however it was written, into one operation";
  let description = [{
    Starts at the product of probabilities and values and follows the scores back to the product of queries and
    keys, through

    - constant factors of the scores (after the product) and of queries and keys (before it), also
      where these are split into heads or transposed afterwards;
    - causal masks: an `arith.select` or an addition of values that depend on `quern.causal_mask` and constants alone,
      if keys that a query may see are unchanged and others get -1e4 or less, all factors included: exp of that is 0
      beside any score below 9000;
    - one additive mask that does not depend on the scores, in any shape that broadcasts.

    Any order of batch, heads, sequence and head dimension counts; transposes cancel against those around. Keys
    and values that are repeated equally for the heads of a group become grouped-query attention. Products of rank 3 are
    attention with one head, unless queries, keys and values were merged from rank 4; those of rank 2 have one batch as well.
    Scores or probabilities that something else reads are needed by themselves, and stay.

    ```mlir
    %qt = quern.transpose %q [0, 2, 1, 3] : tensor<?x?x3x16xf32>
    %kt = quern.transpose %k [0, 2, 1, 3] : tensor<?x?x3x16xf32>
    %vt = quern.transpose %v [0, 2, 1, 3] : tensor<?x?x3x16xf32>
    %s = quern.matmul %qt, %kt transpose_b : tensor<?x3x?x16xf32>, tensor<?x3x?x16xf32>
    %scale = quern.full 0.25 like %s : tensor<?x3x?x?xf32>
    %scaled = arith.mulf %s, %scale : tensor<?x3x?x?xf32>
    %mask = quern.causal_mask like %s : tensor<?x3x?x?xf32>
    %hidden = quern.full 0xFFF0000000000000 like %s : tensor<?x3x?x?xf32>
    %masked = arith.select %mask, %scaled, %hidden : tensor<?x3x?x?xi1>, tensor<?x3x?x?xf32>
    %p = quern.softmax %masked : tensor<?x3x?x?xf32>
    %o = quern.matmul %p, %vt : tensor<?x3x?x?xf32>, tensor<?x3x?x16xf32>
    %y = quern.transpose %o [0, 2, 1, 3] : tensor<?x3x?x16xf32>
    // becomes
    %y = quern.attention %q, %k, %v causal : tensor<?x?x3x16xf32>, tensor<?x?x3x16xf32>, tensor<?x?x3x16xf32>
    ```
    A scale within 2^-20 of 1 / sqrt(D) is that, rounded to f32.
  }];
  let statistics = [Statistic<"numFused", "fused", "attentions made">,
                    Statistic<"numGrouped", "grouped", "of these, with grouped queries">];
  let dependentDialects = ["::quern::QuernDialect", "::mlir::tensor::TensorDialect"];
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

def FuseNorms : Pass<"quern-fuse-norms"> {
  let summary = "layer and RMS norms that are written out into their operations";
  let description = [{
    Recognized is `x / sqrt(mean(x^2) + epsilon)` over the last dimension, as a quotient or a product with `math.rsqrt` or a
    reciprocal: an RMS norm, or a layer norm if x is a tensor minus its own mean. Rows of statistics may be brought to full
    size at any step. A broadcast vector that multiplies the norm becomes its weight, one that is added its bias.

    ```mlir
    %xx = arith.mulf %x, %x : tensor<4x8xf32>
    %sum = quern.sum %xx dimensions [1] : tensor<4x8xf32>
    %mean = arith.mulf %sum, %eighth : tensor<4xf32>
    %shifted = arith.addf %mean, %epsilon : tensor<4xf32>
    %r = math.rsqrt %shifted : tensor<4xf32>
    %column = tensor.expand_shape %r [[0, 1]] output_shape [4, 1] : tensor<4xf32> into tensor<4x1xf32>
    %rs = quern.broadcast %column like %x : tensor<4x1xf32>, tensor<4x8xf32>
    %y = arith.mulf %x, %rs : tensor<4x8xf32>
    // becomes
    %y = quern.rms_norm %x epsilon 1.0e-6 : tensor<4x8xf32>
    ```
  }];
  let statistics = [Statistic<"numFused", "fused", "norms recognized">];
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
    - `train_step`: the gradients, clipped to a global norm, and AdamW's update of each parameter. With `clip=false` it never clips: it has
      neither the option `clip` nor the output `gradient_norm`, and each update depends on its own gradient alone.
    - `prefill`, `decode`: the forward pass for positions that begin at the argument `position`, with caches of keys and
      values, `cache.<layers>.<number>.keys` and `.values`, [layers, batch, capacity, heads, size]; decode takes one
      position. The sequence, the dimension of that name of an input, is followed through the program:
      causal self-attention appends to the caches and sees them, embeddings of positions get an offset, and anything else that looks
      across the sequence is an error, or a remark where decoders were not asked for. Results that go along the sequence are
      those of the last position alone, and what only they need is computed for it alone.
    - `generate`: `decode` whose token is drawn by `quern.sample`, with the options `temperature`, `top_k`, `top_p` and `seed`, from the
      first result of forward, which must be logits. The token takes the place of the one it was computed from, and `position` and `index`, the number
      of the draw, count on, all in place: the next run needs nothing from outside. The result `drawn` tells the token.

    Functions that are no programs are erased; a `forward` that was not asked for stays.

    An op without a gradient rule is an error at its place.
  }];
  let options = [
    ListOption<"programs", "programs", "std::string",
               "programs to derive: forward, loss, gradients, train_step, prefill, decode, generate (default: all that the model allows)">,
    Option<"clip", "clip", "bool", /*default=*/"true",
           "train_step clips gradients to a global norm, its option `clip`">,
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
