// What the operations of derived programs refuse, each with the number of its constraint.
// RUN: quern-opt %s -split-input-file -verify-diagnostics

quern.function @f(%t: tensor<2x4xi32>, %g: tensor<2x5x4xf32>) {
  // expected-error @below {{quern.embedding_backward (C1): tokens 'tensor<2x4xi32>' must be i32 in the shape of the gradient 'tensor<2x5x4xf32>' without its last dimension}}
  %0 = quern.embedding_backward %t, %g rows 7 : tensor<2x4xi32>, tensor<2x5x4xf32>
  quern.return
}

// -----

quern.function @f(%t: tensor<2x4xi32>, %g: tensor<f32>) {
  // expected-error @below {{quern.embedding_backward (C1)}}
  %0 = quern.embedding_backward %t, %g rows 7 : tensor<2x4xi32>, tensor<f32>
  quern.return
}

// -----

quern.function @f(%t: tensor<2x5xi32>, %g: tensor<2x5x4xf32>) {
  // expected-error @below {{quern.embedding_backward (C2): rows must be positive, not 0}}
  %0 = quern.embedding_backward %t, %g rows 0 : tensor<2x5xi32>, tensor<2x5x4xf32>
  quern.return
}

// -----

quern.function @f(%t: tensor<2x5xi32>, %g: tensor<2x5x4xf32>, %i: tensor<6x4xf32>) {
  // expected-error @below {{quern.embedding_backward (C3): init must have 7 rows of 4, not be 'tensor<6x4xf32>'}}
  %0 = quern.embedding_backward %t, %g init %i rows 7 : tensor<2x5xi32>, tensor<2x5x4xf32>, tensor<6x4xf32>
  quern.return
}

// -----

quern.function @f(%g: tensor<f32>) {
  // expected-error @below {{quern.position_embedding_backward (C1): the gradient must be a [batch, sequence, width] float tensor, not 'tensor<f32>'}}
  %0 = quern.position_embedding_backward %g rows 7 : tensor<f32>
  quern.return
}

// -----

quern.function @f(%g: tensor<2x5x4xf32>) {
  // expected-error @below {{quern.position_embedding_backward (C2): rows must be positive, not -1}}
  %0 = quern.position_embedding_backward %g rows -1 : tensor<2x5x4xf32>
  quern.return
}

// -----

quern.function @f(%g: tensor<2x5x4xf32>, %i: tensor<7x5xf32>) {
  // expected-error @below {{quern.position_embedding_backward (C3): init must have 7 rows of 4}}
  %0 = quern.position_embedding_backward %g init %i rows 7 : tensor<2x5x4xf32>, tensor<7x5xf32>
  quern.return
}

// -----

quern.function @f(%x: tensor<2x8xf32>, %g: tensor<2x7xf32>) {
  // expected-error @below {{quern.norm_backward (C1): x, gradient and addend must have one type, unlike 'tensor<2x8xf32>' and 'tensor<2x7xf32>'}}
  %0 = quern.norm_backward rms %x, %g epsilon 1.0 : tensor<2x8xf32>, tensor<2x7xf32>
  quern.return
}

// -----

quern.function @f(%x: tensor<f32>) {
  // expected-error @below {{quern.norm_backward (C1)}}
  %0 = quern.norm_backward rms %x, %x epsilon 1.0 has_bias : tensor<f32>, tensor<f32>
  quern.return
}

// -----

quern.function @f(%x: tensor<2x8xf32>, %w: tensor<2xf32>) {
  // expected-error @below {{quern.norm_backward (C2): weight must be a vector of 8 elements, not 'tensor<2xf32>'}}
  %0 = quern.norm_backward rms %x, %x weight %w epsilon 1.0 : tensor<2x8xf32>, tensor<2x8xf32>, tensor<2xf32>
  quern.return
}

// -----

quern.function @f(%x: tensor<2x8xf32>, %g: tensor<3x7xf32>) {
  // expected-error @below {{quern.linear_weight_gradient (C1): x and gradient have no rows in common: 'tensor<2x8xf32>' and 'tensor<3x7xf32>'}}
  %0 = quern.linear_weight_gradient %x, %g : tensor<2x8xf32>, tensor<3x7xf32>
  quern.return
}

// -----

quern.function @f(%x: tensor<f32>) {
  // expected-error @below {{quern.linear_weight_gradient (C1)}}
  %0 = quern.linear_weight_gradient %x, %x : tensor<f32>, tensor<f32>
  quern.return
}

// -----

quern.function @f(%x: tensor<2x8xf32>, %g: tensor<2x7xf32>, %i: tensor<8x7xf32>) {
  // expected-error @below {{quern.linear_weight_gradient (C2): init must be the weight's, 'tensor<7x8xf32>', not 'tensor<8x7xf32>'}}
  %0 = quern.linear_weight_gradient %x, %g init %i transposed : tensor<2x8xf32>, tensor<2x7xf32>, tensor<8x7xf32>
  quern.return
}

// -----

quern.function @f(%x: tensor<2x8xf32>, %g: tensor<2x7xf32>) {
  // expected-error @below {{quern.softmax_backward (C1): y and gradient must have one type}}
  %0 = quern.softmax_backward %x, %g : tensor<2x8xf32>, tensor<2x7xf32>
  quern.return
}

// -----

quern.function @f(%x: tensor<2x8xf32>) {
  // expected-error @below {{quern.attention_backward (C1): Q, K and V must be float tensors of rank 4}}
  %0:3 = quern.attention_backward %x, %x, %x, %x, %x, %x scale 1.0 : tensor<2x8xf32>, tensor<2x8xf32>, tensor<2x8xf32>, tensor<2x8xf32>, tensor<2x8xf32>, tensor<2x8xf32>
  quern.return
}

// -----

quern.function @f(%q: tensor<2x5x6x8xf32>, %k: tensor<2x5x3x8xf32>, %l: tensor<2x6x5xf32>) {
  // expected-error @below {{quern.attention_backward (C2): O and gradient must have the shape of attention's result}}
  %0:3 = quern.attention_backward %q, %k, %k, %k, %l, %q scale 1.0 : tensor<2x5x6x8xf32>, tensor<2x5x3x8xf32>, tensor<2x5x3x8xf32>, tensor<2x5x3x8xf32>, tensor<2x6x5xf32>, tensor<2x5x6x8xf32>
  quern.return
}

// -----

quern.function @f(%q: tensor<2x5x6x8xf32>, %k: tensor<2x5x3x8xf32>, %l: tensor<2x6x5xf32>) {
  // expected-error @below {{quern.attention_backward (C3): lse must be [batch, heads, queries], not}}
  %0:3 = quern.attention_backward %q, %k, %k, %q, %q, %q scale 1.0 : tensor<2x5x6x8xf32>, tensor<2x5x3x8xf32>, tensor<2x5x3x8xf32>, tensor<2x5x6x8xf32>, tensor<2x5x6x8xf32>, tensor<2x5x6x8xf32>
  quern.return
}

// -----

quern.function @f(%x: tensor<2x8xf32>, %g: tensor<2x7xf32>) {
  // expected-error @below {{quern.activation_backward (C1): x and gradient must have one type}}
  %0 = quern.activation_backward "silu" %x, %g : tensor<2x8xf32>, tensor<2x7xf32>
  quern.return
}

// -----

quern.function @f(%x: tensor<2x8xf32>) {
  // expected-error @below {{quern.activation_backward (C2): unknown function "selu"; there are gelu, gelu_tanh, silu, relu}}
  %0 = quern.activation_backward "selu" %x, %x : tensor<2x8xf32>, tensor<2x8xf32>
  quern.return
}

// -----

quern.function @f(%x: tensor<2x8xf32>, %g: tensor<2x7xf32>) {
  // expected-error @below {{quern.swiglu_backward (C1): gate, up and gradient must have one type}}
  %0:2 = quern.swiglu_backward %x, %x, %g : tensor<2x8xf32>, tensor<2x8xf32>, tensor<2x7xf32>
  quern.return
}

// -----

quern.function @f(%x: tensor<2x8xf32>, %t: tensor<3xi32>, %d: tensor<f32>) {
  // expected-error @below {{quern.cross_entropy_backward (C1): targets 'tensor<3xi32>' must be i32}}
  %0 = quern.cross_entropy_backward %x, %t, %d ignore_index -1 : tensor<2x8xf32>, tensor<3xi32>, tensor<f32>
  quern.return
}

// -----

quern.function @f(%x: tensor<2x8xf32>, %t: tensor<2xi32>, %d: tensor<1xf32>) {
  // expected-error @below {{quern.cross_entropy_backward (C2): the gradient of the loss has rank 0, unlike 'tensor<1xf32>'}}
  %0 = quern.cross_entropy_backward %x, %t, %d ignore_index -1 : tensor<2x8xf32>, tensor<2xi32>, tensor<1xf32>
  quern.return
}

// -----

quern.function @f(%x: tensor<2x8xf32>, %w: tensor<7x8xf32>, %t: tensor<2xi32>, %d: tensor<f32>) {
  // expected-error @below {{quern.linear_cross_entropy_gradient (C1): the weight or the bias does not fit x}}
  %0:3 = quern.linear_cross_entropy_gradient %x, %w, %t, %d ignore_index -1 : tensor<2x8xf32>, tensor<7x8xf32>, tensor<2xi32>, tensor<f32>
  quern.return
}

// -----

quern.function @f(%x: tensor<2x8xf32>, %w: tensor<8x7xf32>, %t: tensor<3xi32>, %d: tensor<f32>) {
  // expected-error @below {{quern.linear_cross_entropy_gradient (C2): targets 'tensor<3xi32>'}}
  %0:3 = quern.linear_cross_entropy_gradient %x, %w, %t, %d ignore_index -1 : tensor<2x8xf32>, tensor<8x7xf32>, tensor<3xi32>, tensor<f32>
  quern.return
}

// -----

quern.function @f(%x: tensor<2x8xf32>, %w: tensor<8x7xf32>, %t: tensor<2xi32>, %d: tensor<f32>) {
  // expected-error @below {{quern.linear_cross_entropy_gradient (C3): the gradient of the loss has rank 0, and init the type of the weight}}
  %0:3 = quern.linear_cross_entropy_gradient %x, %w, %t, %d init %x ignore_index -1 : tensor<2x8xf32>, tensor<8x7xf32>, tensor<2xi32>, tensor<f32>, tensor<2x8xf32>
  quern.return
}

// -----

quern.function @f(%x: tensor<2x6xf32>) {
  // expected-error @below {{quern.repeat_backward (C1): 'tensor<2x6xf32>' has no static dimension 2}}
  %0 = quern.repeat_backward %x dimension 2 times 2 : tensor<2x6xf32>
  quern.return
}

// -----

quern.function @f(%x: tensor<2x6xf32>) {
  // expected-error @below {{quern.repeat_backward (C2): cannot repeat 4 times}}
  %0 = quern.repeat_backward %x dimension 1 times 4 : tensor<2x6xf32>
  quern.return
}

// -----

quern.function @f(%g: tensor<2x6xf32>, %x: tensor<2xf32>) {
  // expected-error @below {{quern.broadcast_backward (C1): 'tensor<2xf32>' does not broadcast to 'tensor<2x6xf32>'}}
  %0 = quern.broadcast_backward %g like %x : tensor<2x6xf32>, tensor<2xf32>
  quern.return
}

// -----

quern.function @f(%g: tensor<3xf32>, %x: tensor<2x6xf32>) {
  // expected-error @below {{quern.sum_backward (C1): 'tensor<3xf32>' is no sum of 'tensor<2x6xf32>' over these dimensions}}
  %0 = quern.sum_backward %g like %x dimensions [1] : tensor<3xf32>, tensor<2x6xf32>
  quern.return
}

// -----

quern.function @f(%x: tensor<3xf32>, %y: tensor<3xf64>) {
  // expected-error @below {{quern.squared_norm (C1): takes float tensors of one element type, not 'tensor<3xf64>'}}
  %0 = quern.squared_norm %x, %y : tensor<3xf32>, tensor<3xf64>
  quern.return
}

// -----

quern.function @f(%p: tensor<3xf32>, %g: tensor<4xf32>, %s: tensor<f32>, %o: tensor<f64>) {
  // expected-error @below {{quern.adamw (C1): the parameter is 'tensor<3xf32>', but its gradient or a moment 'tensor<4xf32>'}}
  %0:3 = quern.adamw %p, %g moments %p, %p scale %s options %o, %o, %o, %o, %o, %o : tensor<3xf32>, tensor<4xf32>, tensor<3xf32>, tensor<3xf32>, tensor<f32>, tensor<f64>, tensor<f64>, tensor<f64>, tensor<f64>, tensor<f64>, tensor<f64>
  quern.return
}

// -----

quern.function @f(%p: tensor<3xf32>, %g: tensor<3xf32>, %s: tensor<f32>, %o: tensor<1xf64>) {
  // expected-error @below {{quern.adamw (C2): options and scale must be floats of rank 0, not 'tensor<1xf64>'}}
  %0:3 = quern.adamw %p, %g moments %p, %p scale %s options %o, %o, %o, %o, %o, %o : tensor<3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<f32>, tensor<1xf64>, tensor<1xf64>, tensor<1xf64>, tensor<1xf64>, tensor<1xf64>, tensor<1xf64>
  quern.return
}

// -----

quern.function @f(%c: tensor<2x9x4xf32>, %x: tensor<2x3x5xf32>, %o: tensor<i32>) {
  // expected-error @below {{quern.cache_append (C1): 'tensor<2x3x5xf32>' does not fit a cache of type 'tensor<2x9x4xf32>'}}
  %0 = quern.cache_append %c, %x offset %o : tensor<2x9x4xf32>, tensor<2x3x5xf32>, tensor<i32>
  quern.return
}

// -----

quern.function @f(%c: tensor<2x9x4xf32>, %x: tensor<2x3x4xf32>, %o: tensor<1xi32>) {
  // expected-error @below {{quern.cache_append (C2): the offset must be a tensor<i32>, not 'tensor<1xi32>'}}
  %0 = quern.cache_append %c, %x offset %o : tensor<2x9x4xf32>, tensor<2x3x4xf32>, tensor<1xi32>
  quern.return
}

// -----

quern.function @f(%x: tensor<2x3x4xf32>) {
  // expected-error @below {{quern.last (C1): 'tensor<2x3x4xf32>' has no element along dimension 3}}
  %0 = quern.last %x dimension 3 : tensor<2x3x4xf32>
  quern.return
}

// -----

quern.function @f(%x: tensor<2x0x4xf32>) {
  // expected-error @below {{quern.last (C1): 'tensor<2x0x4xf32>' has no element along dimension 1}}
  %0 = quern.last %x dimension 1 : tensor<2x0x4xf32>
  quern.return
}

// -----

quern.function @f(%l: tensor<2x9xi32>, %r: tensor<f64>, %i: tensor<i64>) {
  // expected-error @below {{quern.sample (C1): logits must be f32, bf16 or f16 with a static last dimension of 1 to 4194304, not 'tensor<2x9xi32>'}}
  %0:2 = quern.sample %l temperature %r top_k %i top_p %r seed %i index %i : tensor<2x9xi32>, tensor<f64>, tensor<i64>, tensor<f64>, tensor<i64>, tensor<i64>
  quern.return
}

// -----

quern.function @f(%l: tensor<2x?xf32>, %r: tensor<f64>, %i: tensor<i64>) {
  // expected-error @below {{quern.sample (C1): logits must be f32, bf16 or f16 with a static last dimension of 1 to 4194304, not 'tensor<2x?xf32>'}}
  %0:2 = quern.sample %l temperature %r top_k %i top_p %r seed %i index %i : tensor<2x?xf32>, tensor<f64>, tensor<i64>, tensor<f64>, tensor<i64>, tensor<i64>
  quern.return
}

// -----

quern.function @f(%l: tensor<2x9xf32>, %r: tensor<f32>, %i: tensor<i64>) {
  // expected-error @below {{quern.sample (C2): temperature and top_p must be tensor<f64>, not 'tensor<f32>'}}
  %0:2 = quern.sample %l temperature %r top_k %i top_p %r seed %i index %i : tensor<2x9xf32>, tensor<f32>, tensor<i64>, tensor<f32>, tensor<i64>, tensor<i64>
  quern.return
}

// -----

quern.function @f(%l: tensor<2x9xf32>, %r: tensor<f64>, %i: tensor<1xi64>) {
  // expected-error @below {{quern.sample (C3): top_k, seed and index must be tensor<i64>, not 'tensor<1xi64>'}}
  %0:2 = quern.sample %l temperature %r top_k %i top_p %r seed %i index %i : tensor<2x9xf32>, tensor<f64>, tensor<1xi64>, tensor<f64>, tensor<1xi64>, tensor<1xi64>
  quern.return
}
