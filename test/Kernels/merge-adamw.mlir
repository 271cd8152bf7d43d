// RUN: quern-opt %s -quern-merge-adamw | FileCheck %s

!p = tensor<4xf32>
!s = tensor<f64>

// CHECK-LABEL: func.func @merged
func.func @merged(%g: !p, %h: tensor<2x3xf32>, %p: !p, %q: tensor<2x3xf32>, %s: tensor<f32>, %o: !s, %d: !s, %e: !s)
    -> (!p, tensor<2x3xf32>) {
  // CHECK: %[[ALL:.*]]:6 = kernel.adamw %[[G:[a-z0-9]+]], %[[H:[a-z0-9]+]] scale {{.*}} decay %[[D:[a-z0-9]+]], %[[E:[a-z0-9]+]] into
  %0:3 = kernel.adamw %g scale %s options %o, %o, %o, %o, %o decay %d into %p, %p, %p
    : (!p, tensor<f32>, !s, !s, !s, !s, !s, !s, !p, !p, !p) -> (!p, !p, !p)
  %1:3 = kernel.adamw %h scale %s options %o, %o, %o, %o, %o decay %e into %q, %q, %q
    : (tensor<2x3xf32>, tensor<f32>, !s, !s, !s, !s, !s, !s, tensor<2x3xf32>, tensor<2x3xf32>, tensor<2x3xf32>)
      -> (tensor<2x3xf32>, tensor<2x3xf32>, tensor<2x3xf32>)
  // CHECK-NOT: kernel.adamw
  // CHECK: return %[[ALL]]#0, %[[ALL]]#4
  return %0#0, %1#1 : !p, tensor<2x3xf32>
}

// Another rate, or a result that the second update needs: two ops.

// CHECK-LABEL: func.func @other_options
func.func @other_options(%g: !p, %p: !p, %q: !p, %s: tensor<f32>, %o: !s, %r: !s) -> (!p, !p) {
  // CHECK-COUNT-2: :3 = kernel.adamw
  %0:3 = kernel.adamw %g scale %s options %o, %o, %o, %o, %o decay %o into %p, %p, %p
    : (!p, tensor<f32>, !s, !s, !s, !s, !s, !s, !p, !p, !p) -> (!p, !p, !p)
  %1:3 = kernel.adamw %g scale %s options %r, %o, %o, %o, %o decay %o into %q, %q, %q
    : (!p, tensor<f32>, !s, !s, !s, !s, !s, !s, !p, !p, !p) -> (!p, !p, !p)
  return %0#0, %1#0 : !p, !p
}

// CHECK-LABEL: func.func @depends
func.func @depends(%g: !p, %p: !p, %q: !p, %s: tensor<f32>, %o: !s) -> !p {
  // CHECK-COUNT-2: :3 = kernel.adamw
  %0:3 = kernel.adamw %g scale %s options %o, %o, %o, %o, %o decay %o into %p, %p, %p
    : (!p, tensor<f32>, !s, !s, !s, !s, !s, !s, !p, !p, !p) -> (!p, !p, !p)
  %1:3 = kernel.adamw %0#0 scale %s options %o, %o, %o, %o, %o decay %o into %q, %q, %q
    : (!p, tensor<f32>, !s, !s, !s, !s, !s, !s, !p, !p, !p) -> (!p, !p, !p)
  return %1#0 : !p
}

// One that stands before a loop, which takes the memory of its gradient.

// CHECK-LABEL: func.func @before_a_loop
func.func @before_a_loop(%g: !p, %p: !p, %q: !p, %o: !s, %a: index, %b: index) -> (!p, !p, !p) {
  // CHECK: :3 = kernel.adamw
  // CHECK: scf.for
  // CHECK: :3 = kernel.adamw
  %0:3 = kernel.adamw %g options %o, %o, %o, %o, %o decay %o into %p, %p, %p : (!p, !s, !s, !s, !s, !s, !s, !p, !p, !p) -> (!p, !p, !p)
  %l = scf.for %i = %a to %b step %a iter_args(%c = %g) -> (!p) {
    %d = kernel.softmax %c into %g : (!p, !p) -> !p
    scf.yield %d : !p
  }
  %1:3 = kernel.adamw %l options %o, %o, %o, %o, %o decay %o into %q, %q, %q : (!p, !s, !s, !s, !s, !s, !s, !p, !p, !p) -> (!p, !p, !p)
  return %0#0, %1#0, %l : !p, !p, !p
}
