// RUN: quern-opt %s -quern-fuse-linalg -quern-fuse-softmax -quern-fuse-attention | FileCheck %s
// RUN: quern-opt %s -quern-fuse -o %t.mlir
// RUN: quern-reference %s %t.mlir --compare forward --dims batch=2,sequence=5,heads=3

// Writings of attention, from queries, keys and values to merged heads. Each becomes one operation on tensors
// [batch, sequence, heads, head dimension].

// 1. Heads by split_heads and transposes, scale after the product, a causal mask by select: the textbook.

// CHECK-LABEL: quern.model @textbook
// CHECK-DAG: %[[QH:.*]] = quern.split_heads %q heads 3
// CHECK-DAG: %[[KH:.*]] = quern.split_heads %k heads 3
// CHECK-DAG: %[[VH:.*]] = quern.split_heads %v heads 3
// CHECK-NEXT: %[[A:.*]] = quern.attention %[[QH]], %[[KH]], %[[VH]] causal : tensor<?x?x3x16xf32>
// CHECK-NEXT: %[[Y:.*]] = quern.merge_heads %[[A]]
// CHECK-NEXT: quern.return %[[Y]]
quern.model @textbook kind("attention") {
  quern.function @forward(%q: tensor<?x?x48xf32>,
      %k: tensor<?x?x48xf32>,
      %v: tensor<?x?x48xf32>) -> (tensor<?x?x48xf32>) {
    %qs = quern.split_heads %q heads 3 : tensor<?x?x48xf32>
    %ks = quern.split_heads %k heads 3 : tensor<?x?x48xf32>
    %vs = quern.split_heads %v heads 3 : tensor<?x?x48xf32>
    %qt = quern.transpose %qs [0, 2, 1, 3] : tensor<?x?x3x16xf32>
    %kt = quern.transpose %ks [0, 2, 1, 3] : tensor<?x?x3x16xf32>
    %vt = quern.transpose %vs [0, 2, 1, 3] : tensor<?x?x3x16xf32>
    %s = quern.matmul %qt, %kt transpose_b : tensor<?x3x?x16xf32>, tensor<?x3x?x16xf32>
    %scale = quern.full 0.25 like %s : tensor<?x3x?x?xf32>
    %scaled = arith.mulf %s, %scale : tensor<?x3x?x?xf32>
    %mask = quern.causal_mask like %s : tensor<?x3x?x?xf32>
    %hidden = quern.full 0xFFF0000000000000 like %s : tensor<?x3x?x?xf32>
    %masked = arith.select %mask, %scaled, %hidden : tensor<?x3x?x?xi1>, tensor<?x3x?x?xf32>
    %p = quern.softmax %masked : tensor<?x3x?x?xf32>
    %o = quern.matmul %p, %vt : tensor<?x3x?x?xf32>, tensor<?x3x?x16xf32>
    %ot = quern.transpose %o [0, 2, 1, 3] : tensor<?x3x?x16xf32>
    %y = quern.merge_heads %ot : tensor<?x?x3x16xf32>
    quern.return %y : tensor<?x?x48xf32>
  }
}

// 2. Queries scaled before they are split, keys transposed for the product, heads by expand_shape and linalg.transpose,
//    an added mask of large negative numbers, everything static; the softmax written out, with its maximum.

// CHECK-LABEL: quern.model @static_reshape
// CHECK-DAG: %[[QH:.*]] = quern.split_heads %q heads 3
// CHECK-DAG: %[[KH:.*]] = quern.split_heads %k heads 3
// CHECK-DAG: %[[VH:.*]] = quern.split_heads %v heads 3
// CHECK: %[[A:.*]] = quern.attention %[[QH]], %[[KH]], %[[VH]] causal : tensor<2x8x3x16xf32>
// CHECK-NEXT: %[[Y:.*]] = quern.merge_heads %[[A]]
// CHECK-NEXT: quern.return %[[Y]]
quern.model @static_reshape kind("attention") {
  quern.function @forward(%q: tensor<2x8x48xf32>,
      %k: tensor<2x8x48xf32>,
      %v: tensor<2x8x48xf32>) -> (tensor<2x8x48xf32>) {
    %c = arith.constant dense<0.25> : tensor<2x8x48xf32>
    %zero = arith.constant dense<0.0> : tensor<2x3x8x8xf32>
    %large = arith.constant dense<-1.0e9> : tensor<2x3x8x8xf32>
    %lowest = arith.constant dense<0xFF800000> : tensor<2x3x8xf32>
    %qc = arith.mulf %q, %c : tensor<2x8x48xf32>
    %qs = tensor.expand_shape %qc [[0], [1], [2, 3]] output_shape [2, 8, 3, 16] : tensor<2x8x48xf32> into tensor<2x8x3x16xf32>
    %ks = tensor.expand_shape %k [[0], [1], [2, 3]] output_shape [2, 8, 3, 16] : tensor<2x8x48xf32> into tensor<2x8x3x16xf32>
    %vs = tensor.expand_shape %v [[0], [1], [2, 3]] output_shape [2, 8, 3, 16] : tensor<2x8x48xf32> into tensor<2x8x3x16xf32>
    %e0 = tensor.empty() : tensor<2x3x8x16xf32>
    %e1 = tensor.empty() : tensor<2x3x16x8xf32>
    %qt = linalg.transpose ins(%qs : tensor<2x8x3x16xf32>) outs(%e0 : tensor<2x3x8x16xf32>) permutation = [0, 2, 1, 3]
    %kt = linalg.transpose ins(%ks : tensor<2x8x3x16xf32>) outs(%e1 : tensor<2x3x16x8xf32>) permutation = [0, 2, 3, 1]
    %vt = linalg.transpose ins(%vs : tensor<2x8x3x16xf32>) outs(%e0 : tensor<2x3x8x16xf32>) permutation = [0, 2, 1, 3]
    %s = quern.matmul %qt, %kt : tensor<2x3x8x16xf32>, tensor<2x3x16x8xf32>
    %seen = quern.causal_mask like %s : tensor<2x3x8x8xf32>
    %mask = arith.select %seen, %zero, %large : tensor<2x3x8x8xi1>, tensor<2x3x8x8xf32>
    %masked = arith.addf %mask, %s : tensor<2x3x8x8xf32>
    %max = linalg.reduce { arith.maximumf } ins(%masked : tensor<2x3x8x8xf32>) outs(%lowest : tensor<2x3x8xf32>) dimensions = [3]
    %maxs = linalg.broadcast ins(%max : tensor<2x3x8xf32>) outs(%zero : tensor<2x3x8x8xf32>) dimensions = [3]
    %shifted = arith.subf %masked, %maxs : tensor<2x3x8x8xf32>
    %exp = math.exp %shifted : tensor<2x3x8x8xf32>
    %sum = quern.sum %exp dimensions [3] : tensor<2x3x8x8xf32>
    %column = tensor.expand_shape %sum [[0], [1], [2, 3]] output_shape [2, 3, 8, 1] : tensor<2x3x8xf32> into tensor<2x3x8x1xf32>
    %sums = quern.broadcast %column like %exp : tensor<2x3x8x1xf32>, tensor<2x3x8x8xf32>
    %p = arith.divf %exp, %sums : tensor<2x3x8x8xf32>
    %o = quern.matmul %p, %vt : tensor<2x3x8x8xf32>, tensor<2x3x8x16xf32>
    %ot = quern.transpose %o [0, 2, 1, 3] : tensor<2x3x8x16xf32>
    %y = tensor.collapse_shape %ot [[0], [1], [2, 3]] : tensor<2x8x3x16xf32> into tensor<2x8x48xf32>
    quern.return %y : tensor<2x8x48xf32>
  }
}

// 3. The square root of the scale on queries and on keys; no mask; tensors that are [batch, heads, sequence, head dimension].

// CHECK-LABEL: quern.model @roots_no_mask
// CHECK-DAG: %[[QT:.*]] = quern.transpose %q [0, 2, 1, 3]
// CHECK-DAG: %[[KT:.*]] = quern.transpose %k [0, 2, 1, 3]
// CHECK-DAG: %[[VT:.*]] = quern.transpose %v [0, 2, 1, 3]
// CHECK: %[[A:.*]] = quern.attention %[[QT]], %[[KT]], %[[VT]] : tensor<?x?x3x16xf32>
// CHECK-NEXT: %[[Y:.*]] = quern.transpose %[[A]] [0, 2, 1, 3]
// CHECK-NEXT: quern.return %[[Y]]
quern.model @roots_no_mask kind("attention") {
  quern.function @forward(%q: tensor<?x3x?x16xf32> {quern.dims = ["batch", "heads", "sequence", "features"]},
      %k: tensor<?x3x?x16xf32> {quern.dims = ["batch", "heads", "sequence", "features"]},
      %v: tensor<?x3x?x16xf32> {quern.dims = ["batch", "heads", "sequence", "features"]}) -> (tensor<?x3x?x16xf32>) {
    %cq = quern.full 0.5 like %q : tensor<?x3x?x16xf32>
    %ck = quern.full 2.0 like %k : tensor<?x3x?x16xf32>
    %qs = arith.mulf %cq, %q : tensor<?x3x?x16xf32>
    %ks = arith.divf %k, %ck : tensor<?x3x?x16xf32>
    %kt = quern.transpose %ks [0, 1, 3, 2] : tensor<?x3x?x16xf32>
    %s = quern.matmul %qs, %kt : tensor<?x3x?x16xf32>, tensor<?x3x16x?xf32>
    %p = quern.softmax %s : tensor<?x3x?x?xf32>
    %y = quern.matmul %p, %v : tensor<?x3x?x?xf32>, tensor<?x3x?x16xf32>
    quern.return %y : tensor<?x3x?x16xf32>
  }
}

// 4. Grouped queries: keys and values repeated after their transposition. A scale that is not 1 / sqrt(D).

// CHECK-LABEL: quern.model @grouped
// CHECK-NEXT: quern.function @forward
// CHECK-NEXT: %[[A:.*]] = quern.attention %q, %k, %v causal scale 1.000000e-01 : tensor<?x?x4x16xf32>, tensor<?x?x2x16xf32>, tensor<?x?x2x16xf32>
// CHECK-NEXT: quern.return %[[A]]
quern.model @grouped kind("attention") {
  quern.function @forward(%q: tensor<?x?x4x16xf32>,
      %k: tensor<?x?x2x16xf32>,
      %v: tensor<?x?x2x16xf32>) -> (tensor<?x?x4x16xf32>) {
    %qt = quern.transpose %q [0, 2, 1, 3] : tensor<?x?x4x16xf32>
    %kt = quern.transpose %k [0, 2, 1, 3] : tensor<?x?x2x16xf32>
    %vt = quern.transpose %v [0, 2, 1, 3] : tensor<?x?x2x16xf32>
    %kr = quern.repeat %kt dimension 1 times 2 : tensor<?x2x?x16xf32>
    %vr = quern.repeat %vt dimension 1 times 2 : tensor<?x2x?x16xf32>
    %s = quern.matmul %qt, %kr transpose_b : tensor<?x4x?x16xf32>, tensor<?x4x?x16xf32>
    %c = quern.full 10.0 like %s : tensor<?x4x?x?xf32>
    %scaled = arith.divf %s, %c : tensor<?x4x?x?xf32>
    %mask = quern.causal_mask like %scaled : tensor<?x4x?x?xf32>
    %low = quern.full -1.0e30 like %scaled : tensor<?x4x?x?xf32>
    %masked = arith.select %mask, %scaled, %low : tensor<?x4x?x?xi1>, tensor<?x4x?x?xf32>
    %p = quern.softmax %masked : tensor<?x4x?x?xf32>
    %o = quern.matmul %p, %vr : tensor<?x4x?x?xf32>, tensor<?x4x?x16xf32>
    %y = quern.transpose %o [0, 2, 1, 3] : tensor<?x4x?x16xf32>
    quern.return %y : tensor<?x?x4x16xf32>
  }
}

// 5. Grouped queries, repeated before the transposition; the scale after the mask.

// CHECK-LABEL: quern.model @grouped_before
// CHECK-NEXT: quern.function @forward
// CHECK-NEXT: %[[A:.*]] = quern.attention %q, %k, %v causal : tensor<?x?x4x16xf32>, tensor<?x?x1x16xf32>, tensor<?x?x1x16xf32>
// CHECK-NEXT: quern.return %[[A]]
quern.model @grouped_before kind("attention") {
  quern.function @forward(%q: tensor<?x?x4x16xf32>,
      %k: tensor<?x?x1x16xf32>,
      %v: tensor<?x?x1x16xf32>) -> (tensor<?x?x4x16xf32>) {
    %kr = quern.repeat %k dimension 2 times 4 : tensor<?x?x1x16xf32>
    %vr = quern.repeat %v dimension 2 times 4 : tensor<?x?x1x16xf32>
    %qt = quern.transpose %q [0, 2, 1, 3] : tensor<?x?x4x16xf32>
    %kt = quern.transpose %kr [0, 2, 3, 1] : tensor<?x?x4x16xf32>
    %vt = quern.transpose %vr [0, 2, 1, 3] : tensor<?x?x4x16xf32>
    %s = quern.matmul %qt, %kt : tensor<?x4x?x16xf32>, tensor<?x4x16x?xf32>
    %seen = quern.causal_mask like %s : tensor<?x4x?x?xf32>
    %low = quern.full -1.0e9 like %s : tensor<?x4x?x?xf32>
    %masked = arith.select %seen, %s, %low : tensor<?x4x?x?xi1>, tensor<?x4x?x?xf32>
    %c = quern.full 0.25 like %s : tensor<?x4x?x?xf32>
    %scaled = arith.mulf %c, %masked : tensor<?x4x?x?xf32>
    %p = quern.softmax %scaled : tensor<?x4x?x?xf32>
    %o = quern.matmul %p, %vt : tensor<?x4x?x?xf32>, tensor<?x4x?x16xf32>
    %y = quern.transpose %o [0, 2, 1, 3] : tensor<?x4x?x16xf32>
    quern.return %y : tensor<?x?x4x16xf32>
  }
}

// 6. GPT-2's first program: scores * mask - 1e10 * (1 - mask), with the mask as numbers.

// CHECK-LABEL: quern.model @mask_by_product
// CHECK-NEXT: quern.function @forward
// CHECK-NEXT: %[[A:.*]] = quern.attention %q, %k, %v causal : tensor<?x?x3x16xf32>
// CHECK-NEXT: quern.return %[[A]]
quern.model @mask_by_product kind("attention") {
  quern.function @forward(%q: tensor<?x?x3x16xf32>,
      %k: tensor<?x?x3x16xf32>,
      %v: tensor<?x?x3x16xf32>) -> (tensor<?x?x3x16xf32>) {
    %qt = quern.transpose %q [0, 2, 1, 3] : tensor<?x?x3x16xf32>
    %kt = quern.transpose %k [0, 2, 1, 3] : tensor<?x?x3x16xf32>
    %vt = quern.transpose %v [0, 2, 1, 3] : tensor<?x?x3x16xf32>
    %s = quern.matmul %qt, %kt transpose_b : tensor<?x3x?x16xf32>, tensor<?x3x?x16xf32>
    %d = quern.full 16.0 like %s : tensor<?x3x?x?xf32>
    %root = math.rsqrt %d : tensor<?x3x?x?xf32>
    %scaled = arith.mulf %s, %root : tensor<?x3x?x?xf32>
    %seen = quern.causal_mask like %s : tensor<?x3x?x?xf32>
    %b = arith.uitofp %seen : tensor<?x3x?x?xi1> to tensor<?x3x?x?xf32>
    %one = quern.full 1.0 like %s : tensor<?x3x?x?xf32>
    %large = quern.full -1.0e10 like %s : tensor<?x3x?x?xf32>
    %not_b = arith.subf %one, %b : tensor<?x3x?x?xf32>
    %bias = arith.mulf %large, %not_b : tensor<?x3x?x?xf32>
    %product = arith.mulf %scaled, %b : tensor<?x3x?x?xf32>
    %masked = arith.addf %product, %bias : tensor<?x3x?x?xf32>
    %p = quern.softmax %masked : tensor<?x3x?x?xf32>
    %o = quern.matmul %p, %vt : tensor<?x3x?x?xf32>, tensor<?x3x?x16xf32>
    %y = quern.transpose %o [0, 2, 1, 3] : tensor<?x3x?x16xf32>
    quern.return %y : tensor<?x?x3x16xf32>
  }
}

// 7. A given mask, broadcast and added, beside the causal one.

// CHECK-LABEL: quern.model @given_mask
// CHECK-NEXT: quern.function @forward
// CHECK-NEXT: %[[A:.*]] = quern.attention %q, %k, %v mask %m causal : tensor<?x?x3x16xf32>
// CHECK-NEXT: quern.return %[[A]]
quern.model @given_mask kind("attention") {
  quern.function @forward(%q: tensor<?x?x3x16xf32>,
      %k: tensor<?x?x3x16xf32>,
      %v: tensor<?x?x3x16xf32>,
      %m: tensor<?x1x1x?xf32> {quern.dims = ["batch", "one", "one", "sequence"]}) -> (tensor<?x?x3x16xf32>) {
    %qt = quern.transpose %q [0, 2, 1, 3] : tensor<?x?x3x16xf32>
    %kt = quern.transpose %k [0, 2, 1, 3] : tensor<?x?x3x16xf32>
    %vt = quern.transpose %v [0, 2, 1, 3] : tensor<?x?x3x16xf32>
    %s = quern.matmul %qt, %kt transpose_b : tensor<?x3x?x16xf32>, tensor<?x3x?x16xf32>
    %c = quern.full 0.25 like %s : tensor<?x3x?x?xf32>
    %scaled = arith.mulf %s, %c : tensor<?x3x?x?xf32>
    %all = quern.broadcast %m like %s : tensor<?x1x1x?xf32>, tensor<?x3x?x?xf32>
    %padded = arith.addf %scaled, %all : tensor<?x3x?x?xf32>
    %seen = quern.causal_mask like %s : tensor<?x3x?x?xf32>
    %hidden = quern.full 0xFFF0000000000000 like %s : tensor<?x3x?x?xf32>
    %masked = arith.select %seen, %padded, %hidden : tensor<?x3x?x?xi1>, tensor<?x3x?x?xf32>
    %p = quern.softmax %masked : tensor<?x3x?x?xf32>
    %o = quern.matmul %p, %vt : tensor<?x3x?x?xf32>, tensor<?x3x?x16xf32>
    %y = quern.transpose %o [0, 2, 1, 3] : tensor<?x3x?x16xf32>
    quern.return %y : tensor<?x?x3x16xf32>
  }
}

// 8. linalg.batch_matmul with batch and heads merged; the mask selected by its complement.

// CHECK-LABEL: quern.model @merged_batch
// CHECK: %[[A:.*]] = quern.attention %q, %k, %v causal : tensor<2x8x3x16xf32>
// CHECK-NEXT: quern.return %[[A]]
quern.model @merged_batch kind("attention") {
  quern.function @forward(%q: tensor<2x8x3x16xf32>,
      %k: tensor<2x8x3x16xf32>,
      %v: tensor<2x8x3x16xf32>) -> (tensor<2x8x3x16xf32>) {
    %scale = arith.constant dense<0.25> : tensor<6x8x8xf32>
    %true = arith.constant dense<true> : tensor<6x8x8xi1>
    %low = arith.constant dense<-1.0e9> : tensor<6x8x8xf32>
    %zero = arith.constant 0.0 : f32
    %qt = quern.transpose %q [0, 2, 1, 3] : tensor<2x8x3x16xf32>
    %kt = quern.transpose %k [0, 2, 3, 1] : tensor<2x8x3x16xf32>
    %vt = quern.transpose %v [0, 2, 1, 3] : tensor<2x8x3x16xf32>
    %q3 = tensor.collapse_shape %qt [[0, 1], [2], [3]] : tensor<2x3x8x16xf32> into tensor<6x8x16xf32>
    %k4 = quern.transpose %kt [0, 1, 3, 2] : tensor<2x3x16x8xf32>
    %k3 = tensor.collapse_shape %k4 [[0, 1], [2], [3]] : tensor<2x3x8x16xf32> into tensor<6x8x16xf32>
    %k3t = quern.transpose %k3 [0, 2, 1] : tensor<6x8x16xf32>
    %v3 = tensor.collapse_shape %vt [[0, 1], [2], [3]] : tensor<2x3x8x16xf32> into tensor<6x8x16xf32>
    %e0 = tensor.empty() : tensor<6x8x8xf32>
    %z0 = linalg.fill ins(%zero : f32) outs(%e0 : tensor<6x8x8xf32>) -> tensor<6x8x8xf32>
    %s = linalg.batch_matmul ins(%q3, %k3t : tensor<6x8x16xf32>, tensor<6x16x8xf32>) outs(%z0 : tensor<6x8x8xf32>) -> tensor<6x8x8xf32>
    %scaled = arith.mulf %s, %scale : tensor<6x8x8xf32>
    %seen = quern.causal_mask like %s : tensor<6x8x8xf32>
    %unseen = arith.xori %seen, %true : tensor<6x8x8xi1>
    %masked = arith.select %unseen, %low, %scaled : tensor<6x8x8xi1>, tensor<6x8x8xf32>
    %p = quern.softmax %masked : tensor<6x8x8xf32>
    %e1 = tensor.empty() : tensor<6x8x16xf32>
    %z1 = linalg.fill ins(%zero : f32) outs(%e1 : tensor<6x8x16xf32>) -> tensor<6x8x16xf32>
    %o = linalg.batch_matmul ins(%p, %v3 : tensor<6x8x8xf32>, tensor<6x8x16xf32>) outs(%z1 : tensor<6x8x16xf32>) -> tensor<6x8x16xf32>
    %o4 = tensor.expand_shape %o [[0, 1], [2], [3]] output_shape [2, 3, 8, 16] : tensor<6x8x16xf32> into tensor<2x3x8x16xf32>
    %y = quern.transpose %o4 [0, 2, 1, 3] : tensor<2x3x8x16xf32>
    quern.return %y : tensor<2x8x3x16xf32>
  }
}

// 9. Two einsums, bthd,bshd->bhts and bhts,bshd->bthd, as linalg.generic; the division after the second one.

#bthd = affine_map<(b, h, t, s, d) -> (b, t, h, d)>
#bshd = affine_map<(b, h, t, s, d) -> (b, s, h, d)>
#bhts = affine_map<(b, h, t, s, d) -> (b, h, t, s)>

// CHECK-LABEL: quern.model @einsum
// CHECK-NEXT: quern.function @forward
// CHECK-NEXT: %[[A:.*]] = quern.attention %q, %k, %v : tensor<2x8x3x16xf32>
// CHECK-NEXT: quern.return %[[A]]
quern.model @einsum kind("attention") {
  quern.function @forward(%q: tensor<2x8x3x16xf32>,
      %k: tensor<2x8x3x16xf32>,
      %v: tensor<2x8x3x16xf32>) -> (tensor<2x8x3x16xf32>) {
    %z0 = arith.constant dense<0.0> : tensor<2x3x8x8xf32>
    %z1 = arith.constant dense<0.0> : tensor<2x8x3x16xf32>
    %scale = arith.constant dense<0.25> : tensor<2x3x8x8xf32>
    %s = linalg.generic {indexing_maps = [#bthd, #bshd, #bhts], iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]}
        ins(%q, %k : tensor<2x8x3x16xf32>, tensor<2x8x3x16xf32>) outs(%z0 : tensor<2x3x8x8xf32>) {
    ^bb0(%a: f32, %b: f32, %c: f32):
      %m = arith.mulf %a, %b : f32
      %n = arith.addf %c, %m : f32
      linalg.yield %n : f32
    } -> tensor<2x3x8x8xf32>
    %scaled = arith.mulf %s, %scale : tensor<2x3x8x8xf32>
    %p = quern.softmax %scaled : tensor<2x3x8x8xf32>
    %y = linalg.generic {indexing_maps = [#bhts, #bshd, #bthd], iterator_types = ["parallel", "parallel", "parallel", "reduction", "parallel"]}
        ins(%p, %v : tensor<2x3x8x8xf32>, tensor<2x8x3x16xf32>) outs(%z1 : tensor<2x8x3x16xf32>) {
    ^bb0(%a: f32, %b: f32, %c: f32):
      %m = arith.mulf %a, %b : f32
      %n = arith.addf %c, %m : f32
      linalg.yield %n : f32
    } -> tensor<2x8x3x16xf32>
    quern.return %y : tensor<2x8x3x16xf32>
  }
}

// 10. One head, rank 3; the scores as keys times queries, transposed; the rows of the last product divided instead of
//     those of the probabilities; the mask given for each batch.

// CHECK-LABEL: quern.model @one_head
// CHECK-DAG: %[[QH:.*]] = quern.split_heads %q heads 1
// CHECK-DAG: %[[KH:.*]] = quern.split_heads %k heads 1
// CHECK-DAG: %[[VH:.*]] = quern.split_heads %v heads 1
// CHECK-DAG: %[[MH:.*]] = tensor.expand_shape %m {{\[\[}}0], [1, 2], [3]] output_shape [2, 1, 8, 8]
// CHECK: %[[A:.*]] = quern.attention %[[QH]], %[[KH]], %[[VH]] mask %[[MH]] scale 1.000000e+00
// CHECK-NEXT: %[[Y:.*]] = quern.merge_heads %[[A]]
// CHECK-NEXT: quern.return %[[Y]]
quern.model @one_head kind("attention") {
  quern.function @forward(%q: tensor<2x8x16xf32>,
      %k: tensor<2x8x16xf32>,
      %v: tensor<2x8x16xf32>,
      %m: tensor<2x8x8xf32>) -> (tensor<2x8x16xf32>) {
    %st = quern.matmul %k, %q transpose_b : tensor<2x8x16xf32>, tensor<2x8x16xf32>
    %s = quern.transpose %st [0, 2, 1] : tensor<2x8x8xf32>
    %masked = arith.addf %s, %m : tensor<2x8x8xf32>
    %exp = math.exp %masked : tensor<2x8x8xf32>
    %sum = quern.sum %exp dimensions [2] : tensor<2x8x8xf32>
    %column = tensor.expand_shape %sum [[0], [1, 2]] output_shape [2, 8, 1] : tensor<2x8xf32> into tensor<2x8x1xf32>
    %o = quern.matmul %exp, %v : tensor<2x8x8xf32>, tensor<2x8x16xf32>
    %sums = quern.broadcast %column like %o : tensor<2x8x1xf32>, tensor<2x8x16xf32>
    %y = arith.divf %o, %sums : tensor<2x8x16xf32>
    quern.return %y : tensor<2x8x16xf32>
  }
}

// 11. Plain matrices, linalg.matmul.

// CHECK-LABEL: quern.model @matrices
// CHECK-DAG: %[[Q4:.*]] = tensor.expand_shape %q {{.*}} into tensor<1x8x1x16xf32>
// CHECK-DAG: %[[K4:.*]] = tensor.expand_shape %k {{.*}} into tensor<1x8x1x16xf32>
// CHECK-DAG: %[[V4:.*]] = tensor.expand_shape %v {{.*}} into tensor<1x8x1x4xf32>
// CHECK: %[[A:.*]] = quern.attention %[[Q4]], %[[K4]], %[[V4]] causal scale 1.000000e+00
// CHECK-NEXT: %[[Y:.*]] = tensor.collapse_shape %[[A]] {{\[\[}}0, 1], [2, 3]] : tensor<1x8x1x4xf32> into tensor<8x4xf32>
// CHECK-NEXT: quern.return %[[Y]]
quern.model @matrices kind("attention") {
  quern.function @forward(%q: tensor<8x16xf32>, %k: tensor<8x16xf32>, %v: tensor<8x4xf32>) -> (tensor<8x4xf32>) {
    %z0 = arith.constant dense<0.0> : tensor<8x8xf32>
    %z1 = arith.constant dense<0.0> : tensor<8x4xf32>
    %low = arith.constant dense<-3.40282347E+38> : tensor<8x8xf32>
    %kt = quern.transpose %k [1, 0] : tensor<8x16xf32>
    %s = linalg.matmul ins(%q, %kt : tensor<8x16xf32>, tensor<16x8xf32>) outs(%z0 : tensor<8x8xf32>) -> tensor<8x8xf32>
    %seen = quern.causal_mask like %s : tensor<8x8xf32>
    %masked = arith.select %seen, %s, %low : tensor<8x8xi1>, tensor<8x8xf32>
    %p = quern.softmax %masked : tensor<8x8xf32>
    %y = linalg.matmul ins(%p, %v : tensor<8x8xf32>, tensor<8x4xf32>) outs(%z1 : tensor<8x4xf32>) -> tensor<8x4xf32>
    quern.return %y : tensor<8x4xf32>
  }
}

// 12. Rotated queries and keys, the scale taken before the rotation; groups repeated by broadcast and reshape.

// CHECK-LABEL: quern.model @rotary_groups
// CHECK-DAG: %[[QR:.*]] = quern.rotary_embedding %q
// CHECK-DAG: %[[KR:.*]] = quern.rotary_embedding %k
// CHECK: %[[A:.*]] = quern.attention %[[QR]], %[[KR]], %v : tensor<2x8x4x16xf32>, tensor<2x8x2x16xf32>, tensor<2x8x2x16xf32>
// CHECK-NEXT: quern.return %[[A]]
quern.model @rotary_groups kind("attention") {
  quern.function @forward(%q: tensor<2x8x4x16xf32>,
      %k: tensor<2x8x2x16xf32>,
      %v: tensor<2x8x2x16xf32>) -> (tensor<2x8x4x16xf32>) {
    %c = arith.constant dense<0.25> : tensor<2x8x4x16xf32>
    %qc = arith.mulf %q, %c : tensor<2x8x4x16xf32>
    %qr = quern.rotary_embedding %qc : tensor<2x8x4x16xf32>
    %kr = quern.rotary_embedding %k : tensor<2x8x2x16xf32>
    %e = tensor.empty() : tensor<2x8x2x2x16xf32>
    %kb = linalg.broadcast ins(%kr : tensor<2x8x2x16xf32>) outs(%e : tensor<2x8x2x2x16xf32>) dimensions = [3]
    %vb = linalg.broadcast ins(%v : tensor<2x8x2x16xf32>) outs(%e : tensor<2x8x2x2x16xf32>) dimensions = [3]
    %k4 = tensor.collapse_shape %kb [[0], [1], [2, 3], [4]] : tensor<2x8x2x2x16xf32> into tensor<2x8x4x16xf32>
    %v4 = tensor.collapse_shape %vb [[0], [1], [2, 3], [4]] : tensor<2x8x2x2x16xf32> into tensor<2x8x4x16xf32>
    %qt = quern.transpose %qr [0, 2, 1, 3] : tensor<2x8x4x16xf32>
    %kt = quern.transpose %k4 [0, 2, 1, 3] : tensor<2x8x4x16xf32>
    %vt = quern.transpose %v4 [0, 2, 1, 3] : tensor<2x8x4x16xf32>
    %s = quern.matmul %qt, %kt transpose_b : tensor<2x4x8x16xf32>, tensor<2x4x8x16xf32>
    %p = quern.softmax %s : tensor<2x4x8x8xf32>
    %o = quern.matmul %p, %vt : tensor<2x4x8x8xf32>, tensor<2x4x8x16xf32>
    %y = quern.transpose %o [0, 2, 1, 3] : tensor<2x4x8x16xf32>
    quern.return %y : tensor<2x8x4x16xf32>
  }
}

// 13. Heads first, then batch; a causal mask of two dimensions, broadcast.

// CHECK-LABEL: quern.model @heads_first
// CHECK-NEXT: quern.function @forward
// CHECK-NEXT: %[[A:.*]] = quern.attention %q, %k, %v causal : tensor<?x8x3x16xf32>
// CHECK-NEXT: quern.return %[[A]]
quern.model @heads_first kind("attention") {
  quern.function @forward(%q: tensor<?x8x3x16xf32>,
      %k: tensor<?x8x3x16xf32>,
      %v: tensor<?x8x3x16xf32>,
      %square: tensor<8x8xf32>) -> (tensor<?x8x3x16xf32>) {
    %qt = quern.transpose %q [2, 0, 1, 3] : tensor<?x8x3x16xf32>
    %kt = quern.transpose %k [2, 0, 1, 3] : tensor<?x8x3x16xf32>
    %vt = quern.transpose %v [2, 0, 1, 3] : tensor<?x8x3x16xf32>
    %s = quern.matmul %qt, %kt transpose_b : tensor<3x?x8x16xf32>, tensor<3x?x8x16xf32>
    %c = quern.full 0.25 like %s : tensor<3x?x8x8xf32>
    %scaled = arith.mulf %s, %c : tensor<3x?x8x8xf32>
    %seen = quern.causal_mask like %square : tensor<8x8xf32>
    %zero = quern.full 0.0 like %square : tensor<8x8xf32>
    %low = quern.full 0xFFF0000000000000 like %square : tensor<8x8xf32>
    %mask = arith.select %seen, %zero, %low : tensor<8x8xi1>, tensor<8x8xf32>
    %all = quern.broadcast %mask like %s : tensor<8x8xf32>, tensor<3x?x8x8xf32>
    %masked = arith.addf %scaled, %all : tensor<3x?x8x8xf32>
    %p = quern.softmax %masked : tensor<3x?x8x8xf32>
    %o = quern.matmul %p, %vt : tensor<3x?x8x8xf32>, tensor<3x?x8x16xf32>
    %y = quern.transpose %o [1, 2, 0, 3] : tensor<3x?x8x16xf32>
    quern.return %y : tensor<?x8x3x16xf32>
  }
}
