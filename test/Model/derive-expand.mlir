// RUN: quern-opt %s --quern-expand --split-input-file | FileCheck %s
// RUN: quern-opt %s --quern-expand=programs=forward --split-input-file | FileCheck %s --check-prefix=FORWARD

// Calls are inlined, parameters become arguments in the order of declaration, applied layers become
// loops, and arguments of layers that do not go from layer to layer are seen from outside.
// CHECK-LABEL: quern.model @calls
// CHECK: quern.function @forward(%x: tensor<4x3xf32> {{.*}}, %first: tensor<3x3xf32> {quern.name = "first", quern.parameter = @first, quern.role = "parameter"}, %block.scale: tensor<2x3xf32> {quern.name = "block.scale", quern.parameter = @block::@scale, quern.role = "parameter"}, %last: tensor<3x3xf32>
// CHECK-SAME: -> (tensor<4x3xf32> {quern.name = "logits", quern.role = "output"}) attributes {program}
// What the program knows of its shapes is known in layers and functions that leave them open.
// CHECK: %[[A:.*]] = quern.linear %x, %first : tensor<4x3xf32>, tensor<3x3xf32>
// CHECK: %[[S:.*]] = quern.scan 2 carry (%[[X:.*]] = %[[A]] : tensor<4x3xf32>) slices (%[[W:.*]] = %block.scale : tensor<2x3xf32>) -> tensor<4x3xf32> attributes {quern.layers = @block} {
// CHECK: quern.rms_norm %[[X]] weight %[[W]]
// CHECK: arith.addf %{{.*}}, %[[A]] : tensor<4x3xf32>
// CHECK: quern.linear %[[S]], %last
// CHECK-NOT: quern.call
// CHECK-NOT: quern.read
// CHECK-NOT: @twice

// FORWARD-LABEL: quern.model @calls
// FORWARD: quern.function @forward
// FORWARD-NOT: quern.function
quern.model @calls kind("test") {
  quern.parameter @first : tensor<3x3xf32> init(normal, 0.1)
  quern.parameter @nobody : tensor<3xf32> init(ones)
  quern.layers @block count(2) (%x: tensor<?x3xf32>, %residual: tensor<?x3xf32>) -> tensor<?x3xf32> {
    quern.parameter @scale : tensor<3xf32> init(ones)
    quern.parameter @unused : tensor<3xf32> init(ones)
    %g = quern.read @scale : tensor<3xf32>
    %n = quern.rms_norm %x weight %g : tensor<?x3xf32>, tensor<3xf32>
    %y = arith.addf %n, %residual : tensor<?x3xf32>
    quern.yield %y : tensor<?x3xf32>
  }
  quern.parameter @last : tensor<3x3xf32> init(normal, 0.1)
  quern.function @head(%x: tensor<?x3xf32>) -> tensor<?x3xf32> {
    %w = quern.read @last : tensor<3x3xf32>
    %y = quern.linear %x, %w : tensor<?x3xf32>, tensor<3x3xf32>
    quern.return %y : tensor<?x3xf32>
  }
  quern.function @forward(%x: tensor<4x3xf32>) -> tensor<4x3xf32> {
    %w = quern.read @first : tensor<3x3xf32>
    %a = quern.linear %x, %w : tensor<4x3xf32>, tensor<3x3xf32>
    %y = quern.apply @block(%a, %a) : (tensor<4x3xf32>, tensor<4x3xf32>) -> tensor<4x3xf32>
    %z = quern.call @head(%y) : (tensor<4x3xf32>) -> tensor<4x3xf32>
    quern.return %z : tensor<4x3xf32>
  }
  quern.function @loss(%x: tensor<4x3xf32>) -> tensor<f32> {
    %y = quern.call @forward(%x) : (tensor<4x3xf32>) -> tensor<4x3xf32>
    %s = quern.sum %y dimensions [0, 1] : tensor<4x3xf32>
    quern.return %s : tensor<f32>
  }
}
