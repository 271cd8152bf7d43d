//===- TransformerOps.td - What Transformers are made of --------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_TRANSFORMER_OPS_TD
#define QUERN_TRANSFORMER_OPS_TD

include "QuernDialect.td"

def Quern_EmbeddingOp : Quern_Op<"embedding"> {
  let summary = "token embedding";
  let description = [{
    `y[b, t, :] = table[tokens[b, t], :]`; tokens [B, T] i32, table [V, C], y [B, T, C].

    (C1) tokens is a rank-2 i32 tensor. (C2) the table has rank 2.
  }];
  let arguments = (ins Quern_Tensor:$tokens, Quern_Tensor:$table);
  let results = (outs Quern_Tensor:$result);
  let assemblyFormat = "$tokens `,` $table attr-dict `:` type(operands)";
}

def Quern_PositionEmbeddingOp : Quern_Op<"position_embedding"> {
  let summary = "learned position embedding";
  let description = [{
    `y[b, t, :] = table[offset + t, :]` for the B and T of tokens [B, T]; table [P, C], y [B, T, C]; offset
    is a rank-0 i32, 0 when absent.

    (C1) tokens is a rank-2 i32 tensor. (C2) the table has rank 2. (C3) a static T is at most P.
  }];
  let arguments = (ins Quern_Tensor:$tokens, Quern_Tensor:$table, Optional<Quern_Tensor>:$offset);
  let results = (outs Quern_Tensor:$result);
  let assemblyFormat = "$tokens `,` $table (`offset` $offset^)? attr-dict `:` type(operands)";
}

def Quern_RotaryEmbeddingOp : Quern_Op<"rotary_embedding"> {
  let summary = "rotary position embedding of queries or keys";
  let description = [{
    Rotates pair i < D/2 of each head of x [B, T, H, D] by the angle `(offset + t) base^(-2i/D)` (Su et al. 2021, section 3.2).
    A pair is (x[i], x[i + D/2]) (half-split, as Hugging Face's Llama), or (x[2i], x[2i+1]) when `interleaved`
    (as the paper and llama2.c). `inverse` rotates back; it is the gradient. offset is a rank-0 i32.

    (C1) x has rank 4 with an even static head dimension. (C2) base is positive.
  }];
  let arguments = (ins Quern_Tensor:$x, Optional<Quern_Tensor>:$offset, DefaultValuedAttr<F64Attr, "10000.0">:$base,
      UnitAttr:$interleaved, UnitAttr:$inverse);
  let results = (outs Quern_Tensor:$result);
  let assemblyFormat = [{
    $x (`offset` $offset^)? (`interleaved` $interleaved^)? (`inverse` $inverse^)? (`base` $base^)? attr-dict `:` type(operands)
  }];
}

def Quern_LayerNormOp : Quern_Op<"layer_norm", [AttrSizedOperandSegments]> {
  let summary = "layer normalization over the last dimension";
  let description = [{
    `y = (x - mean(x)) / sqrt(var(x) + epsilon) * weight + bias` over the last dimension N, with the
    biased variance (Ba et al. 2016); weight and bias [N] are optional.

    (C1) weight and bias are vectors of the size of x's last dimension. (C2) epsilon is not negative.
  }];
  let arguments = (ins Quern_Tensor:$x, Optional<Quern_Tensor>:$weight, Optional<Quern_Tensor>:$bias,
      DefaultValuedAttr<F64Attr, "1.0e-5">:$epsilon);
  let results = (outs Quern_Tensor:$result);
  let assemblyFormat = [{
    $x (`weight` $weight^)? (`bias` $bias^)? (`epsilon` $epsilon^)? attr-dict `:` type(operands)
  }];
}

def Quern_RmsNormOp : Quern_Op<"rms_norm"> {
  let summary = "root mean square normalization over the last dimension";
  let description = [{
    `y = x / sqrt(mean(x^2) + epsilon) * weight` over the last dimension N (Zhang and Sennrich 2019); weight [N] is optional.

    (C1) weight is a vector of the size of x's last dimension. (C2) epsilon is not negative.
  }];
  let arguments = (ins Quern_Tensor:$x, Optional<Quern_Tensor>:$weight, DefaultValuedAttr<F64Attr, "1.0e-5">:$epsilon);
  let results = (outs Quern_Tensor:$result);
  let assemblyFormat = "$x (`weight` $weight^)? (`epsilon` $epsilon^)? attr-dict `:` type(operands)";
}

def Quern_ResidualNormOp : Quern_Op<"residual_norm", [AttrSizedOperandSegments]> {
  let summary = "residual addition and the norm of the sum";
  let description = [{
    `sum = x + residual`, `y = norm(sum)`: a layer norm or an RMS norm. What `fuse` makes of an addition and a norm.

    (C1) x and residual have the same type. (C2) weight and bias are vectors of the size of x's last dimension.
    (C3) an RMS norm has no bias. (C4) epsilon is not negative.
  }];
  let arguments = (ins Quern_Tensor:$x, Quern_Tensor:$residual, Optional<Quern_Tensor>:$weight, Optional<Quern_Tensor>:$bias,
      Quern_NormKind:$kind, F64Attr:$epsilon);
  let results = (outs Quern_Tensor:$result, Quern_Tensor:$sum);
  let assemblyFormat = [{
    $kind $x `,` $residual (`weight` $weight^)? (`bias` $bias^)? `epsilon` $epsilon attr-dict `:` type(operands)
  }];
}

def Quern_LinearOp : Quern_Op<"linear"> {
  let summary = "linear map of the last dimension";
  let description = [{
    `y = x W + b` with x [..., I], W [I, O] (GPT-2's Conv1D order), b [O], y [..., O]; with `transposed`, W is stored
    [O, I] (PyTorch's nn.Linear) and `y = x W^T + b`.

    (C1) the weight has rank 2. (C2) x's last dimension is the weight's input dimension. (C3) bias is a vector of the weight's output dimension.
  }];
  let arguments = (ins Quern_Tensor:$x, Quern_Tensor:$weight, Optional<Quern_Tensor>:$bias, UnitAttr:$transposed);
  let results = (outs Quern_Tensor:$result);
  let assemblyFormat = "$x `,` $weight (`bias` $bias^)? (`transposed` $transposed^)? attr-dict `:` type(operands)";
}

def Quern_FusedLinearOp : Quern_Op<"fused_linear", [AttrSizedOperandSegments]> {
  let summary = "several linear maps of one x";
  let description = [{
    `y_i = x W_i + b_i` for each weight, stored as in `quern.linear`: what `fuse` makes of separate projections to queries, keys and
    values, or to gate and up. There are either no biases or one for each weight.

    (C1) at least two weights, each of rank 2. (C2) x's last dimension is each weight's input dimension.
    (C3) no biases, or one vector for each weight.
  }];
  let arguments = (ins Quern_Tensor:$x, Variadic<Quern_Tensor>:$weights, Variadic<Quern_Tensor>:$biases, UnitAttr:$transposed);
  let results = (outs Variadic<Quern_Tensor>:$results);
  let assemblyFormat = [{
    $x `weights` `(` $weights `)` (`biases` `(` $biases^ `)`)? (`transposed` $transposed^)? attr-dict `:` type(operands)
  }];
}

def Quern_MatmulOp : Quern_Op<"matmul"> {
  let summary = "matrix product for each index of the leading dimensions";
  let description = [{
    `C[..., m, n] = sum over k of A[..., m, k] B[..., k, n]`; `transpose_a` and `transpose_b` swap the last two dimensions of A and B.

    (C1) A and B have equal rank, 2 or more, and equal leading dimensions. (C2) the inner dimensions agree.
  }];
  let arguments = (ins Quern_Tensor:$a, Quern_Tensor:$b, UnitAttr:$transpose_a, UnitAttr:$transpose_b);
  let results = (outs Quern_Tensor:$result);
  let assemblyFormat = [{
    $a `,` $b (`transpose_a` $transpose_a^)? (`transpose_b` $transpose_b^)? attr-dict `:` type(operands)
  }];
}

def Quern_SoftmaxOp : Quern_Op<"softmax"> {
  let summary = "softmax over the last dimension";
  let description = [{
    `y = exp(x - max(x)) / sum(exp(x - max(x)))` over the last dimension. A row of -infinity gives 0.

    (C1) x has rank 1 or more.
  }];
  let arguments = (ins Quern_Tensor:$x);
  let results = (outs Quern_Tensor:$result);
  let assemblyFormat = "$x attr-dict `:` type(operands)";
}

def Quern_AttentionOp : Quern_Op<"attention", [AttrSizedOperandSegments]> {
  let summary = "scaled dot-product attention of all heads";
  let description = [{
    `softmax(scale Q K^T + mask) V` for each batch and head (Vaswani et al. 2017, equation 1). Q [B, T, H, D], K [B, S, G, D],
    V [B, S, G, E], result [B, T, H, E]. With G < H, head h uses group h / (H / G) (grouped-query attention,
    Ainslie et al. 2023). The scale is 1 / sqrt(D) unless given.

    `causal`: query t sees keys s <= offset + t; offset is a rank-0 i32, 0 when absent. `lengths` [B] i32: batch b
    sees keys s < lengths[b]. `mask` is added to the scaled scores; its shape broadcasts to [B, H, T, S] from the right.
    A query that sees no key gets 0.

    (C1) Q, K and V have rank 4. (C2) Q and K have the same head dimension. (C3) H is a multiple of G, which K and V share.
    (C4) batch dimensions agree, and K and V have the same length. (C5) the mask broadcasts to [B, H, T, S].
    (C6) lengths is a rank-1 i32 tensor of size B. (C7) heads and head dimensions are static.
  }];
  let arguments = (ins Quern_Tensor:$q, Quern_Tensor:$k, Quern_Tensor:$v, Optional<Quern_Tensor>:$mask,
      Optional<Quern_Tensor>:$lengths, Optional<Quern_Tensor>:$offset, UnitAttr:$causal, OptionalAttr<F64Attr>:$scale);
  let results = (outs Quern_Tensor:$result);
  let assemblyFormat = [{
    $q `,` $k `,` $v (`mask` $mask^)? (`lengths` $lengths^)? (`offset` $offset^)? (`causal` $causal^)? (`scale` $scale^)?
    attr-dict `:` type(operands)
  }];
  let extraClassDeclaration = [{
    /// The scale that applies: the given one, or 1 / sqrt(D).
    double getEffectiveScale();
  }];
}

def Quern_GeluOp : Quern_Op<"gelu"> {
  let summary = "Gaussian error linear unit";
  let description = [{
    Exact: `x/2 (1 + erf(x / sqrt(2)))`; with `tanh`: `x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))` (Hendrycks and Gimpel 2016).

    (C1) x is a float tensor.
  }];
  let arguments = (ins Quern_Tensor:$x, UnitAttr:$tanh);
  let results = (outs Quern_Tensor:$result);
  let assemblyFormat = "$x (`tanh` $tanh^)? attr-dict `:` type(operands)";
}

def Quern_SiluOp : Quern_Op<"silu"> {
  let summary = "sigmoid linear unit";
  let description = "`x / (1 + exp(-x))`. (C1) x is a float tensor.";
  let arguments = (ins Quern_Tensor:$x);
  let results = (outs Quern_Tensor:$result);
  let assemblyFormat = "$x attr-dict `:` type(operands)";
}

def Quern_ReluOp : Quern_Op<"relu"> {
  let summary = "rectified linear unit";
  let description = "`max(x, 0)`. (C1) x is a float tensor.";
  let arguments = (ins Quern_Tensor:$x);
  let results = (outs Quern_Tensor:$result);
  let assemblyFormat = "$x attr-dict `:` type(operands)";
}

def Quern_SwigluOp : Quern_Op<"swiglu"> {
  let summary = "gated linear unit with SiLU";
  let description = "`silu(gate) * up` (Shazeer 2020). (C1) gate and up are float tensors of the same type.";
  let arguments = (ins Quern_Tensor:$gate, Quern_Tensor:$up);
  let results = (outs Quern_Tensor:$result);
  let assemblyFormat = "$gate `,` $up attr-dict `:` type(operands)";
}

def Quern_CrossEntropyOp : Quern_Op<"cross_entropy"> {
  let summary = "mean negative log-likelihood of targets";
  let description = [{
    `loss = mean over counted rows of logsumexp(logits[row, :]) - logits[row, target]`; logits [..., V], targets [...] i32. Rows whose
    target is `ignore_index` do not count; where none counts, the loss is 0/0, a NaN, as in PyTorch.

    (C1) targets has the shape of logits without its last dimension, and i32 elements.
  }];
  let arguments = (ins Quern_Tensor:$logits, Quern_Tensor:$targets, DefaultValuedAttr<I64Attr, "-1">:$ignore_index);
  let results = (outs Quern_Tensor:$loss);
  let assemblyFormat = "$logits `,` $targets (`ignore_index` $ignore_index^)? attr-dict `:` type(operands)";
}

def Quern_LinearCrossEntropyOp : Quern_Op<"linear_cross_entropy"> {
  let summary = "a linear map to logits and their cross-entropy";
  let description = [{
    `cross_entropy(linear(x, weight, bias), targets)`: what `fuse` makes of the two when nothing else uses the logits. Its gradient needs no
    [tokens x vocabulary] tensor beside the logits.

    (C1) as `quern.linear` (C1) to (C3). (C2) as `quern.cross_entropy` (C1).
  }];
  let arguments = (ins Quern_Tensor:$x, Quern_Tensor:$weight, Quern_Tensor:$targets, Optional<Quern_Tensor>:$bias, UnitAttr:$transposed,
      DefaultValuedAttr<I64Attr, "-1">:$ignore_index);
  let results = (outs Quern_Tensor:$loss);
  let assemblyFormat = [{
    $x `,` $weight `,` $targets (`bias` $bias^)? (`transposed` $transposed^)? (`ignore_index` $ignore_index^)? attr-dict `:` type(operands)
  }];
}

#endif // QUERN_TRANSFORMER_OPS_TD
