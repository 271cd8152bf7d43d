// RUN: quern-opt %s -quern-fuse-swiglu | FileCheck %s

// CHECK-LABEL: func.func @product
// CHECK-SAME: (%[[G:.*]]: tensor<?x8xf32>, %[[U:.*]]: tensor<?x8xf32>)
// CHECK-NEXT: %[[Y:.*]] = quern.swiglu %[[G]], %[[U]]
// CHECK-NEXT: return %[[Y]]
func.func @product(%gate: tensor<?x8xf32>, %up: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %s = quern.silu %gate : tensor<?x8xf32>
  %y = arith.mulf %s, %up : tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// CHECK-LABEL: func.func @other_order
// CHECK-SAME: (%[[G:.*]]: tensor<?x8xf32>, %[[U:.*]]: tensor<?x8xf32>)
// CHECK-NEXT: quern.swiglu %[[G]], %[[U]]
func.func @other_order(%gate: tensor<?x8xf32>, %up: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %s = quern.silu %gate : tensor<?x8xf32>
  %y = arith.mulf %up, %s : tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// gate * sigmoid(gate) * up.

// CHECK-LABEL: func.func @written_out
// CHECK-SAME: (%[[G:.*]]: tensor<?x8xf32>, %[[U:.*]]: tensor<?x8xf32>)
// CHECK-NEXT: quern.swiglu %[[G]], %[[U]]
// CHECK-NEXT: return
func.func @written_out(%gate: tensor<?x8xf32>, %up: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %one = quern.full 1.0 like %gate : tensor<?x8xf32>
  %n = arith.negf %gate : tensor<?x8xf32>
  %e = math.exp %n : tensor<?x8xf32>
  %d = arith.addf %e, %one : tensor<?x8xf32>
  %sigmoid = arith.divf %one, %d : tensor<?x8xf32>
  %s = arith.mulf %gate, %sigmoid : tensor<?x8xf32>
  %y = arith.mulf %s, %up : tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

//===- Near misses ------------------------------------------------------------------------------===//

// The SiLU is needed by itself.

// CHECK-LABEL: func.func @two_readers
// CHECK: quern.silu
// CHECK: arith.mulf
// CHECK-NOT: swiglu
func.func @two_readers(%gate: tensor<?x8xf32>, %up: tensor<?x8xf32>) -> (tensor<?x8xf32>, tensor<?x8xf32>) {
  %s = quern.silu %gate : tensor<?x8xf32>
  %y = arith.mulf %s, %up : tensor<?x8xf32>
  return %s, %y : tensor<?x8xf32>, tensor<?x8xf32>
}

// GELU gates make another function (GEGLU).

// CHECK-LABEL: func.func @geglu
// CHECK-NOT: swiglu
func.func @geglu(%gate: tensor<?x8xf32>, %up: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %s = quern.gelu %gate : tensor<?x8xf32>
  %y = arith.mulf %s, %up : tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}
