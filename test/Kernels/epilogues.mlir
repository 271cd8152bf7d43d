// RUN: quern-opt %s --convert-quern-to-kernel | FileCheck %s
// What follows a linear map becomes the epilogue of its gemm, where nothing else stands in between.

quern.model @m kind("test") {
  quern.function @forward(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
    quern.return %x : tensor<4x8xf32>
  }

  // CHECK-LABEL: func.func @activation(
  // CHECK-SAME:    attributes {quern.program}
  // CHECK:         %[[OUT:.*]] = tensor.empty() : tensor<4x16xf32>
  // CHECK:         kernel.gemm %{{.*}}, %{{.*}} bias %{{.*}} into %[[OUT]] {activation = 2 : i32}
  // CHECK-NOT:     linalg.generic
  quern.function @activation(%x: tensor<4x8xf32>, %w: tensor<8x16xf32>, %b: tensor<16xf32>)
      -> (tensor<4x16xf32> {quern.name = "y"}) attributes {program} {
    %0 = quern.linear %x, %w bias %b : tensor<4x8xf32>, tensor<8x16xf32>, tensor<16xf32>
    %1 = quern.gelu %0 tanh : tensor<4x16xf32>
    quern.return %1 : tensor<4x16xf32>
  }

  // The backward pass needs the input of the activation: it is the second output.
  // CHECK-LABEL: func.func @activation_and_input(
  // CHECK:         %[[GEMM:.*]]:2 = kernel.gemm %{{.*}}, %{{.*}} into %{{.*}}, %{{.*}} {activation = 4 : i32, transpose_b}
  // CHECK:         materialize_in_destination %[[GEMM]]#0
  // CHECK:         materialize_in_destination %[[GEMM]]#1
  quern.function @activation_and_input(%x: tensor<4x8xf32>, %w: tensor<16x8xf32>)
      -> (tensor<4x16xf32> {quern.name = "y"}, tensor<4x16xf32> {quern.name = "u"}) attributes {program} {
    %0 = quern.linear %x, %w transposed : tensor<4x8xf32>, tensor<16x8xf32>
    %1 = quern.silu %0 : tensor<4x16xf32>
    quern.return %1, %0 : tensor<4x16xf32>, tensor<4x16xf32>
  }

  // CHECK-LABEL: func.func @residual(
  // CHECK:         kernel.gemm %{{.*}}, %{{.*}} residual %{{.*}} into %{{.*}} : (tensor<?x8xf32>
  // CHECK-NOT:     arith.addf
  quern.function @residual(%x: tensor<?x8xf32>, %w: tensor<8x8xf32>) -> (tensor<?x8xf32> {quern.name = "y"})
      attributes {program} {
    %0 = quern.linear %x, %w : tensor<?x8xf32>, tensor<8x8xf32>
    %1 = arith.addf %x, %0 : tensor<?x8xf32>
    quern.return %1 : tensor<?x8xf32>
  }

  // The residual does not exist yet where the gemm stands.
  // CHECK-LABEL: func.func @later_residual(
  // CHECK:         kernel.gemm
  // CHECK-NOT:     residual
  // CHECK:         math.exp
  // CHECK:         arith.addf
  quern.function @later_residual(%x: tensor<4x8xf32>, %w: tensor<8x8xf32>) -> (tensor<4x8xf32> {quern.name = "y"})
      attributes {program} {
    %0 = quern.linear %x, %w : tensor<4x8xf32>, tensor<8x8xf32>
    %1 = math.exp %x : tensor<4x8xf32>
    %2 = arith.addf %1, %0 : tensor<4x8xf32>
    quern.return %2 : tensor<4x8xf32>
  }
}
