// RUN: quern-opt %s -quern-fuse-linear-cross-entropy | FileCheck %s
// RUN: quern-opt %s -quern-inline-calls -quern-fuse-linear-cross-entropy | FileCheck %s --check-prefix=CALL
// RUN: quern-opt %s -quern-fuse -o %t.mlir
// RUN: quern-reference %s %t.mlir --compare forward --dims batch=2,sequence=5 --range targets=0:3

// CHECK-LABEL: quern.model @plain
// CHECK-NEXT: quern.function @forward
// CHECK-NEXT: %[[L:.*]] = quern.linear_cross_entropy %x, %w, %targets bias %b ignore_index -100
// CHECK-NEXT: quern.return %[[L]]
quern.model @plain kind("test") {
  quern.function @forward(%x: tensor<?x?x4xf32>, %w: tensor<4x9xf32>, %b: tensor<9xf32>, %targets: tensor<?x?xi32>)
      -> (tensor<f32>) {
    %logits = quern.linear %x, %w bias %b : tensor<?x?x4xf32>, tensor<4x9xf32>, tensor<9xf32>
    %loss = quern.cross_entropy %logits, %targets ignore_index -100 : tensor<?x?x9xf32>, tensor<?x?xi32>
    quern.return %loss : tensor<f32>
  }
}

// Logits that become rows first: x does in their place.

// CHECK-LABEL: quern.model @rows
// CHECK-NEXT: quern.function @forward
// CHECK-NEXT: %[[R:.*]] = tensor.collapse_shape %x {{\[\[}}0, 1], [2]] : tensor<2x3x4xf32> into tensor<6x4xf32>
// CHECK-NEXT: %[[L:.*]] = quern.linear_cross_entropy %[[R]], %w, %targets transposed
// CHECK-NEXT: quern.return %[[L]]
quern.model @rows kind("test") {
  quern.function @forward(%x: tensor<2x3x4xf32>, %w: tensor<9x4xf32>, %targets: tensor<6xi32>) -> (tensor<f32>) {
    %logits = quern.linear %x, %w transposed : tensor<2x3x4xf32>, tensor<9x4xf32>
    %rows = tensor.collapse_shape %logits [[0, 1], [2]] : tensor<2x3x9xf32> into tensor<6x9xf32>
    %loss = quern.cross_entropy %rows, %targets : tensor<6x9xf32>, tensor<6xi32>
    quern.return %loss : tensor<f32>
  }
}

// Forward keeps its logits; the loss has them no more.

// CALL-LABEL: quern.model @lm
quern.model @lm kind("causal_lm") {
  quern.parameter @token : tensor<9x4xf32> init(zeros)
  // CALL: quern.function @forward
  // CALL: quern.linear %{{.*}}, %{{.*}} transposed
  // CALL: quern.return
  quern.function @forward(%tokens: tensor<?x?xi32>) -> (tensor<?x?x9xf32>) {
    %table = quern.read @token : tensor<9x4xf32>
    %x = quern.embedding %tokens, %table : tensor<?x?xi32>, tensor<9x4xf32>
    %logits = quern.linear %x, %table transposed : tensor<?x?x4xf32>, tensor<9x4xf32>
    quern.return %logits : tensor<?x?x9xf32>
  }
  // CALL: quern.function @loss
  // CALL-SAME: (%[[TOKENS:tokens]]: {{.*}}, %[[TARGETS:targets]]: 
  // CALL-NEXT: %[[TABLE:.*]] = quern.read @token
  // CALL-NEXT: %[[E:.*]] = quern.embedding %[[TOKENS]], %[[TABLE]]
  // CALL-NEXT: %[[LOSS:.*]] = quern.linear_cross_entropy %[[E]], %[[TABLE]], %[[TARGETS]] transposed
  // CALL-NEXT: quern.return %[[LOSS]]
  quern.function @loss(%tokens: tensor<?x?xi32>, %targets: tensor<?x?xi32>) -> (tensor<f32>) {
    %logits = quern.call @forward(%tokens) : (tensor<?x?xi32>) -> tensor<?x?x9xf32>
    %loss = quern.cross_entropy %logits, %targets : tensor<?x?x9xf32>, tensor<?x?xi32>
    quern.return %loss : tensor<f32>
  }
}

//===- Near misses ------------------------------------------------------------------------------===//

// Someone else wants the logits.

// CHECK-LABEL: quern.model @logits_read
// CHECK: quern.linear
// CHECK: quern.cross_entropy
quern.model @logits_read kind("test") {
  quern.function @forward(%x: tensor<?x?x4xf32>, %w: tensor<4x9xf32>, %targets: tensor<?x?xi32>)
      -> (tensor<f32>, tensor<?x?x9xf32>) {
    %logits = quern.linear %x, %w : tensor<?x?x4xf32>, tensor<4x9xf32>
    %loss = quern.cross_entropy %logits, %targets : tensor<?x?x9xf32>, tensor<?x?xi32>
    quern.return %loss, %logits : tensor<f32>, tensor<?x?x9xf32>
  }
}

// Something stands between the two (a temperature).

// CHECK-LABEL: quern.model @scaled
// CHECK: quern.linear
// CHECK: quern.cross_entropy
quern.model @scaled kind("test") {
  quern.function @forward(%x: tensor<?x?x4xf32>, %w: tensor<4x9xf32>, %targets: tensor<?x?xi32>) -> (tensor<f32>) {
    %logits = quern.linear %x, %w : tensor<?x?x4xf32>, tensor<4x9xf32>
    %half = quern.full 0.5 like %logits : tensor<?x?x9xf32>
    %scaled = arith.mulf %logits, %half : tensor<?x?x9xf32>
    %loss = quern.cross_entropy %scaled, %targets : tensor<?x?x9xf32>, tensor<?x?xi32>
    quern.return %loss : tensor<f32>
  }
}

// The classes are mixed with the rows.

// CHECK-LABEL: quern.model @classes_split
// CHECK: quern.linear
// CHECK: quern.cross_entropy
quern.model @classes_split kind("test") {
  quern.function @forward(%x: tensor<2x4xf32>, %w: tensor<4x9xf32>, %targets: tensor<6xi32>) -> (tensor<f32>) {
    %logits = quern.linear %x, %w : tensor<2x4xf32>, tensor<4x9xf32>
    %parts = quern.split_heads %logits heads 3 : tensor<2x9xf32>
    %rows = tensor.collapse_shape %parts [[0, 1], [2]] : tensor<2x3x3xf32> into tensor<6x3xf32>
    %loss = quern.cross_entropy %rows, %targets : tensor<6x3xf32>, tensor<6xi32>
    quern.return %loss : tensor<f32>
  }
}
