// RUN: quern-opt %s --quern-derive=programs=gradients --split-input-file | FileCheck %s

// dx = dy W^T, dW = x^T dy, db = the sum of dy's rows; inputs get no gradient, and a weight's second
// use adds to its first one's gradient in place.
// CHECK-LABEL: quern.model @linear
// CHECK: quern.function @gradients
// CHECK: %[[H:.*]] = quern.linear %x, %w bias %b
// CHECK: %[[Y:.*]] = quern.linear %[[H]], %w transposed
// CHECK: %[[DY:.*]] = quern.sum_backward
// CHECK: %[[DW:.*]] = quern.linear_weight_gradient %[[H]], %[[DY]] transposed
// CHECK: %[[DH:.*]] = quern.linear %[[DY]], %w :
// CHECK: %[[DB:.*]] = quern.sum %[[DH]] dimensions [0, 1]
// CHECK: %[[DW2:.*]] = quern.linear_weight_gradient %x, %[[DH]] init %[[DW]] :
// CHECK-NOT: quern.linear
// CHECK: quern.return %{{.*}}, %[[DW2]], %[[DB]]
quern.model @linear kind("test") {
  quern.parameter @w : tensor<3x4xf32> init(ones)
  quern.parameter @b : tensor<4xf32> init(ones)
  quern.function @forward(%x: tensor<2x5x3xf32>) -> tensor<2x5x3xf32> {
    %w = quern.read @w : tensor<3x4xf32>
    %b = quern.read @b : tensor<4xf32>
    %h = quern.linear %x, %w bias %b : tensor<2x5x3xf32>, tensor<3x4xf32>, tensor<4xf32>
    %y = quern.linear %h, %w transposed : tensor<2x5x4xf32>, tensor<3x4xf32>
    quern.return %y : tensor<2x5x3xf32>
  }
  quern.function @loss(%x: tensor<2x5x3xf32>) -> tensor<f32> {
    %y = quern.call @forward(%x) : (tensor<2x5x3xf32>) -> tensor<2x5x3xf32>
    %s = quern.sum %y dimensions [0, 1, 2] : tensor<2x5x3xf32>
    quern.return %s : tensor<f32>
  }
}

// -----

// Maps whose result nobody uses get a gradient of zero and no products.
// CHECK-LABEL: quern.model @fused
// CHECK: quern.function @gradients
// CHECK: %[[Y:.*]]:2 = quern.fused_linear %x weights(%v, %w)
// CHECK: quern.linear_weight_gradient %x, %{{.*}} :
// CHECK-NOT: quern.linear_weight_gradient
// CHECK: %[[ZERO:.*]] = quern.full 0.000000e+00 like %v
// CHECK: quern.return %{{.*}}, %[[ZERO]],
quern.model @fused kind("test") {
  quern.parameter @v : tensor<3x2xf32> init(ones)
  quern.parameter @w : tensor<3x4xf32> init(ones)
  quern.function @forward(%x: tensor<5x3xf32>) -> tensor<5x4xf32> {
    %v = quern.read @v : tensor<3x2xf32>
    %w = quern.read @w : tensor<3x4xf32>
    %y:2 = quern.fused_linear %x weights (%v, %w) : tensor<5x3xf32>, tensor<3x2xf32>, tensor<3x4xf32>
    quern.return %y#1 : tensor<5x4xf32>
  }
  quern.function @loss(%x: tensor<5x3xf32>) -> tensor<f32> {
    %y = quern.call @forward(%x) : (tensor<5x3xf32>) -> tensor<5x4xf32>
    %s = quern.sum %y dimensions [0, 1] : tensor<5x4xf32>
    quern.return %s : tensor<f32>
  }
}
