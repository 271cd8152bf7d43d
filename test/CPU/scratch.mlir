// RUN: quern-opt %s --quern-emit-cpu=cpu=x86-64-v3 | FileCheck %s

// Scratch memory of kernels, here of the product that packs A, is at the end of the arena: its formula grows, and the description of the program says so.

// CHECK: quern.model = "{{.*}}\22arena\22:[{\22bytes\22:{{\[\[}}[[BYTES:[0-9]+]],{}]],\22use\22:\22scratch memory of kernels\22}],\22name\22:\22f\22
// CHECK: func.func @f.arena_bytes
// CHECK: arith.constant [[BYTES]] : i64
module attributes {quern.model = "{\"programs\":[{\"name\":\"f\",\"arena\":[]},{\"name\":\"g\",\"arena\":[]}]}"} {
  func.func @f.arena_bytes(%a: memref<32x9xf32>, %b: memref<32x32xf32>, %c: memref<9x32xf32>) -> i64 {
    %0 = arith.constant 0 : i64
    return %0 : i64
  }
  func.func @f(%a: memref<32x9xf32>, %b: memref<32x32xf32>, %c: memref<9x32xf32>, %arena: memref<?xi8> {quern.arena}) attributes {quern.program} {
    kernel.gemm %a, %b into %c {transpose_a} : (memref<32x9xf32>, memref<32x32xf32>, memref<9x32xf32>) -> ()
    return
  }
}
