// RUN: sed 's/TARGET/, quern.target = "sm_80"/' %s | quern-opt -quern-precision=precision=bf16 | FileCheck %s
// RUN: sed 's/TARGET/, quern.target = "sm_80"/' %s | quern-opt -quern-precision=precision=auto | FileCheck %s
// RUN: sed 's/TARGET//' %s | quern-opt -quern-precision=precision=bf16 | FileCheck %s --check-prefix=HOST
// RUN: sed 's/TARGET//' %s | quern-opt -quern-precision=precision=auto | FileCheck %s --check-prefix=HOST-AUTO

// A program that does not train takes tables and factors as bf16, also those in layers and those that are both (tied), and
// keeps a cache of bf16. Weights of norms are f32, and so is what something else reads too. On a GPU activations are
// bf16 as well; on the CPU they stay f32, and nothing changes unasked.

// CHECK-LABEL: func.func @decode(
// CHECK-SAME:    %arg0: memref<1x1xi32>, %[[TABLE:.*]]: memref<16x8xbf16> {quern.role = "parameter"}
// CHECK-SAME:    %[[NORM:.*]]: memref<8xf32> {quern.role = "parameter"}, %[[W:.*]]: memref<2x8x8xbf16> {quern.role = "parameter"}
// CHECK-SAME:    %[[MIXED:.*]]: memref<8x8xf32> {quern.role = "parameter"}
// CHECK-SAME:    %[[CACHE:.*]]: memref<2x1x?x1x8xbf16> {quern.role = "cache"}, %{{.*}}: memref<i32>, %[[LOGITS:.*]]: memref<1x1x16xf32>)
// CHECK-SAME:    quern.precision = "bf16"
// CHECK:         kernel.embedding %{{.*}}, %[[T:.*]] into %{{.*}} : (tensor<1x1xi32>, tensor<16x8xbf16>, tensor<1x1x8xbf16>)
// CHECK:         scf.for {{.*}} iter_args(%{{.*}} = %{{.*}}, %[[LOOP:.*]] = %{{.*}}) -> (tensor<1x1x8xbf16>, tensor<2x1x?x1x8xbf16>)
// CHECK:           kernel.norm rms %{{.*}} weight %{{.*}} : (tensor<1x1x8xbf16>, tensor<8xf32>, tensor<1x1x8xbf16>)
// CHECK:           tensor.extract_slice %{{.*}} : tensor<2x8x8xbf16> to tensor<8x8xbf16>
// CHECK:           kernel.gemm {{.*}} : (tensor<1x1x8xbf16>, tensor<8x8xbf16>, tensor<1x1x8xbf16>)
// CHECK:           kernel.cache_append {{.*}} : (tensor<1x1x1x8xbf16>, tensor<i32>, tensor<1x?x1x8xbf16>)
// CHECK:           kernel.attention {{.*}} : (tensor<1x1x1x8xbf16>, tensor<1x?x1x8xbf16>, tensor<1x?x1x8xbf16>, tensor<1x1x1x8xbf16>)
// CHECK:         kernel.gemm {{.*}} {transpose_b} : (tensor<1x1x8xbf16>, tensor<16x8xbf16>, tensor<1x1x16xf32>)
// CHECK:         bufferization.materialize_in_destination {{.*}} : (tensor<2x1x?x1x8xbf16>, memref<2x1x?x1x8xbf16>)

// HOST-LABEL:  func.func @decode(
// HOST-SAME:     memref<16x8xbf16>
// HOST-SAME:     memref<8xf32>
// HOST-SAME:     memref<2x8x8xbf16>
// HOST-SAME:     memref<8x8xf32>
// HOST-SAME:     memref<2x1x?x1x8xbf16>
// HOST-SAME:     quern.precision = "bf16"
// HOST:          kernel.embedding {{.*}} : (tensor<1x1xi32>, tensor<16x8xbf16>, tensor<1x1x8xf32>)
// HOST:            kernel.norm rms {{.*}} : (tensor<1x1x8xf32>, tensor<8xf32>, tensor<1x1x8xf32>)
// HOST:            kernel.gemm {{.*}} : (tensor<1x1x8xf32>, tensor<8x8xbf16>, tensor<1x1x8xf32>)
// HOST:            kernel.cache_append {{.*}} : (tensor<1x1x1x8xf32>, tensor<i32>, tensor<1x?x1x8xbf16>)
// HOST:            kernel.attention {{.*}} : (tensor<1x1x1x8xf32>, tensor<1x?x1x8xbf16>, tensor<1x?x1x8xbf16>, tensor<1x1x1x8xf32>)
// HOST:          kernel.gemm {{.*}} {transpose_b} : (tensor<1x1x8xf32>, tensor<16x8xbf16>, tensor<1x1x16xf32>)
// HOST-NOT:      truncf

// HOST-AUTO-LABEL: func.func @decode(
// HOST-AUTO-NOT:     bf16
func.func @decode(%tokens: memref<1x1xi32>, %arg1: memref<16x8xf32> {quern.role = "parameter"},
    %arg2: memref<8xf32> {quern.role = "parameter"}, %arg3: memref<2x8x8xf32> {quern.role = "parameter"},
    %arg4: memref<8x8xf32> {quern.role = "parameter"}, %arg5: memref<2x1x?x1x8xf32> {quern.role = "cache"},
    %position: memref<i32>, %logits: memref<1x1x16xf32>) attributes {quern.program TARGET} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %n = memref.dim %arg5, %c2 : memref<2x1x?x1x8xf32>
  %ids = bufferization.to_tensor %tokens restrict : memref<1x1xi32> to tensor<1x1xi32>
  %table = bufferization.to_tensor %arg1 restrict : memref<16x8xf32> to tensor<16x8xf32>
  %norm = bufferization.to_tensor %arg2 restrict : memref<8xf32> to tensor<8xf32>
  %w = bufferization.to_tensor %arg3 restrict : memref<2x8x8xf32> to tensor<2x8x8xf32>
  %mixed = bufferization.to_tensor %arg4 restrict : memref<8x8xf32> to tensor<8x8xf32>
  %cache = bufferization.to_tensor %arg5 restrict writable : memref<2x1x?x1x8xf32> to tensor<2x1x?x1x8xf32>
  %at = bufferization.to_tensor %position restrict : memref<i32> to tensor<i32>
  %e = tensor.empty() : tensor<1x1x8xf32>
  %x = kernel.embedding %ids, %table into %e : (tensor<1x1xi32>, tensor<16x8xf32>, tensor<1x1x8xf32>) -> tensor<1x1x8xf32>
  %r:2 = scf.for %i = %c0 to %c2 step %c1 iter_args(%a = %x, %all = %cache) -> (tensor<1x1x8xf32>, tensor<2x1x?x1x8xf32>) {
    %y = kernel.norm rms %a weight %norm into %e {epsilon = 1.0e-5}
      : (tensor<1x1x8xf32>, tensor<8xf32>, tensor<1x1x8xf32>) -> tensor<1x1x8xf32>
    %s = tensor.extract_slice %w[%i, 0, 0] [1, 8, 8] [1, 1, 1] : tensor<2x8x8xf32> to tensor<8x8xf32>
    %z = kernel.gemm %y, %s into %e : (tensor<1x1x8xf32>, tensor<8x8xf32>, tensor<1x1x8xf32>) -> tensor<1x1x8xf32>
    %old = tensor.extract_slice %all[%i, 0, 0, 0, 0] [1, 1, %n, 1, 8] [1, 1, 1, 1, 1]
      : tensor<2x1x?x1x8xf32> to tensor<1x?x1x8xf32>
    %h = tensor.expand_shape %z [[0], [1], [2, 3]] output_shape [1, 1, 1, 8] : tensor<1x1x8xf32> into tensor<1x1x1x8xf32>
    %new = kernel.cache_append %h, %at into %old
      : (tensor<1x1x1x8xf32>, tensor<i32>, tensor<1x?x1x8xf32>) -> tensor<1x?x1x8xf32>
    %f = tensor.empty() : tensor<1x1x1x8xf32>
    %o = kernel.attention %h, %new, %new into %f {scale = 1.0}
      : (tensor<1x1x1x8xf32>, tensor<1x?x1x8xf32>, tensor<1x?x1x8xf32>, tensor<1x1x1x8xf32>) -> tensor<1x1x1x8xf32>
    %g = tensor.collapse_shape %o [[0], [1], [2, 3]] : tensor<1x1x1x8xf32> into tensor<1x1x8xf32>
    %next = tensor.insert_slice %new into %all[%i, 0, 0, 0, 0] [1, 1, %n, 1, 8] [1, 1, 1, 1, 1]
      : tensor<1x?x1x8xf32> into tensor<2x1x?x1x8xf32>
    scf.yield %g, %next : tensor<1x1x8xf32>, tensor<2x1x?x1x8xf32>
  }
  %m = kernel.gemm %r#0, %mixed into %e : (tensor<1x1x8xf32>, tensor<8x8xf32>, tensor<1x1x8xf32>) -> tensor<1x1x8xf32>
  %i8 = tensor.empty() : tensor<8x8xf32>
  %twice = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>],
      iterator_types = ["parallel", "parallel"]} ins(%mixed : tensor<8x8xf32>) outs(%i8 : tensor<8x8xf32>) {
  ^bb0(%in: f32, %out: f32):
    %d = arith.addf %in, %in : f32
    linalg.yield %d : f32
  } -> tensor<8x8xf32>
  %q = kernel.gemm %m, %twice into %e : (tensor<1x1x8xf32>, tensor<8x8xf32>, tensor<1x1x8xf32>) -> tensor<1x1x8xf32>
  %l = tensor.empty() : tensor<1x1x16xf32>
  %p = kernel.gemm %q, %table into %l {transpose_b} : (tensor<1x1x8xf32>, tensor<16x8xf32>, tensor<1x1x16xf32>) -> tensor<1x1x16xf32>
  bufferization.materialize_in_destination %p in restrict writable %logits : (tensor<1x1x16xf32>, memref<1x1x16xf32>) -> ()
  bufferization.materialize_in_destination %r#1 in restrict writable %arg5 : (tensor<2x1x?x1x8xf32>, memref<2x1x?x1x8xf32>) -> ()
  return
}
