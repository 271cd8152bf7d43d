// RUN: quern-opt %s -quern-plan-arena | FileCheck %s

// The uses of the arena add up to its size: two buffers of 256 bytes that never live together are 256 bytes less.

// CHECK: quern.model = "{{.*}}\22bytes\22:{{\[\[}}512,{}]],\22use\22:\22activations\22},{\22bytes\22:{{\[\[}}-256,{}]],\22use\22:\22shared by two or more\22}
// CHECK: func.func @f.arena_bytes
// CHECK: arith.constant 256 : i
module attributes {quern.model = "{\"programs\":[{\"name\":\"f\"}]}"} {
  func.func @f(%x: memref<64xf32>) attributes {quern.program} {
    %0 = memref.alloc() : memref<64xf32>
    kernel.softmax %x into %0 : (memref<64xf32>, memref<64xf32>) -> ()
    kernel.softmax %0 into %x : (memref<64xf32>, memref<64xf32>) -> ()
    %1 = memref.alloc() : memref<64xf32>
    kernel.softmax %x into %1 : (memref<64xf32>, memref<64xf32>) -> ()
    kernel.softmax %1 into %x : (memref<64xf32>, memref<64xf32>) -> ()
    return
  }
}
