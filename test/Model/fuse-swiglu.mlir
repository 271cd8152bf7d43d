// RUN: quern-opt %s -quern-fuse-swiglu | FileCheck %s
// RUN: quern-opt %s -quern-fuse -o %t.mlir
// RUN: quern-reference %s %t.mlir --compare forward --dims batch=2

// CHECK-LABEL: quern.model @product
// CHECK-NEXT: quern.function @forward
// CHECK-NEXT: %[[Y:.*]] = quern.swiglu %gate, %up
// CHECK-NEXT: quern.return %[[Y]]
quern.model @product kind("test") {
  quern.function @forward(%gate: tensor<?x8xf32>, %up: tensor<?x8xf32>) -> (tensor<?x8xf32>) {
    %s = quern.silu %gate : tensor<?x8xf32>
    %y = arith.mulf %s, %up : tensor<?x8xf32>
    quern.return %y : tensor<?x8xf32>
  }
}

// CHECK-LABEL: quern.model @other_order
// CHECK-NEXT: quern.function @forward
// CHECK-NEXT: quern.swiglu %gate, %up
quern.model @other_order kind("test") {
  quern.function @forward(%gate: tensor<?x8xf32>, %up: tensor<?x8xf32>) -> (tensor<?x8xf32>) {
    %s = quern.silu %gate : tensor<?x8xf32>
    %y = arith.mulf %up, %s : tensor<?x8xf32>
    quern.return %y : tensor<?x8xf32>
  }
}

// gate * sigmoid(gate) * up.

// CHECK-LABEL: quern.model @written_out
// CHECK-NEXT: quern.function @forward
// CHECK-NEXT: quern.swiglu %gate, %up
// CHECK-NEXT: quern.return
quern.model @written_out kind("test") {
  quern.function @forward(%gate: tensor<?x8xf32>, %up: tensor<?x8xf32>) -> (tensor<?x8xf32>) {
    %one = quern.full 1.0 like %gate : tensor<?x8xf32>
    %n = arith.negf %gate : tensor<?x8xf32>
    %e = math.exp %n : tensor<?x8xf32>
    %d = arith.addf %e, %one : tensor<?x8xf32>
    %sigmoid = arith.divf %one, %d : tensor<?x8xf32>
    %s = arith.mulf %gate, %sigmoid : tensor<?x8xf32>
    %y = arith.mulf %s, %up : tensor<?x8xf32>
    quern.return %y : tensor<?x8xf32>
  }
}

//===- Near misses ------------------------------------------------------------------------------===//

// The SiLU is needed by itself.

// CHECK-LABEL: quern.model @two_readers
// CHECK: quern.silu
// CHECK: arith.mulf
// CHECK-NOT: swiglu
quern.model @two_readers kind("test") {
  quern.function @forward(%gate: tensor<?x8xf32>, %up: tensor<?x8xf32>) -> (tensor<?x8xf32>, tensor<?x8xf32>) {
    %s = quern.silu %gate : tensor<?x8xf32>
    %y = arith.mulf %s, %up : tensor<?x8xf32>
    quern.return %s, %y : tensor<?x8xf32>, tensor<?x8xf32>
  }
}

// GELU gates make another function (GEGLU).

// CHECK-LABEL: quern.model @geglu
// CHECK-NOT: swiglu
quern.model @geglu kind("test") {
  quern.function @forward(%gate: tensor<?x8xf32>, %up: tensor<?x8xf32>) -> (tensor<?x8xf32>) {
    %s = quern.gelu %gate : tensor<?x8xf32>
    %y = arith.mulf %s, %up : tensor<?x8xf32>
    quern.return %y : tensor<?x8xf32>
  }
}
