// RUN: quern-opt %s --quern-layout=cpu=x86-64-v3 | FileCheck %s

// Parameters that products have as B lie in panels, in all programs or in none.

!m = memref<2x48x72xf32>
!t = tensor<2x48x72xf32>
!w = tensor<48x72xf32>

// The forward product reads panels of the columns of op(B); that of the input's gradient reads the same ones; the
// weight's gradient, its stack, moments and updates lie as the parameter does. The bias does not.
// CHECK-LABEL: func.func @train_step
// CHECK-SAME: quern.name = "w", quern.panels = #kernel.panels<24 columns>, quern.role = "parameter"
// CHECK-SAME: quern.name = "w", quern.panels = #kernel.panels<24 columns>, quern.role = "first_moment"
// CHECK-SAME: quern.name = "w", quern.panels = #kernel.panels<24 columns>, quern.role = "second_moment"
// CHECK-NOT: panels<
func.func @train_step(%x: tensor<5x48xf32>, %d: tensor<5x72xf32>, %i: index, %s: tensor<f32>, %o: tensor<f64>,
    %p: !m {quern.name = "w", quern.role = "parameter"}, %m: !m {quern.name = "w", quern.role = "first_moment"},
    %v: !m {quern.name = "w", quern.role = "second_moment"}, %b: memref<72xf32> {quern.name = "b", quern.role = "parameter"})
    -> (tensor<5x72xf32>, tensor<5x48xf32>, tensor<f32>) attributes {quern.program} {
  %0 = bufferization.to_tensor %p restrict writable : !m to !t
  %1 = bufferization.to_tensor %m restrict writable : !m to !t
  %2 = bufferization.to_tensor %v restrict writable : !m to !t
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %w = tensor.extract_slice %0[%i, 0, 0] [1, 48, 72] [1, 1, 1] : !t to !w
  %e = tensor.empty() : tensor<5x72xf32>
  %f = tensor.empty() : tensor<5x48xf32>
  %g = tensor.empty() : !w
  %h = tensor.empty() : !t
  // CHECK: kernel.gemm {{.*}} {panels_b = #kernel.panels<24 columns>}
  %y = kernel.gemm %x, %w into %e : (tensor<5x48xf32>, !w, tensor<5x72xf32>) -> tensor<5x72xf32>
  // CHECK: kernel.gemm {{.*}} {panels_b = #kernel.panels<24 columns>, transpose_b}
  %dx = kernel.gemm %d, %w into %f {transpose_b} : (tensor<5x72xf32>, !w, tensor<5x48xf32>) -> tensor<5x48xf32>
  %stack = scf.for %l = %c0 to %c2 step %c1 iter_args(%all = %h) -> !t {
    // CHECK: kernel.gemm {{.*}} {panels_c = #kernel.panels<24 columns>, transpose_a}
    %dw = kernel.gemm %x, %d into %g {transpose_a} : (tensor<5x48xf32>, tensor<5x72xf32>, !w) -> !w
    %next = tensor.insert_slice %dw into %all[%l, 0, 0] [1, 48, 72] [1, 1, 1] : !w into !t
    scf.yield %next : !t
  }
  %norm = kernel.squared_norm %stack into %s : (!t, tensor<f32>) -> tensor<f32>
  %u:3 = kernel.adamw %stack scale %s options %o, %o, %o, %o, %o decay %o into %0, %1, %2
    : (!t, tensor<f32>, tensor<f64>, tensor<f64>, tensor<f64>, tensor<f64>, tensor<f64>, tensor<f64>, !t, !t, !t) -> (!t, !t, !t)
  bufferization.materialize_in_destination %u#0 in restrict writable %p : (!t, !m) -> ()
  bufferization.materialize_in_destination %u#1 in restrict writable %m : (!t, !m) -> ()
  bufferization.materialize_in_destination %u#2 in restrict writable %v : (!t, !m) -> ()
  return %y, %dx, %norm : tensor<5x72xf32>, tensor<5x48xf32>, tensor<f32>
}

// Output x input, as PyTorch stores it: panels of rows. Weights in bf16 have panels as wide as what they are widened to.
// CHECK-LABEL: func.func @transposed
// CHECK-SAME: quern.name = "t", quern.panels = #kernel.panels<24 rows>
func.func @transposed(%x: tensor<5x48xf32>, %p: memref<72x48xbf16> {quern.name = "t", quern.role = "parameter"})
    -> tensor<5x72xf32> attributes {quern.program} {
  %0 = bufferization.to_tensor %p restrict : memref<72x48xbf16> to tensor<72x48xbf16>
  %e = tensor.empty() : tensor<5x72xf32>
  // CHECK: kernel.gemm {{.*}} {panels_b = #kernel.panels<24 rows>, transpose_b}
  %y = kernel.gemm %x, %0 into %e {transpose_b} : (tensor<5x48xf32>, tensor<72x48xbf16>, tensor<5x72xf32>) -> tensor<5x72xf32>
  return %y : tensor<5x72xf32>
}

// What stays in rows: a table of which rows are taken, also in another program alone; a matrix smaller than a tile; an A;
// one that an op reads element by element beside others; a slice of columns; a B that is no parameter.
// CHECK-LABEL: func.func @rows
// CHECK-NOT: panels
func.func @rows(%x: tensor<72x48xf32>, %tokens: tensor<1x5xi32>,
    %table: memref<72x48xf32> {quern.name = "table", quern.role = "parameter"},
    %small: memref<48x8xf32> {quern.name = "small", quern.role = "parameter"},
    %a: memref<72x48xf32> {quern.name = "a", quern.role = "parameter"},
    %added: memref<48x72xf32> {quern.name = "added", quern.role = "parameter"},
    %cut: memref<48x72xf32> {quern.name = "cut", quern.role = "parameter"}) attributes {quern.program} {
  %0 = bufferization.to_tensor %table restrict : memref<72x48xf32> to tensor<72x48xf32>
  %1 = bufferization.to_tensor %small restrict : memref<48x8xf32> to tensor<48x8xf32>
  %2 = bufferization.to_tensor %a restrict : memref<72x48xf32> to tensor<72x48xf32>
  %3 = bufferization.to_tensor %added restrict : memref<48x72xf32> to tensor<48x72xf32>
  %4 = bufferization.to_tensor %cut restrict : memref<48x72xf32> to tensor<48x72xf32>
  %e = tensor.empty() : tensor<72x72xf32>
  %f = tensor.empty() : tensor<72x8xf32>
  %g = tensor.empty() : tensor<72x48xf32>
  %5 = kernel.gemm %x, %0 into %e {transpose_b} : (tensor<72x48xf32>, tensor<72x48xf32>, tensor<72x72xf32>) -> tensor<72x72xf32>
  %6 = kernel.gemm %x, %1 into %f : (tensor<72x48xf32>, tensor<48x8xf32>, tensor<72x8xf32>) -> tensor<72x8xf32>
  %7 = kernel.gemm %2, %3 into %e : (tensor<72x48xf32>, tensor<48x72xf32>, tensor<72x72xf32>) -> tensor<72x72xf32>
  %8 = math.exp %3 : tensor<48x72xf32>
  %9 = tensor.extract_slice %4[0, 24] [48, 48] [1, 1] : tensor<48x72xf32> to tensor<48x48xf32>
  %10 = kernel.gemm %x, %9 into %g : (tensor<72x48xf32>, tensor<48x48xf32>, tensor<72x48xf32>) -> tensor<72x48xf32>
  %11 = kernel.gemm %x, %8 into %e : (tensor<72x48xf32>, tensor<48x72xf32>, tensor<72x72xf32>) -> tensor<72x72xf32>
  return
}

// CHECK-LABEL: func.func @gather
// CHECK-NOT: panels
func.func @gather(%tokens: tensor<1x5xi32>, %p: memref<72x48xf32> {quern.name = "table", quern.role = "parameter"})
    -> tensor<1x5x48xf32> attributes {quern.program} {
  %0 = bufferization.to_tensor %p restrict : memref<72x48xf32> to tensor<72x48xf32>
  %e = tensor.empty() : tensor<1x5x48xf32>
  %1 = kernel.embedding %tokens, %0 into %e : (tensor<1x5xi32>, tensor<72x48xf32>, tensor<1x5x48xf32>) -> tensor<1x5x48xf32>
  return %1 : tensor<1x5x48xf32>
}
