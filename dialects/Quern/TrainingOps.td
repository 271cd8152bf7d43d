//===- TrainingOps.td - What derived programs are made of -------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_TRAINING_OPS_TD
#define QUERN_TRAINING_OPS_TD

include "QuernDialect.td"

//===- Gradients ---------------------------------------------------------------------------------===//

def Quern_EmbeddingBackwardOp : Quern_Op<"embedding_backward"> {
  let summary = "gradient of a token table";
  let description = [{
    `dtable[v, :] = sum over b, t with tokens[b, t] = v of dY[b, t, :]`, plus `init` when given; [rows, C].

    (C1) tokens [B, T] are i32 and the gradient is [B, T, C]. (C2) rows is positive. (C3) init is [rows, C].
  }];
  let arguments = (ins Quern_Tensor:$tokens, Quern_Tensor:$gradient, Optional<Quern_Tensor>:$init, I64Attr:$rows);
  let results = (outs Quern_Tensor:$result);
  let assemblyFormat = "$tokens `,` $gradient (`init` $init^)? `rows` $rows attr-dict `:` type(operands)";
}

def Quern_PositionEmbeddingBackwardOp : Quern_Op<"position_embedding_backward"> {
  let summary = "gradient of a position table";
  let description = "`dtable[t, :] = sum over b of dY[b, t, :]` for t < T, 0 for other rows, plus `init` when given; [rows, C]. "
      "(C1) the gradient is [B, T, C]. (C2) rows is positive. (C3) init is [rows, C].";
  let arguments = (ins Quern_Tensor:$gradient, Optional<Quern_Tensor>:$init, I64Attr:$rows);
  let results = (outs Quern_Tensor:$result);
  let assemblyFormat = "$gradient (`init` $init^)? `rows` $rows attr-dict `:` type(operands)";
}

def Quern_NormBackwardOp : Quern_Op<"norm_backward", [AttrSizedOperandSegments]> {
  let summary = "gradients of a layer or RMS norm";
  let description = [{
    With xhat the normalized x, r = 1 / sqrt(var(x) + epsilon) (rms: of the mean square), g = dY * weight:
    layer: `dX = r (g - mean(g) - xhat mean(g xhat))`; rms: `dX = r (g - xhat mean(g xhat))`; `dweight = sum over rows of dY xhat`,
    `dbias = sum over rows of dY`. `addend`, when given, is added to dX: the gradient that reaches x past the norm.
    Results: dX, then dweight if there is a weight, then dbias if `has_bias`.

    (C1) x, gradient and addend have one type. (C2) weight is a vector of the size of x's last dimension.
  }];
  let arguments = (ins Quern_Tensor:$x, Quern_Tensor:$gradient, Optional<Quern_Tensor>:$weight, Optional<Quern_Tensor>:$addend,
      Quern_NormKind:$kind, F64Attr:$epsilon, UnitAttr:$has_bias);
  let results = (outs Variadic<Quern_Tensor>:$results);
  let assemblyFormat = [{
    $kind $x `,` $gradient (`weight` $weight^)? (`addend` $addend^)? `epsilon` $epsilon (`has_bias` $has_bias^)? attr-dict `:` type(operands)
  }];
}

def Quern_LinearWeightGradientOp : Quern_Op<"linear_weight_gradient"> {
  let summary = "gradient of a linear map's weight";
  let description = [{
    `dW[i, o] = sum over ... of x[..., i] dY[..., o]`; [O, I] when `transposed`; plus `init` when given.

    (C1) x and gradient agree in all dimensions but the last. (C2) init has the result's type.
  }];
  let arguments = (ins Quern_Tensor:$x, Quern_Tensor:$gradient, Optional<Quern_Tensor>:$init, UnitAttr:$transposed);
  let results = (outs Quern_Tensor:$result);
  let assemblyFormat = "$x `,` $gradient (`init` $init^)? (`transposed` $transposed^)? attr-dict `:` type(operands)";
}

def Quern_SoftmaxBackwardOp : Quern_Op<"softmax_backward"> {
  let summary = "gradient of softmax from its result y";
  let description = "`dX = y * (dY - sum(dY * y))` over the last dimension. (C1) y and gradient have one type.";
  let arguments = (ins Quern_Tensor:$y, Quern_Tensor:$gradient);
  let results = (outs Quern_Tensor:$result);
  let assemblyFormat = "$y `,` $gradient attr-dict `:` type(operands)";
}

def Quern_AttentionForwardOp : Quern_Op<"attention_forward", [AttrSizedOperandSegments]> {
  let summary = "attention that also returns the log-sum-exp of its rows";
  let description = [{
    As `quern.attention` (its constraints hold), with the log-sum-exp [B, H, T] of the masked, scaled scores, from which the
    backward pass recomputes the probabilities tile by tile (Dao et al. 2022).
  }];
  let arguments = (ins Quern_Tensor:$q, Quern_Tensor:$k, Quern_Tensor:$v, Optional<Quern_Tensor>:$mask,
      Optional<Quern_Tensor>:$lengths, UnitAttr:$causal, F64Attr:$scale);
  let results = (outs Quern_Tensor:$result, Quern_Tensor:$lse);
  let assemblyFormat = [{
    $q `,` $k `,` $v (`mask` $mask^)? (`lengths` $lengths^)? (`causal` $causal^)? `scale` $scale attr-dict `:` type(operands)
  }];
}

def Quern_AttentionBackwardOp : Quern_Op<"attention_backward", [AttrSizedOperandSegments]> {
  let summary = "gradients of attention";
  let description = [{
    With P = exp(scale Q K^T + mask - lse), D = rowsum(dO * O): `dV = P^T dO`, `dS = P * (dO V^T - D)`,
    `dQ = scale dS K`, `dK = scale dS^T Q`; groups sum over their heads. Results: dQ, dK, dV.

    (C1) Q, K and V have rank 4. (C2) O and gradient have the shape of attention's result. (C3) lse is [B, H, T].
  }];
  let arguments = (ins Quern_Tensor:$q, Quern_Tensor:$k, Quern_Tensor:$v, Quern_Tensor:$o, Quern_Tensor:$lse, Quern_Tensor:$gradient,
      Optional<Quern_Tensor>:$mask, Optional<Quern_Tensor>:$lengths, UnitAttr:$causal, F64Attr:$scale);
  let results = (outs Quern_Tensor:$dq, Quern_Tensor:$dk, Quern_Tensor:$dv);
  let assemblyFormat = [{
    $q `,` $k `,` $v `,` $o `,` $lse `,` $gradient (`mask` $mask^)? (`lengths` $lengths^)? (`causal` $causal^)? `scale` $scale
    attr-dict `:` type(operands)
  }];
}

def Quern_ActivationBackwardOp : Quern_Op<"activation_backward"> {
  let summary = "gradient of an activation function from its input";
  let description = "`dX = dY * f'(x)` with f one of `gelu`, `gelu_tanh`, `silu`, `relu` (derivative 0 at 0). "
      "(C1) x and gradient have one type. (C2) the function is one of these.";
  let arguments = (ins Quern_Tensor:$x, Quern_Tensor:$gradient, StrAttr:$function);
  let results = (outs Quern_Tensor:$result);
  let assemblyFormat = "$function $x `,` $gradient attr-dict `:` type(operands)";
}

def Quern_SwigluBackwardOp : Quern_Op<"swiglu_backward"> {
  let summary = "gradients of SwiGLU";
  let description = "With s = 1 / (1 + exp(-gate)): `dgate = dY up s (1 + gate (1 - s))`, `dup = dY gate s`. (C1) gate, up and gradient have one type.";
  let arguments = (ins Quern_Tensor:$gate, Quern_Tensor:$up, Quern_Tensor:$gradient);
  let results = (outs Quern_Tensor:$dgate, Quern_Tensor:$dup);
  let assemblyFormat = "$gate `,` $up `,` $gradient attr-dict `:` type(operands)";
}

def Quern_CrossEntropyBackwardOp : Quern_Op<"cross_entropy_backward"> {
  let summary = "gradient of the logits";
  let description = "`dlogits = (softmax(logits) - onehot(targets)) * dloss / count`, 0 in ignored rows. "
      "(C1) as `quern.cross_entropy` (C1). (C2) dloss has rank 0.";
  let arguments = (ins Quern_Tensor:$logits, Quern_Tensor:$targets, Quern_Tensor:$gradient, I64Attr:$ignore_index);
  let results = (outs Quern_Tensor:$result);
  let assemblyFormat = "$logits `,` $targets `,` $gradient `ignore_index` $ignore_index attr-dict `:` type(operands)";
}

def Quern_LinearCrossEntropyGradientOp : Quern_Op<"linear_cross_entropy_gradient", [AttrSizedOperandSegments]> {
  let summary = "loss of a linear map to logits, with its gradients";
  let description = [{
    The loss of `quern.linear_cross_entropy`, and in the same pass `dX = G W^T`, `dW = x^T G` (plus `init` when given) and with a bias
    `db = sum of rows of G`, G being the gradient of the logits times `gradient` (rank 0: the gradient of the loss). G replaces the logits in
    memory. Results: loss, dX, dW, and db if there is a bias.

    (C1) as `quern.linear` (C1) to (C3). (C2) as `quern.cross_entropy` (C1). (C3) gradient has rank 0, init the weight's type.
  }];
  let arguments = (ins Quern_Tensor:$x, Quern_Tensor:$weight, Quern_Tensor:$targets, Quern_Tensor:$gradient,
      Optional<Quern_Tensor>:$bias, Optional<Quern_Tensor>:$init, UnitAttr:$transposed, I64Attr:$ignore_index);
  let results = (outs Variadic<Quern_Tensor>:$results);
  let assemblyFormat = [{
    $x `,` $weight `,` $targets `,` $gradient (`bias` $bias^)? (`init` $init^)? (`transposed` $transposed^)? `ignore_index` $ignore_index
    attr-dict `:` type(operands)
  }];
}

def Quern_RepeatBackwardOp : Quern_Op<"repeat_backward"> {
  let summary = "gradient of repeat";
  let description = "`dX[..., i, ...] = sum over j < times of dY[..., i times + j, ...]` along `dimension`. "
      "(C1) dimension is one of the gradient's and static. (C2) times is positive and divides it.";
  let arguments = (ins Quern_Tensor:$gradient, I64Attr:$dimension, I64Attr:$times);
  let results = (outs Quern_Tensor:$result);
  let assemblyFormat = "$gradient `dimension` $dimension `times` $times attr-dict `:` type(operands)";
}

def Quern_BroadcastBackwardOp : Quern_Op<"broadcast_backward"> {
  let summary = "gradient of broadcast";
  let description = "Sums dY over the dimensions that broadcasting repeated; the result has the shape of `like`, of which nothing else is read. "
      "(C1) `like` broadcasts to the gradient.";
  let arguments = (ins Quern_Tensor:$gradient, Quern_Tensor:$like);
  let results = (outs Quern_Tensor:$result);
  let assemblyFormat = "$gradient `like` $like attr-dict `:` type(operands)";
}

def Quern_SumBackwardOp : Quern_Op<"sum_backward"> {
  let summary = "gradient of sum";
  let description = "`dX = dY`, repeated along `dimensions` to the shape of `like`, of which nothing else is read. "
      "(C1) the gradient has the shape of the sum of `like` over `dimensions`.";
  let arguments = (ins Quern_Tensor:$gradient, Quern_Tensor:$like, DenseI64ArrayAttr:$dimensions);
  let results = (outs Quern_Tensor:$result);
  let assemblyFormat = "$gradient `like` $like `dimensions` $dimensions attr-dict `:` type(operands)";
}

//===- Optimizer ---------------------------------------------------------------------------------===//

def Quern_SquaredNormOp : Quern_Op<"squared_norm"> {
  let summary = "sum of squares of all elements of all tensors";
  let description = "`sum over i of sum of x_i^2`, rank 0. (C1) at least one float tensor, all of one element type.";
  let arguments = (ins Variadic<Quern_Tensor>:$inputs);
  let results = (outs Quern_Tensor:$result);
  let assemblyFormat = "$inputs attr-dict `:` type(operands)";
}

def Quern_AdamWOp : Quern_Op<"adamw"> {
  let summary = "AdamW update of one parameter";
  let description = [{
    Loshchilov and Hutter 2019, algorithm 2, as PyTorch computes it. With g = gradient * scale:
    `m' = beta1 m + (1 - beta1) g`, `v' = beta2 v + (1 - beta2) g^2`,
    `p' = p (1 - learning_rate weight_decay) - learning_rate (m' / (1 - beta1^step)) / (sqrt(v' / (1 - beta2^step)) + epsilon)`.
    The options are rank-0 f64; scale, the clipping factor, has rank 0 and the parameter's element type; without it g is the gradient. Results: p', m', v'.

    (C1) parameter, gradient and moments have one type. (C2) options and scale have rank 0.
  }];
  let arguments = (ins Quern_Tensor:$parameter, Quern_Tensor:$gradient, Quern_Tensor:$first_moment, Quern_Tensor:$second_moment,
      Optional<Quern_Tensor>:$scale, Quern_Tensor:$learning_rate, Quern_Tensor:$beta1, Quern_Tensor:$beta2, Quern_Tensor:$epsilon,
      Quern_Tensor:$weight_decay, Quern_Tensor:$step);
  let results = (outs Quern_Tensor:$new_parameter, Quern_Tensor:$new_first_moment, Quern_Tensor:$new_second_moment);
  let assemblyFormat = [{
    $parameter `,` $gradient `moments` $first_moment `,` $second_moment (`scale` $scale^)?
    `options` $learning_rate `,` $beta1 `,` $beta2 `,` $epsilon `,` $weight_decay `,` $step attr-dict `:` type(operands)
  }];
}

//===- Decoding ----------------------------------------------------------------------------------===//

def Quern_CacheAppendOp : Quern_Op<"cache_append"> {
  let summary = "a cache with new keys or values in it";
  let description = [{
    The cache [B, capacity, ...] with `x` [B, T, ...] at positions offset ... offset + T - 1; offset is a rank-0 i32. The buffer of the cache is updated in place.

    (C1) x and cache agree in all dimensions but the second. (C2) offset is a rank-0 i32.
  }];
  let arguments = (ins Quern_Tensor:$cache, Quern_Tensor:$x, Quern_Tensor:$offset);
  let results = (outs Quern_Tensor:$result);
  let assemblyFormat = "$cache `,` $x `offset` $offset attr-dict `:` type(operands)";
}

def Quern_LastOp : Quern_Op<"last"> {
  let summary = "the last element along one dimension";
  let description = [{
    `y = x[..., n - 1 : n, ...]` along `dimension`, which has n elements in x and one in y: what is left of a prompt when only its next token matters.

    (C1) dimension is one of x's, and not known to be empty.
  }];
  let arguments = (ins Quern_Tensor:$x, I64Attr:$dimension);
  let results = (outs Quern_Tensor:$result);
  let assemblyFormat = "$x `dimension` $dimension attr-dict `:` type(operands)";
}

def Quern_SampleOp : Quern_Op<"sample"> {
  let summary = "a token drawn from logits";
  let description = [{
    For each row of logits [..., V]: token v has the weight `w_v = exp((l_v - max l) / temperature)`. In the order of falling logits, lower ids
    first among equals, the first top_k tokens are kept (0: all), and of these the shortest prefix whose weights reach top_p times their sum
    (Holtzman et al. 2020). With u in [0, 1), `token` is the first kept one at which the weights, added up in that order, exceed u times the sum of
    all kept ones. With a temperature of 0 it is the first token of the order. Weights below 2^-40 may count as 0.

    u has 53 bits, of words 0 and 1 of Philox 4x32-10 (Salmon et al. 2011) under the key (low, high word of seed) and the counter (low, high word of
    index, row, 2). Where a logit is a NaN, `token` is -1. `next` is `token`, but 0 in place of -1, so that a step which goes on from it reads a row of
    its table.

    (C1) logits are f32, bf16 or f16 with a static last dimension of 1 to 2^22. (C2) temperature and top_p are rank-0 f64.
    (C3) top_k, seed and index are rank-0 i64.
  }];
  let arguments = (ins Quern_Tensor:$logits, Quern_Tensor:$temperature, Quern_Tensor:$top_k, Quern_Tensor:$top_p, Quern_Tensor:$seed,
      Quern_Tensor:$index);
  let results = (outs Quern_Tensor:$token, Quern_Tensor:$next);
  let assemblyFormat = [{
    $logits `temperature` $temperature `top_k` $top_k `top_p` $top_p `seed` $seed `index` $index attr-dict `:` type(operands)
  }];
}

#endif // QUERN_TRAINING_OPS_TD
