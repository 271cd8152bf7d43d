// RUN: quern-opt %s -quern-fuse-linalg -quern-fuse-softmax -quern-fuse-attention | FileCheck %s
// RUN: quern-opt %s -quern-fuse -o %t.mlir
// RUN: quern-reference %s %t.mlir --compare forward --dims batch=2,sequence=5

// Texts that are almost attention, and must stay as they are.

// Softmax over queries instead of keys.

// CHECK-LABEL: quern.model @softmax_over_queries
// CHECK-NOT: quern.attention
// CHECK: quern.return
quern.model @softmax_over_queries kind("attention") {
  quern.function @forward(%q: tensor<2x3x8x16xf32>,
      %k: tensor<2x3x8x16xf32>,
      %v: tensor<2x3x8x16xf32>) -> (tensor<2x3x8x16xf32>) {
    %s = quern.matmul %q, %k transpose_b : tensor<2x3x8x16xf32>, tensor<2x3x8x16xf32>
    %st = quern.transpose %s [0, 1, 3, 2] : tensor<2x3x8x8xf32>
    %pt = quern.softmax %st : tensor<2x3x8x8xf32>
    %p = quern.transpose %pt [0, 1, 3, 2] : tensor<2x3x8x8xf32>
    %y = quern.matmul %p, %v : tensor<2x3x8x8xf32>, tensor<2x3x8x16xf32>
    quern.return %y : tensor<2x3x8x16xf32>
  }
}

// The probabilities are transposed in the product with the values.

// CHECK-LABEL: quern.model @transposed_probabilities
// CHECK-NOT: quern.attention
// CHECK: quern.return
quern.model @transposed_probabilities kind("attention") {
  quern.function @forward(%q: tensor<2x3x8x16xf32>,
      %k: tensor<2x3x8x16xf32>,
      %v: tensor<2x3x8x16xf32>) -> (tensor<2x3x8x16xf32>) {
    %s = quern.matmul %q, %k transpose_b : tensor<2x3x8x16xf32>, tensor<2x3x8x16xf32>
    %p = quern.softmax %s : tensor<2x3x8x8xf32>
    %y = quern.matmul %p, %v transpose_a : tensor<2x3x8x8xf32>, tensor<2x3x8x16xf32>
    quern.return %y : tensor<2x3x8x16xf32>
  }
}

// Queries see later keys, not earlier ones: the branches of the select are exchanged.

// CHECK-LABEL: quern.model @anti_causal
// CHECK-NOT: quern.attention
// CHECK: quern.return
quern.model @anti_causal kind("attention") {
  quern.function @forward(%q: tensor<2x3x8x16xf32>,
      %k: tensor<2x3x8x16xf32>,
      %v: tensor<2x3x8x16xf32>) -> (tensor<2x3x8x16xf32>) {
    %s = quern.matmul %q, %k transpose_b : tensor<2x3x8x16xf32>, tensor<2x3x8x16xf32>
    %seen = quern.causal_mask like %s : tensor<2x3x8x8xf32>
    %hidden = quern.full 0xFFF0000000000000 like %s : tensor<2x3x8x8xf32>
    %masked = arith.select %seen, %hidden, %s : tensor<2x3x8x8xi1>, tensor<2x3x8x8xf32>
    %p = quern.softmax %masked : tensor<2x3x8x8xf32>
    %y = quern.matmul %p, %v : tensor<2x3x8x8xf32>, tensor<2x3x8x16xf32>
    quern.return %y : tensor<2x3x8x16xf32>
  }
}

// The mask is transposed: s >= t.

// CHECK-LABEL: quern.model @transposed_mask
// CHECK-NOT: quern.attention
// CHECK: quern.return
quern.model @transposed_mask kind("attention") {
  quern.function @forward(%q: tensor<2x3x8x16xf32>,
      %k: tensor<2x3x8x16xf32>,
      %v: tensor<2x3x8x16xf32>) -> (tensor<2x3x8x16xf32>) {
    %s = quern.matmul %q, %k transpose_b : tensor<2x3x8x16xf32>, tensor<2x3x8x16xf32>
    %seen = quern.causal_mask like %s : tensor<2x3x8x8xf32>
    %later = quern.transpose %seen [0, 1, 3, 2] : tensor<2x3x8x8xi1>
    %hidden = quern.full 0xFFF0000000000000 like %s : tensor<2x3x8x8xf32>
    %masked = arith.select %later, %s, %hidden : tensor<2x3x8x8xi1>, tensor<2x3x8x8xf32>
    %p = quern.softmax %masked : tensor<2x3x8x8xf32>
    %y = quern.matmul %p, %v : tensor<2x3x8x8xf32>, tensor<2x3x8x16xf32>
    quern.return %y : tensor<2x3x8x16xf32>
  }
}

// The causal mask is on scores [keys, queries] that are transposed afterwards.

// CHECK-LABEL: quern.model @masked_before_transposition
// CHECK-NOT: quern.attention
// CHECK: quern.return
quern.model @masked_before_transposition kind("attention") {
  quern.function @forward(%q: tensor<2x3x8x16xf32>,
      %k: tensor<2x3x8x16xf32>,
      %v: tensor<2x3x8x16xf32>) -> (tensor<2x3x8x16xf32>) {
    %st = quern.matmul %k, %q transpose_b : tensor<2x3x8x16xf32>, tensor<2x3x8x16xf32>
    %seen = quern.causal_mask like %st : tensor<2x3x8x8xf32>
    %hidden = quern.full 0xFFF0000000000000 like %st : tensor<2x3x8x8xf32>
    %masked = arith.select %seen, %st, %hidden : tensor<2x3x8x8xi1>, tensor<2x3x8x8xf32>
    %s = quern.transpose %masked [0, 1, 3, 2] : tensor<2x3x8x8xf32>
    %p = quern.softmax %s : tensor<2x3x8x8xf32>
    %y = quern.matmul %p, %v : tensor<2x3x8x8xf32>, tensor<2x3x8x16xf32>
    quern.return %y : tensor<2x3x8x16xf32>
  }
}

// Another condition than the causal one.

// CHECK-LABEL: quern.model @other_condition
// CHECK-NOT: quern.attention
// CHECK: quern.return
quern.model @other_condition kind("attention") {
  quern.function @forward(%q: tensor<2x3x8x16xf32>,
      %k: tensor<2x3x8x16xf32>,
      %v: tensor<2x3x8x16xf32>,
      %m: tensor<2x3x8x8xi1>) -> (tensor<2x3x8x16xf32>) {
    %s = quern.matmul %q, %k transpose_b : tensor<2x3x8x16xf32>, tensor<2x3x8x16xf32>
    %hidden = quern.full 0xFFF0000000000000 like %s : tensor<2x3x8x8xf32>
    %masked = arith.select %m, %s, %hidden : tensor<2x3x8x8xi1>, tensor<2x3x8x8xf32>
    %p = quern.softmax %masked : tensor<2x3x8x8xf32>
    %y = quern.matmul %p, %v : tensor<2x3x8x8xf32>, tensor<2x3x8x16xf32>
    quern.return %y : tensor<2x3x8x16xf32>
  }
}

// -1 hides nothing.

// CHECK-LABEL: quern.model @small_constant
// CHECK-NOT: quern.attention
// CHECK: quern.return
quern.model @small_constant kind("attention") {
  quern.function @forward(%q: tensor<2x3x8x16xf32>,
      %k: tensor<2x3x8x16xf32>,
      %v: tensor<2x3x8x16xf32>) -> (tensor<2x3x8x16xf32>) {
    %s = quern.matmul %q, %k transpose_b : tensor<2x3x8x16xf32>, tensor<2x3x8x16xf32>
    %seen = quern.causal_mask like %s : tensor<2x3x8x8xf32>
    %hidden = quern.full -1.0 like %s : tensor<2x3x8x8xf32>
    %masked = arith.select %seen, %s, %hidden : tensor<2x3x8x8xi1>, tensor<2x3x8x8xf32>
    %p = quern.softmax %masked : tensor<2x3x8x8xf32>
    %y = quern.matmul %p, %v : tensor<2x3x8x8xf32>, tensor<2x3x8x16xf32>
    quern.return %y : tensor<2x3x8x16xf32>
  }
}

// -1e5 would hide, but not once it is scaled by 1e-3.

// CHECK-LABEL: quern.model @scaled_constant
// CHECK-NOT: quern.attention
// CHECK: quern.return
quern.model @scaled_constant kind("attention") {
  quern.function @forward(%q: tensor<2x3x8x16xf32>,
      %k: tensor<2x3x8x16xf32>,
      %v: tensor<2x3x8x16xf32>) -> (tensor<2x3x8x16xf32>) {
    %s = quern.matmul %q, %k transpose_b : tensor<2x3x8x16xf32>, tensor<2x3x8x16xf32>
    %seen = quern.causal_mask like %s : tensor<2x3x8x8xf32>
    %hidden = quern.full -1.0e5 like %s : tensor<2x3x8x8xf32>
    %masked = arith.select %seen, %s, %hidden : tensor<2x3x8x8xi1>, tensor<2x3x8x8xf32>
    %c = quern.full 1.0e-3 like %s : tensor<2x3x8x8xf32>
    %scaled = arith.mulf %masked, %c : tensor<2x3x8x8xf32>
    %p = quern.softmax %scaled : tensor<2x3x8x8xf32>
    %y = quern.matmul %p, %v : tensor<2x3x8x8xf32>, tensor<2x3x8x16xf32>
    quern.return %y : tensor<2x3x8x16xf32>
  }
}

// A negative factor turns minus infinity around.

// CHECK-LABEL: quern.model @negative_factor
// CHECK-NOT: quern.attention
// CHECK: quern.return
quern.model @negative_factor kind("attention") {
  quern.function @forward(%q: tensor<2x3x8x16xf32>,
      %k: tensor<2x3x8x16xf32>,
      %v: tensor<2x3x8x16xf32>) -> (tensor<2x3x8x16xf32>) {
    %s = quern.matmul %q, %k transpose_b : tensor<2x3x8x16xf32>, tensor<2x3x8x16xf32>
    %seen = quern.causal_mask like %s : tensor<2x3x8x8xf32>
    %hidden = quern.full 0xFFF0000000000000 like %s : tensor<2x3x8x8xf32>
    %masked = arith.select %seen, %s, %hidden : tensor<2x3x8x8xi1>, tensor<2x3x8x8xf32>
    %c = quern.full -0.25 like %s : tensor<2x3x8x8xf32>
    %scaled = arith.mulf %masked, %c : tensor<2x3x8x8xf32>
    %p = quern.softmax %scaled : tensor<2x3x8x8xf32>
    %y = quern.matmul %p, %v : tensor<2x3x8x8xf32>, tensor<2x3x8x16xf32>
    quern.return %y : tensor<2x3x8x16xf32>
  }
}

// Zeros in place of hidden scores are scores like others.

// CHECK-LABEL: quern.model @product_without_bias
// CHECK-NOT: quern.attention
// CHECK: quern.return
quern.model @product_without_bias kind("attention") {
  quern.function @forward(%q: tensor<2x3x8x16xf32>,
      %k: tensor<2x3x8x16xf32>,
      %v: tensor<2x3x8x16xf32>) -> (tensor<2x3x8x16xf32>) {
    %s = quern.matmul %q, %k transpose_b : tensor<2x3x8x16xf32>, tensor<2x3x8x16xf32>
    %seen = quern.causal_mask like %s : tensor<2x3x8x8xf32>
    %b = arith.uitofp %seen : tensor<2x3x8x8xi1> to tensor<2x3x8x8xf32>
    %masked = arith.mulf %s, %b : tensor<2x3x8x8xf32>
    %p = quern.softmax %masked : tensor<2x3x8x8xf32>
    %y = quern.matmul %p, %v : tensor<2x3x8x8xf32>, tensor<2x3x8x16xf32>
    quern.return %y : tensor<2x3x8x16xf32>
  }
}

// The scale is on the probabilities.

// CHECK-LABEL: quern.model @scale_after_softmax
// CHECK-NOT: quern.attention
// CHECK: quern.return
quern.model @scale_after_softmax kind("attention") {
  quern.function @forward(%q: tensor<2x3x8x16xf32>,
      %k: tensor<2x3x8x16xf32>,
      %v: tensor<2x3x8x16xf32>) -> (tensor<2x3x8x16xf32>) {
    %s = quern.matmul %q, %k transpose_b : tensor<2x3x8x16xf32>, tensor<2x3x8x16xf32>
    %p = quern.softmax %s : tensor<2x3x8x8xf32>
    %c = quern.full 0.25 like %s : tensor<2x3x8x8xf32>
    %scaled = arith.mulf %p, %c : tensor<2x3x8x8xf32>
    %y = quern.matmul %scaled, %v : tensor<2x3x8x8xf32>, tensor<2x3x8x16xf32>
    quern.return %y : tensor<2x3x8x16xf32>
  }
}

// The mask is added to the probabilities.

// CHECK-LABEL: quern.model @mask_after_softmax
// CHECK-NOT: quern.attention
// CHECK: quern.return
quern.model @mask_after_softmax kind("attention") {
  quern.function @forward(%q: tensor<2x3x8x16xf32>,
      %k: tensor<2x3x8x16xf32>,
      %v: tensor<2x3x8x16xf32>,
      %m: tensor<2x3x8x8xf32>) -> (tensor<2x3x8x16xf32>) {
    %s = quern.matmul %q, %k transpose_b : tensor<2x3x8x16xf32>, tensor<2x3x8x16xf32>
    %p = quern.softmax %s : tensor<2x3x8x8xf32>
    %masked = arith.addf %p, %m : tensor<2x3x8x8xf32>
    %y = quern.matmul %masked, %v : tensor<2x3x8x8xf32>, tensor<2x3x8x16xf32>
    quern.return %y : tensor<2x3x8x16xf32>
  }
}

// A given mask is scaled together with the scores.

// CHECK-LABEL: quern.model @scaled_given_mask
// CHECK-NOT: quern.attention
// CHECK: quern.return
quern.model @scaled_given_mask kind("attention") {
  quern.function @forward(%q: tensor<2x3x8x16xf32>,
      %k: tensor<2x3x8x16xf32>,
      %v: tensor<2x3x8x16xf32>,
      %m: tensor<2x3x8x8xf32>) -> (tensor<2x3x8x16xf32>) {
    %s = quern.matmul %q, %k transpose_b : tensor<2x3x8x16xf32>, tensor<2x3x8x16xf32>
    %masked = arith.addf %s, %m : tensor<2x3x8x8xf32>
    %c = quern.full 0.25 like %s : tensor<2x3x8x8xf32>
    %scaled = arith.mulf %masked, %c : tensor<2x3x8x8xf32>
    %p = quern.softmax %scaled : tensor<2x3x8x8xf32>
    %y = quern.matmul %p, %v : tensor<2x3x8x8xf32>, tensor<2x3x8x16xf32>
    quern.return %y : tensor<2x3x8x16xf32>
  }
}

// A scale that is learned.

// CHECK-LABEL: quern.model @learned_scale
// CHECK-NOT: quern.attention
// CHECK: quern.return
quern.model @learned_scale kind("attention") {
  quern.function @forward(%q: tensor<2x3x8x16xf32>,
      %k: tensor<2x3x8x16xf32>,
      %v: tensor<2x3x8x16xf32>,
      %c: tensor<3x1x1xf32>) -> (tensor<2x3x8x16xf32>) {
    %s = quern.matmul %q, %k transpose_b : tensor<2x3x8x16xf32>, tensor<2x3x8x16xf32>
    %all = quern.broadcast %c like %s : tensor<3x1x1xf32>, tensor<2x3x8x8xf32>
    %scaled = arith.mulf %s, %all : tensor<2x3x8x8xf32>
    %p = quern.softmax %scaled : tensor<2x3x8x8xf32>
    %y = quern.matmul %p, %v : tensor<2x3x8x8xf32>, tensor<2x3x8x16xf32>
    quern.return %y : tensor<2x3x8x16xf32>
  }
}

// Keys and values are repeated differently.

// CHECK-LABEL: quern.model @different_groups
// CHECK-NOT: quern.attention
// CHECK: quern.return
quern.model @different_groups kind("attention") {
  quern.function @forward(%q: tensor<2x4x8x16xf32>,
      %k: tensor<2x2x8x16xf32>,
      %v: tensor<2x1x8x16xf32>) -> (tensor<2x4x8x16xf32>) {
    %kr = quern.repeat %k dimension 1 times 2 : tensor<2x2x8x16xf32>
    %vr = quern.repeat %v dimension 1 times 4 : tensor<2x1x8x16xf32>
    %s = quern.matmul %q, %kr transpose_b : tensor<2x4x8x16xf32>, tensor<2x4x8x16xf32>
    %p = quern.softmax %s : tensor<2x4x8x8xf32>
    %y = quern.matmul %p, %vr : tensor<2x4x8x8xf32>, tensor<2x4x8x16xf32>
    quern.return %y : tensor<2x4x8x16xf32>
  }
}

// Keys and values are repeated along the sequence: no groups of heads, though attention all the same.

// CHECK-LABEL: quern.model @repeated_sequence
// CHECK-DAG: quern.repeat %{{.*}} dimension 2 times 2
// CHECK-DAG: quern.repeat %{{.*}} dimension 2 times 2
// CHECK: quern.attention %{{.*}} : tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>
quern.model @repeated_sequence kind("attention") {
  quern.function @forward(%q: tensor<2x4x8x16xf32>,
      %k: tensor<2x4x4x16xf32>,
      %v: tensor<2x4x4x16xf32>) -> (tensor<2x4x8x16xf32>) {
    %kr = quern.repeat %k dimension 2 times 2 : tensor<2x4x4x16xf32>
    %vr = quern.repeat %v dimension 2 times 2 : tensor<2x4x4x16xf32>
    %s = quern.matmul %q, %kr transpose_b : tensor<2x4x8x16xf32>, tensor<2x4x8x16xf32>
    %p = quern.softmax %s : tensor<2x4x8x8xf32>
    %y = quern.matmul %p, %vr : tensor<2x4x8x8xf32>, tensor<2x4x8x16xf32>
    quern.return %y : tensor<2x4x8x16xf32>
  }
}

// The scores are wanted as well.

// CHECK-LABEL: quern.model @scores_read
// CHECK-NOT: quern.attention
// CHECK: quern.return
quern.model @scores_read kind("attention") {
  quern.function @forward(%q: tensor<2x3x8x16xf32>,
      %k: tensor<2x3x8x16xf32>,
      %v: tensor<2x3x8x16xf32>) -> (tensor<2x3x8x16xf32>, tensor<2x3x8x8xf32>) {
    %s = quern.matmul %q, %k transpose_b : tensor<2x3x8x16xf32>, tensor<2x3x8x16xf32>
    %p = quern.softmax %s : tensor<2x3x8x8xf32>
    %y = quern.matmul %p, %v : tensor<2x3x8x8xf32>, tensor<2x3x8x16xf32>
    quern.return %y, %s : tensor<2x3x8x16xf32>, tensor<2x3x8x8xf32>
  }
}

// The probabilities are wanted as well.

// CHECK-LABEL: quern.model @probabilities_read
// CHECK-NOT: quern.attention
// CHECK: quern.return
quern.model @probabilities_read kind("attention") {
  quern.function @forward(%q: tensor<2x3x8x16xf32>,
      %k: tensor<2x3x8x16xf32>,
      %v: tensor<2x3x8x16xf32>) -> (tensor<2x3x8x16xf32>, tensor<2x3x8x8xf32>) {
    %s = quern.matmul %q, %k transpose_b : tensor<2x3x8x16xf32>, tensor<2x3x8x16xf32>
    %p = quern.softmax %s : tensor<2x3x8x8xf32>
    %y = quern.matmul %p, %v : tensor<2x3x8x8xf32>, tensor<2x3x8x16xf32>
    quern.return %y, %p : tensor<2x3x8x16xf32>, tensor<2x3x8x8xf32>
  }
}

// Two softmaxes in a row.

// CHECK-LABEL: quern.model @twice
// CHECK-NOT: quern.attention
// CHECK: quern.return
quern.model @twice kind("attention") {
  quern.function @forward(%q: tensor<2x3x8x16xf32>,
      %k: tensor<2x3x8x16xf32>,
      %v: tensor<2x3x8x16xf32>) -> (tensor<2x3x8x16xf32>) {
    %s = quern.matmul %q, %k transpose_b : tensor<2x3x8x16xf32>, tensor<2x3x8x16xf32>
    %p0 = quern.softmax %s : tensor<2x3x8x8xf32>
    %p = quern.softmax %p0 : tensor<2x3x8x8xf32>
    %y = quern.matmul %p, %v : tensor<2x3x8x8xf32>, tensor<2x3x8x16xf32>
    quern.return %y : tensor<2x3x8x16xf32>
  }
}

// The exponentials are normalized by sums over queries, so that no softmax comes of it.

// CHECK-LABEL: quern.model @normalized_over_queries
// CHECK-NOT: quern.softmax
// CHECK-NOT: quern.attention
// CHECK: quern.return
quern.model @normalized_over_queries kind("attention") {
  quern.function @forward(%q: tensor<8x16xf32>, %k: tensor<8x16xf32>, %v: tensor<8x16xf32>) -> (tensor<8x16xf32>) {
    %s = quern.matmul %q, %k transpose_b : tensor<8x16xf32>, tensor<8x16xf32>
    %e = math.exp %s : tensor<8x8xf32>
    %sum = quern.sum %e dimensions [0] : tensor<8x8xf32>
    %sums = quern.broadcast %sum like %e : tensor<8xf32>, tensor<8x8xf32>
    %p = arith.divf %e, %sums : tensor<8x8xf32>
    %y = quern.matmul %p, %v : tensor<8x8xf32>, tensor<8x16xf32>
    quern.return %y : tensor<8x16xf32>
  }
}

// Sums over keys, but broadcast along queries: row t is divided by the sum of row s.

// CHECK-LABEL: quern.model @sums_of_other_rows
// CHECK-NOT: quern.softmax
// CHECK-NOT: quern.attention
// CHECK: quern.return
quern.model @sums_of_other_rows kind("attention") {
  quern.function @forward(%q: tensor<8x16xf32>, %k: tensor<8x16xf32>, %v: tensor<8x16xf32>) -> (tensor<8x16xf32>) {
    %s = quern.matmul %q, %k transpose_b : tensor<8x16xf32>, tensor<8x16xf32>
    %e = math.exp %s : tensor<8x8xf32>
    %sum = quern.sum %e dimensions [1] : tensor<8x8xf32>
    %sums = quern.broadcast %sum like %e : tensor<8xf32>, tensor<8x8xf32>
    %p = arith.divf %e, %sums : tensor<8x8xf32>
    %y = quern.matmul %p, %v : tensor<8x8xf32>, tensor<8x16xf32>
    quern.return %y : tensor<8x16xf32>
  }
}

// The last product starts from a tensor that is not zero.

// CHECK-LABEL: quern.model @accumulated
// CHECK-NOT: quern.attention
// CHECK: quern.return
quern.model @accumulated kind("attention") {
  quern.function @forward(%q: tensor<8x16xf32>,
      %k: tensor<8x16xf32>,
      %v: tensor<8x16xf32>,
      %y0: tensor<8x16xf32>) -> (tensor<8x16xf32>) {
    %s = quern.matmul %q, %k transpose_b : tensor<8x16xf32>, tensor<8x16xf32>
    %p = quern.softmax %s : tensor<8x8xf32>
    %y = linalg.matmul ins(%p, %v : tensor<8x8xf32>, tensor<8x16xf32>) outs(%y0 : tensor<8x16xf32>) -> tensor<8x16xf32>
    quern.return %y : tensor<8x16xf32>
  }
}

// The number of heads is not known.

// CHECK-LABEL: quern.model @dynamic_heads
// CHECK-NOT: quern.attention
// CHECK: quern.return
quern.model @dynamic_heads kind("attention") {
  quern.function @forward(%q: tensor<?x?x8x16xf32>,
      %k: tensor<?x?x8x16xf32>,
      %v: tensor<?x?x8x16xf32>) -> (tensor<?x?x8x16xf32>) {
    %s = quern.matmul %q, %k transpose_b : tensor<?x?x8x16xf32>, tensor<?x?x8x16xf32>
    %p = quern.softmax %s : tensor<?x?x8x8xf32>
    %y = quern.matmul %p, %v : tensor<?x?x8x8xf32>, tensor<?x?x8x16xf32>
    quern.return %y : tensor<?x?x8x16xf32>
  }
}
