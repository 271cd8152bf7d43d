// RUN: quern-opt %s --quern-emit-cpu=cpu=x86-64-v3 | FileCheck %s

// Exponentials of a row in 16 bits wait for their factor on the stack of a thread, unless the row is longer than a stack should bear,
// or nothing but their sum is asked for.
!s = memref<f32>

// CHECK-LABEL: func.func private @kernel.cross_entropy_gradient.0(
// CHECK:         memref.alloca() {{.*}} : memref<50257xf32>
// CHECK-LABEL: func.func private @kernel.cross_entropy_gradient.1(
// CHECK-NOT:     memref<1000000xf32>
// CHECK-LABEL: func.func private @kernel.cross_entropy.0(
// CHECK-NOT:     memref<50257xf32>
func.func @f(%x: memref<2x50257xbf16>, %y: memref<2x1000000xbf16>, %t: memref<2xi32>, %n: !s, %o: !s) {
  kernel.cross_entropy_gradient %t, %n, %n into %o, %x {ignore_index = -1 : i64} : (memref<2xi32>, !s, !s, !s, memref<2x50257xbf16>) -> ()
  kernel.cross_entropy_gradient %t, %n, %n into %o, %y {ignore_index = -1 : i64} : (memref<2xi32>, !s, !s, !s, memref<2x1000000xbf16>) -> ()
  kernel.cross_entropy %x, %t, %n into %o {ignore_index = -1 : i64} : (memref<2x50257xbf16>, memref<2xi32>, !s, !s) -> ()
  return
}
