// RUN: quern-opt %s -quern-plan-arena | FileCheck %s
// No thread waits after a norm that each of them computes for itself. So what it reads stays until what follows it is done, which may
// not overwrite it. After a shared norm all wait, and its operand makes room.

!x = memref<4x32xf32>
!w = memref<32x32xf32>

module attributes {quern.model = "{}"} {
  // CHECK-LABEL: func.func @copies(
  // CHECK:         memref.view {{.*}} {quern.place = array<i64: 0, 0, 512>}
  // CHECK:         memref.view {{.*}} {quern.per_thread = 4 : i64, quern.place = array<i64: 0, 512, 1024>}
  // CHECK:         memref.view {{.*}} {quern.place = array<i64: 0, 1024, 1536>}
  func.func @copies(%x: !x, %w: !w, %out: !x) attributes {quern.program} {
    %p = memref.alloc() : !x
    kernel.gemm %x, %w into %p : (!x, !w, !x) -> ()
    %n = memref.alloc() {quern.per_thread = 4 : i64} : !x
    kernel.norm rms %p into %n {epsilon = 1.0e-5 : f64} : (!x, !x) -> ()
    %y = memref.alloc() : !x
    kernel.gemm %n, %w into %y : (!x, !w, !x) -> ()
    kernel.gemm %y, %w into %out : (!x, !w, !x) -> ()
    return
  }

  // CHECK-LABEL: func.func @shared(
  // CHECK:         memref.view {{.*}} {quern.place = array<i64: 0, 0, 512>}
  // CHECK:         memref.view {{.*}} {quern.place = array<i64: 0, 512, 1024>}
  // CHECK:         memref.view {{.*}} {quern.place = array<i64: 0, 0, 512>}
  func.func @shared(%x: !x, %w: !w, %out: !x) attributes {quern.program} {
    %p = memref.alloc() : !x
    kernel.gemm %x, %w into %p : (!x, !w, !x) -> ()
    %n = memref.alloc() : !x
    kernel.norm rms %p into %n {epsilon = 1.0e-5 : f64} : (!x, !x) -> ()
    %y = memref.alloc() : !x
    kernel.gemm %n, %w into %y : (!x, !w, !x) -> ()
    kernel.gemm %y, %w into %out : (!x, !w, !x) -> ()
    return
  }
}
