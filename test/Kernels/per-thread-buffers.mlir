// RUN: quern-opt %s -quern-per-thread-buffers | FileCheck %s
// Small buffers that only kernels write which each thread can run whole.

!x = memref<?x1x576xf32>
!w = memref<576x576xf32>

// A norm of few rows, and what it reads (memory of others). What a product writes is shared, and the norm of two buffers of which one is.
// CHECK-LABEL: func.func @norms(
// CHECK:         memref.alloc({{.*}}) {quern.per_thread = 7 : i64} : memref<?x1x576xf32>
// CHECK:         memref.alloc({{.*}}) : memref<?x1x576xf32>
// CHECK:         memref.alloc({{.*}}) : memref<?x1x576xf32>
// CHECK:         memref.alloc({{.*}}) : memref<?x1x576xf32>
func.func @norms(%x: !x, %w: !w, %y: !x) attributes {quern.program} {
  %c0 = arith.constant 0 : index
  %batch = memref.dim %x, %c0 : !x
  %n = memref.alloc(%batch) : !x
  kernel.norm rms %x into %n {epsilon = 1.0e-5 : f64} : (!x, !x) -> ()
  %p = memref.alloc(%batch) : !x
  kernel.gemm %n, %w into %p : (!x, !w, !x) -> ()
  %s = memref.alloc(%batch) : !x
  %m = memref.alloc(%batch) : !x
  kernel.norm rms %x residual %p into %m, %s {epsilon = 1.0e-5 : f64} : (!x, !x, !x, !x) -> ()
  kernel.gemm %m, %w into %s : (!x, !w, !x) -> ()
  kernel.gemm %s, %w into %y : (!x, !w, !x) -> ()
  return
}

// Rows of 16 KiB and more: one of them. Of 64 KiB and more: none. Another dynamic size, or a second one: none. Through views.
// CHECK-LABEL: func.func @sizes(
// CHECK:         memref.alloc({{.*}}) {quern.per_thread = 1 : i64} : memref<?x2x4096xf32>
// CHECK:         memref.alloc({{.*}}) {quern.per_thread = 1 : i64} : memref<?x64xf32>
// CHECK:         memref.alloc({{.*}}) : memref<?x16385xf32>
// CHECK:         memref.alloc({{.*}}) : memref<?x64xf32>
// CHECK:         memref.alloc({{.*}}) : memref<?x?x64xf32>
// CHECK:         memref.alloc() {quern.per_thread = 3 : i64} : memref<3x64xf32>
// CHECK:         memref.alloc() : memref<8x64xf32>
func.func @sizes(%a: memref<?x2x4096xf32>, %b: memref<?x64xf32>, %c: memref<?x16385xf32>, %d: memref<?x64xf32>, %e: memref<?x?x64xf32>,
                 %f: memref<3x64xf32>, %g: memref<8x64xf32>) attributes {quern.program} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %batch = memref.dim %a, %c0 : memref<?x2x4096xf32>
  %other = memref.dim %d, %c0 : memref<?x64xf32>
  %0 = memref.alloc(%batch) : memref<?x2x4096xf32>
  kernel.norm rms %a into %0 {epsilon = 1.0e-5 : f64} : (memref<?x2x4096xf32>, memref<?x2x4096xf32>) -> ()
  %1 = memref.alloc(%batch) : memref<?x64xf32>
  %view = memref.expand_shape %1 [[0], [1, 2]] output_shape [%batch, 1, 64] : memref<?x64xf32> into memref<?x1x64xf32>
  %from = memref.expand_shape %b [[0], [1, 2]] output_shape [%batch, 1, 64] : memref<?x64xf32> into memref<?x1x64xf32>
  kernel.norm rms %from into %view {epsilon = 1.0e-5 : f64} : (memref<?x1x64xf32>, memref<?x1x64xf32>) -> ()
  %2 = memref.alloc(%batch) : memref<?x16385xf32>
  kernel.norm rms %c into %2 {epsilon = 1.0e-5 : f64} : (memref<?x16385xf32>, memref<?x16385xf32>) -> ()
  %3 = memref.alloc(%other) : memref<?x64xf32>
  kernel.norm rms %d into %3 {epsilon = 1.0e-5 : f64} : (memref<?x64xf32>, memref<?x64xf32>) -> ()
  %4 = memref.alloc(%batch, %other) : memref<?x?x64xf32>
  kernel.norm rms %e into %4 {epsilon = 1.0e-5 : f64} : (memref<?x?x64xf32>, memref<?x?x64xf32>) -> ()
  %5 = memref.alloc() : memref<3x64xf32>
  kernel.norm rms %f into %5 {epsilon = 1.0e-5 : f64} : (memref<3x64xf32>, memref<3x64xf32>) -> ()
  %6 = memref.alloc() : memref<8x64xf32>
  kernel.norm rms %g into %6 {epsilon = 1.0e-5 : f64} : (memref<8x64xf32>, memref<8x64xf32>) -> ()
  return
}

// What a step of attention makes; not the caches. Elementwise work, but no sum, and no softmax.
// CHECK-LABEL: func.func @kinds(
// CHECK:         memref.alloc() {quern.per_thread = 2 : i64} : memref<2x1x4x8xf32>
// CHECK:         memref.alloc() : memref<2x9x2x8xf32>
// CHECK:         memref.alloc() {quern.per_thread = 1 : i64} : memref<f32>
// CHECK:         memref.alloc() : memref<f32>
// CHECK:         memref.alloc() : memref<2x1x4x8xf32>
func.func @kinds(%q: memref<2x1x4x8xf32>, %k: memref<2x1x2x8xf32>, %at: memref<i32>, %cache: memref<2x9x2x8xf32>, %s: memref<f32>, %v: memref<8xf32>)
    attributes {quern.program} {
  %0 = memref.alloc() : memref<2x1x4x8xf32>
  %1 = memref.alloc() : memref<2x9x2x8xf32>
  kernel.cached_attention %q, %k, %k offset %at into %0, %1, %cache {scale = 0.5 : f64}
      : (memref<2x1x4x8xf32>, memref<2x1x2x8xf32>, memref<2x1x2x8xf32>, memref<i32>, memref<2x1x4x8xf32>, memref<2x9x2x8xf32>, memref<2x9x2x8xf32>) -> ()
  %2 = memref.alloc() : memref<f32>
  linalg.generic {indexing_maps = [affine_map<() -> ()>, affine_map<() -> ()>], iterator_types = []} ins(%s : memref<f32>) outs(%2 : memref<f32>) {
  ^bb0(%in: f32, %out: f32):
    %root = math.sqrt %in : f32
    linalg.yield %root : f32
  }
  %3 = memref.alloc() : memref<f32>
  linalg.generic {indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> ()>], iterator_types = ["reduction"]} ins(%v : memref<8xf32>) outs(%3 : memref<f32>) {
  ^bb0(%in: f32, %out: f32):
    %sum = arith.addf %in, %out : f32
    linalg.yield %sum : f32
  }
  %4 = memref.alloc() : memref<2x1x4x8xf32>
  kernel.softmax %q into %4 : (memref<2x1x4x8xf32>, memref<2x1x4x8xf32>) -> ()
  return
}

// More than 128 KiB: the last ones are shared.
// CHECK-LABEL: func.func @many(
// CHECK-COUNT-2: memref.alloc() {quern.per_thread = 1 : i64} : memref<1x16384xf32>
// CHECK:         memref.alloc() : memref<1x16384xf32>
func.func @many(%x: memref<1x16384xf32>) attributes {quern.program} {
  %0 = memref.alloc() : memref<1x16384xf32>
  kernel.norm rms %x into %0 {epsilon = 1.0e-5 : f64} : (memref<1x16384xf32>, memref<1x16384xf32>) -> ()
  %1 = memref.alloc() : memref<1x16384xf32>
  kernel.norm rms %0 into %1 {epsilon = 1.0e-5 : f64} : (memref<1x16384xf32>, memref<1x16384xf32>) -> ()
  %2 = memref.alloc() : memref<1x16384xf32>
  kernel.norm rms %1 into %2 {epsilon = 1.0e-5 : f64} : (memref<1x16384xf32>, memref<1x16384xf32>) -> ()
  return
}

// A program for a GPU has no threads of this kind.
// CHECK-LABEL: func.func @nvidia.f(
// CHECK-NOT:     quern.per_thread
func.func @nvidia.f(%x: memref<3x64xf32>) attributes {quern.program, quern.target = "nvidia"} {
  %0 = memref.alloc() : memref<3x64xf32>
  kernel.norm rms %x into %0 {epsilon = 1.0e-5 : f64} : (memref<3x64xf32>, memref<3x64xf32>) -> ()
  return
}
