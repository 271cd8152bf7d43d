// RUN: quern-opt %s -split-input-file -quern-pad-rows | FileCheck %s

// Rows of 50257 bf16 are no multiple of 16 bytes. Products, the loss and elementwise work see a view of padded rows.

// CHECK-LABEL: func.func @sm_80.static
func.func @sm_80.static(%x: memref<2x3x64xbf16>, %w: memref<50257x64xbf16>, %dx: memref<2x3x64xbf16>, %t: memref<2x3xi32>,
    %n: memref<f32>) attributes {quern.program, quern.target = "sm_80"} {
  // CHECK: %[[PADDED:.*]] = memref.alloc() : memref<2x3x50304xbf16>
  // CHECK: %[[VIEW:.*]] = memref.subview %[[PADDED]][0, 0, 0] [2, 3, 50257] [1, 1, 1] : {{.*}} to memref<2x3x50257xbf16, strided<[150912, 50304, 1]>>
  %0 = memref.alloc() : memref<2x3x50257xbf16>
  // CHECK: kernel.gemm {{.*}} into %[[VIEW]]
  kernel.gemm %x, %w into %0 {transpose_b} : (memref<2x3x64xbf16>, memref<50257x64xbf16>, memref<2x3x50257xbf16>) -> ()
  // CHECK: kernel.cross_entropy_gradient {{.*}}, %[[VIEW]]
  kernel.cross_entropy_gradient %t, %n, %n into %n, %0 {ignore_index = -1 : i64}
    : (memref<2x3xi32>, memref<f32>, memref<f32>, memref<f32>, memref<2x3x50257xbf16>) -> ()
  // CHECK: %[[ROWS:.*]] = memref.collapse_shape %[[VIEW]] {{.*}} : {{.*}} into memref<6x50257xbf16, strided<[50304, 1]>>
  %1 = memref.collapse_shape %0 [[0, 1], [2]] : memref<2x3x50257xbf16> into memref<6x50257xbf16>
  // CHECK: %[[PART:.*]] = memref.subview %[[ROWS]][2, 0] [4, 50257] [1, 1] {{.*}} to memref<4x50257xbf16, strided<[50304, 1], offset: 100608>>
  %2 = memref.subview %1[2, 0] [4, 50257] [1, 1] : memref<6x50257xbf16> to memref<4x50257xbf16, strided<[50257, 1], offset: 100514>>
  // CHECK: memref.copy %[[PART]], %[[PART]]
  memref.copy %2, %2 : memref<4x50257xbf16, strided<[50257, 1], offset: 100514>> to memref<4x50257xbf16, strided<[50257, 1], offset: 100514>>
  // CHECK: kernel.gemm %[[VIEW]]
  kernel.gemm %0, %w into %dx : (memref<2x3x50257xbf16>, memref<50257x64xbf16>, memref<2x3x64xbf16>) -> ()
  return
}

// -----

// Where leading dimensions are dynamic, types could not tell that all rows are the same distance apart: what counts them
// together sees one.

// CHECK-LABEL: func.func @sm_80.dynamic
func.func @sm_80.dynamic(%x: memref<?x?x64xf32>, %w: memref<64x99xf32>, %dx: memref<?x?x64xf32>, %dw: memref<64x99xf32>,
    %t: memref<?x?xi32>, %n: memref<f32>, %b: index, %s: index) attributes {quern.program, quern.target = "sm_80"} {
  // CHECK: %[[PADDED:.*]] = memref.alloc(%{{.*}}, %{{.*}}) : memref<?x?x100xf32>
  // CHECK: memref.collapse_shape %[[PADDED]] {{\[\[}}0, 1], [2]] : memref<?x?x100xf32> into memref<?x100xf32>
  // CHECK: %[[ROWS:.*]] = memref.subview {{.*}} to memref<?x99xf32, strided<[100, 1]>>
  %0 = memref.alloc(%b, %s) : memref<?x?x99xf32>
  // CHECK: kernel.gemm {{.*}} into %[[ROWS]]
  kernel.gemm %x, %w into %0 : (memref<?x?x64xf32>, memref<64x99xf32>, memref<?x?x99xf32>) -> ()
  // CHECK: %[[TARGETS:.*]] = memref.collapse_shape {{.*}} : memref<?x?xi32> into memref<?xi32>
  // CHECK: kernel.cross_entropy_gradient %[[TARGETS]], {{.*}}, %[[ROWS]]
  kernel.cross_entropy_gradient %t, %n, %n into %n, %0 {ignore_index = -1 : i64}
    : (memref<?x?xi32>, memref<f32>, memref<f32>, memref<f32>, memref<?x?x99xf32>) -> ()
  // CHECK: kernel.gemm %[[ROWS]]
  kernel.gemm %0, %w into %dx {transpose_b} : (memref<?x?x99xf32>, memref<64x99xf32>, memref<?x?x64xf32>) -> ()
  // CHECK: kernel.gemm %{{.*}}, %[[ROWS]] into
  kernel.gemm %x, %0 into %dw {transpose_a} : (memref<?x?x64xf32>, memref<?x?x99xf32>, memref<64x99xf32>) -> ()
  return
}

// -----

// Near misses: rows that begin at multiples of 16 bytes, buffers that no product reads, rows that become one with what is
// around them, short rows, the CPU.

// CHECK-LABEL: func.func @sm_80.stays
func.func @sm_80.stays(%x: memref<4x64xbf16>, %w: memref<64x104xbf16>, %y: memref<64x99xbf16>, %c: memref<4x99xbf16>)
    attributes {quern.program, quern.target = "sm_80"} {
  // CHECK: memref.alloc() : memref<4x104xbf16>
  %even = memref.alloc() : memref<4x104xbf16>
  kernel.gemm %even, %w into %x {transpose_b} : (memref<4x104xbf16>, memref<64x104xbf16>, memref<4x64xbf16>) -> ()
  // CHECK: memref.alloc() : memref<4x99xbf16>
  %unread = memref.alloc() : memref<4x99xbf16>
  kernel.softmax %c into %unread : (memref<4x99xbf16>, memref<4x99xbf16>) -> ()
  // CHECK: memref.alloc() : memref<64x99xbf16>
  %flat = memref.alloc() : memref<64x99xbf16>
  %all = memref.collapse_shape %flat [[0, 1]] : memref<64x99xbf16> into memref<6336xbf16>
  memref.copy %all, %all : memref<6336xbf16> to memref<6336xbf16>
  kernel.gemm %x, %flat into %c : (memref<4x64xbf16>, memref<64x99xbf16>, memref<4x99xbf16>) -> ()
  // CHECK: memref.alloc() : memref<4x9xbf16>
  %short = memref.alloc() : memref<4x9xbf16>
  %v = memref.alloc() : memref<9x64xbf16>
  kernel.gemm %short, %v into %x : (memref<4x9xbf16>, memref<9x64xbf16>, memref<4x64xbf16>) -> ()
  return
}

// CHECK-LABEL: func.func @host
func.func @host(%x: memref<4x64xbf16>, %c: memref<4x99xbf16>) attributes {quern.program} {
  // CHECK: memref.alloc() : memref<64x99xbf16>
  %0 = memref.alloc() : memref<64x99xbf16>
  kernel.gemm %x, %0 into %c : (memref<4x64xbf16>, memref<64x99xbf16>, memref<4x99xbf16>) -> ()
  return
}
