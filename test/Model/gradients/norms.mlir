// RUN: quern-opt %s --quern-derive=programs=gradients --split-input-file | FileCheck %s

// The gradient that reaches x past the norm is an addend of the norm's; a weight that is an input gets none.
// CHECK-LABEL: quern.model @past
// CHECK: quern.function @gradients
// CHECK: %[[DY:.*]] = quern.sum_backward
// CHECK: %[[DX:.*]]:2 = quern.norm_backward rms %[[X:.*]], %[[DY]] weight %g addend %[[DY]]
// CHECK-NOT: arith.addf
// CHECK: quern.linear_weight_gradient %in, %[[DX]]#0
quern.model @past kind("test") {
  quern.parameter @w : tensor<4x4xf32> init(ones)
  quern.function @forward(%in: tensor<3x4xf32>, %g: tensor<4xf32>) -> tensor<3x4xf32> {
    %w = quern.read @w : tensor<4x4xf32>
    %x = quern.linear %in, %w : tensor<3x4xf32>, tensor<4x4xf32>
    %n = quern.rms_norm %x weight %g : tensor<3x4xf32>, tensor<4xf32>
    %y = arith.addf %n, %x : tensor<3x4xf32>
    quern.return %y : tensor<3x4xf32>
  }
  quern.function @loss(%in: tensor<3x4xf32>, %g: tensor<4xf32>) -> tensor<f32> {
    %y = quern.call @forward(%in, %g) : (tensor<3x4xf32>, tensor<4xf32>) -> tensor<3x4xf32>
    %s = quern.sum %y dimensions [0, 1] : tensor<3x4xf32>
    quern.return %s : tensor<f32>
  }
}

// -----

// In a loop, the sum is saved; the backward pass normalizes it again, and does not add again.
// CHECK-LABEL: quern.model @residual
// CHECK: quern.function @gradients
// CHECK: quern.scan 2 carry
// CHECK: %[[Y:.*]], %[[SUM:.*]] = quern.residual_norm rms
// CHECK: quern.yield %{{[^,]*}}, %{{[^,]*}}, %[[SUM]]
// CHECK: quern.scan 2 reverse carry {{.*}} %[[SAVED:[^ ]*]] = %{{[0-9]+}}#2
// CHECK-NOT: quern.residual_norm
// CHECK: quern.rms_norm %[[SAVED]]
// CHECK: quern.norm_backward rms %[[SAVED]], %{{.*}} addend %x
quern.model @residual kind("test") {
  quern.layers @block count(2) (%x: tensor<3x4xf32>) -> tensor<3x4xf32> {
    quern.parameter @w : tensor<4x4xf32> init(ones)
    quern.parameter @v : tensor<4x4xf32> init(ones)
    quern.parameter @g : tensor<4xf32> init(ones)
    %w = quern.read @w : tensor<4x4xf32>
    %v = quern.read @v : tensor<4x4xf32>
    %g = quern.read @g : tensor<4xf32>
    %p = quern.linear %x, %w : tensor<3x4xf32>, tensor<4x4xf32>
    %n, %s = quern.residual_norm rms %x, %p weight %g epsilon 1.0e-5 : tensor<3x4xf32>, tensor<3x4xf32>, tensor<4xf32>
    %q = quern.linear %n, %v : tensor<3x4xf32>, tensor<4x4xf32>
    %y = arith.addf %s, %q : tensor<3x4xf32>
    quern.yield %y : tensor<3x4xf32>
  }
  quern.function @forward(%x: tensor<3x4xf32>) -> tensor<3x4xf32> {
    %y = quern.apply @block(%x) : (tensor<3x4xf32>) -> tensor<3x4xf32>
    quern.return %y : tensor<3x4xf32>
  }
  quern.function @loss(%x: tensor<3x4xf32>) -> tensor<f32> {
    %y = quern.call @forward(%x) : (tensor<3x4xf32>) -> tensor<3x4xf32>
    %s = quern.sum %y dimensions [0, 1] : tensor<3x4xf32>
    quern.return %s : tensor<f32>
  }
}
