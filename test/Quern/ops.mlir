// Each operation, in all its forms, survives printing and parsing, in its own form and the generic one.
// RUN: quern-opt %s -o %t.first.mlir
// RUN: quern-opt %t.first.mlir | diff %t.first.mlir -
// RUN: quern-opt %s --mlir-print-op-generic | quern-opt | diff %t.first.mlir -
// RUN: FileCheck %s < %t.first.mlir

// CHECK-LABEL: @embeddings
quern.function @embeddings(%tokens: tensor<?x?xi32>, %table: tensor<17x8xf32>, %offset: tensor<i32>,
                           %x: tensor<?x?x2x8xf32>) {
  // CHECK: quern.embedding %tokens, %table : tensor<?x?xi32>, tensor<17x8xf32>
  %0 = quern.embedding %tokens, %table : tensor<?x?xi32>, tensor<17x8xf32>
  // CHECK: quern.position_embedding %tokens, %table : tensor<?x?xi32>, tensor<17x8xf32>
  %1 = quern.position_embedding %tokens, %table : tensor<?x?xi32>, tensor<17x8xf32>
  // CHECK: quern.position_embedding %tokens, %table offset %offset : tensor<?x?xi32>, tensor<17x8xf32>, tensor<i32>
  %2 = quern.position_embedding %tokens, %table offset %offset : tensor<?x?xi32>, tensor<17x8xf32>, tensor<i32>
  // CHECK: quern.rotary_embedding %x : tensor<?x?x2x8xf32>
  %3 = quern.rotary_embedding %x : tensor<?x?x2x8xf32>
  // CHECK: quern.rotary_embedding %x offset %offset interleaved inverse base 5.000000e+05 : tensor<?x?x2x8xf32>, tensor<i32>
  %4 = quern.rotary_embedding %x offset %offset interleaved inverse base 5.0e5 : tensor<?x?x2x8xf32>, tensor<i32>
  quern.return
}

// CHECK-LABEL: @norms
quern.function @norms(%x: tensor<?x8xf32>, %w: tensor<8xf32>, %b: tensor<8xf32>) {
  // CHECK: quern.layer_norm %x : tensor<?x8xf32>
  %0 = quern.layer_norm %x : tensor<?x8xf32>
  // CHECK: quern.layer_norm %x weight %w bias %b epsilon 1.000000e-03 : tensor<?x8xf32>, tensor<8xf32>, tensor<8xf32>
  %1 = quern.layer_norm %x weight %w bias %b epsilon 1.0e-3 : tensor<?x8xf32>, tensor<8xf32>, tensor<8xf32>
  // CHECK: quern.layer_norm %x bias %b : tensor<?x8xf32>, tensor<8xf32>
  %2 = quern.layer_norm %x bias %b : tensor<?x8xf32>, tensor<8xf32>
  // CHECK: quern.rms_norm %x : tensor<?x8xf32>
  %3 = quern.rms_norm %x : tensor<?x8xf32>
  // CHECK: quern.rms_norm %x weight %w epsilon 0.000000e+00 : tensor<?x8xf32>, tensor<8xf32>
  %4 = quern.rms_norm %x weight %w epsilon 0.0 : tensor<?x8xf32>, tensor<8xf32>
  // CHECK: quern.residual_norm layer %x, %x weight %w bias %b epsilon 1.000000e-05 : tensor<?x8xf32>, tensor<?x8xf32>, tensor<8xf32>, tensor<8xf32>
  %5:2 = quern.residual_norm layer %x, %x weight %w bias %b epsilon 1.0e-5 : tensor<?x8xf32>, tensor<?x8xf32>, tensor<8xf32>, tensor<8xf32>
  // CHECK: quern.residual_norm rms %x, %x epsilon 1.000000e-05 : tensor<?x8xf32>, tensor<?x8xf32>
  %6:2 = quern.residual_norm rms %x, %x epsilon 1.0e-5 : tensor<?x8xf32>, tensor<?x8xf32>
  // CHECK: quern.norm_backward layer %x, %x weight %w addend %x epsilon 1.000000e-05 has_bias : tensor<?x8xf32>, tensor<?x8xf32>, tensor<8xf32>, tensor<?x8xf32>
  %7:3 = quern.norm_backward layer %x, %x weight %w addend %x epsilon 1.0e-5 has_bias : tensor<?x8xf32>, tensor<?x8xf32>, tensor<8xf32>, tensor<?x8xf32>
  // CHECK: quern.norm_backward rms %x, %x epsilon 1.000000e-05 : tensor<?x8xf32>, tensor<?x8xf32>
  %8 = quern.norm_backward rms %x, %x epsilon 1.0e-5 : tensor<?x8xf32>, tensor<?x8xf32>
  quern.return
}

// CHECK-LABEL: @products
quern.function @products(%x: tensor<?x?x8xf32>, %w: tensor<8x3xf32>, %b: tensor<3xf32>, %y: tensor<?x?x3xf32>,
                         %m: tensor<2x5x7xf32>, %n: tensor<2x7x3xf32>) {
  // CHECK: quern.linear %x, %w : tensor<?x?x8xf32>, tensor<8x3xf32>
  %0 = quern.linear %x, %w : tensor<?x?x8xf32>, tensor<8x3xf32>
  // CHECK: quern.linear %{{.*}}, %w transposed : tensor<?x?x3xf32>, tensor<8x3xf32>
  %1 = quern.linear %0, %w transposed : tensor<?x?x3xf32>, tensor<8x3xf32>
  // CHECK: quern.linear %x, %w bias %b : tensor<?x?x8xf32>, tensor<8x3xf32>, tensor<3xf32>
  %2 = quern.linear %x, %w bias %b : tensor<?x?x8xf32>, tensor<8x3xf32>, tensor<3xf32>
  // CHECK: quern.fused_linear %x weights(%w, %w) biases(%b, %b) : tensor<?x?x8xf32>, tensor<8x3xf32>, tensor<8x3xf32>, tensor<3xf32>, tensor<3xf32>
  %3:2 = quern.fused_linear %x weights(%w, %w) biases(%b, %b) : tensor<?x?x8xf32>, tensor<8x3xf32>, tensor<8x3xf32>, tensor<3xf32>, tensor<3xf32>
  // CHECK: quern.fused_linear %y weights(%w, %w) transposed : tensor<?x?x3xf32>, tensor<8x3xf32>, tensor<8x3xf32>
  %4:2 = quern.fused_linear %y weights(%w, %w) transposed : tensor<?x?x3xf32>, tensor<8x3xf32>, tensor<8x3xf32>
  // CHECK: quern.linear_weight_gradient %x, %y : tensor<?x?x8xf32>, tensor<?x?x3xf32>
  %5 = quern.linear_weight_gradient %x, %y : tensor<?x?x8xf32>, tensor<?x?x3xf32>
  // CHECK: quern.linear_weight_gradient %y, %x init %w transposed : tensor<?x?x3xf32>, tensor<?x?x8xf32>, tensor<8x3xf32>
  %6 = quern.linear_weight_gradient %y, %x init %w transposed : tensor<?x?x3xf32>, tensor<?x?x8xf32>, tensor<8x3xf32>
  // CHECK: quern.matmul %m, %n : tensor<2x5x7xf32>, tensor<2x7x3xf32>
  %7 = quern.matmul %m, %n : tensor<2x5x7xf32>, tensor<2x7x3xf32>
  // CHECK: quern.matmul %m, %m transpose_a : tensor<2x5x7xf32>, tensor<2x5x7xf32>
  %8 = quern.matmul %m, %m transpose_a : tensor<2x5x7xf32>, tensor<2x5x7xf32>
  // CHECK: quern.matmul %n, %m transpose_a transpose_b : tensor<2x7x3xf32>, tensor<2x5x7xf32>
  %9 = quern.matmul %n, %m transpose_a transpose_b : tensor<2x7x3xf32>, tensor<2x5x7xf32>
  quern.return
}

// CHECK-LABEL: @attention
quern.function @attention(%q: tensor<2x?x4x8xf32>, %k: tensor<2x?x2x8xf32>, %v: tensor<2x?x2x16xf32>, %mask: tensor<4x?x?xf32>,
                          %lengths: tensor<2xi32>, %offset: tensor<i32>, %o: tensor<2x?x4x16xf32>, %lse: tensor<2x4x?xf32>) {
  // CHECK: quern.attention %q, %k, %v : tensor<2x?x4x8xf32>, tensor<2x?x2x8xf32>, tensor<2x?x2x16xf32>
  %0 = quern.attention %q, %k, %v : tensor<2x?x4x8xf32>, tensor<2x?x2x8xf32>, tensor<2x?x2x16xf32>
  // CHECK: quern.attention %q, %k, %v mask %mask lengths %lengths offset %offset causal scale 1.250000e-01 :
  %1 = quern.attention %q, %k, %v mask %mask lengths %lengths offset %offset causal scale 0.125
      : tensor<2x?x4x8xf32>, tensor<2x?x2x8xf32>, tensor<2x?x2x16xf32>, tensor<4x?x?xf32>, tensor<2xi32>, tensor<i32>
  // CHECK: quern.attention_forward %q, %k, %v mask %mask lengths %lengths causal scale 1.250000e-01 :
  %2:2 = quern.attention_forward %q, %k, %v mask %mask lengths %lengths causal scale 0.125
      : tensor<2x?x4x8xf32>, tensor<2x?x2x8xf32>, tensor<2x?x2x16xf32>, tensor<4x?x?xf32>, tensor<2xi32>
  // CHECK: quern.attention_backward %q, %k, %v, %o, %lse, %o lengths %lengths scale 1.250000e-01 :
  %3:3 = quern.attention_backward %q, %k, %v, %o, %lse, %o lengths %lengths scale 0.125
      : tensor<2x?x4x8xf32>, tensor<2x?x2x8xf32>, tensor<2x?x2x16xf32>, tensor<2x?x4x16xf32>, tensor<2x4x?xf32>, tensor<2x?x4x16xf32>, tensor<2xi32>
  // CHECK: quern.softmax %mask : tensor<4x?x?xf32>
  %4 = quern.softmax %mask : tensor<4x?x?xf32>
  // CHECK: quern.softmax_backward %mask, %mask : tensor<4x?x?xf32>, tensor<4x?x?xf32>
  %5 = quern.softmax_backward %mask, %mask : tensor<4x?x?xf32>, tensor<4x?x?xf32>
  // CHECK: quern.causal_mask like %mask : tensor<4x?x?xf32>
  %6 = quern.causal_mask like %mask : tensor<4x?x?xf32>
  // CHECK: quern.cache_append %k, %k offset %offset : tensor<2x?x2x8xf32>, tensor<2x?x2x8xf32>, tensor<i32>
  %7 = quern.cache_append %k, %k offset %offset : tensor<2x?x2x8xf32>, tensor<2x?x2x8xf32>, tensor<i32>
  // CHECK: quern.last %k dimension 1 : tensor<2x?x2x8xf32>
  %8 = quern.last %k dimension 1 : tensor<2x?x2x8xf32>
  // CHECK: arith.negf %{{.*}} : tensor<2x1x2x8xf32>
  %9 = arith.negf %8 : tensor<2x1x2x8xf32>
  quern.return
}

// CHECK-LABEL: @activations
quern.function @activations(%x: tensor<?x8xf32>) {
  // CHECK: quern.gelu %x : tensor<?x8xf32>
  %0 = quern.gelu %x : tensor<?x8xf32>
  // CHECK: quern.gelu %x tanh : tensor<?x8xf32>
  %1 = quern.gelu %x tanh : tensor<?x8xf32>
  // CHECK: quern.silu %x : tensor<?x8xf32>
  %2 = quern.silu %x : tensor<?x8xf32>
  // CHECK: quern.relu %x : tensor<?x8xf32>
  %3 = quern.relu %x : tensor<?x8xf32>
  // CHECK: quern.swiglu %x, %x : tensor<?x8xf32>, tensor<?x8xf32>
  %4 = quern.swiglu %x, %x : tensor<?x8xf32>, tensor<?x8xf32>
  // CHECK: quern.activation_backward "gelu_tanh" %x, %x : tensor<?x8xf32>, tensor<?x8xf32>
  %5 = quern.activation_backward "gelu_tanh" %x, %x : tensor<?x8xf32>, tensor<?x8xf32>
  // CHECK: quern.swiglu_backward %x, %x, %x : tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>
  %6:2 = quern.swiglu_backward %x, %x, %x : tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>
  quern.return
}

// CHECK-LABEL: @losses
quern.function @losses(%logits: tensor<?x?x17xf32>, %targets: tensor<?x?xi32>, %x: tensor<?x?x8xf32>, %w: tensor<8x17xf32>,
                       %b: tensor<17xf32>, %d: tensor<f32>) {
  // CHECK: quern.cross_entropy %logits, %targets : tensor<?x?x17xf32>, tensor<?x?xi32>
  %0 = quern.cross_entropy %logits, %targets : tensor<?x?x17xf32>, tensor<?x?xi32>
  // CHECK: quern.cross_entropy %logits, %targets ignore_index -100 : tensor<?x?x17xf32>, tensor<?x?xi32>
  %1 = quern.cross_entropy %logits, %targets ignore_index -100 : tensor<?x?x17xf32>, tensor<?x?xi32>
  // CHECK: quern.cross_entropy_backward %logits, %targets, %d ignore_index 3 : tensor<?x?x17xf32>, tensor<?x?xi32>, tensor<f32>
  %2 = quern.cross_entropy_backward %logits, %targets, %d ignore_index 3 : tensor<?x?x17xf32>, tensor<?x?xi32>, tensor<f32>
  // CHECK: quern.linear_cross_entropy %x, %w, %targets bias %b : tensor<?x?x8xf32>, tensor<8x17xf32>, tensor<?x?xi32>, tensor<17xf32>
  %3 = quern.linear_cross_entropy %x, %w, %targets bias %b : tensor<?x?x8xf32>, tensor<8x17xf32>, tensor<?x?xi32>, tensor<17xf32>
  // CHECK: quern.linear_cross_entropy %logits, %w, %targets transposed ignore_index 3 : tensor<?x?x17xf32>, tensor<8x17xf32>, tensor<?x?xi32>
  %4 = quern.linear_cross_entropy %logits, %w, %targets transposed ignore_index 3 : tensor<?x?x17xf32>, tensor<8x17xf32>, tensor<?x?xi32>
  // CHECK: quern.linear_cross_entropy_gradient %x, %w, %targets, %d bias %b init %w ignore_index -1 :
  %5:4 = quern.linear_cross_entropy_gradient %x, %w, %targets, %d bias %b init %w ignore_index -1
      : tensor<?x?x8xf32>, tensor<8x17xf32>, tensor<?x?xi32>, tensor<f32>, tensor<17xf32>, tensor<8x17xf32>
  // CHECK: quern.linear_cross_entropy_gradient %logits, %w, %targets, %d transposed ignore_index 3 :
  %6:3 = quern.linear_cross_entropy_gradient %logits, %w, %targets, %d transposed ignore_index 3
      : tensor<?x?x17xf32>, tensor<8x17xf32>, tensor<?x?xi32>, tensor<f32>
  // CHECK: quern.embedding_backward %targets, %x rows 17 : tensor<?x?xi32>, tensor<?x?x8xf32>
  %7 = quern.embedding_backward %targets, %x rows 17 : tensor<?x?xi32>, tensor<?x?x8xf32>
  // CHECK: quern.embedding_backward %targets, %logits init %w rows 8 : tensor<?x?xi32>, tensor<?x?x17xf32>, tensor<8x17xf32>
  %8 = quern.embedding_backward %targets, %logits init %w rows 8 : tensor<?x?xi32>, tensor<?x?x17xf32>, tensor<8x17xf32>
  // CHECK: quern.position_embedding_backward %logits init %w rows 8 : tensor<?x?x17xf32>, tensor<8x17xf32>
  %9 = quern.position_embedding_backward %logits init %w rows 8 : tensor<?x?x17xf32>, tensor<8x17xf32>
  quern.return
}

// CHECK-LABEL: @shapes
quern.function @shapes(%x: tensor<?x?x8xf32>, %y: tensor<?x?x2x4xf32>, %row: tensor<8xf32>, %column: tensor<?x8xf32>) {
  // CHECK: quern.split_heads %x heads 2 : tensor<?x?x8xf32>
  %0 = quern.split_heads %x heads 2 : tensor<?x?x8xf32>
  // CHECK: quern.merge_heads %y : tensor<?x?x2x4xf32>
  %1 = quern.merge_heads %y : tensor<?x?x2x4xf32>
  // CHECK: quern.transpose %y [0, 2, 1, 3] : tensor<?x?x2x4xf32>
  %2 = quern.transpose %y [0, 2, 1, 3] : tensor<?x?x2x4xf32>
  // CHECK: quern.split %x dimension 2 sizes [1, 2, 5] : tensor<?x?x8xf32>
  %3:3 = quern.split %x dimension 2 sizes [1, 2, 5] : tensor<?x?x8xf32>
  // CHECK: quern.concatenate %{{.*}}#0, %{{.*}}#2 dimension 2 : tensor<?x?x1xf32>, tensor<?x?x5xf32>
  %4 = quern.concatenate %3#0, %3#2 dimension 2 : tensor<?x?x1xf32>, tensor<?x?x5xf32>
  // CHECK: quern.repeat %y dimension 2 times 3 : tensor<?x?x2x4xf32>
  %5 = quern.repeat %y dimension 2 times 3 : tensor<?x?x2x4xf32>
  // CHECK: quern.repeat_backward %y dimension 2 times 2 : tensor<?x?x2x4xf32>
  %6 = quern.repeat_backward %y dimension 2 times 2 : tensor<?x?x2x4xf32>
  // CHECK: quern.broadcast %row like %x : tensor<8xf32>, tensor<?x?x8xf32>
  %7 = quern.broadcast %row like %x : tensor<8xf32>, tensor<?x?x8xf32>
  // CHECK: quern.broadcast_backward %x like %row : tensor<?x?x8xf32>, tensor<8xf32>
  %8 = quern.broadcast_backward %x like %row : tensor<?x?x8xf32>, tensor<8xf32>
  // CHECK: quern.full 1.500000e+00 like %x : tensor<?x?x8xf32>
  %9 = quern.full 1.5 like %x : tensor<?x?x8xf32>
  // CHECK: quern.sum %x dimensions [1] : tensor<?x?x8xf32>
  %10 = quern.sum %x dimensions [1] : tensor<?x?x8xf32>
  // CHECK: quern.sum_backward %column like %x dimensions [1] : tensor<?x8xf32>, tensor<?x?x8xf32>
  %11 = quern.sum_backward %column like %x dimensions [1] : tensor<?x8xf32>, tensor<?x?x8xf32>
  quern.return
}

// CHECK-LABEL: @optimizer
quern.function @optimizer(%p: tensor<3x4xf32>, %g: tensor<5xf32>, %scale: tensor<f32>, %option: tensor<f64>) {
  // CHECK: quern.squared_norm %p, %g : tensor<3x4xf32>, tensor<5xf32>
  %0 = quern.squared_norm %p, %g : tensor<3x4xf32>, tensor<5xf32>
  // CHECK: quern.adamw %p, %p moments %p, %p scale %scale options %option, %option, %option, %option, %option, %option :
  %1:3 = quern.adamw %p, %p moments %p, %p scale %scale options %option, %option, %option, %option, %option, %option
      : tensor<3x4xf32>, tensor<3x4xf32>, tensor<3x4xf32>, tensor<3x4xf32>, tensor<f32>,
        tensor<f64>, tensor<f64>, tensor<f64>, tensor<f64>, tensor<f64>, tensor<f64>
  // CHECK: quern.adamw %p, %p moments %p, %p options %option, %option, %option, %option, %option, %option :
  %2:3 = quern.adamw %p, %p moments %p, %p options %option, %option, %option, %option, %option, %option
      : tensor<3x4xf32>, tensor<3x4xf32>, tensor<3x4xf32>, tensor<3x4xf32>,
        tensor<f64>, tensor<f64>, tensor<f64>, tensor<f64>, tensor<f64>, tensor<f64>
  quern.return
}

// CHECK-LABEL: @sampling
quern.function @sampling(%logits: tensor<?x1x9xbf16>, %real: tensor<f64>, %integer: tensor<i64>) {
  // CHECK: %token, %next = quern.sample %logits temperature %real top_k %integer top_p %real seed %integer index %integer : tensor<?x1x9xbf16>, tensor<f64>, tensor<i64>, tensor<f64>, tensor<i64>, tensor<i64>
  %token, %next = quern.sample %logits temperature %real top_k %integer top_p %real seed %integer index %integer
      : tensor<?x1x9xbf16>, tensor<f64>, tensor<i64>, tensor<f64>, tensor<i64>, tensor<i64>
  quern.return
}
