//===- KernelOps.td - Kernel operations -------------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_KERNEL_OPS_TD
#define QUERN_KERNEL_OPS_TD

include "KernelDialect.td"
include "mlir/IR/EnumAttr.td"
include "mlir/Interfaces/DestinationStyleOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def Kernel_Activation : I32EnumAttr<"Activation", "what a gemm applies to its accumulators", [
    I32EnumAttrCase<"None", 0, "none">, I32EnumAttrCase<"Relu", 1, "relu">,
    I32EnumAttrCase<"GeluTanh", 2, "gelu_tanh">, I32EnumAttrCase<"GeluErf", 3, "gelu_erf">,
    I32EnumAttrCase<"Silu", 4, "silu">]> {
  let cppNamespace = "::quern::kernel";
}
def Kernel_NormKind : I32EnumAttr<"NormKind", "which normalization", [
    I32EnumAttrCase<"Layer", 0, "layer">, I32EnumAttrCase<"Rms", 1, "rms">]> {
  let cppNamespace = "::quern::kernel";
}

def Kernel_Buffer : AnyTypeOf<[AnyRankedTensor, AnyStridedMemRef], "ranked tensor or strided memref">;

/// A kernel: named inputs first, then `outputs`, which are written (and read, where an op says so).
class Kernel_Op<string mnemonic, list<Trait> traits = []>
    : Op<Kernel_Dialect, mnemonic, traits # [DestinationStyleOpInterface,
         DeclareOpInterfaceMethods<MemoryEffectsOpInterface>]> {
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let hasVerifier = 1;
  code declarations = [{
    ::mlir::MutableOperandRange getDpsInitsMutable() { return getOutputsMutable(); }
  }];
  let extraClassDeclaration = declarations;
}

def Kernel_GemmOp : Kernel_Op<"gemm", [AttrSizedOperandSegments]> {
  let summary = "matrix product with an epilogue";
  let description = [{
    `C = activation(op(A) op(B) + bias) + residual`, plus the old C when `accumulate` is set;
    the optional second output receives `op(A) op(B) + bias`, what a backward pass needs.

    | | without transpose_a | with transpose_a (a weight gradient) |
    |---|---|---|
    | A | [..., K], the leading dimensions flattened to M | [..., M], the leading ones flattened to K |
    | B | [K, N]; [N, K] with transpose_b | [..., N], the leading dimensions flattened to K |
    | C, residual, second output | [..., N] | [M, N] |

    bias is [N]. Accumulation is in f32 (f64 for f64). `accumulate` excludes the other epilogues.
    Where C is f32 or bf16, each operand may be either: it is widened as it is loaded, and results are rounded once. Targets may ask
    for A and B of one type. Where both are bf16, a target may multiply pairs of them by an instruction that takes denormal numbers
    as 0 and gives 0 for them, in factors and sums: that is less than K * 2^-126 (1 + max|A| + max|B|) in C, beside the roundings of
    a sum of K products, in another order.
  }];
  let arguments = (ins Kernel_Buffer:$a, Kernel_Buffer:$b, Optional<Kernel_Buffer>:$bias,
      Optional<Kernel_Buffer>:$residual, Variadic<Kernel_Buffer>:$outputs,
      UnitAttr:$transpose_a, UnitAttr:$transpose_b, UnitAttr:$accumulate,
      DefaultValuedAttr<Kernel_Activation, "Activation::None">:$activation);
  let assemblyFormat = [{
    $a `,` $b (`bias` $bias^)? (`residual` $residual^)? `into` $outputs attr-dict
    `:` functional-type(operands, results)
  }];
}

def Kernel_BatchGemmOp : Kernel_Op<"batch_gemm"> {
  let summary = "matrix product for each index of the leading dimensions";
  let description = [{
    `C[i] = op(A[i]) op(B[i])` with A [..., M, K], B [..., K, N], C [..., M, N]; transposes swap the
    last two dimensions. All leading dimensions are equal.
  }];
  let arguments = (ins Kernel_Buffer:$a, Kernel_Buffer:$b, Variadic<Kernel_Buffer>:$outputs,
      UnitAttr:$transpose_a, UnitAttr:$transpose_b);
  let assemblyFormat = "$a `,` $b `into` $outputs attr-dict `:` functional-type(operands, results)";
}

def Kernel_AttentionOp : Kernel_Op<"attention", [AttrSizedOperandSegments]> {
  let summary = "scaled dot-product attention, by tiles";
  let description = [{
    `O = softmax(scale Q K^T + mask) V` for each batch and head (Vaswani et al. 2017, section 3.2.1), with an
    online softmax (Milakov and Gimelshein 2018; Dao et al. 2022). Q [B, T, H, D], K [B, S, G, D],
    V [B, S, G, E], O [B, T, H, E]; H is a multiple of G, head h reads K and V of group h / (H / G).
    The optional second output is the log-sum-exp (natural logarithm) of each row, [B, H, T].

    Key s is visible to query t when s <= offset + t (`causal`; offset is a rank-0 i32, 0 when absent),
    and s < lengths[b] (rank-1 i32, when present). mask is added to the scaled scores and
    broadcasts to [B, H, T, S] from the right (dimensions of size 1 repeat). A row without any visible
    key gives O = 0 and log-sum-exp = -infinity.
  }];
  let arguments = (ins Kernel_Buffer:$q, Kernel_Buffer:$k, Kernel_Buffer:$v,
      Optional<Kernel_Buffer>:$mask, Optional<Kernel_Buffer>:$lengths, Optional<Kernel_Buffer>:$offset,
      Variadic<Kernel_Buffer>:$outputs, UnitAttr:$causal, F64Attr:$scale);
  let assemblyFormat = [{
    $q `,` $k `,` $v (`mask` $mask^)? (`lengths` $lengths^)? (`offset` $offset^)? `into` $outputs
    attr-dict `:` functional-type(operands, results)
  }];
}

def Kernel_AttentionBackwardOp : Kernel_Op<"attention_backward", [AttrSizedOperandSegments]> {
  let summary = "gradients of attention with respect to Q, K and V";
  let description = [{
    With P = exp(scale Q K^T + mask - lse) and D = rowsum(dO * O): `dV = P^T dO`,
    `dS = P * (dO V^T - D)`, `dQ = scale dS K`, `dK = scale dS^T Q`; K and V of a group sum over its
    heads. Shapes as in `kernel.attention`; outputs dQ, dK, dV, and D [B, H, T], which targets that compute dQ and dK
    apart need in both. No offset: training sees whole sequences.
  }];
  let arguments = (ins Kernel_Buffer:$q, Kernel_Buffer:$k, Kernel_Buffer:$v, Kernel_Buffer:$o,
      Kernel_Buffer:$lse, Kernel_Buffer:$gradient, Optional<Kernel_Buffer>:$mask,
      Optional<Kernel_Buffer>:$lengths, Variadic<Kernel_Buffer>:$outputs, UnitAttr:$causal, F64Attr:$scale);
  let assemblyFormat = [{
    $q `,` $k `,` $v `,` $o `,` $lse `,` $gradient (`mask` $mask^)? (`lengths` $lengths^)?
    `into` $outputs attr-dict `:` functional-type(operands, results)
  }];
}

def Kernel_NormOp : Kernel_Op<"norm", [AttrSizedOperandSegments]> {
  let summary = "layer or RMS normalization over the last dimension";
  let description = [{
    With s = x + residual (s = x without one), over the last dimension of size N:
    layer (Ba et al. 2016): `y = (s - mean(s)) / sqrt(var(s) + epsilon) * weight + bias`, variance over N;
    rms (Zhang and Sennrich 2019): `y = s / sqrt(mean(s^2) + epsilon) * weight`.
    weight and bias are [N] and optional. Outputs: y, and with a residual also s.
  }];
  let arguments = (ins Kernel_Buffer:$x, Optional<Kernel_Buffer>:$residual, Optional<Kernel_Buffer>:$weight,
      Optional<Kernel_Buffer>:$bias, Variadic<Kernel_Buffer>:$outputs, Kernel_NormKind:$kind, F64Attr:$epsilon);
  let assemblyFormat = [{
    $kind $x (`residual` $residual^)? (`weight` $weight^)? (`bias` $bias^)? `into` $outputs attr-dict
    `:` functional-type(operands, results)
  }];
}

def Kernel_NormBackwardOp : Kernel_Op<"norm_backward", [AttrSizedOperandSegments]> {
  let summary = "gradients of a normalization; statistics are recomputed from x";
  let description = [{
    With xhat the normalized x, r = 1 / sqrt(var + epsilon) (rms: of the mean square), g = dY * weight:
    layer: `dX = r (g - mean(g) - xhat mean(g xhat))`; rms: `dX = r (g - xhat mean(g xhat))`;
    `dweight = sum over rows of dY xhat`, `dbias = sum over rows of dY`. `addend` (shape of x), when present, is
    added to dX: the gradient that reaches x past the norm. Outputs: dX, then dweight, then dbias, the
    last two as far as the norm has them.
  }];
  let arguments = (ins Kernel_Buffer:$x, Kernel_Buffer:$gradient, Optional<Kernel_Buffer>:$weight,
      Optional<Kernel_Buffer>:$addend, Variadic<Kernel_Buffer>:$outputs, Kernel_NormKind:$kind, F64Attr:$epsilon);
  let assemblyFormat = [{
    $kind $x `,` $gradient (`weight` $weight^)? (`addend` $addend^)? `into` $outputs attr-dict
    `:` functional-type(operands, results)
  }];
}

def Kernel_SoftmaxOp : Kernel_Op<"softmax"> {
  let summary = "softmax over the last dimension";
  let description = "`y = exp(x - max(x)) / sum(exp(x - max(x)))` over the last dimension. A row of -infinity gives 0.";
  let arguments = (ins Kernel_Buffer:$x, Variadic<Kernel_Buffer>:$outputs);
  let assemblyFormat = "$x `into` $outputs attr-dict `:` functional-type(operands, results)";
}

def Kernel_SoftmaxBackwardOp : Kernel_Op<"softmax_backward"> {
  let summary = "gradient of softmax from its result";
  let description = "`dX = y * (dY - sum(dY * y))` over the last dimension.";
  let arguments = (ins Kernel_Buffer:$y, Kernel_Buffer:$gradient, Variadic<Kernel_Buffer>:$outputs);
  let assemblyFormat = "$y `,` $gradient `into` $outputs attr-dict `:` functional-type(operands, results)";
}

def Kernel_EmbeddingOp : Kernel_Op<"embedding", [AttrSizedOperandSegments]> {
  let summary = "rows of a table, plus rows of a position table";
  let description = [{
    `y[b, t, :] = table[tokens[b, t], :] + positions[offset + t, :]`; tokens [B, T] i32, tables [rows, C],
    offset a rank-0 i32 (0 when absent), y [B, T, C]. Token ids are in range: the runtime checks them.
  }];
  let arguments = (ins Kernel_Buffer:$tokens, Kernel_Buffer:$table, Optional<Kernel_Buffer>:$positions,
      Optional<Kernel_Buffer>:$offset, Variadic<Kernel_Buffer>:$outputs);
  let assemblyFormat = [{
    $tokens `,` $table (`positions` $positions^)? (`offset` $offset^)? `into` $outputs attr-dict
    `:` functional-type(operands, results)
  }];
}

def Kernel_PositionEmbeddingOp : Kernel_Op<"position_embedding", [AttrSizedOperandSegments]> {
  let summary = "rows of a position table for each sequence";
  let description = "`y[b, t, :] = table[offset + t, :]`; y [B, T, C], offset a rank-0 i32 (0 when absent).";
  let arguments = (ins Kernel_Buffer:$table, Optional<Kernel_Buffer>:$offset, Variadic<Kernel_Buffer>:$outputs);
  let assemblyFormat = [{
    $table (`offset` $offset^)? `into` $outputs attr-dict `:` functional-type(operands, results)
  }];
}

def Kernel_EmbeddingBackwardOp : Kernel_Op<"embedding_backward"> {
  let summary = "deterministic scatter-add of token gradients into a table";
  let description = [{
    `dtable[v, :] = sum over b, t with tokens[b, t] = v of dY[b, t, :]`, in the order of b, t for each row
    whatever the number of threads; added to the old dtable with `accumulate`.
  }];
  let arguments = (ins Kernel_Buffer:$tokens, Kernel_Buffer:$gradient, Variadic<Kernel_Buffer>:$outputs,
      UnitAttr:$accumulate);
  let assemblyFormat = "$tokens `,` $gradient `into` $outputs attr-dict `:` functional-type(operands, results)";
}

def Kernel_PositionEmbeddingBackwardOp : Kernel_Op<"position_embedding_backward"> {
  let summary = "gradient of a position table";
  let description = [{
    `dtable[t, :] = sum over b of dY[b, t, :]`, rows t >= T are 0; added to the old dtable with `accumulate`.
  }];
  let arguments = (ins Kernel_Buffer:$gradient, Variadic<Kernel_Buffer>:$outputs, UnitAttr:$accumulate);
  let assemblyFormat = "$gradient `into` $outputs attr-dict `:` functional-type(operands, results)";
}

def Kernel_RotaryOp : Kernel_Op<"rotary", [AttrSizedOperandSegments]> {
  let summary = "rotary position embedding";
  let description = [{
    Rotates pairs of x [B, T, H, D] by the angle a = (offset + t) base^(-2i/D), i < D/2 (Su et al. 2021):
    (u, v) -> (u cos a - v sin a, u sin a + v cos a); pair i is (x[2i], x[2i+1]) when `interleaved`, else
    (x[i], x[i + D/2]). `inverse` rotates by -a, which is the gradient.
  }];
  let arguments = (ins Kernel_Buffer:$x, Optional<Kernel_Buffer>:$offset, Variadic<Kernel_Buffer>:$outputs,
      F64Attr:$base, UnitAttr:$interleaved, UnitAttr:$inverse);
  let assemblyFormat = [{
    $x (`offset` $offset^)? `into` $outputs attr-dict `:` functional-type(operands, results)
  }];
}

def Kernel_CountTargetsOp : Kernel_Op<"count_targets"> {
  let summary = "how many targets count in a mean";
  let description = "The number of elements of targets (i32, any shape) that differ from ignore_index, as a rank-0 float.";
  let arguments = (ins Kernel_Buffer:$targets, Variadic<Kernel_Buffer>:$outputs, I64Attr:$ignore_index);
  let assemblyFormat = "$targets `into` $outputs attr-dict `:` functional-type(operands, results)";
}

def Kernel_CrossEntropyOp : Kernel_Op<"cross_entropy"> {
  let summary = "mean negative log-likelihood";
  let description = [{
    `loss = sum over counted rows of (logsumexp(logits[row]) - logits[row, target]) / count`; logits [..., V],
    targets [...] i32, count a rank-0 float (`kernel.count_targets`), loss rank 0. Rows whose target is
    ignore_index do not count. The sum over rows is taken in a fixed order. A count of 0 gives 0/0, a NaN, as in PyTorch.
  }];
  let arguments = (ins Kernel_Buffer:$logits, Kernel_Buffer:$targets, Kernel_Buffer:$count,
      Variadic<Kernel_Buffer>:$outputs, I64Attr:$ignore_index);
  let assemblyFormat = "$logits `,` $targets `,` $count `into` $outputs attr-dict `:` functional-type(operands, results)";
}

def Kernel_CrossEntropyGradientOp : Kernel_Op<"cross_entropy_gradient"> {
  let summary = "loss and gradient of the logits, which replaces them in place";
  let description = [{
    Outputs: loss (rank 0, as in `kernel.cross_entropy`), and a [..., V] tensor that holds the logits on
    entry and `(softmax(logits) - onehot(target)) * seed / count` on exit (0 in ignored rows); so the gradient never
    stands beside the logits. seed (rank 0) is the gradient of the loss.
  }];
  let arguments = (ins Kernel_Buffer:$targets, Kernel_Buffer:$count, Kernel_Buffer:$seed,
      Variadic<Kernel_Buffer>:$outputs, I64Attr:$ignore_index);
  let assemblyFormat = "$targets `,` $count `,` $seed `into` $outputs attr-dict `:` functional-type(operands, results)";
}

def Kernel_SumRowsOp : Kernel_Op<"sum_rows"> {
  let summary = "sum over all dimensions but the last, in a fixed order";
  let description = "`y[n] = sum over ... of x[..., n]`: the gradient of a bias.";
  let arguments = (ins Kernel_Buffer:$x, Variadic<Kernel_Buffer>:$outputs);
  let assemblyFormat = "$x `into` $outputs attr-dict `:` functional-type(operands, results)";
}

def Kernel_SquaredNormOp : Kernel_Op<"squared_norm", [AttrSizedOperandSegments]> {
  let summary = "sum of the squares of all elements of all inputs, in a fixed order";
  let description = "Output: one rank-0 float. Partial sums have a fixed size, so the bits do not depend on threads.";
  let arguments = (ins Variadic<Kernel_Buffer>:$inputs, Variadic<Kernel_Buffer>:$outputs);
  let assemblyFormat = "$inputs `into` $outputs attr-dict `:` functional-type(operands, results)";
}

def Kernel_AdamWOp : Kernel_Op<"adamw", [AttrSizedOperandSegments]> {
  let summary = "AdamW update of parameters, in place";
  let description = [{
    Loshchilov and Hutter 2019, algorithm 2, in the form that PyTorch uses. For each parameter, with g = gradient * scale:
    `m = beta1 m + (1 - beta1) g`, `v = beta2 v + (1 - beta2) g^2`,
    `p = p (1 - learning_rate weight_decay) - learning_rate (m / (1 - beta1^step)) / (sqrt(v / (1 - beta2^step)) + epsilon)`.
    There is a gradient and a weight decay for each parameter; outputs are p, m, v of the first one, then of the second, ...,
    and hold the old values on entry. All moments have the same element type. The options are rank-0 f64, so that 1 - beta2
    keeps its digits; scale (rank-0 float) is the clipping factor.
  }];
  let arguments = (ins Variadic<Kernel_Buffer>:$gradients, Kernel_Buffer:$scale, Kernel_Buffer:$learning_rate,
      Kernel_Buffer:$beta1, Kernel_Buffer:$beta2, Kernel_Buffer:$epsilon, Kernel_Buffer:$step,
      Variadic<Kernel_Buffer>:$weight_decays, Variadic<Kernel_Buffer>:$outputs);
  let assemblyFormat = [{
    $gradients `scale` $scale `options` $learning_rate `,` $beta1 `,` $beta2 `,` $epsilon `,` $step `decay` $weight_decays
    `into` $outputs attr-dict `:` functional-type(operands, results)
  }];
}

def Kernel_CacheAppendOp : Kernel_Op<"cache_append"> {
  let summary = "write new keys or values into a cache";
  let description = [{
    `cache[b, offset + t, ...] = x[b, t, ...]`; x [B, T, ...], cache (output) [B, capacity, ...], offset a rank-0 i32.
    offset + T <= capacity: the runtime checks it.
  }];
  let arguments = (ins Kernel_Buffer:$x, Kernel_Buffer:$offset, Variadic<Kernel_Buffer>:$outputs);
  let assemblyFormat = "$x `,` $offset `into` $outputs attr-dict `:` functional-type(operands, results)";
}

def Kernel_SampleOp : Kernel_Op<"sample"> {
  let summary = "a token drawn from each row of logits";
  let description = [{
    As `quern.sample`: logits [..., V] of f32, bf16 or f16, V static; temperature, top_p rank-0 f64; top_k, seed, index rank-0 i64. Outputs: token
    (-1 where a logit is a NaN) and next (0 there), both [...] i32.

    Every target draws the same tokens from the same logits. So x = (l - max) * f32(1 / temperature) is computed in f32, 0 where l = max; the weight
    is the integer below 2^40 exp(x), with the exp of `lib/Emission`, whose operations all round as IEEE 754 says, and nothing where
    x < -27.75. Sums of weights are exact, in any order. The prefix of top_p ends where they reach ceil(top_p * sum), the
    draw where they exceed floor(u * sum), with products in f64.
  }];
  let arguments = (ins Kernel_Buffer:$logits, Kernel_Buffer:$temperature, Kernel_Buffer:$top_k, Kernel_Buffer:$top_p, Kernel_Buffer:$seed,
      Kernel_Buffer:$index, Variadic<Kernel_Buffer>:$outputs);
  let assemblyFormat = [{
    $logits `temperature` $temperature `top_k` $top_k `top_p` $top_p `seed` $seed `index` $index `into` $outputs attr-dict
    `:` functional-type(operands, results)
  }];
}

#endif // QUERN_KERNEL_OPS_TD
