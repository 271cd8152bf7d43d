// RUN: quern-opt %s -quern-fuse-linalg | FileCheck %s

// CHECK-LABEL: quern.model @matmul
// CHECK-NEXT: quern.function @forward
// CHECK-NEXT: %[[Y:.*]] = quern.matmul %a, %b : tensor<4x8xf32>, tensor<8x6xf32>
// CHECK-NEXT: quern.return %[[Y]]
quern.model @matmul kind("test") {
  quern.function @forward(%a: tensor<4x8xf32>, %b: tensor<8x6xf32>) -> (tensor<4x6xf32>) {
    %zero = arith.constant 0.0 : f32
    %e = tensor.empty() : tensor<4x6xf32>
    %z = linalg.fill ins(%zero : f32) outs(%e : tensor<4x6xf32>) -> tensor<4x6xf32>
    %y = linalg.matmul ins(%a, %b : tensor<4x8xf32>, tensor<8x6xf32>) outs(%z : tensor<4x6xf32>) -> tensor<4x6xf32>
    quern.return %y : tensor<4x6xf32>
  }
}

// Indexing maps of linalg.matmul that transpose an operand.

#mk = affine_map<(m, n, k) -> (m, k)>
#nk = affine_map<(m, n, k) -> (n, k)>
#mn = affine_map<(m, n, k) -> (m, n)>

// CHECK-LABEL: quern.model @transposed
// CHECK-NEXT: quern.function @forward
// CHECK-NEXT: %[[Y:.*]] = quern.matmul %a, %b transpose_b : tensor<4x8xf32>, tensor<6x8xf32>
// CHECK-NEXT: quern.return %[[Y]]
quern.model @transposed kind("test") {
  quern.function @forward(%a: tensor<4x8xf32>, %b: tensor<6x8xf32>) -> (tensor<4x6xf32>) {
    %z = arith.constant dense<0.0> : tensor<4x6xf32>
    %y = linalg.matmul indexing_maps = [#mk, #nk, #mn]
        ins(%a, %b : tensor<4x8xf32>, tensor<6x8xf32>) outs(%z : tensor<4x6xf32>) -> tensor<4x6xf32>
    quern.return %y : tensor<4x6xf32>
  }
}

// CHECK-LABEL: quern.model @batched
// CHECK: quern.matmul %a, %b : tensor<?x4x8xf32>, tensor<?x8x6xf32>
quern.model @batched kind("test") {
  quern.function @forward(%a: tensor<?x4x8xf32>, %b: tensor<?x8x6xf32>) -> (tensor<?x4x6xf32>) {
    %c0 = arith.constant 0 : index
    %zero = arith.constant 0.0 : f32
    %n = tensor.dim %a, %c0 : tensor<?x4x8xf32>
    %e = tensor.empty(%n) : tensor<?x4x6xf32>
    %z = linalg.fill ins(%zero : f32) outs(%e : tensor<?x4x6xf32>) -> tensor<?x4x6xf32>
    %y = linalg.batch_matmul ins(%a, %b : tensor<?x4x8xf32>, tensor<?x8x6xf32>) outs(%z : tensor<?x4x6xf32>) -> tensor<?x4x6xf32>
    quern.return %y : tensor<?x4x6xf32>
  }
}

// An einsum: kbm,bnk->nmb. The batch comes first, and goes to its place afterwards.

#kbm = affine_map<(b, m, n, k) -> (k, b, m)>
#bnk = affine_map<(b, m, n, k) -> (b, n, k)>
#nmb = affine_map<(b, m, n, k) -> (n, m, b)>

// CHECK-LABEL: quern.model @einsum
// CHECK-NEXT: quern.function @forward
// CHECK-NEXT: %[[A:.*]] = quern.transpose %a [1, 0, 2] : tensor<5x2x3xf32>
// CHECK-NEXT: %[[Y:.*]] = quern.matmul %[[A]], %b transpose_a transpose_b : tensor<2x5x3xf32>, tensor<2x4x5xf32>
// CHECK-NEXT: %[[R:.*]] = quern.transpose %[[Y]] [2, 1, 0] : tensor<2x3x4xf32>
// CHECK-NEXT: quern.return %[[R]] : tensor<4x3x2xf32>
quern.model @einsum kind("test") {
  quern.function @forward(%a: tensor<5x2x3xf32>, %b: tensor<2x4x5xf32>) -> (tensor<4x3x2xf32>) {
    %z = arith.constant dense<0.0> : tensor<4x3x2xf32>
    %y = linalg.generic {indexing_maps = [#kbm, #bnk, #nmb], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
        ins(%a, %b : tensor<5x2x3xf32>, tensor<2x4x5xf32>) outs(%z : tensor<4x3x2xf32>) {
    ^bb0(%l: f32, %r: f32, %c: f32):
      %p = arith.mulf %l, %r : f32
      %s = arith.addf %c, %p : f32
      linalg.yield %s : f32
    } -> tensor<4x3x2xf32>
    quern.return %y : tensor<4x3x2xf32>
  }
}

// CHECK-LABEL: quern.model @heads
// CHECK-NEXT: quern.function @forward
// CHECK-NEXT: %[[H:.*]] = quern.split_heads %x heads 3 : tensor<2x8x48xf32>
// CHECK-NEXT: %[[T:.*]] = quern.transpose %[[H]] [0, 2, 1, 3]
// CHECK-NEXT: %[[S:.*]] = quern.softmax %[[T]]
// CHECK-NEXT: %[[M:.*]] = quern.merge_heads %[[S]] : tensor<2x3x8x16xf32>
// CHECK-NEXT: %[[R:.*]] = quern.repeat %x dimension 1 times 4 : tensor<2x8x48xf32>
// CHECK-NEXT: quern.return %[[M]], %[[R]]
quern.model @heads kind("test") {
  quern.function @forward(%x: tensor<2x8x48xf32>) -> (tensor<2x3x128xf32>, tensor<2x32x48xf32>) {
    %h = tensor.expand_shape %x [[0], [1], [2, 3]] output_shape [2, 8, 3, 16] : tensor<2x8x48xf32> into tensor<2x8x3x16xf32>
    %e = tensor.empty() : tensor<2x3x8x16xf32>
    %t = linalg.transpose ins(%h : tensor<2x8x3x16xf32>) outs(%e : tensor<2x3x8x16xf32>) permutation = [0, 2, 1, 3]
    %s = linalg.softmax dimension(3) ins(%t : tensor<2x3x8x16xf32>) outs(%e : tensor<2x3x8x16xf32>) -> tensor<2x3x8x16xf32>
    %m = tensor.collapse_shape %s [[0], [1], [2, 3]] : tensor<2x3x8x16xf32> into tensor<2x3x128xf32>
    %e4 = tensor.empty() : tensor<2x8x4x48xf32>
    %b = linalg.broadcast ins(%x : tensor<2x8x48xf32>) outs(%e4 : tensor<2x8x4x48xf32>) dimensions = [2]
    %r = tensor.collapse_shape %b [[0], [1, 2], [3]] : tensor<2x8x4x48xf32> into tensor<2x32x48xf32>
    quern.return %m, %r : tensor<2x3x128xf32>, tensor<2x32x48xf32>
  }
}

//===- Near misses ------------------------------------------------------------------------------===//

// CHECK-LABEL: quern.model @accumulates
// CHECK: linalg.matmul
quern.model @accumulates kind("test") {
  quern.function @forward(%a: tensor<4x8xf32>, %b: tensor<8x6xf32>, %c: tensor<4x6xf32>) -> (tensor<4x6xf32>) {
    %y = linalg.matmul ins(%a, %b : tensor<4x8xf32>, tensor<8x6xf32>) outs(%c : tensor<4x6xf32>) -> tensor<4x6xf32>
    quern.return %y : tensor<4x6xf32>
  }
}

// CHECK-LABEL: quern.model @integers
// CHECK: linalg.matmul
quern.model @integers kind("test") {
  quern.function @forward(%a: tensor<4x8xi32>, %b: tensor<8x6xi32>) -> (tensor<4x6xi32>) {
    %z = arith.constant dense<0> : tensor<4x6xi32>
    %y = linalg.matmul ins(%a, %b : tensor<4x8xi32>, tensor<8x6xi32>) outs(%z : tensor<4x6xi32>) -> tensor<4x6xi32>
    quern.return %y : tensor<4x6xi32>
  }
}

// Maximum of products, not a sum.

// CHECK-LABEL: quern.model @maximum
// CHECK: linalg.generic
quern.model @maximum kind("test") {
  quern.function @forward(%a: tensor<4x8xf32>, %b: tensor<6x8xf32>) -> (tensor<4x6xf32>) {
    %z = arith.constant dense<0.0> : tensor<4x6xf32>
    %y = linalg.generic {indexing_maps = [#mk, #nk, #mn], iterator_types = ["parallel", "parallel", "reduction"]}
        ins(%a, %b : tensor<4x8xf32>, tensor<6x8xf32>) outs(%z : tensor<4x6xf32>) {
    ^bb0(%l: f32, %r: f32, %c: f32):
      %p = arith.mulf %l, %r : f32
      %s = arith.maximumf %c, %p : f32
      linalg.yield %s : f32
    } -> tensor<4x6xf32>
    quern.return %y : tensor<4x6xf32>
  }
}

// CHECK-LABEL: quern.model @softmax_over_rows
// CHECK: linalg.softmax dimension(0)
quern.model @softmax_over_rows kind("test") {
  quern.function @forward(%x: tensor<4x8xf32>) -> (tensor<4x8xf32>) {
    %e = tensor.empty() : tensor<4x8xf32>
    %y = linalg.softmax dimension(0) ins(%x : tensor<4x8xf32>) outs(%e : tensor<4x8xf32>) -> tensor<4x8xf32>
    quern.return %y : tensor<4x8xf32>
  }
}

// Copies one after another, as torch.tile: element i is x[i mod 8], and quern.repeat's x[i / 4].

// CHECK-LABEL: quern.model @tiled
// CHECK: linalg.broadcast
// CHECK: tensor.collapse_shape
quern.model @tiled kind("test") {
  quern.function @forward(%x: tensor<2x8x48xf32>) -> (tensor<2x32x48xf32>) {
    %e4 = tensor.empty() : tensor<2x4x8x48xf32>
    %b = linalg.broadcast ins(%x : tensor<2x8x48xf32>) outs(%e4 : tensor<2x4x8x48xf32>) dimensions = [1]
    %r = tensor.collapse_shape %b [[0], [1, 2], [3]] : tensor<2x4x8x48xf32> into tensor<2x32x48xf32>
    quern.return %r : tensor<2x32x48xf32>
  }
}

// A row of statistics gets a dimension of size 1: no heads.

// CHECK-LABEL: quern.model @column
// CHECK: tensor.expand_shape
quern.model @column kind("test") {
  quern.function @forward(%x: tensor<2x8xf32>) -> (tensor<2x8x1xf32>) {
    %y = tensor.expand_shape %x [[0], [1, 2]] output_shape [2, 8, 1] : tensor<2x8xf32> into tensor<2x8x1xf32>
    quern.return %y : tensor<2x8x1xf32>
  }
}
