// RUN: quern-opt %s --quern-derive=programs=gradients | FileCheck %s

// Parts that nobody uses are zeros in the gradient of the whole.
// CHECK-LABEL: quern.model @split
// CHECK: quern.function @gradients
// CHECK: %[[PARTS:.*]]:3 = quern.split
// CHECK: %[[DY:.*]] = quern.sum_backward
// CHECK-DAG: %[[FIRST:.*]] = quern.full 0.000000e+00 like %[[PARTS]]#0
// CHECK-DAG: %[[LAST:.*]] = quern.full 0.000000e+00 like %[[PARTS]]#2
// CHECK: quern.concatenate %[[FIRST]], %[[DY]], %[[LAST]] dimension 1
quern.model @split kind("test") {
  quern.parameter @x : tensor<2x9xf32> init(ones)
  quern.function @forward() -> tensor<2x4xf32> {
    %x = quern.read @x : tensor<2x9xf32>
    %a, %b, %c = quern.split %x dimension 1 sizes [2, 4, 3] : tensor<2x9xf32>
    quern.return %b : tensor<2x4xf32>
  }
  quern.function @loss() -> tensor<f32> {
    %b = quern.call @forward() : () -> tensor<2x4xf32>
    %s = quern.sum %b dimensions [0, 1] : tensor<2x4xf32>
    quern.return %s : tensor<f32>
  }
}
