//===- TensorOps.td - Shapes, heads, constants and masks --------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_TENSOR_OPS_TD
#define QUERN_TENSOR_OPS_TD

include "QuernDialect.td"

def Quern_SplitHeadsOp : Quern_Op<"split_heads"> {
  let summary = "split the last dimension into heads";
  let description = [{
    `[..., H x D] -> [..., H, D]`. No data moves.

    (C1) the last dimension is static and a multiple of heads, which is positive.
  }];
  let arguments = (ins Quern_Tensor:$x, I64Attr:$heads);
  let results = (outs Quern_Tensor:$result);
  let assemblyFormat = "$x `heads` $heads attr-dict `:` type(operands)";
  let hasFolder = 1;
}

def Quern_MergeHeadsOp : Quern_Op<"merge_heads"> {
  let summary = "merge the last two dimensions";
  let description = [{
    `[..., H, D] -> [..., H x D]`. No data moves.

    (C1) x has rank 2 or more, and its last two dimensions are static.
  }];
  let arguments = (ins Quern_Tensor:$x);
  let results = (outs Quern_Tensor:$result);
  let assemblyFormat = "$x attr-dict `:` type(operands)";
  let hasFolder = 1;
}

def Quern_TransposeOp : Quern_Op<"transpose"> {
  let summary = "permute dimensions";
  let description = [{
    Dimension i of the result is dimension permutation[i] of x.

    (C1) permutation is one of 0 ... rank-1.
  }];
  let arguments = (ins Quern_Tensor:$x, DenseI64ArrayAttr:$permutation);
  let results = (outs Quern_Tensor:$result);
  let assemblyFormat = "$x $permutation attr-dict `:` type(operands)";
  let hasFolder = 1;
  let hasCanonicalizer = 1;
}

def Quern_SplitOp : Quern_Op<"split"> {
  let summary = "split one dimension into parts";
  let description = [{
    Parts of the given sizes along `dimension`, in order. (C1) dimension is one of x's and static. (C2) the sizes are positive and sum to it.
  }];
  let arguments = (ins Quern_Tensor:$x, I64Attr:$dimension, DenseI64ArrayAttr:$sizes);
  let results = (outs Variadic<Quern_Tensor>:$results);
  let assemblyFormat = "$x `dimension` $dimension `sizes` $sizes attr-dict `:` type(operands)";
}

def Quern_ConcatenateOp : Quern_Op<"concatenate"> {
  let summary = "join tensors along one dimension";
  let description = [{
    (C1) at least one tensor, all of one rank that has `dimension`, which is static. (C2) the other dimensions agree.
  }];
  let arguments = (ins Variadic<Quern_Tensor>:$inputs, I64Attr:$dimension);
  let results = (outs Quern_Tensor:$result);
  let assemblyFormat = "$inputs `dimension` $dimension attr-dict `:` type(operands)";
}

def Quern_RepeatOp : Quern_Op<"repeat"> {
  let summary = "repeat each index of one dimension";
  let description = [{
    `y[..., i, ...] = x[..., i / times, ...]` along `dimension`: keys and values of grouped-query attention, one for each head.

    (C1) dimension is one of x's and static. (C2) times is positive.
  }];
  let arguments = (ins Quern_Tensor:$x, I64Attr:$dimension, I64Attr:$times);
  let results = (outs Quern_Tensor:$result);
  let assemblyFormat = "$x `dimension` $dimension `times` $times attr-dict `:` type(operands)";
}

def Quern_BroadcastOp : Quern_Op<"broadcast"> {
  let summary = "broadcast to the shape of another tensor";
  let description = [{
    x's dimensions are matched with those of `like` from the right; missing ones and those of size 1 repeat. Only the shape of `like` is read.

    (C1) x's rank is at most that of `like`. (C2) each dimension of x is 1 or that of `like`.
  }];
  let arguments = (ins Quern_Tensor:$x, Quern_Tensor:$like);
  let results = (outs Quern_Tensor:$result);
  let assemblyFormat = "$x `like` $like attr-dict `:` type(operands)";
}

def Quern_FullOp : Quern_Op<"full"> {
  let summary = "a constant of the shape of another tensor";
  let description = "Every element is `value`; shape and element type are those of `like`, of which nothing else is read. (C1) `like` is a float tensor.";
  let arguments = (ins F64Attr:$value, Quern_Tensor:$like);
  let results = (outs Quern_Tensor:$result);
  let assemblyFormat = "$value `like` $like attr-dict `:` type(operands)";
}

def Quern_CausalMaskOp : Quern_Op<"causal_mask"> {
  let summary = "which keys a query may see";
  let description = [{
    `y[..., t, s] = s <= t`, an i1 tensor of the shape of `like` [..., T, S]; for `arith.select`.

    (C1) `like` has rank 2 or more.
  }];
  let arguments = (ins Quern_Tensor:$like);
  let results = (outs Quern_Tensor:$result);
  let assemblyFormat = "`like` $like attr-dict `:` type(operands)";
}

def Quern_SumOp : Quern_Op<"sum"> {
  let summary = "sum over dimensions";
  let description = [{
    Sums over `dimensions`, which disappear from the result.

    (C1) dimensions are ascending dimensions of x. (C2) x is a float tensor.
  }];
  let arguments = (ins Quern_Tensor:$x, DenseI64ArrayAttr:$dimensions);
  let results = (outs Quern_Tensor:$result);
  let assemblyFormat = "$x `dimensions` $dimensions attr-dict `:` type(operands)";
}

#endif // QUERN_TENSOR_OPS_TD
