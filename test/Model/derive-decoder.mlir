// RUN: quern-opt %S/Inputs/gpt.mlir --quern-derive=programs=prefill,decode -o %t.mlir
// RUN: FileCheck %s --input-file %t.mlir
// RUN: quern-opt %s --quern-derive -o %t.encoder.mlir 2>&1 | FileCheck %s --check-prefix=REMARK
// RUN: FileCheck %s --input-file %t.encoder.mlir --check-prefix=ENCODER

// CHECK: quern.function @prefill(%tokens: tensor<?x?xi32> {quern.dims = ["batch", "sequence"], {{.*}}, %position: tensor<i32> {quern.name = "position", quern.role = "option"}, %token:
// CHECK-SAME: %[[K:[^:]*]]: tensor<2x?x?x2x3xf32> {quern.dims = ["", "batch", "capacity", "", ""], quern.name = "cache.block.0.keys", quern.role = "cache"}
// CHECK-SAME: %[[V:[^:]*]]: tensor<2x?x?x2x3xf32> {quern.dims = ["", "batch", "capacity", "", ""], quern.name = "cache.block.0.values"
// CHECK-SAME: -> (tensor<?x1x11xf32> {quern.dims = ["batch", "", ""], quern.name = "logits", quern.role = "output"}, tensor<2x?x?x2x3xf32> {quern.dims = ["", "batch", "capacity", "", ""], quern.name = "cache.block.0.keys", quern.role = "cache", quern.updates = "cache.block.0.keys"}
// CHECK: quern.position_embedding %tokens, %place offset %position
// CHECK: %[[S:.*]]:3 = quern.scan 2 carry {{.*}} %[[KS:.*]] = %[[K]] : tensor<2x?x?x2x3xf32>, %[[VS:.*]] = %[[V]] : tensor<2x?x?x2x3xf32>)
// CHECK: %[[K1:.*]] = quern.cache_append %[[KS]], %{{.*}} offset %position
// CHECK: %[[V1:.*]] = quern.cache_append %[[VS]], %{{.*}} offset %position
// CHECK: quern.attention %{{.*}}, %[[K1]], %[[V1]] offset %position causal
// CHECK: quern.yield %{{.*}}, %[[K1]], %[[V1]]
// CHECK: %[[LAST:.*]] = quern.last %[[S]]#0 dimension 1 : tensor<?x?x6xf32>
// CHECK: %[[LOGITS:.*]] = quern.linear %[[LAST]], %token transposed : tensor<?x1x6xf32>
// CHECK: quern.return %[[LOGITS]], %[[S]]#1, %[[S]]#2

// CHECK: quern.function @decode(%tokens: tensor<?x1xi32> {quern.dims = ["batch", ""]
// CHECK-SAME: -> (tensor<?x1x11xf32> {quern.dims = ["batch", "", ""]
// CHECK: quern.attention {{.*}} : tensor<?x1x2x3xf32>, tensor<?x?x2x3xf32>, tensor<?x?x2x3xf32>, tensor<i32>

// An encoder has no decoder, which is no error when none was asked for.
// REMARK: derive-decoder.mlir:[[# @LINE+8]]:{{.*}}: remark: prefill and decode cannot be derived: 'quern.attention' looks across the sequence
// ENCODER: quern.function @forward
// ENCODER-NOT: quern.function @prefill
// ENCODER-NOT: quern.function @decode
quern.model @encoder kind("test") {
  quern.parameter @w : tensor<4x4xf32> init(normal, 0.02)
  quern.function @forward(%x: tensor<?x?x4xf32> {quern.dims = ["batch", "sequence", ""]}) -> tensor<?x?x2x2xf32> {
    %h = quern.split_heads %x heads 2 : tensor<?x?x4xf32>
    %a = quern.attention %h, %h, %h : tensor<?x?x2x2xf32>, tensor<?x?x2x2xf32>, tensor<?x?x2x2xf32>
    quern.return %a : tensor<?x?x2x2xf32>
  }
}
