// RUN: quern-opt %s -split-input-file -quern-advance-updates | FileCheck %s
// A loop that makes a stacked gradient updates each layer itself, if nobody needs the old parameter or the whole gradient.

!s = tensor<f64>
!w = tensor<4x8x8xf32>

// CHECK-LABEL: func.func @stacked(
// CHECK-SAME:    %[[X:[a-z0-9]+]]: tensor<5x8xf32>, %[[P:[a-z0-9]+]]: tensor<4x8x8xf32>, %[[M:[a-z0-9]+]]: tensor<4x8x8xf32>, %[[V:[a-z0-9]+]]: tensor<4x8x8xf32>,
// CHECK:         %[[NEW:.*]]:4 = scf.for %[[I:.*]] = %c0 to %c4 step %c1
// CHECK-SAME:      iter_args(%[[DY:.*]] = %[[X]], %[[PC:.*]] = %[[P]], %[[MC:.*]] = %[[M]], %[[VC:.*]] = %[[V]])
// CHECK:           %[[LAYER:.*]] = arith.subi %c3, %[[I]]
// CHECK:           %[[W:.*]] = tensor.extract_slice %[[PC]][%[[LAYER]], 0, 0] [1, 8, 8]
// CHECK:           %[[G:.*]] = kernel.gemm %[[X]], %[[DY]]
// CHECK:           %[[DX:.*]] = kernel.gemm %[[DY]], %[[W]]
// CHECK:           %[[PI:.*]] = tensor.extract_slice %[[PC]][%[[LAYER]], 0, 0] [1, 8, 8]
// CHECK:           %[[MI:.*]] = tensor.extract_slice %[[MC]][%[[LAYER]], 0, 0] [1, 8, 8]
// CHECK:           %[[VI:.*]] = tensor.extract_slice %[[VC]][%[[LAYER]], 0, 0] [1, 8, 8]
// CHECK:           %[[U:.*]]:3 = kernel.adamw %[[G]] options {{.*}} into %[[PI]], %[[MI]], %[[VI]]
// CHECK:           %[[PN:.*]] = tensor.insert_slice %[[U]]#0 into %[[PC]][%[[LAYER]], 0, 0]
// CHECK:           %[[MN:.*]] = tensor.insert_slice %[[U]]#1 into %[[MC]][%[[LAYER]], 0, 0]
// CHECK:           %[[VN:.*]] = tensor.insert_slice %[[U]]#2 into %[[VC]][%[[LAYER]], 0, 0]
// CHECK:           scf.yield %[[DX]], %[[PN]], %[[MN]], %[[VN]]
// CHECK-NOT:     kernel.adamw
// CHECK:         return %[[NEW]]#1, %[[NEW]]#2, %[[NEW]]#3
func.func @stacked(%x: tensor<5x8xf32>, %p: !w, %m: !w, %v: !w, %o: !s) -> (!w, !w, !w) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c3 = arith.constant 3 : index
  %c4 = arith.constant 4 : index
  %stack = tensor.empty() : !w
  %e = tensor.empty() : tensor<8x8xf32>
  %f = tensor.empty() : tensor<5x8xf32>
  %l:2 = scf.for %i = %c0 to %c4 step %c1 iter_args(%dy = %x, %g = %stack) -> (tensor<5x8xf32>, !w) {
    %layer = arith.subi %c3, %i : index
    %wl = tensor.extract_slice %p[%layer, 0, 0] [1, 8, 8] [1, 1, 1] : !w to tensor<8x8xf32>
    %gl = kernel.gemm %x, %dy into %e {transpose_a} : (tensor<5x8xf32>, tensor<5x8xf32>, tensor<8x8xf32>) -> tensor<8x8xf32>
    %dx = kernel.gemm %dy, %wl into %f {transpose_b} : (tensor<5x8xf32>, tensor<8x8xf32>, tensor<5x8xf32>) -> tensor<5x8xf32>
    %gn = tensor.insert_slice %gl into %g[%layer, 0, 0] [1, 8, 8] [1, 1, 1] : tensor<8x8xf32> into !w
    scf.yield %dx, %gn : tensor<5x8xf32>, !w
  }
  %u:3 = kernel.adamw %l#1 options %o, %o, %o, %o, %o decay %o into %p, %m, %v : (!w, !s, !s, !s, !s, !s, !s, !w, !w, !w) -> (!w, !w, !w)
  return %u#0, %u#1, %u#2 : !w, !w, !w
}

// -----

!s = tensor<f64>
!w = tensor<4x8xf32>

// Two parameters: their updates stand together, where one operation can take their place.

// CHECK-LABEL: func.func @two(
// CHECK:         scf.for
// CHECK:           kernel.adamw
// CHECK-NOT:       insert_slice
// CHECK:           kernel.adamw
// CHECK-COUNT-6:   tensor.insert_slice
// CHECK:           scf.yield
func.func @two(%x: tensor<8xf32>, %p: !w, %m: !w, %v: !w, %q: !w, %n: !w, %u: !w, %o: !s) -> (!w, !w, !w, !w, !w, !w) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  %stack = tensor.empty() : !w
  %l:2 = scf.for %i = %c0 to %c4 step %c1 iter_args(%g = %stack, %h = %stack) -> (!w, !w) {
    %gn = tensor.insert_slice %x into %g[%i, 0] [1, 8] [1, 1] : tensor<8xf32> into !w
    %hn = tensor.insert_slice %x into %h[%i, 0] [1, 8] [1, 1] : tensor<8xf32> into !w
    scf.yield %gn, %hn : !w, !w
  }
  %a:3 = kernel.adamw %l#0 options %o, %o, %o, %o, %o decay %o into %p, %m, %v : (!w, !s, !s, !s, !s, !s, !s, !w, !w, !w) -> (!w, !w, !w)
  %b:3 = kernel.adamw %l#1 options %o, %o, %o, %o, %o decay %o into %q, %n, %u : (!w, !s, !s, !s, !s, !s, !s, !w, !w, !w) -> (!w, !w, !w)
  return %a#0, %a#1, %a#2, %b#0, %b#1, %b#2 : !w, !w, !w, !w, !w, !w
}

// -----

!s = tensor<f64>
!w = tensor<4x8xf32>

// Everything that keeps an update where it is: a factor of all gradients, one that reads another layer, one that reads the old parameter later.

// CHECK-LABEL: func.func @clipped(
// CHECK:         scf.for
// CHECK-NOT:       kernel.adamw
// CHECK:         kernel.squared_norm
// CHECK:         kernel.adamw
func.func @clipped(%x: tensor<8xf32>, %p: !w, %m: !w, %v: !w, %o: !s) -> (!w, !w, !w) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  %stack = tensor.empty() : !w
  %e = tensor.empty() : tensor<f32>
  %l = scf.for %i = %c0 to %c4 step %c1 iter_args(%g = %stack) -> (!w) {
    %gn = tensor.insert_slice %x into %g[%i, 0] [1, 8] [1, 1] : tensor<8xf32> into !w
    scf.yield %gn : !w
  }
  %n = kernel.squared_norm %l into %e : (!w, tensor<f32>) -> tensor<f32>
  %a:3 = kernel.adamw %l scale %n options %o, %o, %o, %o, %o decay %o into %p, %m, %v
    : (!w, tensor<f32>, !s, !s, !s, !s, !s, !s, !w, !w, !w) -> (!w, !w, !w)
  return %a#0, %a#1, %a#2 : !w, !w, !w
}

// CHECK-LABEL: func.func @late_factor(
// CHECK:         scf.for
// CHECK-NOT:       kernel.adamw
// CHECK:         kernel.count_targets
// CHECK:         kernel.adamw
func.func @late_factor(%x: tensor<8xf32>, %t: tensor<3xi32>, %p: !w, %m: !w, %v: !w, %o: !s) -> (!w, !w, !w) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  %stack = tensor.empty() : !w
  %e = tensor.empty() : tensor<f32>
  %l = scf.for %i = %c0 to %c4 step %c1 iter_args(%g = %stack) -> (!w) {
    %gn = tensor.insert_slice %x into %g[%i, 0] [1, 8] [1, 1] : tensor<8xf32> into !w
    scf.yield %gn : !w
  }
  %n = kernel.count_targets %t into %e {ignore_index = -1 : i64} : (tensor<3xi32>, tensor<f32>) -> tensor<f32>
  %a:3 = kernel.adamw %l scale %n options %o, %o, %o, %o, %o decay %o into %p, %m, %v
    : (!w, tensor<f32>, !s, !s, !s, !s, !s, !s, !w, !w, !w) -> (!w, !w, !w)
  return %a#0, %a#1, %a#2 : !w, !w, !w
}

// CHECK-LABEL: func.func @other_layer(
// CHECK:         scf.for
// CHECK-NOT:       kernel.adamw
// CHECK:         }
// CHECK:         kernel.adamw
func.func @other_layer(%p: !w, %m: !w, %v: !w, %o: !s) -> (!w, !w, !w) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c3 = arith.constant 3 : index
  %c4 = arith.constant 4 : index
  %stack = tensor.empty() : !w
  %l = scf.for %i = %c0 to %c4 step %c1 iter_args(%g = %stack) -> (!w) {
    %j = arith.subi %c3, %i : index
    %x = tensor.extract_slice %p[%j, 0] [1, 8] [1, 1] : !w to tensor<8xf32>
    %gn = tensor.insert_slice %x into %g[%i, 0] [1, 8] [1, 1] : tensor<8xf32> into !w
    scf.yield %gn : !w
  }
  %a:3 = kernel.adamw %l options %o, %o, %o, %o, %o decay %o into %p, %m, %v : (!w, !s, !s, !s, !s, !s, !s, !w, !w, !w) -> (!w, !w, !w)
  return %a#0, %a#1, %a#2 : !w, !w, !w
}

// CHECK-LABEL: func.func @same_layer_twice(
// CHECK:         scf.for
// CHECK-NOT:       kernel.adamw
// CHECK:         }
// CHECK:         kernel.adamw
func.func @same_layer_twice(%x: tensor<8xf32>, %p: !w, %m: !w, %v: !w, %o: !s) -> (!w, !w, !w) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %c4 = arith.constant 4 : index
  %stack = tensor.empty() : !w
  %l = scf.for %i = %c0 to %c4 step %c1 iter_args(%g = %stack) -> (!w) {
    %half = arith.divui %i, %c2 : index
    %gn = tensor.insert_slice %x into %g[%half, 0] [1, 8] [1, 1] : tensor<8xf32> into !w
    scf.yield %gn : !w
  }
  %a:3 = kernel.adamw %l options %o, %o, %o, %o, %o decay %o into %p, %m, %v : (!w, !s, !s, !s, !s, !s, !s, !w, !w, !w) -> (!w, !w, !w)
  return %a#0, %a#1, %a#2 : !w, !w, !w
}

// CHECK-LABEL: func.func @read_later(
// CHECK:         scf.for
// CHECK-NOT:       kernel.adamw
// CHECK:         }
// CHECK:         kernel.sum_rows
// CHECK:         kernel.adamw
func.func @read_later(%x: tensor<8xf32>, %p: !w, %m: !w, %v: !w, %o: !s) -> (!w, !w, !w, tensor<8xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  %stack = tensor.empty() : !w
  %e = tensor.empty() : tensor<8xf32>
  %l = scf.for %i = %c0 to %c4 step %c1 iter_args(%g = %stack) -> (!w) {
    %gn = tensor.insert_slice %x into %g[%i, 0] [1, 8] [1, 1] : tensor<8xf32> into !w
    scf.yield %gn : !w
  }
  %old = kernel.sum_rows %p into %e : (!w, tensor<8xf32>) -> tensor<8xf32>
  %a:3 = kernel.adamw %l options %o, %o, %o, %o, %o decay %o into %p, %m, %v : (!w, !s, !s, !s, !s, !s, !s, !w, !w, !w) -> (!w, !w, !w)
  return %a#0, %a#1, %a#2, %old : !w, !w, !w, tensor<8xf32>
}

// A gradient that is an output as well.
// CHECK-LABEL: func.func @wanted(
// CHECK:         scf.for
// CHECK-NOT:       kernel.adamw
// CHECK:         }
// CHECK:         kernel.adamw
func.func @wanted(%x: tensor<8xf32>, %p: !w, %m: !w, %v: !w, %o: !s) -> (!w, !w, !w, !w) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  %stack = tensor.empty() : !w
  %l = scf.for %i = %c0 to %c4 step %c1 iter_args(%g = %stack) -> (!w) {
    %gn = tensor.insert_slice %x into %g[%i, 0] [1, 8] [1, 1] : tensor<8xf32> into !w
    scf.yield %gn : !w
  }
  %a:3 = kernel.adamw %l options %o, %o, %o, %o, %o decay %o into %p, %m, %v : (!w, !s, !s, !s, !s, !s, !s, !w, !w, !w) -> (!w, !w, !w)
  return %a#0, %a#1, %a#2, %l : !w, !w, !w, !w
}

// -----

!s = tensor<f64>
!w = tensor<8x8xf32>
!b = tensor<8xf32>

// A matrix outside of loops is updated before the loop that needs not wait for it, behind the last reader; a vector waits for the others.

// CHECK-LABEL: func.func @before(
// CHECK:         %[[G:.*]] = kernel.gemm {{.*}} {transpose_a}
// CHECK-NEXT:    %[[DX:.*]] = kernel.gemm {{.*}} {transpose_b}
// CHECK-NEXT:    kernel.adamw %[[G]] options {{.*}} tensor<8x8xf32>
// CHECK:         scf.for
// CHECK:         kernel.adamw {{.*}} tensor<8xf32>
func.func @before(%x: tensor<5x8xf32>, %p: !w, %m: !w, %v: !w, %b: !b, %bm: !b, %bv: !b, %o: !s) -> (tensor<5x8xf32>, !w, !w, !w, !b, !b, !b) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  %e = tensor.empty() : !w
  %f = tensor.empty() : tensor<5x8xf32>
  %h = tensor.empty() : !b
  %g = kernel.gemm %x, %x into %e {transpose_a} : (tensor<5x8xf32>, tensor<5x8xf32>, !w) -> !w
  %dx = kernel.gemm %x, %p into %f {transpose_b} : (tensor<5x8xf32>, !w, tensor<5x8xf32>) -> tensor<5x8xf32>
  %gb = kernel.sum_rows %x into %h : (tensor<5x8xf32>, !b) -> !b
  %l = scf.for %i = %c0 to %c4 step %c1 iter_args(%y = %dx) -> (tensor<5x8xf32>) {
    %z = kernel.softmax %y into %f : (tensor<5x8xf32>, tensor<5x8xf32>) -> tensor<5x8xf32>
    scf.yield %z : tensor<5x8xf32>
  }
  %u:3 = kernel.adamw %g options %o, %o, %o, %o, %o decay %o into %p, %m, %v : (!w, !s, !s, !s, !s, !s, !s, !w, !w, !w) -> (!w, !w, !w)
  %t:3 = kernel.adamw %gb options %o, %o, %o, %o, %o decay %o into %b, %bm, %bv : (!b, !s, !s, !s, !s, !s, !s, !b, !b, !b) -> (!b, !b, !b)
  return %l, %u#0, %u#1, %u#2, %t#0, %t#1, %t#2 : tensor<5x8xf32>, !w, !w, !w, !b, !b, !b
}
