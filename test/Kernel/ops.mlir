// Each kernel, with all that is optional, on tensors and on strided memrefs, survives printing and parsing.
// RUN: quern-opt %s -o %t.first.mlir
// RUN: quern-opt %t.first.mlir | diff %t.first.mlir -
// RUN: quern-opt %s --mlir-print-op-generic | quern-opt | diff %t.first.mlir -
// RUN: quern-opt %s --canonicalize --cse | FileCheck %s

!slice = memref<?x8xf32, strided<[24, 1], offset: ?>>

// On memrefs a kernel writes: it stays, and twice the same is not once.
// CHECK-LABEL: @products
func.func @products(%a: !slice, %b: memref<8x3xf32>, %bias: memref<3xf32>, %c: memref<?x3xf32>, %z: memref<?x3xf32>,
                    %w: memref<8x3xf32>, %p: memref<2x?x4xf32>, %q: memref<2x4x5xf32>, %r: memref<2x?x5xf32>,
                    %n: memref<3x8xf32>, %h: memref<?x3xbf16>, %o: memref<f64>) {
  // CHECK: kernel.gemm
  kernel.gemm %a, %b into %c : (!slice, memref<8x3xf32>, memref<?x3xf32>) -> ()
  // CHECK: kernel.gemm
  kernel.gemm %a, %b into %c : (!slice, memref<8x3xf32>, memref<?x3xf32>) -> ()
  // CHECK: kernel.gemm %{{.*}}, %{{.*}} bias %{{.*}} residual %{{.*}} into %{{.*}}, %{{.*}} {activation = 2 : i32} :
  kernel.gemm %a, %b bias %bias residual %z into %c, %z {activation = 2 : i32}
      : (!slice, memref<8x3xf32>, memref<3xf32>, memref<?x3xf32>, memref<?x3xf32>, memref<?x3xf32>) -> ()
  // CHECK: kernel.gemm %{{.*}}, %{{.*}} into %{{.*}} {accumulate, transpose_a} :
  kernel.gemm %a, %c into %w {accumulate, transpose_a} : (!slice, memref<?x3xf32>, memref<8x3xf32>) -> ()
  // CHECK: kernel.gemm %{{.*}}, %{{.*}} bias %{{.*}} with %{{.*}}, %{{.*}} into %{{.*}} {transpose_b} : {{.*}} -> () epilogue (%sum: f32, %x: f32, %x_0: f64) {
  // CHECK-NEXT: arith.constant 2.000000e+00
  // CHECK: kernel.yield %{{.*}} : f32
  kernel.gemm %a, %n bias %bias with %h, %o into %c {transpose_b}
      : (!slice, memref<3x8xf32>, memref<3xf32>, memref<?x3xbf16>, memref<f64>, memref<?x3xf32>) -> ()
      epilogue (%sum: f32, %x: f32, %scale: f64) {
    %two = arith.constant 2.0 : f32
    %0 = arith.truncf %scale : f64 to f32
    %1 = arith.mulf %x, %two : f32
    %2 = arith.mulf %1, %0 : f32
    %3 = arith.addf %sum, %2 : f32
    kernel.yield %3 : f32
  }
  // CHECK: kernel.batch_gemm
  kernel.batch_gemm %p, %q into %r : (memref<2x?x4xf32>, memref<2x4x5xf32>, memref<2x?x5xf32>) -> ()
  return
}

// CHECK-LABEL: @attention
func.func @attention(%q: memref<2x?x4x8xf32>, %k: memref<2x?x2x8xf32>, %mask: memref<?x?xf32>, %lengths: memref<2xi32>,
                     %offset: memref<i32>, %lse: memref<2x4x?xf32>, %y: memref<2x?x4x8xf32>, %dk: memref<2x?x2x8xf32>,
                     %one: memref<2x1x4x8xf32>, %row: memref<2x1x2x8xf32>) {
  // CHECK: kernel.attention %{{.*}}, %{{.*}}, %{{.*}} mask %{{.*}} lengths %{{.*}} offset %{{.*}} into %{{.*}}, %{{.*}} {causal, scale = 5.000000e-01 : f64} :
  kernel.attention %q, %k, %k mask %mask lengths %lengths offset %offset into %y, %lse {causal, scale = 0.5 : f64}
      : (memref<2x?x4x8xf32>, memref<2x?x2x8xf32>, memref<2x?x2x8xf32>, memref<?x?xf32>, memref<2xi32>, memref<i32>, memref<2x?x4x8xf32>, memref<2x4x?xf32>) -> ()
  // CHECK: kernel.cached_attention %{{.*}}, %{{.*}}, %{{.*}} mask %{{.*}} lengths %{{.*}} offset %{{.*}} into %{{.*}}, %{{.*}}, %{{.*}} {scale = 5.000000e-01 : f64} :
  kernel.cached_attention %one, %row, %row mask %mask lengths %lengths offset %offset into %one, %k, %k {scale = 0.5 : f64}
      : (memref<2x1x4x8xf32>, memref<2x1x2x8xf32>, memref<2x1x2x8xf32>, memref<?x?xf32>, memref<2xi32>, memref<i32>, memref<2x1x4x8xf32>, memref<2x?x2x8xf32>,
         memref<2x?x2x8xf32>) -> ()
  // CHECK: kernel.attention_backward
  kernel.attention_backward %q, %k, %k, %y, %lse, %y lengths %lengths into %q, %dk, %dk, %lse {scale = 0.5 : f64}
      : (memref<2x?x4x8xf32>, memref<2x?x2x8xf32>, memref<2x?x2x8xf32>, memref<2x?x4x8xf32>, memref<2x4x?xf32>, memref<2x?x4x8xf32>, memref<2xi32>,
         memref<2x?x4x8xf32>, memref<2x?x2x8xf32>, memref<2x?x2x8xf32>, memref<2x4x?xf32>) -> ()
  // CHECK: kernel.rotary
  kernel.rotary %q offset %offset into %y {base = 1.0e4 : f64, interleaved, inverse} : (memref<2x?x4x8xf32>, memref<i32>, memref<2x?x4x8xf32>) -> ()
  // CHECK: kernel.cache_append
  kernel.cache_append %k, %offset into %dk : (memref<2x?x2x8xf32>, memref<i32>, memref<2x?x2x8xf32>) -> ()
  return
}

// On tensors a kernel is a pure function: what is unused disappears, twice the same is once.
// CHECK-LABEL: @tensors
func.func @tensors(%x: tensor<?x8xf32>, %w: tensor<8xf32>, %y: tensor<?x8xf32>) -> (tensor<?x8xf32>, tensor<?x8xf32>) {
  // CHECK-NEXT: %[[S:.*]] = kernel.softmax
  %0 = kernel.softmax %x into %y : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %1 = kernel.softmax %x into %y : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %2 = kernel.softmax_backward %0, %x into %y : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %3:2 = kernel.norm layer %x residual %y weight %w bias %w into %x, %y {epsilon = 1.0e-5 : f64}
      : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<8xf32>, tensor<8xf32>, tensor<?x8xf32>, tensor<?x8xf32>) -> (tensor<?x8xf32>, tensor<?x8xf32>)
  %4:3 = kernel.norm_backward layer %x, %y weight %w addend %y into %x, %w, %w {epsilon = 1.0e-5 : f64}
      : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<8xf32>, tensor<8xf32>) -> (tensor<?x8xf32>, tensor<8xf32>, tensor<8xf32>)
  %5 = kernel.sum_rows %x into %w : (tensor<?x8xf32>, tensor<8xf32>) -> tensor<8xf32>
  // CHECK-NEXT: return %[[S]], %[[S]]
  return %0, %1 : tensor<?x8xf32>, tensor<?x8xf32>
}

// CHECK-LABEL: @training
func.func @training(%tokens: memref<2x?xi32>, %table: memref<17x8xf32>, %square: memref<8x8xf32>, %positions: memref<9x8xf32>, %offset: memref<i32>, %x: memref<2x?x8xf32>,
                    %s: memref<f32>, %o: memref<f64>) {
  // CHECK: kernel.embedding %{{.*}}, %{{.*}} positions %{{.*}} offset %{{.*}} into
  kernel.embedding %tokens, %table positions %positions offset %offset into %x
      : (memref<2x?xi32>, memref<17x8xf32>, memref<9x8xf32>, memref<i32>, memref<2x?x8xf32>) -> ()
  // CHECK: kernel.position_embedding %
  kernel.position_embedding %positions into %x : (memref<9x8xf32>, memref<2x?x8xf32>) -> ()
  // CHECK: kernel.embedding_backward
  kernel.embedding_backward %tokens, %x into %table {accumulate} : (memref<2x?xi32>, memref<2x?x8xf32>, memref<17x8xf32>) -> ()
  // CHECK: kernel.position_embedding_backward
  kernel.position_embedding_backward %x into %positions : (memref<2x?x8xf32>, memref<9x8xf32>) -> ()
  // CHECK: kernel.count_targets
  kernel.count_targets %tokens into %s {ignore_index = -1 : i64} : (memref<2x?xi32>, memref<f32>) -> ()
  // CHECK: kernel.cross_entropy %
  kernel.cross_entropy %x, %tokens, %s into %s {ignore_index = -1 : i64} : (memref<2x?x8xf32>, memref<2x?xi32>, memref<f32>, memref<f32>) -> ()
  // CHECK: kernel.cross_entropy_gradient
  kernel.cross_entropy_gradient %tokens, %s, %s into %s, %x {ignore_index = -1 : i64}
      : (memref<2x?xi32>, memref<f32>, memref<f32>, memref<f32>, memref<2x?x8xf32>) -> ()
  // CHECK: kernel.squared_norm
  kernel.squared_norm %x, %table into %s : (memref<2x?x8xf32>, memref<17x8xf32>, memref<f32>) -> ()
  // CHECK: kernel.adamw {{.*}} scale {{.*}} options {{.*}} decay {{.*}} into
  kernel.adamw %table scale %s options %o, %o, %o, %o, %o decay %o into %table, %table, %table
      : (memref<17x8xf32>, memref<f32>, memref<f64>, memref<f64>, memref<f64>, memref<f64>, memref<f64>, memref<f64>,
         memref<17x8xf32>, memref<17x8xf32>, memref<17x8xf32>) -> ()
  // CHECK: kernel.adamw %{{[a-z0-9]+}}, %{{[a-z0-9]+}} scale {{.*}} decay %{{[a-z0-9]+}}, %{{[a-z0-9]+}} into
  kernel.adamw %table, %x scale %s options %o, %o, %o, %o, %o decay %o, %o into %table, %table, %table, %x, %x, %x
      : (memref<17x8xf32>, memref<2x?x8xf32>, memref<f32>, memref<f64>, memref<f64>, memref<f64>, memref<f64>, memref<f64>,
         memref<f64>, memref<f64>, memref<17x8xf32>, memref<17x8xf32>, memref<17x8xf32>, memref<2x?x8xf32>,
         memref<2x?x8xf32>, memref<2x?x8xf32>) -> ()
  // CHECK: kernel.adamw %{{[a-z0-9]+}} options {{.*}} decay {{.*}} into
  kernel.adamw %table options %o, %o, %o, %o, %o decay %o into %table, %table, %table
      : (memref<17x8xf32>, memref<f64>, memref<f64>, memref<f64>, memref<f64>, memref<f64>, memref<f64>,
         memref<17x8xf32>, memref<17x8xf32>, memref<17x8xf32>) -> ()
  // CHECK: kernel.gemm_adamw %{{[a-z0-9]+}}, %{{[a-z0-9]+}} options {{.*}} decay {{.*}} into
  kernel.gemm_adamw %x, %x options %o, %o, %o, %o, %o decay %o into %square, %square, %square
      : (memref<2x?x8xf32>, memref<2x?x8xf32>, memref<f64>, memref<f64>, memref<f64>, memref<f64>, memref<f64>, memref<f64>,
         memref<8x8xf32>, memref<8x8xf32>, memref<8x8xf32>) -> ()
  return
}

// CHECK-LABEL: @decoding
func.func @decoding(%logits: memref<?x1x9xf32>, %r: memref<f64>, %i: memref<i64>, %t: memref<?x1xi32>) {
  // CHECK: kernel.sample %{{.*}} temperature %{{.*}} top_k %{{.*}} top_p %{{.*}} seed %{{.*}} index %{{.*}} into %{{.*}}, %
  kernel.sample %logits temperature %r top_k %i top_p %r seed %i index %i into %t, %t
      : (memref<?x1x9xf32>, memref<f64>, memref<i64>, memref<f64>, memref<i64>, memref<i64>, memref<?x1xi32>, memref<?x1xi32>) -> ()
  return
}
