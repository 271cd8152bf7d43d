// RUN: quern-opt %s -quern-fuse-projections | FileCheck %s
// RUN: quern-opt %s -quern-fuse -o %t.mlir
// RUN: quern-reference %s %t.mlir --compare forward --dims batch=2,sequence=5

// Reads of later weights move up to the first linear map.

// CHECK-LABEL: quern.model @qkv
quern.model @qkv kind("causal_lm") {
  quern.parameter @wq : tensor<8x8xf32> init(zeros)
  quern.parameter @wk : tensor<4x8xf32> init(zeros)
  quern.parameter @wv : tensor<4x8xf32> init(zeros)
  // CHECK: quern.function @forward
  // CHECK-SAME: (%[[X:.*]]: tensor<?x?x8xf32>
  // CHECK-DAG: %[[WQ:.*]] = quern.read @wq
  // CHECK-DAG: %[[WK:.*]] = quern.read @wk
  // CHECK-DAG: %[[WV:.*]] = quern.read @wv
  // CHECK: %[[QKV:.*]]:3 = quern.fused_linear %[[X]] weights(%[[WQ]], %[[WK]], %[[WV]]) transposed
  // CHECK: quern.split_heads %[[QKV]]#0 heads 4
  // CHECK-NOT: quern.linear
  // CHECK: quern.return {{.*}}, %[[QKV]]#1, %[[QKV]]#2
  quern.function @forward(%x: tensor<?x?x8xf32>) -> (tensor<?x?x4x2xf32>, tensor<?x?x4xf32>, tensor<?x?x4xf32>) {
    %wq = quern.read @wq : tensor<8x8xf32>
    %q = quern.linear %x, %wq transposed : tensor<?x?x8xf32>, tensor<8x8xf32>
    %qh = quern.split_heads %q heads 4 : tensor<?x?x8xf32>
    %wk = quern.read @wk : tensor<4x8xf32>
    %k = quern.linear %x, %wk transposed : tensor<?x?x8xf32>, tensor<4x8xf32>
    %wv = quern.read @wv : tensor<4x8xf32>
    %v = quern.linear %x, %wv transposed : tensor<?x?x8xf32>, tensor<4x8xf32>
    quern.return %qh, %k, %v : tensor<?x?x4x2xf32>, tensor<?x?x4xf32>, tensor<?x?x4xf32>
  }
}

// CHECK-LABEL: quern.model @biases
// CHECK-NEXT: quern.function @forward
// CHECK: %[[Y:.*]]:2 = quern.fused_linear %x weights(%w0, %w1) biases(%b0, %b1) :
// CHECK: quern.return %[[Y]]#0, %[[Y]]#1
quern.model @biases kind("test") {
  quern.function @forward(%x: tensor<?x8xf32>, %w0: tensor<8x4xf32>, %b0: tensor<4xf32>, %w1: tensor<8x6xf32>, %b1: tensor<6xf32>)
      -> (tensor<?x4xf32>, tensor<?x6xf32>) {
    %0 = quern.linear %x, %w0 bias %b0 : tensor<?x8xf32>, tensor<8x4xf32>, tensor<4xf32>
    %1 = quern.linear %x, %w1 bias %b1 : tensor<?x8xf32>, tensor<8x6xf32>, tensor<6xf32>
    quern.return %0, %1 : tensor<?x4xf32>, tensor<?x6xf32>
  }
}

// Four maps of one tensor, two with and two without a bias, make two fused ones.

// CHECK-LABEL: quern.model @two_groups
// CHECK-DAG: quern.fused_linear {{.*}} weights(%{{.*}}, %{{.*}}) biases(%{{.*}}, %{{.*}}) :
// CHECK-DAG: quern.fused_linear {{.*}} weights(%{{.*}}, %{{.*}}) :
// CHECK-NOT: quern.linear
// CHECK: quern.return
quern.model @two_groups kind("test") {
  quern.function @forward(%x: tensor<?x8xf32>, %w: tensor<8x4xf32>, %b: tensor<4xf32>)
      -> (tensor<?x4xf32>, tensor<?x4xf32>, tensor<?x4xf32>, tensor<?x4xf32>) {
    %0 = quern.linear %x, %w bias %b : tensor<?x8xf32>, tensor<8x4xf32>, tensor<4xf32>
    %1 = quern.linear %x, %w : tensor<?x8xf32>, tensor<8x4xf32>
    %2 = quern.linear %x, %w bias %b : tensor<?x8xf32>, tensor<8x4xf32>, tensor<4xf32>
    %3 = quern.linear %x, %w : tensor<?x8xf32>, tensor<8x4xf32>
    quern.return %0, %1, %2, %3 : tensor<?x4xf32>, tensor<?x4xf32>, tensor<?x4xf32>, tensor<?x4xf32>
  }
}

//===- Near misses ------------------------------------------------------------------------------===//

// CHECK-LABEL: quern.model @different_inputs
// CHECK-NOT: fused_linear
// CHECK: quern.return
quern.model @different_inputs kind("test") {
  quern.function @forward(%x: tensor<?x8xf32>, %z: tensor<?x8xf32>, %w: tensor<8x4xf32>)
      -> (tensor<?x4xf32>, tensor<?x4xf32>) {
    %0 = quern.linear %x, %w : tensor<?x8xf32>, tensor<8x4xf32>
    %1 = quern.linear %z, %w : tensor<?x8xf32>, tensor<8x4xf32>
    quern.return %0, %1 : tensor<?x4xf32>, tensor<?x4xf32>
  }
}

// CHECK-LABEL: quern.model @different_storage
// CHECK-NOT: fused_linear
// CHECK: quern.return
quern.model @different_storage kind("test") {
  quern.function @forward(%x: tensor<?x8xf32>, %w: tensor<8x8xf32>) -> (tensor<?x8xf32>, tensor<?x8xf32>) {
    %0 = quern.linear %x, %w : tensor<?x8xf32>, tensor<8x8xf32>
    %1 = quern.linear %x, %w transposed : tensor<?x8xf32>, tensor<8x8xf32>
    quern.return %0, %1 : tensor<?x8xf32>, tensor<?x8xf32>
  }
}

// CHECK-LABEL: quern.model @one_bias
// CHECK-NOT: fused_linear
// CHECK: quern.return
quern.model @one_bias kind("test") {
  quern.function @forward(%x: tensor<?x8xf32>, %w: tensor<8x4xf32>, %b: tensor<4xf32>)
      -> (tensor<?x4xf32>, tensor<?x4xf32>) {
    %0 = quern.linear %x, %w : tensor<?x8xf32>, tensor<8x4xf32>
    %1 = quern.linear %x, %w bias %b : tensor<?x8xf32>, tensor<8x4xf32>, tensor<4xf32>
    quern.return %0, %1 : tensor<?x4xf32>, tensor<?x4xf32>
  }
}

// The second weight is computed from the first result.

// CHECK-LABEL: quern.model @dependent
// CHECK-NOT: fused_linear
// CHECK: quern.return
quern.model @dependent kind("test") {
  quern.function @forward(%x: tensor<4x4xf32>, %w: tensor<4x4xf32>) -> (tensor<4x4xf32>) {
    %0 = quern.linear %x, %w : tensor<4x4xf32>, tensor<4x4xf32>
    %1 = quern.linear %x, %0 : tensor<4x4xf32>, tensor<4x4xf32>
    quern.return %1 : tensor<4x4xf32>
  }
}
