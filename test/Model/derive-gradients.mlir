// The gradients of a GPT: rolled loops, what is saved, and sums that are made in place.
// RUN: quern-opt %S/Inputs/gpt.mlir --quern-derive=programs=gradients -o %t.mlir
// RUN: FileCheck %s --input-file %t.mlir
// RUN: quern-reference %S/Inputs/gpt.mlir %t.mlir --check-gradient --random 1 --dims batch=2,sequence=5 --range tokens=0:11 targets=-1:11
// RUN: quern-reference %S/Inputs/gpt.mlir %t.mlir --check-gradient --random 2 --dims batch=1,sequence=1 --range tokens=0:11 targets=0:11
// RUN: quern-opt %S/Inputs/gpt.mlir --quern-fuse --quern-derive=programs=gradients -o %t.fused.mlir
// RUN: FileCheck %s --input-file %t.fused.mlir --check-prefix=FUSED
// RUN: quern-reference %S/Inputs/gpt.mlir %t.fused.mlir --check-gradient --random 3 --dims batch=2,sequence=3 --range tokens=0:11 targets=-1:11
// RUN: quern-opt %S/Inputs/gpt.mlir --quern-derive='programs=gradients report' -o %t.report.mlir 2>&1 | FileCheck %s --check-prefix=REPORT

// CHECK: quern.function @gradients(%tokens: tensor<?x?xi32> {{.*}}, %targets: tensor<?x?xi32> {quern.dims = ["batch", "sequence"], quern.name = "targets", quern.role = "input"}, %token: tensor<11x6xf32> {quern.name = "token", quern.parameter = @token, quern.role = "parameter"},
// CHECK-SAME: %block.qkv: tensor<2x6x18xf32> {quern.name = "block.qkv", quern.parameter = @block::@qkv, quern.role = "parameter"}
// CHECK-SAME: -> (tensor<f32> {quern.name = "loss", quern.role = "output"}, tensor<11x6xf32> {quern.name = "token", quern.parameter = @token, quern.role = "gradient"}
// CHECK-SAME: attributes {program}

// The forward loop saves its input, q, k and v as one tensor, attention's result with its
// log-sum-exp, and what the activation takes; not norms, activations, views.
// CHECK: %[[F:.*]]:6 = quern.scan 2 carry
// CHECK: %[[QKV:.*]] = quern.linear
// CHECK: %[[A:.*]], %[[LSE:.*]] = quern.attention_forward
// CHECK: %[[P:.*]] = quern.linear
// CHECK: quern.yield %{{[^,]*}}, %x, %[[QKV]], %[[A]], %[[LSE]], %[[P]] :

// CHECK: %[[LOSS:.*]] = quern.cross_entropy %
// CHECK: %[[G:.*]] = quern.cross_entropy_backward
// CHECK: %[[HEAD:.*]] = quern.linear_weight_gradient %[[F]]#0, %[[G]] transposed
// CHECK: %[[B:.*]]:6 = quern.scan 2 reverse carry
// The residual's gradient joins that of the norm.
// CHECK: quern.activation_backward "gelu_tanh" %{{.*}}, %x
// CHECK-NOT: arith.addf
// CHECK: quern.norm_backward layer {{.*}} addend %x
// CHECK: quern.position_embedding_backward %[[B]]#0 rows 8
// The scatter of the embedding adds to the head's gradient of the same table.
// CHECK: %[[TABLE:.*]] = quern.embedding_backward %tokens, %[[B]]#0 init %[[HEAD]] rows 11
// CHECK: quern.return %[[LOSS]], %[[TABLE]],

// Loss and gradients in one pass, in place of the forward op.
// FUSED: quern.function @gradients
// FUSED: %[[ONE:.*]] = arith.constant dense<1.000000e+00> : tensor<f32>
// FUSED-NOT: quern.cross_entropy
// FUSED: %[[BOTH:.*]]:3 = quern.linear_cross_entropy_gradient %{{.*}}, %token, %targets, %[[ONE]] transposed
// FUSED: init %[[BOTH]]#2
// FUSED: quern.return %[[BOTH]]#0

// A token's bytes: x 24, qkv 72, attention 24, its log-sum-exp 8, fc 24; in 2 layers.
// REPORT: gpt.mlir:{{.*}}: remark: the forward pass saves 5 values of each of 2 layers: 304 x batch x sequence bytes
// REPORT: gpt.mlir:{{.*}}: remark: the backward pass runs 6 operations of each layer again: 96 x batch x sequence flops
