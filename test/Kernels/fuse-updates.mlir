// RUN: quern-opt %s -quern-fuse-updates | FileCheck %s
// An update becomes the epilogue of the product that is its gradient, after the last reader of what it overwrites.

!s = tensor<f64>
!w = tensor<8x8xf32>
!x = tensor<5x8xf32>

// CHECK-LABEL: func.func @fused(
// CHECK-SAME:    %[[X:[a-z0-9]+]]: tensor<5x8xf32>, %[[Y:[a-z0-9]+]]: tensor<5x8xf32>, %[[P:[a-z0-9]+]]: tensor<8x8xf32>, %[[M:[a-z0-9]+]]: tensor<8x8xf32>, %[[V:[a-z0-9]+]]: tensor<8x8xf32>, %[[O:[a-z0-9]+]]: tensor<f64>, %[[D:[a-z0-9]+]]:
// CHECK-NOT:     transpose_a
// CHECK:         %[[DX:.*]] = kernel.gemm %[[Y]], %[[P]] into {{.*}} {transpose_b}
// CHECK-NEXT:    %[[U:.*]]:3 = kernel.gemm_adamw %[[X]], %[[Y]] options %[[O]], %[[O]], %[[O]], %[[O]], %[[O]] decay %[[D]] into %[[P]], %[[M]], %[[V]] :
// CHECK-NEXT:    %[[Z:.*]] = kernel.softmax
// CHECK-NOT:     kernel.adamw
// CHECK:         return %[[Z]], %[[U]]#0, %[[U]]#1, %[[U]]#2
func.func @fused(%x: !x, %y: !x, %p: !w, %m: !w, %v: !w, %o: !s, %d: !s) -> (!x, !w, !w, !w) {
  %e = tensor.empty() : !w
  %f = tensor.empty() : !x
  %g = kernel.gemm %x, %y into %e {transpose_a} : (!x, !x, !w) -> !w
  %dx = kernel.gemm %y, %p into %f {transpose_b} : (!x, !w, !x) -> !x
  %z = kernel.softmax %dx into %f : (!x, !x) -> !x
  %u:3 = kernel.adamw %g options %o, %o, %o, %o, %o decay %d into %p, %m, %v : (!w, !s, !s, !s, !s, !s, !s, !w, !w, !w) -> (!w, !w, !w)
  return %z, %u#0, %u#1, %u#2 : !x, !w, !w, !w
}

// The slices of a layer: the parameter is read through a slice of its own.

// CHECK-LABEL: func.func @slices(
// CHECK:         kernel.gemm {{.*}} {transpose_b}
// CHECK-NEXT:    %[[P:.*]] = tensor.extract_slice
// CHECK-NEXT:    %[[M:.*]] = tensor.extract_slice
// CHECK-NEXT:    %[[V:.*]] = tensor.extract_slice
// CHECK-NEXT:    kernel.gemm_adamw {{.*}} into %[[P]], %[[M]], %[[V]]
// CHECK-NEXT:    kernel.softmax
func.func @slices(%x: !x, %y: !x, %ps: tensor<4x8x8xf32>, %ms: tensor<4x8x8xf32>, %vs: tensor<4x8x8xf32>, %o: !s, %i: index) -> (!x, tensor<4x8x8xf32>) {
  %e = tensor.empty() : !w
  %f = tensor.empty() : !x
  %w = tensor.extract_slice %ps[%i, 0, 0] [1, 8, 8] [1, 1, 1] : tensor<4x8x8xf32> to !w
  %g = kernel.gemm %x, %y into %e {transpose_a} : (!x, !x, !w) -> !w
  %dx = kernel.gemm %y, %w into %f {transpose_b} : (!x, !w, !x) -> !x
  %z = kernel.softmax %dx into %f : (!x, !x) -> !x
  %p = tensor.extract_slice %ps[%i, 0, 0] [1, 8, 8] [1, 1, 1] : tensor<4x8x8xf32> to !w
  %m = tensor.extract_slice %ms[%i, 0, 0] [1, 8, 8] [1, 1, 1] : tensor<4x8x8xf32> to !w
  %v = tensor.extract_slice %vs[%i, 0, 0] [1, 8, 8] [1, 1, 1] : tensor<4x8x8xf32> to !w
  %u:3 = kernel.adamw %g options %o, %o, %o, %o, %o decay %o into %p, %m, %v : (!w, !s, !s, !s, !s, !s, !s, !w, !w, !w) -> (!w, !w, !w)
  %pn = tensor.insert_slice %u#0 into %ps[%i, 0, 0] [1, 8, 8] [1, 1, 1] : !w into tensor<4x8x8xf32>
  return %z, %pn : !x, tensor<4x8x8xf32>
}

// What keeps its gradient in memory: a second reader, a sum of terms, a scale, a parameter that is read behind the update, a GPU.

// CHECK-NOT:   kernel.gemm_adamw
// CHECK-LABEL: func.func @read_twice(
func.func @read_twice(%x: !x, %p: !w, %m: !w, %v: !w, %o: !s) -> (!w, !w) {
  %e = tensor.empty() : !w
  %g = kernel.gemm %x, %x into %e {transpose_a} : (!x, !x, !w) -> !w
  %u:3 = kernel.adamw %g options %o, %o, %o, %o, %o decay %o into %p, %m, %v : (!w, !s, !s, !s, !s, !s, !s, !w, !w, !w) -> (!w, !w, !w)
  return %g, %u#0 : !w, !w
}

func.func @sum(%x: !x, %h: !w, %p: !w, %m: !w, %v: !w, %o: !s) -> !w {
  %g = kernel.gemm %x, %x into %h {transpose_a, accumulate} : (!x, !x, !w) -> !w
  %u:3 = kernel.adamw %g options %o, %o, %o, %o, %o decay %o into %p, %m, %v : (!w, !s, !s, !s, !s, !s, !s, !w, !w, !w) -> (!w, !w, !w)
  return %u#0 : !w
}

func.func @scaled(%x: !x, %s: tensor<f32>, %p: !w, %m: !w, %v: !w, %o: !s) -> !w {
  %e = tensor.empty() : !w
  %g = kernel.gemm %x, %x into %e {transpose_a} : (!x, !x, !w) -> !w
  %u:3 = kernel.adamw %g scale %s options %o, %o, %o, %o, %o decay %o into %p, %m, %v
    : (!w, tensor<f32>, !s, !s, !s, !s, !s, !s, !w, !w, !w) -> (!w, !w, !w)
  return %u#0 : !w
}

func.func @read_later(%x: !x, %p: !w, %m: !w, %v: !w, %o: !s) -> (!w, !w) {
  %e = tensor.empty() : !w
  %g = kernel.gemm %x, %x into %e {transpose_a} : (!x, !x, !w) -> !w
  %u:3 = kernel.adamw %g options %o, %o, %o, %o, %o decay %o into %p, %m, %v : (!w, !s, !s, !s, !s, !s, !s, !w, !w, !w) -> (!w, !w, !w)
  %z = kernel.softmax %p into %e : (!w, !w) -> !w
  return %z, %u#0 : !w, !w
}

func.func @on_gpu(%x: !x, %p: !w, %m: !w, %v: !w, %o: !s) -> !w attributes {quern.target = "sm_80"} {
  %e = tensor.empty() : !w
  %g = kernel.gemm %x, %x into %e {transpose_a} : (!x, !x, !w) -> !w
  %u:3 = kernel.adamw %g options %o, %o, %o, %o, %o decay %o into %p, %m, %v : (!w, !s, !s, !s, !s, !s, !s, !w, !w, !w) -> (!w, !w, !w)
  return %u#0 : !w
}
// CHECK: kernel.adamw
// CHECK-NOT: kernel.gemm_adamw
