// RUN: quern-opt %s -canonicalize | FileCheck %s

// Transposes and reshapes of heads that undo each other disappear.

// CHECK-LABEL: func.func @inverse_transposes
// CHECK-NEXT: return %arg0
func.func @inverse_transposes(%x: tensor<2x3x4xf32>) -> tensor<2x3x4xf32> {
  %0 = quern.transpose %x [1, 2, 0] : tensor<2x3x4xf32>
  %1 = quern.transpose %0 [2, 0, 1] : tensor<3x4x2xf32>
  return %1 : tensor<2x3x4xf32>
}

// Dimension i of the result is dimension p[q[i]] of x.

// CHECK-LABEL: func.func @composed_transposes
// CHECK-NEXT: %[[Y:.*]] = quern.transpose %arg0 [2, 1, 0] : tensor<2x3x4xf32>
// CHECK-NEXT: return %[[Y]] : tensor<4x3x2xf32>
func.func @composed_transposes(%x: tensor<2x3x4xf32>) -> tensor<4x3x2xf32> {
  %0 = quern.transpose %x [1, 2, 0] : tensor<2x3x4xf32>
  %1 = quern.transpose %0 [1, 0, 2] : tensor<3x4x2xf32>
  return %1 : tensor<4x3x2xf32>
}

// CHECK-LABEL: func.func @split_of_merge
// CHECK-NEXT: return %arg0
func.func @split_of_merge(%x: tensor<?x3x4xf32>) -> tensor<?x3x4xf32> {
  %0 = quern.merge_heads %x : tensor<?x3x4xf32>
  %1 = quern.split_heads %0 heads 3 : tensor<?x12xf32>
  return %1 : tensor<?x3x4xf32>
}

// CHECK-LABEL: func.func @merge_of_split
// CHECK-NEXT: return %arg0
func.func @merge_of_split(%x: tensor<?x12xf32>) -> tensor<?x12xf32> {
  %0 = quern.split_heads %x heads 3 : tensor<?x12xf32>
  %1 = quern.merge_heads %0 : tensor<?x3x4xf32>
  return %1 : tensor<?x12xf32>
}

// Another number of heads is another reshape.

// CHECK-LABEL: func.func @other_heads
// CHECK: quern.merge_heads
// CHECK: quern.split_heads
func.func @other_heads(%x: tensor<?x3x4xf32>) -> tensor<?x2x6xf32> {
  %0 = quern.merge_heads %x : tensor<?x3x4xf32>
  %1 = quern.split_heads %0 heads 2 : tensor<?x12xf32>
  return %1 : tensor<?x2x6xf32>
}
