// RUN: quern-opt %s --quern-emit-cpu=cpu=x86-64-v3 | FileCheck %s

// Threads wait only before a kernel that touches what an earlier one writes, or writes what an earlier one touches.

!x = memref<9x32xf32>
!w = memref<32x32xf32>

// Two products of one activation: none waits. Their scratch memory is apart.
// CHECK-LABEL: func.func private @independent.threads
// CHECK: call @kernel.gemm.0(%arg0, %arg1, %arg3, %[[SCRATCH:arg[0-9]+]],
// CHECK-NOT: omp.barrier
// CHECK: %[[APART:.*]] = memref.view %[[SCRATCH]]
// CHECK-NEXT: call @kernel.gemm.0(%arg0, %arg2, %arg4, %[[APART]],
// CHECK-NEXT: return
func.func @independent(%x: !x, %v: !w, %w: !w, %y: !x, %z: !x) {
  kernel.gemm %x, %v into %y : (!x, !w, !x) -> ()
  kernel.gemm %x, %w into %z : (!x, !w, !x) -> ()
  return
}

// Read after write, write after read, write after write; through views.
// CHECK-LABEL: func.func private @dependent.threads
// CHECK: call @kernel.gemm.0(%arg0, %arg1, %arg2
// CHECK-NEXT: %{{.*}} = memref.subview
// CHECK-NEXT: omp.barrier
// CHECK-NEXT: call @kernel.gemm.1({{.*}}, %arg1, %arg3
// CHECK-NEXT: omp.barrier
// CHECK-NEXT: call @kernel.gemm.0(%arg3, %arg1, %arg2
// CHECK-NEXT: omp.barrier
// CHECK-NEXT: call @kernel.gemm.0(%arg0, %arg1, %arg2
// CHECK-NEXT: return
func.func @dependent(%x: !x, %w: !w, %y: !x, %z: !x) {
  kernel.gemm %x, %w into %y : (!x, !w, !x) -> ()
  %view = memref.subview %y[0, 0] [9, 32] [1, 1] : !x to memref<9x32xf32, strided<[32, 1]>>
  kernel.gemm %view, %w into %z : (memref<9x32xf32, strided<[32, 1]>>, !w, !x) -> ()
  kernel.gemm %z, %w into %y : (!x, !w, !x) -> ()
  kernel.gemm %x, %w into %y : (!x, !w, !x) -> ()
  return
}

// Buffers of the arena: parts that do not overlap, and parts that share memory because their lives do not overlap.
// CHECK-LABEL: func.func private @arena.threads
// CHECK: call @kernel.softmax.0
// CHECK-NOT: omp.barrier
// CHECK: call @kernel.softmax.0
// CHECK-NEXT: omp.barrier
// CHECK-NEXT: call @kernel.softmax.0
// CHECK-NEXT: return
func.func @arena(%x: !x, %arena: memref<?xi8> {quern.arena}) {
  %c0 = arith.constant 0 : index
  %c1152 = arith.constant 1152 : index
  %a = memref.view %arena[%c0][] {quern.place = array<i64: 0, 0, 1152>} : memref<?xi8> to !x
  %b = memref.view %arena[%c1152][] {quern.place = array<i64: 0, 1152, 2304>} : memref<?xi8> to !x
  %c = memref.view %arena[%c0][] {quern.place = array<i64: 0, 0, 1152>} : memref<?xi8> to !x
  kernel.softmax %x into %a : (!x, !x) -> ()
  kernel.softmax %x into %b : (!x, !x) -> ()
  kernel.softmax %x into %c : (!x, !x) -> ()
  return
}

// Before a loop, and at the end of what it repeats; not where a program ends. A number that a kernel wrote is read after it.
// CHECK-LABEL: func.func private @loop.threads
// CHECK: call @kernel.count_targets.0
// CHECK-NEXT: omp.barrier
// CHECK-NEXT: scf.for
// CHECK: call @kernel.softmax.0
// CHECK-NEXT: omp.barrier
// CHECK-NEXT: }
// CHECK: call @kernel.count_targets.0
// CHECK-NEXT: omp.barrier
// CHECK-NEXT: %{{.*}} = memref.load
// CHECK: call @kernel.softmax.0
// CHECK-NEXT: return
func.func @loop(%t: memref<2x3xi32>, %n: memref<f32>, %x: !x, %y: !x, %index: memref<index>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c5 = arith.constant 5 : index
  kernel.count_targets %t into %n {ignore_index = -1 : i64} : (memref<2x3xi32>, memref<f32>) -> ()
  scf.for %i = %c0 to %c5 step %c1 {
    kernel.softmax %x into %y : (!x, !x) -> ()
  }
  kernel.count_targets %t into %n {ignore_index = -1 : i64} : (memref<2x3xi32>, memref<f32>) -> ()
  %count = memref.load %n[] : memref<f32>
  %isNone = arith.cmpf oeq, %count, %count : f32
  kernel.softmax %x into %y : (!x, !x) -> ()
  return
}
