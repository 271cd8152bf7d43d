// RUN: quern-opt %s --quern-plan-arena --canonicalize --cse | FileCheck %s

// %a and %c never live at the same time, so they share a place; %b, which lives with both, does not.
// CHECK-LABEL: func.func @static.arena_bytes(
// CHECK:         %[[BYTES:.*]] = arith.constant 384 : i64
// CHECK:         return %[[BYTES]]
// CHECK-LABEL: func.func @static(
// CHECK-SAME:    %[[ARENA:[a-z0-9]+]]: memref<?xi8> {quern.arena}
// CHECK-DAG:     %[[C0:.*]] = arith.constant 0 : index
// CHECK-DAG:     %[[C256:.*]] = arith.constant 256 : index
// CHECK-DAG:     %[[A:.*]] = memref.view %[[ARENA]][%[[C0]]][] {quern.place = array<i64: 0, 0, 256>} : memref<?xi8> to memref<64xf32>
// CHECK-DAG:     %[[B:.*]] = memref.view %[[ARENA]][%[[C256]]][] {quern.place = array<i64: 0, 256, 384>} : memref<?xi8> to memref<32xf32>
// CHECK:         kernel.softmax %{{.*}} into %[[A]]
// CHECK:         kernel.softmax %{{.*}} into %[[B]]
// CHECK:         kernel.softmax %{{.*}} into %[[A]]
func.func @static(%x: memref<64xf32>, %y: memref<32xf32>) attributes {quern.program} {
  %a = memref.alloc() : memref<64xf32>
  %b = memref.alloc() : memref<32xf32>
  kernel.softmax %x into %a : (memref<64xf32>, memref<64xf32>) -> ()
  %half = memref.subview %a[0] [32] [1] : memref<64xf32> to memref<32xf32>
  kernel.softmax %half into %b : (memref<32xf32>, memref<32xf32>) -> ()
  %c = memref.alloc() : memref<64xf32>
  kernel.softmax %x into %c : (memref<64xf32>, memref<64xf32>) -> ()
  kernel.softmax %b into %y : (memref<32xf32>, memref<32xf32>) -> ()
  kernel.softmax %c into %x : (memref<64xf32>, memref<64xf32>) -> ()
  return
}

// A buffer from outside of a loop that is used in it lives as long as the loop: %outer is needed again in
// the next iteration, so %inner cannot take its place although it is last used before.
// CHECK-LABEL: func.func @loop.arena_bytes(
// CHECK-SAME:    %[[X:[a-z0-9]+]]: memref<?x16xf32>
// CHECK:         %[[N:.*]] = memref.dim %[[X]]
// CHECK:         %[[TWO:.*]] = arith.muli %[[N]], %c128
// CHECK:         arith.index_cast %[[TWO]]
func.func @loop(%x: memref<?x16xf32>) attributes {quern.program} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  %n = memref.dim %x, %c0 : memref<?x16xf32>
  %outer = memref.alloc(%n) : memref<?x16xf32>
  kernel.softmax %x into %outer : (memref<?x16xf32>, memref<?x16xf32>) -> ()
  scf.for %i = %c0 to %c4 step %c1 {
    kernel.softmax %outer into %x : (memref<?x16xf32>, memref<?x16xf32>) -> ()
    %inner = memref.alloc(%n) : memref<?x16xf32>
    kernel.softmax %x into %inner : (memref<?x16xf32>, memref<?x16xf32>) -> ()
    kernel.softmax %inner into %x : (memref<?x16xf32>, memref<?x16xf32>) -> ()
  }
  return
}
