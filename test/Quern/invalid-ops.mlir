// What the operations of models refuse, each with the number of its constraint.
// RUN: quern-opt %s -split-input-file -verify-diagnostics

quern.function @f(%t: tensor<5xi32>, %w: tensor<7x4xf32>) {
  // expected-error @below {{quern.embedding (C1): tokens must be a [batch, sequence] tensor of i32, not 'tensor<5xi32>'}}
  %0 = quern.embedding %t, %w : tensor<5xi32>, tensor<7x4xf32>
  quern.return
}

// -----

quern.function @f(%t: tensor<2x5xi64>, %w: tensor<7x4xf32>) {
  // expected-error @below {{quern.embedding (C1): tokens must be a [batch, sequence] tensor of i32, not 'tensor<2x5xi64>'}}
  %0 = quern.embedding %t, %w : tensor<2x5xi64>, tensor<7x4xf32>
  quern.return
}

// -----

quern.function @f(%t: tensor<2x5xi32>, %w: tensor<7xf32>) {
  // expected-error @below {{quern.embedding (C2): the table must be a [rows, width] float tensor, not 'tensor<7xf32>'}}
  %0 = quern.embedding %t, %w : tensor<2x5xi32>, tensor<7xf32>
  quern.return
}

// -----

func.func @f(%t: tensor<2x5xi32>, %w: f32) {
  // expected-error @below {{quern.embedding takes ranked tensors, not 'f32'}}
  %0 = quern.embedding %t, %w : tensor<2x5xi32>, f32
  return
}

// -----

func.func @f(%t: tensor<2x5xi32>, %w: tensor<*xf32>) {
  // expected-error @below {{quern.embedding takes ranked tensors, not 'tensor<*xf32>'}}
  %0 = quern.embedding %t, %w : tensor<2x5xi32>, tensor<*xf32>
  return
}

// -----

quern.function @f(%t: tensor<2xi32>, %w: tensor<7x4xf32>) {
  // expected-error @below {{quern.position_embedding (C1): tokens must be}}
  %0 = quern.position_embedding %t, %w : tensor<2xi32>, tensor<7x4xf32>
  quern.return
}

// -----

quern.function @f(%t: tensor<2x5xi32>, %w: tensor<7x4xf32>, %o: tensor<1xi32>) {
  // expected-error @below {{quern.position_embedding (C1): the offset must be a tensor<i32>, not 'tensor<1xi32>'}}
  %0 = quern.position_embedding %t, %w offset %o : tensor<2x5xi32>, tensor<7x4xf32>, tensor<1xi32>
  quern.return
}

// -----

quern.function @f(%t: tensor<2x5xi32>, %w: tensor<7x4xi32>) {
  // expected-error @below {{quern.position_embedding (C2): the table must be}}
  %0 = quern.position_embedding %t, %w : tensor<2x5xi32>, tensor<7x4xi32>
  quern.return
}

// -----

quern.function @f(%t: tensor<2x9xi32>, %w: tensor<7x4xf32>) {
  // expected-error @below {{quern.position_embedding (C3): a sequence of 9 tokens is longer than the table of 7 positions}}
  %0 = quern.position_embedding %t, %w : tensor<2x9xi32>, tensor<7x4xf32>
  quern.return
}

// -----

quern.function @f(%x: tensor<2x5x3x7xf32>) {
  // expected-error @below {{quern.rotary_embedding (C1): x must be a [batch, sequence, heads, head dimension] float tensor with an even head dimension, not 'tensor<2x5x3x7xf32>'}}
  %0 = quern.rotary_embedding %x : tensor<2x5x3x7xf32>
  quern.return
}

// -----

quern.function @f(%x: tensor<2x5x8xf32>) {
  // expected-error @below {{quern.rotary_embedding (C1)}}
  %0 = quern.rotary_embedding %x : tensor<2x5x8xf32>
  quern.return
}

// -----

quern.function @f(%x: tensor<2x5x3x8xf32>) {
  // expected-error @below {{quern.rotary_embedding (C2): base must be positive}}
  %0 = quern.rotary_embedding %x base -1.0 : tensor<2x5x3x8xf32>
  quern.return
}

// -----

quern.function @f(%x: tensor<2x8xf32>, %w: tensor<7xf32>) {
  // expected-error @below {{quern.layer_norm (C1): weight must be a vector of 8 elements, the last dimension of x 'tensor<2x8xf32>', not 'tensor<7xf32>'}}
  %0 = quern.layer_norm %x weight %w : tensor<2x8xf32>, tensor<7xf32>
  quern.return
}

// -----

quern.function @f(%x: tensor<2x8xf32>, %w: tensor<8xf64>) {
  // expected-error @below {{quern.layer_norm (C1): bias must be a vector of 8 elements}}
  %0 = quern.layer_norm %x bias %w : tensor<2x8xf32>, tensor<8xf64>
  quern.return
}

// -----

quern.function @f(%x: tensor<f32>) {
  // expected-error @below {{quern.layer_norm (C1): x must be a float tensor of rank 1 or more, not 'tensor<f32>'}}
  %0 = quern.layer_norm %x : tensor<f32>
  quern.return
}

// -----

quern.function @f(%x: tensor<2x8xf32>) {
  // expected-error @below {{quern.layer_norm (C2): epsilon must not be negative}}
  %0 = quern.layer_norm %x epsilon -1.0e-5 : tensor<2x8xf32>
  quern.return
}

// -----

quern.function @f(%x: tensor<2x8xf32>, %w: tensor<1x8xf32>) {
  // expected-error @below {{quern.rms_norm (C1): weight must be a vector of 8 elements}}
  %0 = quern.rms_norm %x weight %w : tensor<2x8xf32>, tensor<1x8xf32>
  quern.return
}

// -----

quern.function @f(%x: tensor<2x8xf32>) {
  // expected-error @below {{quern.rms_norm (C2): epsilon must not be negative}}
  %0 = quern.rms_norm %x epsilon -1.0 : tensor<2x8xf32>
  quern.return
}

// -----

quern.function @f(%x: tensor<2x8xf32>, %r: tensor<?x8xf32>) {
  // expected-error @below {{quern.residual_norm (C1): x and residual differ: 'tensor<2x8xf32>' and 'tensor<?x8xf32>'}}
  %0:2 = quern.residual_norm rms %x, %r epsilon 1.0 : tensor<2x8xf32>, tensor<?x8xf32>
  quern.return
}

// -----

quern.function @f(%x: tensor<2x8xf32>, %w: tensor<2xf32>) {
  // expected-error @below {{quern.residual_norm (C2): weight must be a vector of 8 elements}}
  %0:2 = quern.residual_norm rms %x, %x weight %w epsilon 1.0 : tensor<2x8xf32>, tensor<2x8xf32>, tensor<2xf32>
  quern.return
}

// -----

quern.function @f(%x: tensor<2x8xf32>, %w: tensor<8xf32>) {
  // expected-error @below {{quern.residual_norm (C3): an RMS norm has no bias}}
  %0:2 = quern.residual_norm rms %x, %x weight %w bias %w epsilon 1.0 : tensor<2x8xf32>, tensor<2x8xf32>, tensor<8xf32>, tensor<8xf32>
  quern.return
}

// -----

quern.function @f(%x: tensor<2x8xf32>) {
  // expected-error @below {{quern.residual_norm (C4): epsilon must not be negative}}
  %0:2 = quern.residual_norm layer %x, %x epsilon -1.0 : tensor<2x8xf32>, tensor<2x8xf32>
  quern.return
}

// -----

quern.function @f(%x: tensor<2x8xf32>, %w: tensor<8xf32>) {
  // expected-error @below {{quern.linear (C1): the weight must be a float matrix, not 'tensor<8xf32>'}}
  %0 = quern.linear %x, %w : tensor<2x8xf32>, tensor<8xf32>
  quern.return
}

// -----

quern.function @f(%x: tensor<2x8xf32>, %w: tensor<8x3xf64>) {
  // expected-error @below {{quern.linear (C1): the weight 'tensor<8x3xf64>' has another element type than x, 'tensor<2x8xf32>'}}
  %0 = quern.linear %x, %w : tensor<2x8xf32>, tensor<8x3xf64>
  quern.return
}

// -----

quern.function @f(%x: tensor<2x8xf32>, %w: tensor<3x8xf32>) {
  // expected-error @below {{quern.linear (C2): the weight 'tensor<3x8xf32>' ([in, out]) takes vectors of 3 elements, but x is 'tensor<2x8xf32>'; is it stored [out, in], so that 'transposed' is missing?}}
  %0 = quern.linear %x, %w : tensor<2x8xf32>, tensor<3x8xf32>
  quern.return
}

// -----

quern.function @f(%x: tensor<2x8xf32>, %w: tensor<8x3xf32>) {
  // expected-error @below {{quern.linear (C2): the weight 'tensor<8x3xf32>' (transposed, [out, in]) takes vectors of 3 elements, but x is 'tensor<2x8xf32>'; is it stored [in, out], without 'transposed'?}}
  %0 = quern.linear %x, %w transposed : tensor<2x8xf32>, tensor<8x3xf32>
  quern.return
}

// -----

quern.function @f(%x: tensor<2x8xf32>, %w: tensor<8x3xf32>, %b: tensor<8xf32>) {
  // expected-error @below {{quern.linear (C3): bias must be a vector of 3 elements, the outputs of the weight, and of x's element type, not 'tensor<8xf32>'}}
  %0 = quern.linear %x, %w bias %b : tensor<2x8xf32>, tensor<8x3xf32>, tensor<8xf32>
  quern.return
}

// -----

quern.function @f(%x: tensor<2x8xf32>, %w: tensor<8x3xf32>) {
  // expected-error @below {{quern.fused_linear (C1): takes two weights or more}}
  %0 = quern.fused_linear %x weights(%w) : tensor<2x8xf32>, tensor<8x3xf32>
  quern.return
}

// -----

quern.function @f(%x: tensor<2x8xf32>, %w: tensor<8x3xf32>, %u: tensor<3x8xf32>) {
  // expected-error @below {{quern.fused_linear (C2): the weight 'tensor<3x8xf32>'}}
  %0 = quern.fused_linear %x weights(%w, %u) : tensor<2x8xf32>, tensor<8x3xf32>, tensor<3x8xf32>
  quern.return
}

// -----

quern.function @f(%x: tensor<2x8xf32>, %w: tensor<8x3xf32>, %b: tensor<3xf32>) {
  // expected-error @below {{quern.fused_linear (C3): has 2 weights but 1 biases}}
  %0 = quern.fused_linear %x weights(%w, %w) biases(%b) : tensor<2x8xf32>, tensor<8x3xf32>, tensor<8x3xf32>, tensor<3xf32>
  quern.return
}

// -----

quern.function @f(%a: tensor<2x3x4xf32>, %b: tensor<3x4x5xf32>) {
  // expected-error @below {{quern.matmul (C1): A and B need equal rank, 2 or more, and equal leading dimensions, not 'tensor<2x3x4xf32>' and 'tensor<3x4x5xf32>'}}
  %0 = quern.matmul %a, %b : tensor<2x3x4xf32>, tensor<3x4x5xf32>
  quern.return
}

// -----

quern.function @f(%a: tensor<4xf32>) {
  // expected-error @below {{quern.matmul (C1): A and B need equal rank}}
  %0 = quern.matmul %a, %a : tensor<4xf32>, tensor<4xf32>
  quern.return
}

// -----

quern.function @f(%a: tensor<3x4xf32>) {
  // expected-error @below {{quern.matmul (C2): the inner dimensions differ: 4 of A, 3 of B}}
  %0 = quern.matmul %a, %a : tensor<3x4xf32>, tensor<3x4xf32>
  quern.return
}

// -----

quern.function @f(%x: tensor<f32>) {
  // expected-error @below {{quern.softmax (C1): x must be a float tensor of rank 1 or more, not 'tensor<f32>'}}
  %0 = quern.softmax %x : tensor<f32>
  quern.return
}

// -----

quern.function @f(%q: tensor<2x5x48xf32>, %k: tensor<2x5x6x8xf32>, %v: tensor<2x5x6x8xf32>) {
  // expected-error @below {{quern.attention (C1): Q must be a [batch, sequence, heads, head dimension] float tensor, not 'tensor<2x5x48xf32>'}}
  %0 = quern.attention %q, %k, %v : tensor<2x5x48xf32>, tensor<2x5x6x8xf32>, tensor<2x5x6x8xf32>
  quern.return
}

// -----

quern.function @f(%q: tensor<2x5x6x8xf32>, %k: tensor<2x5x6x8xf32>, %v: tensor<2x5x6x8xf64>) {
  // expected-error @below {{quern.attention (C1): Q and V have different element types}}
  %0 = quern.attention %q, %k, %v : tensor<2x5x6x8xf32>, tensor<2x5x6x8xf32>, tensor<2x5x6x8xf64>
  quern.return
}

// -----

quern.function @f(%q: tensor<2x5x6x8xf32>, %k: tensor<2x5x6x9xf32>, %v: tensor<2x5x6x8xf32>) {
  // expected-error @below {{quern.attention (C2): the head dimension of Q is 8 and that of K 9}}
  %0 = quern.attention %q, %k, %v : tensor<2x5x6x8xf32>, tensor<2x5x6x9xf32>, tensor<2x5x6x8xf32>
  quern.return
}

// -----

quern.function @f(%q: tensor<2x5x6x8xf32>, %k: tensor<2x5x4x8xf32>, %v: tensor<2x5x4x8xf32>) {
  // expected-error @below {{quern.attention (C3): 6 heads of Q cannot share 4 heads of K: the one must be a multiple of the other}}
  %0 = quern.attention %q, %k, %v : tensor<2x5x6x8xf32>, tensor<2x5x4x8xf32>, tensor<2x5x4x8xf32>
  quern.return
}

// -----

quern.function @f(%q: tensor<2x5x6x8xf32>, %k: tensor<2x5x3x8xf32>, %v: tensor<2x5x2x8xf32>) {
  // expected-error @below {{quern.attention (C3): K has 3 heads and V 2}}
  %0 = quern.attention %q, %k, %v : tensor<2x5x6x8xf32>, tensor<2x5x3x8xf32>, tensor<2x5x2x8xf32>
  quern.return
}

// -----

quern.function @f(%q: tensor<2x5x6x8xf32>, %k: tensor<2x7x3x8xf32>, %v: tensor<2x6x3x8xf32>) {
  // expected-error @below {{quern.attention (C4): batch or sequence dimensions do not agree}}
  %0 = quern.attention %q, %k, %v : tensor<2x5x6x8xf32>, tensor<2x7x3x8xf32>, tensor<2x6x3x8xf32>
  quern.return
}

// -----

quern.function @f(%q: tensor<2x5x6x8xf32>, %k: tensor<2x5x6x8xf32>, %v: tensor<2x5x6x8xf32>, %m: tensor<2x1x5x4xf32>) {
  // expected-error @below {{quern.attention (C5): mask 'tensor<2x1x5x4xf32>' does not broadcast to [2, 6, 5, 5]}}
  %0 = quern.attention %q, %k, %v mask %m : tensor<2x5x6x8xf32>, tensor<2x5x6x8xf32>, tensor<2x5x6x8xf32>, tensor<2x1x5x4xf32>
  quern.return
}

// -----

quern.function @f(%q: tensor<2x5x6x8xf32>, %k: tensor<2x5x6x8xf32>, %v: tensor<2x5x6x8xf32>, %l: tensor<3xi32>) {
  // expected-error @below {{quern.attention (C6): lengths must be a vector of 2 i32, not 'tensor<3xi32>'}}
  %0 = quern.attention %q, %k, %v lengths %l : tensor<2x5x6x8xf32>, tensor<2x5x6x8xf32>, tensor<2x5x6x8xf32>, tensor<3xi32>
  quern.return
}

// -----

quern.function @f(%q: tensor<2x5x?x8xf32>, %k: tensor<2x5x6x8xf32>, %v: tensor<2x5x6x8xf32>) {
  // expected-error @below {{quern.attention (C7): heads and head dimensions must be static}}
  %0 = quern.attention %q, %k, %v : tensor<2x5x?x8xf32>, tensor<2x5x6x8xf32>, tensor<2x5x6x8xf32>
  quern.return
}

// -----

quern.function @f(%q: tensor<2x5x6x8xf32>, %k: tensor<2x5x6x8xf32>, %v: tensor<2x5x6x8xf32>, %l: tensor<i64>) {
  // expected-error @below {{quern.attention (C1): the offset must be a tensor<i32>, not 'tensor<i64>'}}
  %0 = quern.attention %q, %k, %v offset %l : tensor<2x5x6x8xf32>, tensor<2x5x6x8xf32>, tensor<2x5x6x8xf32>, tensor<i64>
  quern.return
}

// -----

quern.function @f(%x: tensor<4xi32>) {
  // expected-error @below {{quern.gelu (C1): x must be a float tensor, not 'tensor<4xi32>'}}
  %0 = quern.gelu %x : tensor<4xi32>
  quern.return
}

// -----

quern.function @f(%x: tensor<4xi32>) {
  // expected-error @below {{quern.silu (C1): x must be a float tensor, not 'tensor<4xi32>'}}
  %0 = quern.silu %x : tensor<4xi32>
  quern.return
}

// -----

quern.function @f(%x: tensor<4xi32>) {
  // expected-error @below {{quern.relu (C1): x must be a float tensor, not 'tensor<4xi32>'}}
  %0 = quern.relu %x : tensor<4xi32>
  quern.return
}

// -----

func.func @f(%x: vector<4xf32>) {
  // expected-error @below {{quern.relu takes ranked tensors, not 'vector<4xf32>'}}
  %0 = quern.relu %x : vector<4xf32>
  return
}

// -----

quern.function @f(%x: tensor<4xf32>, %y: tensor<5xf32>) {
  // expected-error @below {{quern.swiglu (C1): gate and up must be float tensors of the same type, not 'tensor<4xf32>' and 'tensor<5xf32>'}}
  %0 = quern.swiglu %x, %y : tensor<4xf32>, tensor<5xf32>
  quern.return
}

// -----

quern.function @f(%x: tensor<2x5x7xf32>, %t: tensor<2x4xi32>) {
  // expected-error @below {{quern.cross_entropy (C1): targets must be i32 in the shape of the logits without their last dimension, not 'tensor<2x4xi32>'}}
  %0 = quern.cross_entropy %x, %t : tensor<2x5x7xf32>, tensor<2x4xi32>
  quern.return
}

// -----

quern.function @f(%x: tensor<2x5x7xf32>, %t: tensor<2x5xi64>) {
  // expected-error @below {{quern.cross_entropy (C1): targets must be i32}}
  %0 = quern.cross_entropy %x, %t : tensor<2x5x7xf32>, tensor<2x5xi64>
  quern.return
}

// -----

quern.function @f(%x: tensor<2x5xf32>, %w: tensor<4x7xf32>, %t: tensor<2xi32>) {
  // expected-error @below {{quern.linear_cross_entropy (C2): the weight 'tensor<4x7xf32>'}}
  %0 = quern.linear_cross_entropy %x, %w, %t : tensor<2x5xf32>, tensor<4x7xf32>, tensor<2xi32>
  quern.return
}

// -----

quern.function @f(%x: tensor<2x5xf32>, %w: tensor<5xf32>, %t: tensor<2xi32>) {
  // expected-error @below {{quern.linear_cross_entropy (C1): the weight must be a float matrix}}
  %0 = quern.linear_cross_entropy %x, %w, %t : tensor<2x5xf32>, tensor<5xf32>, tensor<2xi32>
  quern.return
}

// -----

quern.function @f(%x: tensor<2x5xf32>, %w: tensor<5x7xf32>, %t: tensor<3xi32>) {
  // expected-error @below {{quern.linear_cross_entropy (C2): targets must be i32}}
  %0 = quern.linear_cross_entropy %x, %w, %t : tensor<2x5xf32>, tensor<5x7xf32>, tensor<3xi32>
  quern.return
}

// -----

quern.function @f(%x: tensor<2x100xf32>) {
  // expected-error @below {{quern.split_heads (C1): a last dimension of 100 cannot be split into 3 heads: it is not a multiple}}
  %0 = quern.split_heads %x heads 3 : tensor<2x100xf32>
  quern.return
}

// -----

quern.function @f(%x: tensor<2x100xf32>) {
  // expected-error @below {{quern.split_heads (C1): a last dimension of 100 cannot be split into 0 heads}}
  %0 = quern.split_heads %x heads 0 : tensor<2x100xf32>
  quern.return
}

// -----

quern.function @f(%x: tensor<2x100xf32>) {
  // expected-error @below {{quern.split_heads (C1): a last dimension of 100 cannot be split into -4 heads}}
  %0 = quern.split_heads %x heads -4 : tensor<2x100xf32>
  quern.return
}

// -----

quern.function @f(%x: tensor<2x?xf32>) {
  // expected-error @below {{quern.split_heads (C1): the last dimension of 'tensor<2x?xf32>' is not static}}
  %0 = quern.split_heads %x heads 2 : tensor<2x?xf32>
  quern.return
}

// -----

quern.function @f(%x: tensor<4xf32>) {
  // expected-error @below {{quern.merge_heads (C1): needs two static last dimensions to merge, not 'tensor<4xf32>'}}
  %0 = quern.merge_heads %x : tensor<4xf32>
  quern.return
}

// -----

quern.function @f(%x: tensor<4x?xf32>) {
  // expected-error @below {{quern.merge_heads (C1): needs two static last dimensions to merge, not 'tensor<4x?xf32>'}}
  %0 = quern.merge_heads %x : tensor<4x?xf32>
  quern.return
}

// -----

quern.function @f(%x: tensor<2x3x4xf32>) {
  // expected-error @below {{quern.transpose (C1): the permutation must name each of the 3 dimensions of 'tensor<2x3x4xf32>' once, from 0 to 2}}
  %0 = quern.transpose %x [0, 1] : tensor<2x3x4xf32>
  quern.return
}

// -----

quern.function @f(%x: tensor<2x3x4xf32>) {
  // expected-error @below {{quern.transpose (C1): the permutation must name each of the 3 dimensions of 'tensor<2x3x4xf32>' once, from 0 to 2}}
  %0 = quern.transpose %x [0, 1, 1] : tensor<2x3x4xf32>
  quern.return
}

// -----

quern.function @f(%x: tensor<2x3x4xf32>) {
  // expected-error @below {{quern.transpose (C1): the permutation must name each of the 3 dimensions of 'tensor<2x3x4xf32>' once, from 0 to 2}}
  %0 = quern.transpose %x [0, 1, 3] : tensor<2x3x4xf32>
  quern.return
}

// -----

quern.function @f(%x: tensor<2x3x4xf32>) {
  // expected-error @below {{quern.transpose (C1): the permutation must name each of the 3 dimensions of 'tensor<2x3x4xf32>' once, from 0 to 2}}
  %0 = quern.transpose %x [0, -1, 2] : tensor<2x3x4xf32>
  quern.return
}

// -----

quern.function @f(%x: tensor<2x6xf32>) {
  // expected-error @below {{quern.split (C1): 'tensor<2x6xf32>' has no static dimension 2}}
  %0:2 = quern.split %x dimension 2 sizes [3, 3] : tensor<2x6xf32>
  quern.return
}

// -----

quern.function @f(%x: tensor<2x6xf32>) {
  // expected-error @below {{quern.split (C2): the sizes sum to 7, but dimension 1 of 'tensor<2x6xf32>' is 6}}
  %0:2 = quern.split %x dimension 1 sizes [3, 4] : tensor<2x6xf32>
  quern.return
}

// -----

quern.function @f(%x: tensor<2x6xf32>) {
  // expected-error @below {{quern.split (C2): sizes must be positive, not -1}}
  %0:2 = quern.split %x dimension 1 sizes [7, -1] : tensor<2x6xf32>
  quern.return
}

// -----

quern.function @f(%x: tensor<2x6xf32>, %y: tensor<2xf32>) {
  // expected-error @below {{quern.concatenate (C1): 'tensor<2xf32>' does not join 'tensor<2x6xf32>' along a static dimension 1}}
  %0 = quern.concatenate %x, %y dimension 1 : tensor<2x6xf32>, tensor<2xf32>
  quern.return
}

// -----

quern.function @f(%x: tensor<2x6xf32>) {
  // expected-error @below {{quern.concatenate (C1): 'tensor<2x6xf32>' has no dimension -1}}
  %0 = quern.concatenate %x dimension -1 : tensor<2x6xf32>
  quern.return
}

// -----

quern.function @f(%x: tensor<2x6xf32>, %y: tensor<3x6xf32>) {
  // expected-error @below {{quern.concatenate (C2): 'tensor<3x6xf32>' and 'tensor<2x6xf32>' differ in dimension 0}}
  %0 = quern.concatenate %x, %y dimension 1 : tensor<2x6xf32>, tensor<3x6xf32>
  quern.return
}

// -----

quern.function @f(%x: tensor<2x6xf32>) {
  // expected-error @below {{quern.repeat (C1): 'tensor<2x6xf32>' has no static dimension 2}}
  %0 = quern.repeat %x dimension 2 times 2 : tensor<2x6xf32>
  quern.return
}

// -----

quern.function @f(%x: tensor<2x6xf32>) {
  // expected-error @below {{quern.repeat (C2): cannot repeat 0 times}}
  %0 = quern.repeat %x dimension 1 times 0 : tensor<2x6xf32>
  quern.return
}

// -----

quern.function @f(%x: tensor<2x6xf32>, %y: tensor<6xf32>) {
  // expected-error @below {{quern.broadcast (C1): 'tensor<2x6xf32>' has more dimensions than 'tensor<6xf32>'}}
  %0 = quern.broadcast %x like %y : tensor<2x6xf32>, tensor<6xf32>
  quern.return
}

// -----

quern.function @f(%x: tensor<2xf32>, %y: tensor<2x6xf32>) {
  // expected-error @below {{quern.broadcast (C2): 'tensor<2xf32>' does not broadcast to 'tensor<2x6xf32>': dimensions are matched from the right}}
  %0 = quern.broadcast %x like %y : tensor<2xf32>, tensor<2x6xf32>
  quern.return
}

// -----

quern.function @f(%x: tensor<2xi32>) {
  // expected-error @below {{quern.full (C1): needs a float tensor, not 'tensor<2xi32>'}}
  %0 = quern.full 1.0 like %x : tensor<2xi32>
  quern.return
}

// -----

quern.function @f(%x: tensor<2xf32>) {
  // expected-error @below {{quern.causal_mask (C1): needs [..., queries, keys], not 'tensor<2xf32>'}}
  %0 = quern.causal_mask like %x : tensor<2xf32>
  quern.return
}

// -----

quern.function @f(%x: tensor<2x6xf32>) {
  // expected-error @below {{quern.sum (C1): dimensions must ascend within the 2 dimensions of 'tensor<2x6xf32>'}}
  %0 = quern.sum %x dimensions [1, 0] : tensor<2x6xf32>
  quern.return
}

// -----

quern.function @f(%x: tensor<2x6xf32>) {
  // expected-error @below {{quern.sum (C1): dimensions must ascend within the 2 dimensions of 'tensor<2x6xf32>'}}
  %0 = quern.sum %x dimensions [0, 2] : tensor<2x6xf32>
  quern.return
}

// -----

quern.function @f(%x: tensor<2x6xf32>) {
  // expected-error @below {{quern.sum (C1): dimensions must ascend within the 2 dimensions of 'tensor<2x6xf32>'}}
  %0 = quern.sum %x dimensions [-1] : tensor<2x6xf32>
  quern.return
}

// -----

quern.function @f(%x: tensor<2x6xi32>) {
  // expected-error @below {{quern.sum (C2): x must be a float tensor, not 'tensor<2x6xi32>'}}
  %0 = quern.sum %x dimensions [0] : tensor<2x6xi32>
  quern.return
}
