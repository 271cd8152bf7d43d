//===- KernelOps.td - Kernel operations -------------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_KERNEL_OPS_TD
#define QUERN_KERNEL_OPS_TD

include "KernelDialect.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/EnumAttr.td"
include "mlir/IR/OpAsmInterface.td"
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

def Kernel_PanelSide : I32EnumAttr<"PanelSide", "what panels of a matrix are made of", [
    I32EnumAttrCase<"Columns", 0, "columns">, I32EnumAttrCase<"Rows", 1, "rows">]> {
  let cppNamespace = "::quern::kernel";
  let genSpecializedAttr = 0;
}
def Kernel_Panels : AttrDef<Kernel_Dialect, "Panels"> {
  let mnemonic = "panels";
  let summary = "a matrix that lies in memory as panels of columns or of rows";
  let description = [{
    The elements of a matrix [R, C] in another order, in the same memory. With `<W columns>` they stand in panels of W columns, the
    last one narrower where W does not divide C, each row by row: element (r, c) is at

        p * R + r * min(W, C - p) + (c - p)   with p = c - c mod W, the first column of its panel

    `<W rows>` is that order of the transposed matrix. A micro-kernel whose tile is W columns wide then reads a panel from its first
    element to its last. The type of the matrix does not show it: each op that takes one says so by an attribute, and the argument of
    a program by `quern.panels`.
  }];
  let parameters = (ins "int64_t":$width, EnumParameter<Kernel_PanelSide>:$side);
  let assemblyFormat = "`<` $width $side `>`";
  let genVerifyDecl = 1;
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

def Kernel_GemmOp : Kernel_Op<"gemm", [AttrSizedOperandSegments, IsolatedFromAbove,
    DeclareOpInterfaceMethods<OpAsmOpInterface, ["getAsmBlockArgumentNames"]>]> {
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

    `panels_b` says that B (without transpose_a), and `panels_c` that C (with it, and without other epilogues than accumulate), lies in
    memory as panels. Only the CPU takes them.

    **A region** says any other epilogue. Its block takes an element of the value above, then the element of each operand of `with`: at
    the same row and column of one of C's shape, of the same column of one of [N], or the only one of rank 0. It yields the element of
    each output; a second output is then what the region yields for it, and no longer the sum. SwiGLU in the product of `up`, which
    is kept for the backward pass:

    ```mlir
    %y, %u = kernel.gemm %x, %up with %gate into %0, %1 {transpose_b} : (...) -> (tensor<?x1536xf32>, tensor<?x1536xf32>)
        epilogue (%sum: f32, %g: f32) {
      %one = arith.constant 1.0 : f32
      %2 = arith.negf %g : f32
      %3 = math.exp %2 : f32
      %4 = arith.addf %3, %one : f32
      %5 = arith.divf %g, %4 : f32
      %6 = arith.mulf %5, %sum : f32
      kernel.yield %6, %sum : f32, f32
    }
    ```

    The elements of a row and column are read before any output is written there. So an output may lie in the memory of an operand of
    `with` of its shape, exactly: the update of a parameter and its moments in the product that makes its gradient. The region comes
    after the attributes rather than in their place: these are what graphs are searched for, what accumulators of every target have a
    fast form for, and what most products need; they are not written out as a region that each of these would have to recognize again.

    (C1) Operands of `with` need a region. (C2) Each of them is of C's shape, of [N], or of rank 0. (C3) The block has an argument for the
    value, then one for each of them, of its element type; for 16-bit floats that is f32, to which they are widened. (C4) It ends in
    `kernel.yield` with one value for each output, of its element type or, for 16-bit floats, f32. (C5) Outputs have one shape. (C6) Ops
    of the block are elementwise ones of arith and math on numbers, and no divisions of integers: those of vectors may be under a mask.
  }];
  let arguments = (ins Kernel_Buffer:$a, Kernel_Buffer:$b, Optional<Kernel_Buffer>:$bias,
      Optional<Kernel_Buffer>:$residual, Variadic<Kernel_Buffer>:$extras, Variadic<Kernel_Buffer>:$outputs,
      UnitAttr:$transpose_a, UnitAttr:$transpose_b, UnitAttr:$accumulate,
      DefaultValuedAttr<Kernel_Activation, "Activation::None">:$activation,
      OptionalAttr<Kernel_Panels>:$panels_b, OptionalAttr<Kernel_Panels>:$panels_c);
  let regions = (region MaxSizedRegion<1>:$epilogue);
  let builders = [OpBuilder<(ins "::mlir::TypeRange":$types, "::mlir::Value":$a, "::mlir::Value":$b, "::mlir::Value":$bias,
      "::mlir::Value":$residual, "::mlir::ValueRange":$outputs, CArg<"bool", "false">:$transposeA, CArg<"bool", "false">:$transposeB,
      CArg<"bool", "false">:$accumulate, CArg<"Activation", "Activation::None">:$activation), [{
    build($_builder, $_state, types, a, b, bias, residual, /*extras=*/::mlir::ValueRange(), outputs, transposeA, transposeB, accumulate,
          activation, PanelsAttr(), PanelsAttr());
  }]>];
  let extraClassDeclaration = declarations # [{
    /// Whether a region says what becomes of the value.
    bool hasRegion() { return !getEpilogue().empty(); }
    /// The block of the region, without its ops, for the operands that the op has.
    ::mlir::Block *addRegionBlock();
    /// (C1) to (C6).
    ::llvm::LogicalResult verifyEpilogue();
  }];
  let assemblyFormat = [{
    $a `,` $b (`bias` $bias^)? (`residual` $residual^)? (`with` $extras^)? `into` $outputs attr-dict
    `:` functional-type(operands, results) (`epilogue` custom<Epilogue>($epilogue)^)?
  }];
}

def Kernel_YieldOp : Op<Kernel_Dialect, "yield", [Pure, Terminator, HasParent<"GemmOp">]> {
  let summary = "what the region of a product makes of an element";
  let description = "One value for each output of the `kernel.gemm` around it.";
  let arguments = (ins Variadic<AnyType>:$values);
  let assemblyFormat = "attr-dict ($values^ `:` type($values))?";
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

def Kernel_CachedAttentionOp : Kernel_Op<"cached_attention", [AttrSizedOperandSegments]> {
  let summary = "attention of one query a sequence over a cache that takes its key and value first";
  let description = [{
    `keys[b, offset] = key[b, 0]`, `values[b, offset] = value[b, 0]`, then `kernel.attention` of q, keys and values, `causal`, with the
    same mask, lengths and offset: a step of a decoder. q [B, 1, H, D], key [B, 1, G, D], value [B, 1, G, E], offset a rank-0 i32.
    Outputs: O [B, 1, H, E], keys [B, capacity, G, D] and values [B, capacity, G, E], of which the last two hold the cache on entry.
    offset < capacity: the runtime checks it. Neither key nor value may lie in the cache.

    As one kernel, whoever reads a piece of the cache writes the new row into it: nobody waits for an append. Only the CPU emits it;
    `quern-fuse-cache-appends` makes it for that target alone.
  }];
  let arguments = (ins Kernel_Buffer:$q, Kernel_Buffer:$key, Kernel_Buffer:$value, Optional<Kernel_Buffer>:$mask,
      Optional<Kernel_Buffer>:$lengths, Kernel_Buffer:$offset, Variadic<Kernel_Buffer>:$outputs, F64Attr:$scale);
  let assemblyFormat = [{
    $q `,` $key `,` $value (`mask` $mask^)? (`lengths` $lengths^)? `offset` $offset `into` $outputs
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
    keeps its digits; scale (rank-0 float) is the clipping factor, 1 when absent.
  }];
  let arguments = (ins Variadic<Kernel_Buffer>:$gradients, Optional<Kernel_Buffer>:$scale, Kernel_Buffer:$learning_rate,
      Kernel_Buffer:$beta1, Kernel_Buffer:$beta2, Kernel_Buffer:$epsilon, Kernel_Buffer:$step,
      Variadic<Kernel_Buffer>:$weight_decays, Variadic<Kernel_Buffer>:$outputs);
  let assemblyFormat = [{
    $gradients (`scale` $scale^)? `options` $learning_rate `,` $beta1 `,` $beta2 `,` $epsilon `,` $step `decay` $weight_decays
    `into` $outputs attr-dict `:` functional-type(operands, results)
  }];
}

def Kernel_GemmAdamWOp : Kernel_Op<"gemm_adamw"> {
  let summary = "AdamW update of a matrix by a gradient that is never stored";
  let description = [{
    `G = A^T B`, as `kernel.gemm` with `transpose_a` computes it (A [..., M], B [..., N], the leading dimensions flattened to K), and then the
    update of `kernel.adamw` by G, without a scale, on the accumulators. Outputs p, m, v [M, N] are of one element type, f32 or f64, and hold
    the old values on entry; neither A nor B may lie in their memory. The bits are those of the two kernels one after the other. With
    `panels`, all three lie in memory as panels.

    Only targets that can do so emit it; `quern-fuse-updates` makes it for them alone.
  }];
  let arguments = (ins Kernel_Buffer:$a, Kernel_Buffer:$b, Kernel_Buffer:$learning_rate, Kernel_Buffer:$beta1, Kernel_Buffer:$beta2,
      Kernel_Buffer:$epsilon, Kernel_Buffer:$step, Kernel_Buffer:$weight_decay, Variadic<Kernel_Buffer>:$outputs,
      OptionalAttr<Kernel_Panels>:$panels);
  let builders = [OpBuilder<(ins "::mlir::TypeRange":$types, "::mlir::Value":$a, "::mlir::Value":$b, "::mlir::Value":$learning_rate,
      "::mlir::Value":$beta1, "::mlir::Value":$beta2, "::mlir::Value":$epsilon, "::mlir::Value":$step, "::mlir::Value":$weight_decay,
      "::mlir::ValueRange":$outputs), [{
    build($_builder, $_state, types, a, b, learning_rate, beta1, beta2, epsilon, step, weight_decay, outputs, PanelsAttr());
  }]>];
  let assemblyFormat = [{
    $a `,` $b `options` $learning_rate `,` $beta1 `,` $beta2 `,` $epsilon `,` $step `decay` $weight_decay `into` $outputs attr-dict
    `:` functional-type(operands, results)
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
