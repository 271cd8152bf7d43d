// RUN: quern-opt %s --quern-emit-cpu=cpu=x86-64-v3 | FileCheck %s

// Threads wait only before a kernel that touches what an earlier one writes, or writes what an earlier one touches.

!x = memref<9x32xf32>
!w = memref<32x32xf32>

// Two products of one activation: none waits. Their scratch memory, which holds it transposed, is apart.
// CHECK-LABEL: func.func private @independent.threads
// CHECK: call @kernel.gemm.0(%arg0, %arg1, %arg3, %[[SCRATCH:arg[0-9]+]],
// CHECK-NOT: omp.barrier
// CHECK: %[[APART:.*]] = memref.view %[[SCRATCH]]
// CHECK-NEXT: call @kernel.gemm.0(%arg0, %arg2, %arg4, %[[APART]],
// CHECK-NEXT: return
func.func @independent(%x: memref<32x9xf32>, %v: !w, %w: !w, %y: !x, %z: !x) {
  kernel.gemm %x, %v into %y {transpose_a} : (memref<32x9xf32>, !w, !x) -> ()
  kernel.gemm %x, %w into %z {transpose_a} : (memref<32x9xf32>, !w, !x) -> ()
  return
}

// Read after write, write after read, write after write; through views.
// CHECK-LABEL: func.func private @dependent.threads
// CHECK: call @kernel.gemm.1(%arg0, %arg1, %arg2
// CHECK-NEXT: %{{.*}} = memref.subview
// CHECK-NEXT: omp.barrier
// CHECK-NEXT: call @kernel.gemm.2({{.*}}, %arg1, %arg3
// CHECK-NEXT: omp.barrier
// CHECK-NEXT: call @kernel.gemm.1(%arg3, %arg1, %arg2
// CHECK-NEXT: omp.barrier
// CHECK-NEXT: call @kernel.gemm.1(%arg0, %arg1, %arg2
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

// What each thread has a copy of, and computes for itself, needs no barrier: the norm of few rows. Of how many, a call tells; with
// more, threads share it, and wait.
// CHECK-LABEL: func.func private @copies.threads
// CHECK-SAME:    %[[THREAD:arg[0-9]+]]: index, %[[THREADS:arg[0-9]+]]: index)
// CHECK:         %[[COPY:.*]] = memref.alloca() {alignment = 64 : i64} : memref<7x32xf32>
// CHECK:         %[[BATCH:.*]] = memref.dim
// CHECK:         %[[FEW:.*]] = arith.cmpi ule, %[[BATCH]], %c7
// CHECK:         %[[SHARED:.*]] = memref.view
// CHECK:         %[[OWN:.*]] = memref.reinterpret_cast %[[COPY]] to offset: [0], sizes: [%[[BATCH]], 32], strides: [32, 1] : memref<7x32xf32> to memref<?x32xf32>
// CHECK:         %[[N:.*]] = arith.select %[[FEW]], %[[OWN]], %[[SHARED]]
// CHECK:         %[[T:.*]] = arith.select %[[FEW]], %c0{{.*}}, %[[THREAD]]
// CHECK:         %[[TS:.*]] = arith.select %[[FEW]], %c1{{.*}}, %[[THREADS]]
// CHECK:         call @kernel.norm.0(%arg0, %[[N]], %{{.*}}, %[[T]], %[[TS]])
// CHECK-NEXT:    scf.if %[[FEW]] {
// CHECK-NEXT:    } else {
// CHECK-NEXT:      omp.barrier
// CHECK-NEXT:    }
// CHECK-NEXT:    call @kernel.gemm{{.*}}(%[[N]], %arg1, %arg2, %{{.*}}, %[[THREAD]], %[[THREADS]])
// CHECK-NEXT:    return
func.func @copies(%x: memref<?x32xf32>, %w: !w, %y: memref<?x32xf32>, %arena: memref<?xi8> {quern.arena}) {
  %c0 = arith.constant 0 : index
  %batch = memref.dim %x, %c0 : memref<?x32xf32>
  %n = memref.view %arena[%c0][%batch] {quern.per_thread = 7 : i64, quern.place = array<i64: 0, 0, 128>} : memref<?xi8> to memref<?x32xf32>
  kernel.norm rms %x into %n {epsilon = 1.0e-5 : f64} : (memref<?x32xf32>, memref<?x32xf32>) -> ()
  kernel.gemm %n, %w into %y : (memref<?x32xf32>, !w, memref<?x32xf32>) -> ()
  return
}

// Of static size there is nothing to ask.
// CHECK-LABEL: func.func private @static_copies.threads
// CHECK:         %[[COPY:.*]] = memref.alloca() {alignment = 64 : i64} : memref<2x32xf32>
// CHECK-NOT:     omp.barrier
// CHECK:         return
func.func @static_copies(%x: memref<2x32xf32>, %w: !w, %y: memref<2x32xf32>, %arena: memref<?xi8> {quern.arena}) {
  %c0 = arith.constant 0 : index
  %n = memref.view %arena[%c0][] {quern.per_thread = 2 : i64, quern.place = array<i64: 0, 0, 256>} : memref<?xi8> to memref<2x32xf32>
  kernel.norm rms %x into %n {epsilon = 1.0e-5 : f64} : (memref<2x32xf32>, memref<2x32xf32>) -> ()
  kernel.gemm %n, %w into %y : (memref<2x32xf32>, !w, memref<2x32xf32>) -> ()
  return
}

// A product reads, at its own columns, what one of the same shape left there: few rows, the same division of work. Not with many rows,
// and not what a product of another depth left.
// CHECK-LABEL: func.func private @gates.threads
// CHECK:         call @kernel.gemm
// CHECK-NOT:     omp.barrier
// CHECK:         call @kernel.gemm
// CHECK-NEXT:    return
func.func @gates(%x: memref<7x32xf32>, %v: !w, %w: !w, %y: memref<7x32xf32>) {
  kernel.gemm %x, %v into %y : (memref<7x32xf32>, !w, memref<7x32xf32>) -> ()
  kernel.gemm %x, %w with %y into %y : (memref<7x32xf32>, !w, memref<7x32xf32>, memref<7x32xf32>) -> () epilogue (%sum: f32, %g: f32) {
    %0 = arith.mulf %sum, %g : f32
    kernel.yield %0 : f32
  }
  return
}

// CHECK-LABEL: func.func private @many_gates.threads
// CHECK:         call @kernel.gemm
// CHECK:         omp.barrier
// CHECK:         call @kernel.gemm
// CHECK-NEXT:    return
func.func @many_gates(%x: memref<8x32xf32>, %v: !w, %w: !w, %y: memref<8x32xf32>) {
  kernel.gemm %x, %v into %y : (memref<8x32xf32>, !w, memref<8x32xf32>) -> ()
  kernel.gemm %x, %w with %y into %y : (memref<8x32xf32>, !w, memref<8x32xf32>, memref<8x32xf32>) -> () epilogue (%sum: f32, %g: f32) {
    %0 = arith.mulf %sum, %g : f32
    kernel.yield %0 : f32
  }
  return
}

// CHECK-LABEL: func.func private @unlike_gates.threads
// CHECK:         call @kernel.gemm
// CHECK:         omp.barrier
// CHECK:         call @kernel.gemm
// CHECK-NEXT:    return
func.func @unlike_gates(%x: memref<7x32xf32>, %u: memref<7x16xf32>, %v: memref<16x32xf32>, %w: !w, %y: memref<7x32xf32>) {
  kernel.gemm %u, %v into %y : (memref<7x16xf32>, memref<16x32xf32>, memref<7x32xf32>) -> ()
  kernel.gemm %x, %w with %y into %y : (memref<7x32xf32>, !w, memref<7x32xf32>, memref<7x32xf32>) -> () epilogue (%sum: f32, %g: f32) {
    %0 = arith.mulf %sum, %g : f32
    kernel.yield %0 : f32
  }
  return
}

// Attention whose result each thread has for itself: all wait within it, and so nobody after it.
// CHECK-LABEL: func.func private @attention.threads
// CHECK:         call @kernel.cached_attention.0({{.*}}, %true)
// CHECK-NOT:     omp.barrier
// CHECK:         call @kernel.softmax
// CHECK-NEXT:    return
// CHECK:       func.func private @kernel.cached_attention.0(
// CHECK-SAME:    %[[OWN:arg[0-9]+]]: i1)
// CHECK:         %[[WAITS:.*]] = arith.ori %{{.*}}, %[[OWN]]
// CHECK:         scf.if %[[WAITS]] {
// CHECK-NEXT:      omp.barrier
func.func @attention(%q: memref<2x1x4x8xf32>, %k: memref<2x1x2x8xf32>, %at: memref<i32>, %ks: memref<2x9x2x8xf32>, %vs: memref<2x9x2x8xf32>, %y: memref<2x1x4x8xf32>,
                     %arena: memref<?xi8> {quern.arena}) {
  %c0 = arith.constant 0 : index
  %o = memref.view %arena[%c0][] {quern.per_thread = 2 : i64, quern.place = array<i64: 0, 0, 256>} : memref<?xi8> to memref<2x1x4x8xf32>
  kernel.cached_attention %q, %k, %k offset %at into %o, %ks, %vs {scale = 0.5 : f64}
      : (memref<2x1x4x8xf32>, memref<2x1x2x8xf32>, memref<2x1x2x8xf32>, memref<i32>, memref<2x1x4x8xf32>, memref<2x9x2x8xf32>, memref<2x9x2x8xf32>) -> ()
  kernel.softmax %o into %y : (memref<2x1x4x8xf32>, memref<2x1x4x8xf32>) -> ()
  return
}
