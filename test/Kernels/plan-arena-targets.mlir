// RUN: quern-opt %s -quern-plan-arena | FileCheck %s

// What the arenas are for is told of the program, for the host and for a device apart.

// CHECK: quern.model = "{{.*}}\22arena\22:[{{.*}}\22bytes\22:{{.*}}256{{.*}}\22device_arena\22:[{{.*}}128{{.*}}\22name\22:\22f\22
module attributes {quern.model = "{\"programs\":[{\"name\":\"f\"}]}"} {
  func.func @f(%x: memref<64xf32>) attributes {quern.program} {
    %0 = memref.alloc() : memref<64xf32>
    memref.copy %0, %x : memref<64xf32> to memref<64xf32>
    return
  }
  func.func @sm_80.f(%x: memref<64xbf16>) attributes {quern.program, quern.target = "sm_80"} {
    %0 = memref.alloc() : memref<64xbf16>
    memref.copy %0, %x : memref<64xbf16> to memref<64xbf16>
    return
  }
}
