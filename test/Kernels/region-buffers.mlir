// RUN: quern-opt %s --quern-phase-buffers | FileCheck %s
// What a region reads may be overwritten by what it yields; factors may not.

// CHECK-LABEL: func.func @update(
// CHECK-SAME:    %[[X:[a-z0-9]+]]: memref<5x4xf32>, %[[G:[a-z0-9]+]]: memref<5x3xf32>, %[[P:[a-z0-9]+]]: memref<4x3xf32>, %[[M:[a-z0-9]+]]: memref<4x3xf32>
// CHECK-NOT:     memref.copy
// CHECK-NOT:     memref.view
// CHECK:         kernel.gemm %[[X]], %[[G]] with %[[P]], %[[M]] into %[[P]], %[[M]] {transpose_a}
// CHECK-NOT:     memref.copy
// CHECK:         return
func.func @update(%x: memref<5x4xf32>, %g: memref<5x3xf32>, %p: memref<4x3xf32>, %m: memref<4x3xf32>) attributes {quern.program} {
  %0 = bufferization.to_tensor %x restrict : memref<5x4xf32> to tensor<5x4xf32>
  %1 = bufferization.to_tensor %g restrict : memref<5x3xf32> to tensor<5x3xf32>
  %2 = bufferization.to_tensor %p restrict writable : memref<4x3xf32> to tensor<4x3xf32>
  %3 = bufferization.to_tensor %m restrict writable : memref<4x3xf32> to tensor<4x3xf32>
  %4:2 = kernel.gemm %0, %1 with %2, %3 into %2, %3 {transpose_a}
      : (tensor<5x4xf32>, tensor<5x3xf32>, tensor<4x3xf32>, tensor<4x3xf32>, tensor<4x3xf32>, tensor<4x3xf32>) -> (tensor<4x3xf32>, tensor<4x3xf32>)
      epilogue (%sum: f32, %p0: f32, %m0: f32) {
    %5 = arith.addf %m0, %sum : f32
    %6 = arith.subf %p0, %5 : f32
    kernel.yield %6, %5 : f32, f32
  }
  bufferization.materialize_in_destination %4#0 in restrict writable %p : (tensor<4x3xf32>, memref<4x3xf32>) -> ()
  bufferization.materialize_in_destination %4#1 in restrict writable %m : (tensor<4x3xf32>, memref<4x3xf32>) -> ()
  return
}

// CHECK-LABEL: func.func @factor(
// CHECK-SAME:    %[[A:[a-z0-9]+]]: memref<4x4xf32>, %[[B:[a-z0-9]+]]: memref<4x4xf32>
// CHECK:         %[[PLACE:.*]] = memref.view
// CHECK:         kernel.gemm %[[A]], %[[B]] with %[[A]] into %[[PLACE]]
// CHECK:         memref.copy %[[PLACE]], %[[A]]
func.func @factor(%a: memref<4x4xf32>, %b: memref<4x4xf32>) attributes {quern.program} {
  %0 = bufferization.to_tensor %a restrict writable : memref<4x4xf32> to tensor<4x4xf32>
  %1 = bufferization.to_tensor %b restrict : memref<4x4xf32> to tensor<4x4xf32>
  %2 = kernel.gemm %0, %1 with %0 into %0 : (tensor<4x4xf32>, tensor<4x4xf32>, tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x4xf32>
      epilogue (%sum: f32, %x: f32) {
    %3 = arith.addf %sum, %x : f32
    kernel.yield %3 : f32
  }
  bufferization.materialize_in_destination %2 in restrict writable %a : (tensor<4x4xf32>, memref<4x4xf32>) -> ()
  return
}
