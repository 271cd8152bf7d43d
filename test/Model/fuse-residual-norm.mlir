// RUN: quern-opt %s -quern-fuse-residual-norm | FileCheck %s
// RUN: quern-opt %s -quern-fuse -o %t.mlir
// RUN: quern-reference %s %t.mlir --compare forward --dims batch=2,sequence=5

// The sum goes on as the second result.

// CHECK-LABEL: quern.model @layer
// CHECK-NEXT: quern.function @forward
// CHECK-NEXT: %[[Y:.*]], %[[SUM:.*]] = quern.residual_norm layer %x, %p weight %w bias %b epsilon 1.000000e-05
// CHECK-NEXT: %[[Z:.*]] = arith.addf %[[SUM]], %[[Y]]
// CHECK-NEXT: quern.return %[[Z]]
quern.model @layer kind("test") {
  quern.function @forward(%x: tensor<?x?x8xf32>, %p: tensor<?x?x8xf32>, %w: tensor<8xf32>, %b: tensor<8xf32>)
      -> (tensor<?x?x8xf32>) {
    %sum = arith.addf %x, %p : tensor<?x?x8xf32>
    %y = quern.layer_norm %sum weight %w bias %b epsilon 1.0e-5 : tensor<?x?x8xf32>, tensor<8xf32>, tensor<8xf32>
    %z = arith.addf %sum, %y : tensor<?x?x8xf32>
    quern.return %z : tensor<?x?x8xf32>
  }
}

// The weight's read moves up to the addition, whose sum is used before the norm.

// CHECK-LABEL: quern.model @rms
quern.model @rms kind("causal_lm") {
  quern.parameter @w : tensor<8xf32> init(ones)
  // CHECK: quern.function @forward
  // CHECK-SAME: (%[[X:x]]: {{.*}}, %[[P:p]]: 
  // CHECK-NEXT: %[[W:.*]] = quern.read @w
  // CHECK-NEXT: %[[Y:.*]], %[[SUM:.*]] = quern.residual_norm rms %[[X]], %[[P]] weight %[[W]] epsilon 9.9999999999999995E-7
  // CHECK-NEXT: %[[R:.*]] = quern.relu %[[SUM]]
  // CHECK-NEXT: quern.return %[[Y]], %[[R]]
  quern.function @forward(%x: tensor<?x8xf32>, %p: tensor<?x8xf32>) -> (tensor<?x8xf32>, tensor<?x8xf32>) {
    %sum = arith.addf %x, %p : tensor<?x8xf32>
    %r = quern.relu %sum : tensor<?x8xf32>
    %w = quern.read @w : tensor<8xf32>
    %y = quern.rms_norm %sum weight %w epsilon 1.0e-6 : tensor<?x8xf32>, tensor<8xf32>
    quern.return %y, %r : tensor<?x8xf32>, tensor<?x8xf32>
  }
}

// CHECK-LABEL: quern.model @no_weight
// CHECK: quern.residual_norm rms %{{.*}}, %{{.*}} epsilon
// CHECK-NOT: arith.addf
quern.model @no_weight kind("test") {
  quern.function @forward(%x: tensor<?x8xf32>, %p: tensor<?x8xf32>) -> (tensor<?x8xf32>) {
    %sum = arith.addf %x, %p : tensor<?x8xf32>
    %y = quern.rms_norm %sum : tensor<?x8xf32>
    quern.return %y : tensor<?x8xf32>
  }
}

// Of two norms of one sum, the first is fused and the second takes its sum.

// CHECK-LABEL: quern.model @two_norms
// CHECK: %{{.*}}, %[[SUM:.*]] = quern.residual_norm rms
// CHECK-NEXT: quern.layer_norm %[[SUM]]
// CHECK-NOT: arith.addf
quern.model @two_norms kind("test") {
  quern.function @forward(%x: tensor<?x8xf32>, %p: tensor<?x8xf32>) -> (tensor<?x8xf32>, tensor<?x8xf32>) {
    %sum = arith.addf %x, %p : tensor<?x8xf32>
    %y = quern.rms_norm %sum : tensor<?x8xf32>
    %z = quern.layer_norm %sum : tensor<?x8xf32>
    quern.return %y, %z : tensor<?x8xf32>, tensor<?x8xf32>
  }
}

// The weight cannot move above a use of the sum from which it is computed.

// CHECK-LABEL: quern.model @dependent_weight
// CHECK: arith.addf
// CHECK-NOT: residual_norm
// CHECK: quern.rms_norm
quern.model @dependent_weight kind("test") {
  quern.function @forward(%x: tensor<8x8xf32>, %p: tensor<8x8xf32>) -> (tensor<8x8xf32>) {
    %sum = arith.addf %x, %p : tensor<8x8xf32>
    %w = quern.sum %sum dimensions [0] : tensor<8x8xf32>
    %y = quern.rms_norm %sum weight %w : tensor<8x8xf32>, tensor<8xf32>
    quern.return %y : tensor<8x8xf32>
  }
}

// A difference is not a sum.

// CHECK-LABEL: quern.model @difference
// CHECK-NOT: residual_norm
quern.model @difference kind("test") {
  quern.function @forward(%x: tensor<?x8xf32>, %p: tensor<?x8xf32>) -> (tensor<?x8xf32>) {
    %d = arith.subf %x, %p : tensor<?x8xf32>
    %y = quern.rms_norm %d : tensor<?x8xf32>
    quern.return %y : tensor<?x8xf32>
  }
}
