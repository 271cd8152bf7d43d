// RUN: quern-opt %s --quern-derive=programs=gradients | FileCheck %s

// Scatters add to what the tables' gradients are already.
// CHECK-LABEL: quern.model @embedding
// CHECK: quern.function @gradients
// CHECK: %[[P:.*]] = quern.position_embedding_backward %{{.*}} rows 8
// CHECK: %[[T:.*]] = quern.embedding_backward %tokens, %{{.*}} rows 7
// CHECK: %[[P2:.*]] = quern.position_embedding_backward %{{.*}} init %[[P]] rows 8
// CHECK: %[[T2:.*]] = quern.embedding_backward %tokens, %{{.*}} init %[[T]] rows 7
// CHECK-NOT: arith.addf
// CHECK: quern.return %{{.*}}, %[[T2]], %[[P2]]
quern.model @embedding kind("test") {
  quern.parameter @table : tensor<7x4xf32> init(ones)
  quern.parameter @places : tensor<8x4xf32> init(ones)
  quern.function @forward(%tokens: tensor<?x?xi32>) -> tensor<?x?x4xf32> {
    %t = quern.read @table : tensor<7x4xf32>
    %p = quern.read @places : tensor<8x4xf32>
    %a = quern.embedding %tokens, %t : tensor<?x?xi32>, tensor<7x4xf32>
    %b = quern.position_embedding %tokens, %p : tensor<?x?xi32>, tensor<8x4xf32>
    %x = arith.mulf %a, %b : tensor<?x?x4xf32>
    %c = quern.embedding %tokens, %t : tensor<?x?xi32>, tensor<7x4xf32>
    %d = quern.position_embedding %tokens, %p : tensor<?x?xi32>, tensor<8x4xf32>
    %y = arith.mulf %c, %d : tensor<?x?x4xf32>
    %z = arith.addf %x, %y : tensor<?x?x4xf32>
    quern.return %z : tensor<?x?x4xf32>
  }
  quern.function @loss(%tokens: tensor<?x?xi32>) -> tensor<f32> {
    %y = quern.call @forward(%tokens) : (tensor<?x?xi32>) -> tensor<?x?x4xf32>
    %s = quern.sum %y dimensions [0, 1, 2] : tensor<?x?x4xf32>
    quern.return %s : tensor<f32>
  }
}
