// RUN: quern-opt %s --quern-derive=programs=gradients --split-input-file -o %t.mlir
// RUN: FileCheck %s --input-file %t.mlir

// The loss that the program returns comes with its gradients.
// CHECK-LABEL: quern.model @alone
// CHECK: quern.function @gradients
// CHECK-NOT: quern.linear_cross_entropy %
// CHECK: %[[ONE:.*]] = arith.constant dense<1.0
// CHECK: %[[BOTH:.*]]:3 = quern.linear_cross_entropy_gradient %x, %w, %targets, %[[ONE]]
// CHECK: quern.return %[[BOTH]]#0, %[[BOTH]]#2
quern.model @alone kind("test") {
  quern.parameter @w : tensor<4x7xf32> init(ones)
  quern.function @forward(%x: tensor<3x4xf32>) -> tensor<3x4xf32> {
    quern.return %x : tensor<3x4xf32>
  }
  quern.function @loss(%x: tensor<3x4xf32>, %targets: tensor<3xi32>) -> tensor<f32> {
    %w = quern.read @w : tensor<4x7xf32>
    %loss = quern.linear_cross_entropy %x, %w, %targets : tensor<3x4xf32>, tensor<4x7xf32>, tensor<3xi32>
    quern.return %loss : tensor<f32>
  }
}

// -----

// One of two losses that are added, too: each stands where the forward op stood.
// CHECK-LABEL: quern.model @two
// CHECK: quern.function @gradients
// CHECK-NOT: quern.linear_cross_entropy %
// CHECK: %[[A:.*]]:3 = quern.linear_cross_entropy_gradient
// CHECK: %[[B:.*]]:3 = quern.linear_cross_entropy_gradient
// CHECK: %[[SUM:.*]] = arith.addf %[[A]]#0, %[[B]]#0 : tensor<f32>
// CHECK: arith.addf %[[B]]#2, %[[A]]#2 : tensor<4x7xf32>
quern.model @two kind("test") {
  quern.parameter @w : tensor<4x7xf32> init(ones)
  quern.function @forward(%x: tensor<3x4xf32>) -> tensor<3x4xf32> {
    quern.return %x : tensor<3x4xf32>
  }
  quern.function @loss(%x: tensor<3x4xf32>, %targets: tensor<3xi32>, %others: tensor<3xi32>) -> tensor<f32> {
    %w = quern.read @w : tensor<4x7xf32>
    %a = quern.linear_cross_entropy %x, %w, %targets : tensor<3x4xf32>, tensor<4x7xf32>, tensor<3xi32>
    %b = quern.linear_cross_entropy %x, %w, %others : tensor<3x4xf32>, tensor<4x7xf32>, tensor<3xi32>
    %loss = arith.addf %a, %b : tensor<f32>
    quern.return %loss : tensor<f32>
  }
}

// -----

// Where the loss's own gradient is known only after the forward pass, both run.
// CHECK-LABEL: quern.model @squared
// CHECK: quern.function @gradients
// CHECK: %[[LOSS:.*]] = quern.linear_cross_entropy %
// CHECK: %[[SQUARE:.*]] = arith.mulf %[[LOSS]], %[[LOSS]]
// CHECK: %[[D:.*]] = arith.addf
// CHECK: quern.linear_cross_entropy_gradient %x, %w, %targets, %[[D]]
// CHECK: quern.return %[[SQUARE]]
quern.model @squared kind("test") {
  quern.parameter @w : tensor<4x7xf32> init(ones)
  quern.function @forward(%x: tensor<3x4xf32>) -> tensor<3x4xf32> {
    quern.return %x : tensor<3x4xf32>
  }
  quern.function @loss(%x: tensor<3x4xf32>, %targets: tensor<3xi32>) -> tensor<f32> {
    %w = quern.read @w : tensor<4x7xf32>
    %a = quern.linear_cross_entropy %x, %w, %targets : tensor<3x4xf32>, tensor<4x7xf32>, tensor<3xi32>
    %loss = arith.mulf %a, %a : tensor<f32>
    quern.return %loss : tensor<f32>
  }
}
