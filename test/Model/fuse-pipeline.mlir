// RUN: quern-opt %s -quern-fuse | FileCheck %s
// RUN: quern-opt %s -quern-phase-fuse | FileCheck %s
// RUN: quern-opt %s -quern-fuse -o %t.mlir
// RUN: quern-reference %s %t.mlir --compare forward --dims batch=2,sequence=5
// RUN: quern-reference %s %t.mlir --compare loss --dims batch=2,sequence=5

// A Llama that is written by hand from products, softmax and elementwise operations: norms, projections, grouped attention, SwiGLU
// and the loss become single operations, in the rolled layers as well as in the functions.

// CHECK: quern.layers @block
// CHECK: %[[N1:.*]] = quern.rms_norm %x weight %{{.*}} epsilon 9.9999999999999995E-7
// CHECK: %[[QKV:.*]]:3 = quern.fused_linear %[[N1]] weights(%{{.*}}, %{{.*}}, %{{.*}}) transposed
// CHECK: %[[Q:.*]] = quern.split_heads %[[QKV]]#0 heads 4
// CHECK: %[[QR:.*]] = quern.rotary_embedding %[[Q]]
// CHECK: %[[K:.*]] = quern.split_heads %[[QKV]]#1 heads 2
// CHECK: %[[KR:.*]] = quern.rotary_embedding %[[K]]
// CHECK: %[[V:.*]] = quern.split_heads %[[QKV]]#2 heads 2
// CHECK: %[[A:.*]] = quern.attention %[[QR]], %[[KR]], %[[V]] causal :
// CHECK: %[[M:.*]] = quern.merge_heads %[[A]]
// CHECK: %[[P:.*]] = quern.linear %[[M]], %{{.*}} transposed
// CHECK: %[[N2:.*]], %[[SUM:.*]] = quern.residual_norm rms %x, %[[P]] weight %{{.*}} epsilon 9.9999999999999995E-7
// CHECK: %[[GU:.*]]:2 = quern.fused_linear %[[N2]]
// CHECK: %[[S:.*]] = quern.swiglu %[[GU]]#0, %[[GU]]#1
// CHECK: %[[D:.*]] = quern.linear %[[S]]
// CHECK: %[[Y:.*]] = arith.addf %[[SUM]], %[[D]]
// CHECK: quern.yield %[[Y]]
// CHECK: quern.function @forward
// CHECK: %[[LOGITS:.*]] = quern.linear
// CHECK: quern.return %[[LOGITS]]
// CHECK: quern.function @loss
// CHECK: quern.apply @block
// CHECK: %[[LOSS:.*]] = quern.linear_cross_entropy %{{.*}}, %{{.*}}, %targets
// CHECK-NEXT: quern.return %[[LOSS]]
quern.model @llama kind("causal_lm") {
  quern.parameter @token : tensor<11x16xf32> init(normal, 0.02)
  quern.parameter @norm : tensor<16xf32> init(ones)
  quern.layers @block count(2) (%x: tensor<?x?x16xf32>) -> tensor<?x?x16xf32> {
    quern.parameter @n1 : tensor<16xf32> init(ones)
    quern.parameter @n2 : tensor<16xf32> init(ones)
    quern.parameter @q : tensor<16x16xf32> init(normal, 0.02)
    quern.parameter @k : tensor<8x16xf32> init(normal, 0.02)
    quern.parameter @v : tensor<8x16xf32> init(normal, 0.02)
    quern.parameter @o : tensor<16x16xf32> init(normal, 0.02)
    quern.parameter @gate : tensor<24x16xf32> init(normal, 0.02)
    quern.parameter @up : tensor<24x16xf32> init(normal, 0.02)
    quern.parameter @down : tensor<16x24xf32> init(normal, 0.02)

    %w1 = quern.read @n1 : tensor<16xf32>
    %n1 = quern.rms_norm %x epsilon 1.0e-6 : tensor<?x?x16xf32>
    %w1s = quern.broadcast %w1 like %x : tensor<16xf32>, tensor<?x?x16xf32>
    %h = arith.mulf %n1, %w1s : tensor<?x?x16xf32>

    %wq = quern.read @q : tensor<16x16xf32>
    %q = quern.linear %h, %wq transposed : tensor<?x?x16xf32>, tensor<16x16xf32>
    %qs = quern.split_heads %q heads 4 : tensor<?x?x16xf32>
    %qr = quern.rotary_embedding %qs : tensor<?x?x4x4xf32>
    %qt = quern.transpose %qr [0, 2, 1, 3] : tensor<?x?x4x4xf32>
    %wk = quern.read @k : tensor<8x16xf32>
    %k = quern.linear %h, %wk transposed : tensor<?x?x16xf32>, tensor<8x16xf32>
    %ks = quern.split_heads %k heads 2 : tensor<?x?x8xf32>
    %kr = quern.rotary_embedding %ks : tensor<?x?x2x4xf32>
    %kt = quern.transpose %kr [0, 2, 1, 3] : tensor<?x?x2x4xf32>
    %kg = quern.repeat %kt dimension 1 times 2 : tensor<?x2x?x4xf32>
    %wv = quern.read @v : tensor<8x16xf32>
    %v = quern.linear %h, %wv transposed : tensor<?x?x16xf32>, tensor<8x16xf32>
    %vs = quern.split_heads %v heads 2 : tensor<?x?x8xf32>
    %vt = quern.transpose %vs [0, 2, 1, 3] : tensor<?x?x2x4xf32>
    %vg = quern.repeat %vt dimension 1 times 2 : tensor<?x2x?x4xf32>
    %s = quern.matmul %qt, %kg transpose_b : tensor<?x4x?x4xf32>, tensor<?x4x?x4xf32>
    %half = quern.full 0.5 like %s : tensor<?x4x?x?xf32>
    %scaled = arith.mulf %s, %half : tensor<?x4x?x?xf32>
    %seen = quern.causal_mask like %s : tensor<?x4x?x?xf32>
    %hidden = quern.full 0xFFF0000000000000 like %s : tensor<?x4x?x?xf32>
    %masked = arith.select %seen, %scaled, %hidden : tensor<?x4x?x?xi1>, tensor<?x4x?x?xf32>
    %p = quern.softmax %masked : tensor<?x4x?x?xf32>
    %a = quern.matmul %p, %vg : tensor<?x4x?x?xf32>, tensor<?x4x?x4xf32>
    %at = quern.transpose %a [0, 2, 1, 3] : tensor<?x4x?x4xf32>
    %am = quern.merge_heads %at : tensor<?x?x4x4xf32>
    %wo = quern.read @o : tensor<16x16xf32>
    %o = quern.linear %am, %wo transposed : tensor<?x?x16xf32>, tensor<16x16xf32>
    %x1 = arith.addf %x, %o : tensor<?x?x16xf32>

    %w2 = quern.read @n2 : tensor<16xf32>
    %n2 = quern.rms_norm %x1 weight %w2 epsilon 1.0e-6 : tensor<?x?x16xf32>, tensor<16xf32>
    %wg = quern.read @gate : tensor<24x16xf32>
    %g = quern.linear %n2, %wg transposed : tensor<?x?x16xf32>, tensor<24x16xf32>
    %wu = quern.read @up : tensor<24x16xf32>
    %u = quern.linear %n2, %wu transposed : tensor<?x?x16xf32>, tensor<24x16xf32>
    %one = quern.full 1.0 like %g : tensor<?x?x24xf32>
    %minus = arith.negf %g : tensor<?x?x24xf32>
    %e = math.exp %minus : tensor<?x?x24xf32>
    %d = arith.addf %one, %e : tensor<?x?x24xf32>
    %silu = arith.divf %g, %d : tensor<?x?x24xf32>
    %gu = arith.mulf %silu, %u : tensor<?x?x24xf32>
    %wd = quern.read @down : tensor<16x24xf32>
    %down = quern.linear %gu, %wd transposed : tensor<?x?x24xf32>, tensor<16x24xf32>
    %x2 = arith.addf %x1, %down : tensor<?x?x16xf32>
    quern.yield %x2 : tensor<?x?x16xf32>
  }
  quern.function @forward(%tokens: tensor<?x?xi32>) -> (tensor<?x?x11xf32> {quern.name = "logits"}) {
    %table = quern.read @token : tensor<11x16xf32>
    %x = quern.embedding %tokens, %table : tensor<?x?xi32>, tensor<11x16xf32>
    %y = quern.apply @block(%x) : (tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
    %w = quern.read @norm : tensor<16xf32>
    %n = quern.rms_norm %y weight %w : tensor<?x?x16xf32>, tensor<16xf32>
    %logits = quern.linear %n, %table transposed : tensor<?x?x16xf32>, tensor<11x16xf32>
    quern.return %logits : tensor<?x?x11xf32>
  }
  quern.function @loss(%tokens: tensor<?x?xi32>, %targets: tensor<?x?xi32>) -> (tensor<f32> {quern.name = "loss"}) {
    %logits = quern.call @forward(%tokens) : (tensor<?x?xi32>) -> tensor<?x?x11xf32>
    %loss = quern.cross_entropy %logits, %targets : tensor<?x?x11xf32>, tensor<?x?xi32>
    quern.return %loss : tensor<f32>
  }
}
